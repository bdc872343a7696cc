//! A worker that is lost with everything it had: another one goes on from the last checkpoint in the depot.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics; how much was lost is worth a line"
)]

mod common;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use common::{World, has, kill, processes_with, wait_until};
use plex_library::Databases;
use plexburst::plex::index::{Counters, DatabaseCounters};
use rustix::process::{Pid, Signal, kill_process};

const TRACKS: u64 = 12;
const LIMIT: Duration = Duration::from_secs(300);

/// A file of the only worker.
fn at(world: &World, name: &str) -> PathBuf {
    let worker = std::fs::read_dir(world.path("worker"))
        .ok()
        .and_then(|dirs| dirs.flatten().find(|entry| entry.path().join("journal.jsonl").exists()));
    worker.map_or_else(PathBuf::new, |dir| dir.path().join(name))
}

fn journal(world: &World) -> String {
    std::fs::read_to_string(at(world, "journal.jsonl")).unwrap_or_default()
}

fn sonic(world: &World) -> u64 {
    let databases = at(world, "support/Plex Media Server/Plug-in Support/Databases");
    // Not to be read at this moment is not to be known: it is asked again.
    DatabaseCounters::new(Databases::at(databases))
        .sonic()
        .map_or(0, |sonic| sonic.done)
}

fn checkpoints(world: &World) -> usize {
    journal(world).matches("in the depot, ").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_worker_goes_on_from_the_last_checkpoint() {
    let mut world = World::new();
    world.cell = if has("bwrap") { "auto" } else { "never" };
    world.music(1, 1, 1, 2, 0.5);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 2).await;
    world.music(2, 1, 1, usize::try_from(TRACKS).unwrap() - 2, 0.5);
    world.issue_claim();
    world.configure(&[(&root, "Music")]);
    let path = world.path("plexburst.toml");
    let text = std::fs::read_to_string(&path).unwrap() + "\ncheckpoint = 0.5\nstall = 100000\n";
    std::fs::write(&path, text).unwrap();
    let mut burst = world
        .command(&["sync"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the worker's library", LIMIT, || {
        journal(&world).contains(r#""phase":"mount""#)
    });
    let slow = at(&world, "support/Plex Media Server/sim.json");
    std::fs::write(&slow, r#"{"analysis_delay_ms": 300}"#).unwrap();

    // At two thirds the analysis is held still until a checkpoint has surely begun and ended after that moment.
    wait_until("two thirds of the Sonic analysis", LIMIT, || {
        sonic(&world) >= TRACKS * 2 / 3
    });
    let analysers = processes_with(&world.path("pms/Plex Music Analyzer").display().to_string());
    let send = |signal| {
        for pid in &analysers {
            let _ = kill_process(Pid::from_raw(*pid).unwrap(), signal);
        }
    };
    send(Signal::STOP);
    let (held, seen) = (sonic(&world), checkpoints(&world));
    wait_until("two checkpoints", LIMIT, || checkpoints(&world) >= seen + 2);
    send(Signal::CONT);
    wait_until("more than the checkpoint has", LIMIT, || sonic(&world) > held);
    burst.kill().unwrap();
    burst.wait().unwrap();
    let folder = at(&world, "");
    for pid in world.workers() {
        kill(pid);
    }
    wait_until("the worker's end", LIMIT, || world.workers().is_empty());
    let done = sonic(&world);
    assert!(held >= TRACKS * 2 / 3 && done > held, "{held} {done}");
    std::fs::remove_dir_all(&folder).unwrap();

    world.issue_claim();
    let report = world.json(&["resume", "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}\n{}", world.logs());
    assert_eq!(world.tracks(section).await.len() as u64, TRACKS);
    assert_eq!(report["after"]["sections"][0]["sonic_analysed"], TRACKS);
    let log = std::fs::read_to_string(world.burst_dir().join("log.txt")).unwrap();
    assert!(log.contains("goes on from checkpoint"), "{log}");
    // What the fresh worker's Sonic began with is what was not lost.
    let began: u64 = log
        .lines()
        .filter_map(|line| {
            line.split_once("Sonic analysis: ")?
                .1
                .split_once("Sonic ")?
                .1
                .split_once(" → ")
        })
        .filter_map(|(before, _)| before.parse().ok())
        .next_back()
        .unwrap_or_else(|| panic!("{log}"));
    println!(
        "{done} analysed when it was lost, {began} in the checkpoint: {} again",
        done - began
    );
    assert!(
        began >= held,
        "{began} of {done} were kept, {held} were in a checkpoint\n{log}"
    );
}
