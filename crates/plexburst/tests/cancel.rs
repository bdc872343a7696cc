//! `cancel` brings home what is done: of a worker that is at work, and of one that is lost with all that it had.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics"
)]

mod common;

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use common::{World, has, kill, look, wait_until};

const LIMIT: Duration = Duration::from_secs(300);

fn worker_file(world: &World, name: &str) -> PathBuf {
    let dirs = std::fs::read_dir(world.path("worker")).ok();
    let dir = dirs.and_then(|mut dirs| dirs.next()).and_then(Result::ok);
    dir.map_or_else(PathBuf::new, |dir| dir.path().join(name))
}

fn worker_says(world: &World, word: &str) -> bool {
    std::fs::read_to_string(worker_file(world, "journal.jsonl")).is_ok_and(|journal| journal.contains(word))
}

/// A burst of one section with new music whose analysis never ends, at the moment at which the scan of it is in a
/// checkpoint.
async fn at_work() -> (World, i64, Child) {
    let mut world = World::new();
    world.cell = if has("bwrap") { "auto" } else { "never" };
    world.music(1, 1, 1, 2, 0.5);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 2).await;
    world.music(2, 1, 1, 3, 0.5);
    world.issue_claim();
    world.configure(&[(&root, "Music")]);
    let path = world.path("plexburst.toml");
    let text = std::fs::read_to_string(&path).unwrap() + "\nstall = 100000\n";
    std::fs::write(&path, text).unwrap();
    let burst = world
        .command(&["sync", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the worker's library", LIMIT, || {
        worker_says(&world, r#""phase":"mount""#)
    });
    let slow = worker_file(&world, "support/Plex Media Server/sim.json");
    std::fs::write(&slow, r#"{"analysis_delay_ms": 2000}"#).unwrap();
    wait_until("a checkpoint of the scan", LIMIT, || {
        worker_says(&world, "in the depot, ") && worker_says(&world, "after the scan")
    });
    // The analysis, of which several times two seconds are left, does not end any more.
    std::fs::write(&slow, r#"{"analysis_delay_ms": 600000}"#).unwrap();
    (world, section, burst)
}

/// The new music is in, what is missing of it is said, and the burst is over.
async fn assert_brought_home(world: &World, section: i64) {
    assert_eq!(world.tracks(section).await.len(), 5, "{}", world.logs());
    assert_eq!(look("verify", &world.data_dir())["ok"], true);
    let report = world.json(&["report", "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("Music: not finished, the burst was cancelled"),
        "{warnings}"
    );
    let resumed = world.run(&["resume"]);
    let said = String::from_utf8_lossy(&resumed.stderr).into_owned();
    assert!(said.contains("has ended: committed"), "{said}");
    let again = world.run(&["cancel"]);
    assert_eq!(again.status.code(), Some(2), "what is over cannot be cancelled");
    assert!(world.workers().is_empty(), "the worker has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_has_done_comes_home() {
    let (world, section, burst) = at_work().await;
    let cancelled = world.json(&["cancel", "--json"]);
    assert_eq!(cancelled["stands"], "committed", "{cancelled:#}\n{}", world.logs());
    let ended = burst.wait_with_output().unwrap();
    assert!(ended.status.success(), "the process that ran the burst brought it home");
    let journal = std::fs::read_to_string(world.burst_dir().join("log.txt")).unwrap();
    assert!(
        journal.contains("the burst was cancelled: what is done so far comes home"),
        "{journal}"
    );
    assert_brought_home(&world, section).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_depot_has_of_a_lost_worker_comes_home() {
    let (world, section, mut burst) = at_work().await;
    let folder = worker_file(&world, "");
    burst.kill().unwrap();
    burst.wait().unwrap();
    for pid in world.workers() {
        kill(pid);
    }
    wait_until("the worker's end", LIMIT, || world.workers().is_empty());
    std::fs::remove_dir_all(&folder).unwrap();
    let cancelled = world.json(&["cancel", "--json"]);
    assert_eq!(cancelled["stands"], "committed", "{cancelled:#}\n{}", world.logs());
    let journal = std::fs::read_to_string(world.burst_dir().join("journal.jsonl")).unwrap();
    assert!(
        journal.contains("is the result: no worker is there any more"),
        "{journal}"
    );
    assert!(!folder.exists(), "no worker was begun for it");
    assert_brought_home(&world, section).await;
}
