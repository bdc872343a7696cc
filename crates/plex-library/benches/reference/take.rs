//! Taking the library away from a running server.

use std::time::Duration;

use crate::Bench;
use crate::files;
use crate::measure::{Cost, Row, median, shell, warm};
use crate::work::{Server, child};

const WORK: &str = "take the library";

pub(crate) fn rows(bench: &mut Bench) {
    bench.clean();
    let home = bench.home.to_str().unwrap().to_owned();
    let at = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    let size = |name: &str| std::fs::metadata(bench.path(name)).unwrap().len();
    let mut rows = Vec::new();
    let pack = format!("tar -C {home} -cf - . | zstd -q -3 -T0 -f -o {}", at("pipe"));
    let server = Server::start("idle", &bench.home);
    let (mut pipes, mut exports, mut packs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.repeat {
        warm(&files(&bench.home));
        pipes.push(shell(&pack));
        exports.push(child("export", &[&home, &at("archive")]));
        packs.push(child("snapshot-packed", &[&home, &at("base"), &at("packed")]));
        for folder in ["base", "packed"] {
            std::fs::remove_dir_all(bench.path(folder)).unwrap();
        }
    }
    let (pipe, export, packed) = (median(pipes), median(exports), median(packs));
    let number = |cost: &Cost| cost.said.trim().parse::<u64>().unwrap();
    if bench.with_others {
        warm(&files(&bench.home));
        let tar = shell(&format!("tar -C {home} -czf {} .", at("tar.gz")));
        rows.push(
            Row::new(WORK, "tar -czf")
                .cost(&tar)
                .bytes(size("tar.gz"))
                .ratio(tar.seconds / pipe.seconds, "pipe")
                .note("torn while Plex runs"),
        );
    }
    rows.push(
        Row::new(WORK, "tar | zstd -3 -T0")
            .cost(&pipe)
            .bytes(size("pipe"))
            .note("torn while Plex runs"),
    );
    if bench.with_others {
        let mut backup = child("backup", &[&home, &at("copy")]);
        let zstd = shell(&format!(
            "tar -C {} -cf - . | zstd -q -3 -T0 -f -o {}",
            at("copy"),
            at("pipe")
        ));
        backup.seconds += zstd.seconds;
        backup.cpu += zstd.cpu;
        backup.anon = backup.anon.max(zstd.anon);
        rows.push(
            Row::new(WORK, "backup API, then zstd")
                .cost(&backup)
                .bytes(size("pipe"))
                .ratio(backup.seconds / pipe.seconds, "pipe"),
        );
        std::fs::remove_dir_all(bench.path("copy")).unwrap();
        let plain = child("export-plain", &[&home, &at("plain")]);
        rows.push(
            Row::new(WORK, "export, the plain way")
                .cost(&plain)
                .bytes(number(&plain))
                .ratio(plain.seconds / pipe.seconds, "pipe"),
        );
    }
    for (how, cost) in [
        ("export to an archive", &export),
        ("base kept, indexed, packed", &packed),
    ] {
        let ratio = cost.seconds / pipe.seconds;
        let mib = cost.anon >> 20;
        rows.push(
            Row::new(WORK, how)
                .cost(cost)
                .bytes(number(cost))
                .ratio(ratio, "pipe")
                .target("≤ 1.3 × pipe, anon < 256 MiB", ratio <= 1.3 && mib < 256),
        );
    }
    drop(server.stop());
    rows.extend(beside_a_writer(bench, &at("base")));
    bench.rows.extend(rows);
}

/// How a server that writes without a pause fares, alone and beside a snapshot of the same length.
fn beside_a_writer(bench: &Bench, base: &str) -> Vec<Row> {
    const WORK: &str = "write at full speed";
    let home = bench.home.to_str().unwrap();
    let server = Server::start("writer", &bench.home);
    let snapshot = child("snapshot", &[home, base]);
    let beside = server.stop();
    std::fs::remove_dir_all(base).unwrap();
    // As long again, with nobody beside it.
    let server = Server::start("writer", &bench.home);
    std::thread::sleep(Duration::from_secs_f64(snapshot.seconds));
    let alone = server.stop();
    vec![
        Row::new(WORK, "alone").note(alone.trim()),
        Row::new(WORK, "beside a snapshot").cost(&snapshot).note(beside.trim()),
    ]
}
