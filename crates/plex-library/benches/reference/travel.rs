//! Bringing home what a burst changed.

use crate::Bench;
use crate::files;
use crate::measure::{Cost, Row, median, shell, warm};
use crate::work::child;

const WORK: &str = "bring the result home";

pub(crate) fn rows(bench: &mut Bench) {
    bench.clean();
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (base, worker) = (text(&bench.base), text(&bench.worker));
    let at = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    let size = |name: &str| std::fs::metadata(bench.path(name)).unwrap().len();
    let mut rows = Vec::new();
    warm(&files(&bench.base));
    warm(&files(&bench.worker));
    let floor = child("floor", &[&base, &worker, &at("floor")]);
    let both: Vec<String> = [files(&bench.base), files(&bench.worker)]
        .concat()
        .iter()
        .map(|file| text(file))
        .collect();
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    // The index that came with the snapshot.
    child("snapshot", &[&base, &at("indexed")]);
    let (mut reads, mut deltas) = (Vec::new(), Vec::new());
    for _ in 0..bench.repeat {
        _ = std::fs::remove_dir_all(bench.path("delta"));
        warm(&both);
        reads.push(child("read", &both));
        deltas.push(child("delta", &[&at("indexed"), &worker, &at("delta")]));
    }
    let (read, delta) = (median(reads), median(deltas));
    let changed = floor.said.trim().to_owned();
    rows.push(
        Row::new(WORK, "zstd -3 of the changed pages")
            .cost(&floor)
            .bytes(size("floor"))
            .note(format!("{changed} pages")),
    );
    rows.push(Row::new(WORK, "reading both libraries").cost(&read));
    if bench.with_others {
        rows.extend(others(bench, &base, &worker));
    }
    let bytes: u64 = delta.said.trim().parse().unwrap();
    let more = bytes as f64 / size("floor") as f64;
    rows.push(
        Row::new(WORK, "delta")
            .cost(&delta)
            .bytes(bytes)
            .ratio(more, "the pages")
            .target("≤ 1.15 × the pages", more <= 1.15),
    );
    let time = delta.seconds / read.seconds;
    rows.push(
        Row::new(WORK, "delta")
            .ratio(time, "reading")
            .target("≤ 2 × reading both", time <= 2.0),
    );
    bench.rows.extend(rows);
}

/// What people use today, as far as it is installed.
fn others(bench: &Bench, base: &str, worker: &str) -> Vec<Row> {
    let at = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    let mut rows = Vec::new();
    let mut with = |program: &str, row: &dyn Fn() -> (Cost, u64)| {
        let has = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
        rows.push(if has {
            let (cost, bytes) = row();
            Row::new(WORK, program).cost(&cost).bytes(bytes)
        } else {
            println!("SKIPPED {program}: it is not installed");
            Row::new(WORK, program).note("not installed")
        });
    };
    with("rsync", &|| {
        shell(&format!("cp -r {base} {}", at("copy")));
        let cost = shell(&format!("rsync -rtz --no-whole-file --stats {worker}/ {}/", at("copy")));
        let line = cost
            .said
            .lines()
            .find(|line| line.starts_with("Total bytes sent"))
            .unwrap();
        let bytes = line
            .chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .unwrap();
        std::fs::remove_dir_all(bench.path("copy")).unwrap();
        (cost, bytes)
    });
    with("restic", &|| {
        let restic = format!("RESTIC_PASSWORD=bench restic -q --no-cache -r {}", at("restic"));
        let backup = |of: &str| {
            format!(
                "ln -sfn {of} {slot} && cd {slot}/ && {restic} backup --json .",
                slot = at("slot")
            )
        };
        shell(&format!("{restic} init && {}", backup(base)));
        let cost = shell(&backup(worker));
        let summary: serde_json::Value = serde_json::from_str(cost.said.lines().last().unwrap()).unwrap();
        let added = summary["data_added_packed"].as_u64().or(summary["data_added"].as_u64());
        std::fs::remove_dir_all(bench.path("restic")).unwrap();
        (cost, added.unwrap())
    });
    with("rustic", &|| {
        let rustic = format!("rustic --password bench --no-cache --repository {}", at("rustic"));
        let backup = |of: &str| {
            format!(
                "ln -sfn {of} {slot} && cd {slot}/ && {rustic} backup --json .",
                slot = at("slot")
            )
        };
        shell(&format!("{rustic} init && {}", backup(base)));
        let cost = shell(&backup(worker));
        let snapshot: serde_json::Value = serde_json::from_str(&cost.said).unwrap();
        let added = snapshot["summary"]["data_added_packed"].as_u64();
        std::fs::remove_dir_all(bench.path("rustic")).unwrap();
        (cost, added.unwrap())
    });
    rows
}
