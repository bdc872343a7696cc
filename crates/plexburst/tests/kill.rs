//! kill -9 of either side at every flush of its journal and of everything it publishes, then `resume`: each burst ends
//! committed, or rolled back with home unchanged.
//!
//! The kill is injected from outside by strace at the n-th fsync of the side's main thread; n goes on until a run ends
//! by itself. All of them take long, so the usual run takes every few; `PLEXBURST_SOAK=N` takes all from the n-th on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics"
)]

mod common;

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::{PROGRAM, World, files, has, kill, look, skip, wait_until};

/// With this many kills spread over a side's life in the usual run.
const SHARE: usize = 6;

async fn world() -> (World, i64) {
    let mut world = World::new();
    world.cell = if has("bwrap") { "auto" } else { "never" };
    world.music(1, 1, 1, 3, 1.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 3).await;
    world.music(2, 1, 1, 2, 1.0);
    world.issue_claim();
    world.configure(&[(&root, "Music")]);
    (world, section)
}

/// The program under strace, killed at the n-th fsync of its main thread. Children are not traced.
fn killed_at(world: &World, n: usize, args: &[&str]) -> Output {
    let mut command = Command::new("strace");
    command
        .args([
            "-qq",
            "-o",
            "/dev/null",
            "--seccomp-bpf",
            "-f",
            "-b",
            "execve",
            "-e",
            "trace=fsync",
        ])
        .args(["-e", &format!("inject=fsync:signal=SIGKILL:when={n}")])
        .arg(PROGRAM)
        .arg("--config")
        .arg(world.path("plexburst.toml"))
        .args(args)
        .stdin(Stdio::null())
        .current_dir(world.dir.path());
    command.output().unwrap()
}

fn was_killed(output: &Output) -> bool {
    output.status.signal() == Some(9) || output.status.code() == Some(137)
}

/// What must hold however the burst ended.
async fn assert_whole(world: &World, section: i64, ids: &std::collections::BTreeMap<i64, String>, context: &str) {
    let after = world.tracks(section).await;
    let now = files(&after);
    for (id, file) in ids {
        assert_eq!(now.get(id), Some(file), "{context}: home's ids stay");
    }
    assert_eq!(
        now.values().collect::<BTreeSet<_>>().len(),
        now.len(),
        "{context}: nothing is doubled"
    );
    let rated = after.iter().find(|i| i.id == *ids.keys().next().unwrap()).unwrap();
    assert_eq!(
        rated.user_rating,
        Some(7.0),
        "{context}: the rating made during the burst"
    );
    let setting = world.client().preference("autoEmptyTrash").await.unwrap().unwrap();
    assert!(setting.is("true"), "{context}: home's preferences are back");
    wait_until("the end of the worker", Duration::from_secs(30), || {
        world.workers().is_empty()
    });
}

