//! The engine against what people do today, in one run on one machine, as one table.
//!
//! `cargo bench -p plex-library --bench reference`. A library of the reference size is made first (some minutes, 15 GiB
//! of room); PLEXBURST_BENCH_DIR names a folder where it is kept for the next run, PLEXBURST_BENCH_SIZES other sizes ("0.25
//! 1 2": growth), PLEXBURST_BENCH_REPEAT how often the quick rows are repeated (3; the median counts),
//! PLEXBURST_BENCH_OTHERS=0 leaves out everything but the rows that ratios are taken of.
//!
//! Every row is a process of its own, so that its processor time and its memory are its own. Times are of a machine
//! with a warm page cache; only ratios of one run mean anything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]
#![allow(missing_docs)]

mod measure;
mod place;
mod take;
mod travel;
mod work;

use std::path::{Path, PathBuf};

use measure::Row;

/// One library with what happened to its copies.
struct Bench {
    /// What it began with.
    base: PathBuf,
    /// What a worker made of it.
    worker: PathBuf,
    /// What the household made of it.
    home: PathBuf,
    /// For whatever the rows write.
    scratch: PathBuf,
    repeat: usize,
    with_others: bool,
    rows: Vec<Row>,
}

fn main() {
    if work::is_child() {
        return work::run();
    }
    let var = |name: &str| std::env::var(name).ok();
    let temporary;
    let dir = match var("PLEXBURST_BENCH_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => {
            temporary = tempfile::tempdir().unwrap();
            temporary.path().to_owned()
        }
    };
    for size in var("PLEXBURST_BENCH_SIZES").unwrap_or("1".into()).split_whitespace() {
        let place = dir.join(format!("size-{size}"));
        prepare(&place, size);
        let mut bench = Bench {
            base: place.join("base"),
            worker: place.join("worker"),
            home: place.join("home"),
            scratch: place.join("scratch"),
            repeat: var("PLEXBURST_BENCH_REPEAT").map_or(3, |n| n.parse().unwrap()),
            with_others: var("PLEXBURST_BENCH_OTHERS").is_none_or(|n| n != "0"),
            rows: Vec::new(),
        };
        take::rows(&mut bench);
        travel::rows(&mut bench);
        place::rows(&mut bench);
        bench.clean();
        println!(
            "{}",
            measure::table(
                &format!("{size} × the reference library, {}", pair_size(&bench.base)),
                &bench.rows
            )
        );
    }
}

/// Makes the library and its two copies, unless they are there.
fn prepare(place: &Path, size: &str) {
    std::fs::create_dir_all(place).unwrap();
    for (name, kind) in [("base", "base"), ("worker", "burst"), ("home", "household")] {
        let done = place.join(format!("{name}.done"));
        if !done.exists() {
            eprintln!("making {}", place.join(name).display());
            _ = std::fs::remove_dir_all(place.join(name));
            work::child(
                "fixture",
                &[
                    kind,
                    size,
                    place.join("base").to_str().unwrap(),
                    place.join(name).to_str().unwrap(),
                ],
            );
            std::fs::write(done, "").unwrap();
        }
    }
}

fn pair_size(dir: &Path) -> String {
    let bytes: u64 = files(dir)
        .iter()
        .map(|file| std::fs::metadata(file).unwrap().len())
        .sum();
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

/// Both databases.
fn files(dir: &Path) -> [PathBuf; 2] {
    [plex_library::LIBRARY_DB, plex_library::BLOBS_DB].map(|name| dir.join(name))
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    fn clean(&self) {
        _ = std::fs::remove_dir_all(&self.scratch);
        std::fs::create_dir_all(&self.scratch).unwrap();
    }
}
