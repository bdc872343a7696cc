//! Putting the result in place of home's library, and taking it back.

use crate::Bench;
use crate::measure::{Cost, Row, shell};
use crate::work::child;

pub(crate) fn rows(bench: &mut Bench) {
    const STAGE: &str = "merge with the household";
    const WORK: &str = "put it in place";
    let at = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    let mut rows = Vec::new();
    // `indexed` and `delta` are left from the rows before.
    let (base, live, mine, staged, plan) = (
        at("indexed"),
        at("live/Databases"),
        at("mine"),
        at("staged"),
        at("plan"),
    );
    shell(&format!(
        "mkdir {live} -p && cp {}/*.db {live}/",
        bench.home.to_str().unwrap()
    ));
    let apply = child("apply", &[&base, &at("delta"), &staged]);
    let taken = child("snapshot", &[&live, &mine]);
    let merge = child("merge", &[&base, &mine, &staged]);
    let verify = child("verify", &[&staged]);
    child("prepare", &[&live, &staged, &plan]);
    child("later", &[&live]);
    for (how, cost) in [
        ("base + delta", &apply),
        ("home now", &taken),
        ("three-way merge", &merge),
        ("verify, every page", &verify),
    ] {
        rows.push(Row::new(STAGE, how).cost(cost));
    }
    if bench.with_others {
        let old = shell(&format!(
            "cd {scratch} && tar -czf old.tar.gz -C live Databases && rm -r live/Databases && tar -xzf old.tar.gz -C live && rm old.tar.gz",
            scratch = bench.scratch.to_str().unwrap()
        ));
        rows.push(Row::new(WORK, "tar backup, rm, untar").cost(&old).note("Plex stopped"));
        // The folder is another one now.
        child("prepare", &[&live, &staged, &plan]);
    }
    let steps = [
        ("catch up", child("catch-up", &[&mine, &live, &staged])),
        ("nothing lost", child("losses", &[&live, &staged])),
        ("exchange", child("exchange", &[&plan])),
    ];
    for (how, cost) in &steps {
        rows.push(Row::new(WORK, how).cost(cost).note("Plex stopped"));
    }
    let stopped = Cost {
        seconds: steps.iter().map(|(_, cost)| cost.seconds).sum(),
        cpu: steps.iter().map(|(_, cost)| cost.cpu).sum(),
        anon: steps.iter().map(|(_, cost)| cost.anon).max().unwrap_or(0),
        said: String::new(),
    };
    let in_time = stopped.seconds <= 2.0;
    rows.push(
        Row::new(WORK, "all while Plex is stopped")
            .cost(&stopped)
            .target("≤ 2 s", in_time),
    );
    let undo = child("undo", &[&plan]);
    let in_time = undo.seconds <= 2.0;
    rows.push(Row::new("undo", "exchange back").cost(&undo).target("≤ 2 s", in_time));
    bench.rows.extend(rows);
}