async fn resume_and_check(world: &World, section: i64, ids: &std::collections::BTreeMap<i64, String>, context: &str) {
    let output = world.run(&["resume", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| {
        panic!(
            "{context}: {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            world.logs()
        )
    });
    assert_eq!(
        report["outcome"],
        "committed",
        "{context}: {report:#}\n{}",
        world.logs()
    );
    assert_eq!(world.tracks(section).await.len(), 5, "{context}");
    assert_whole(world, section, ids, context).await;
}

fn steps(total: usize) -> Vec<usize> {
    if let Ok(from) = std::env::var("PLEXBURST_SOAK") {
        return (from.parse().unwrap_or(1)..=total).collect();
    }
    let mut steps: Vec<usize> = (0..SHARE)
        .map(|i| 1 + i * total.saturating_sub(1) / (SHARE - 1))
        .collect();
    steps.dedup();
    steps
}

/// How often a whole run flushes.
fn count_flushes(log: &Path) -> usize {
    std::fs::read_to_string(log)
        .unwrap()
        .lines()
        .filter(|l| l.contains("fsync("))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn controller_killed_at_every_flush() {
    if !has("strace") {
        return skip("controller_killed_at_every_flush", "strace is not installed");
    }
    let total = {
        let (world, _) = world().await;
        let log = world.path("strace");
        let output = Command::new("strace")
            .args(["-qq", "-f", "-b", "execve", "--seccomp-bpf", "-e", "trace=fsync", "-o"])
            .arg(&log)
            .arg(PROGRAM)
            .arg("--config")
            .arg(world.path("plexburst.toml"))
            .args(["sync", "--json"])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            world.logs()
        );
        count_flushes(&log)
    };
    assert!(total > 20, "a burst flushes more than {total} times");
    let mut killed = 0;
    for n in steps(total) {
        let (world, section) = world().await;
        let ids = files(&world.tracks(section).await);
        let context = format!("controller killed at flush {n} of {total}");
        world.client().rate(*ids.keys().next().unwrap(), 7.0).await.unwrap();
        let output = killed_at(&world, n, &["sync", "--json"]);
        killed += usize::from(was_killed(&output));
        if !world.path("state/bursts").exists() || std::fs::read_dir(world.path("state/bursts")).unwrap().count() == 0 {
            continue;
        }
        assert!(
            was_killed(&output) || output.status.success(),
            "{context}: {} {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        if !world.burst_dir().join("burst.json").exists() {
            // Killed before the burst was written down: there is none.
            assert_whole(&world, section, &ids, &context).await;
            continue;
        }
        resume_and_check(&world, section, &ids, &context).await;
    }
    println!(
        "controller: {total} flushes, killed at {killed} of {}",
        steps(total).len()
    );
    assert!(killed + 2 >= steps(total).len(), "the kills did not happen");
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_at_every_flush() {
    if !has("strace") {
        return skip("worker_killed_at_every_flush", "strace is not installed");
    }
    let total = {
        let (world, _) = world().await;
        let dir = a_worker_alone(&world);
        let log = world.path("strace");
        let output = Command::new("strace")
            .args(["-qq", "-f", "-b", "execve", "--seccomp-bpf", "-e", "trace=fsync", "-o"])
            .arg(&log)
            .arg(PROGRAM)
            .arg("worker")
            .arg(&dir)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            world.logs()
        );
        count_flushes(&log)
    };
    assert!(total > 20, "a worker flushes more than {total} times");
    let mut killed = 0;
    for n in steps(total) {
        let (world, section) = world().await;
        let ids = files(&world.tracks(section).await);
        let context = format!("worker killed at flush {n} of {total}");
        let dir = a_worker_alone(&world);
        world.client().rate(*ids.keys().next().unwrap(), 7.0).await.unwrap();
        let dir = dir.to_str().unwrap().to_owned();
        let output = killed_at(&world, n, &["worker", &dir]);
        killed += usize::from(was_killed(&output));
        assert!(
            was_killed(&output) || output.status.success(),
            "{context}: {} {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        resume_and_check(&world, section, &ids, &context).await;
    }
    println!("worker: {total} flushes, killed at {killed} of {}", steps(total).len());
    assert!(killed + 2 >= steps(total).len(), "the kills did not happen");
}

/// A burst whose controller and worker were killed as soon as the worker had begun; gives the worker's folder.
fn a_worker_alone(world: &World) -> std::path::PathBuf {
    let mut burst = world
        .command(&["sync"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the worker", Duration::from_secs(60), || {
        let dirs = std::fs::read_dir(world.path("worker"));
        dirs.is_ok_and(|mut d| d.any(|e| e.unwrap().path().join("journal.jsonl").exists()))
    });
    burst.kill().unwrap();
    burst.wait().unwrap();
    for pid in world.workers() {
        kill(pid);
    }
    wait_until("the worker's end", Duration::from_secs(30), || {
        world.workers().is_empty()
    });
    std::fs::read_dir(world.path("worker"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path()
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_anywhere_home_is_what_it_was() {
    let (world, section) = world().await;
    let ids = files(&world.tracks(section).await);
    world.client().rate(*ids.keys().next().unwrap(), 7.0).await.unwrap();
    a_worker_alone(&world);
    let output = world.run(&["cancel", "--discard", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(world.tracks(section).await.len(), 3);
    assert_whole(&world, section, &ids, "cancelled").await;
    assert!(
        !world
            .data_dir()
            .join("Plug-in Support/.plexburst")
            .join(world.burst_dir().file_name().unwrap())
            .exists()
    );
    let again = world.run(&["cancel"]);
    assert_eq!(
        again.status.code(),
        Some(2),
        "a burst that has ended cannot be cancelled"
    );
    assert_eq!(look("verify", &world.data_dir())["ok"], true);
}
