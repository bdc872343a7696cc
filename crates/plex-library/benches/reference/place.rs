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
    let stopped = child("stopped", &[&mine, &live, &staged, &at("next"), &plan]);
    rows.extend(while_stopped(WORK, &stopped));
    let undo = child("undo", &[&plan]);
    let in_time = undo.seconds <= 2.0;
    rows.push(Row::new("undo", "exchange back").cost(&undo).target("≤ 2 s", in_time));
    rows.extend(back(&at));
    bench.rows.extend(rows);
}

/// What was done before the server stopped, and after.
fn while_stopped(work: &'static str, cost: &Cost) -> [Row; 3] {
    let said: Vec<&str> = cost.said.split_whitespace().collect();
    let [stood, cpu, caught_up, before] = [0, 1, 2, 3].map(|n| said[n].parse::<f64>().unwrap());
    let part = |seconds: f64, cpu: f64| Cost {
        seconds,
        cpu,
        anon: cost.anon,
        said: String::new(),
    };
    [
        Row::new(work, "catch up, Plex running")
            .cost(&part(before, cost.cpu - cpu))
            .note("before it is stopped"),
        Row::new(work, "all while Plex is stopped")
            .cost(&part(stood, cpu))
            .note(format!("{}; catching up: {caught_up:.2} s", said[4..].join(" "))),
        Row::new(work, "all while Plex is stopped").target("≤ 2 s", stood <= 2.0),
    ]
}

/// Taking the result back when the household has lived with it: the older library gets what was done since.
fn back(at: &dyn Fn(&str) -> String) -> Vec<Row> {
    const WORK: &str = "undo";
    // `staged` is the result that was swapped in and taken back, `live` the library from before.
    let (swapped_in, older) = (at("staged"), at("older"));
    let (home, mine, plan) = (at("newer/Databases"), at("since"), at("plan-back"));
    shell(&format!(
        "rm -rf {} {} {} {} && mkdir -p {older} && cp {}/*.db {older}/",
        at("mine"),
        at("next"),
        at("indexed"),
        at("delta"),
        at("live/Databases")
    ));
    child("fixture", &["again", "1", &swapped_in, &home]);
    child("snapshot", &[&home, &mine]);
    let carried = child("back", &[&swapped_in, &mine, &older]);
    child("prepare", &[&home, &older, &plan]);
    let stopped = child("stopped-back", &[&mine, &home, &older, &at("next-back"), &plan]);
    let mut rows = vec![
        Row::new(WORK, "carry back what was done since")
            .cost(&carried)
            .note("Plex running"),
    ];
    rows.extend(while_stopped(WORK, &stopped));
    rows
}
