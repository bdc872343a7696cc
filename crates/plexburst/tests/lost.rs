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

/// A burst whose worker has its library; `more` stands under `[limits]`.
async fn begun(more: &str, options: &[&str]) -> (World, i64, std::process::Child) {
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
    let text = std::fs::read_to_string(&path).unwrap() + more;
    std::fs::write(&path, text).unwrap();
    // What is new lies in a folder of its own.
    let plan = world.json(&["plan", "--json"]);
    assert_eq!(plan["todo"][0]["scan"]["folders"]["files"], TRACKS - 2, "{plan:#}");
    let burst = world
        .command(&[&["sync"], options].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the worker's library", LIMIT, || {
        journal(&world).contains(r#""phase":"mount""#)
    });
    (world, section, burst)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_worker_goes_on_from_the_last_checkpoint() {
    let (world, section, mut burst) = begun("\ncheckpoint = 0.5\nstall = 100000\n", &["--force-refresh"]).await;
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
    assert_eq!(journal(&world).matches("all metadata are refreshed").count(), 1);
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
    let scanned = format!("is scanned by path: {} new files in 1 folder, ", TRACKS - 2);
    assert_eq!(log.matches(&scanned).count(), 2, "{log}");
    assert!(
        log.contains(&format!(
            "all {} new files were found by scanning their folders",
            TRACKS - 2
        )),
        "{log}"
    );
    assert!(
        log.contains("Sonic: complete: blobs 12 of 12, marks of the tracks 12 of 12"),
        "{log}"
    );
    // The refresh was in the checkpoint: only the lost worker has done it.
    assert!(
        log.contains("all metadata were refreshed before the worker went on"),
        "{log}"
    );
    assert!(!log.contains("refreshing all metadata: "), "{log}");
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

/// A depot that is away for as long as it takes: the worker goes on, and everything is there again when the depot is.
#[tokio::test(flavor = "multi_thread")]
async fn a_depot_that_is_away_ends_no_work() {
    let (world, section, mut burst) = begun("\ncheckpoint = 0.5\nstall = 100000\n", &[]).await;
    let slow = at(&world, "support/Plex Media Server/sim.json");
    std::fs::write(&slow, r#"{"analysis_delay_ms": 800}"#).unwrap();
    wait_until("a checkpoint", LIMIT, || checkpoints(&world) > 0);
    let heard = world.path("attach.log");
    let said = || std::fs::read_to_string(&heard).unwrap_or_default();
    let mut attach = world
        .command(&["attach"])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&heard).unwrap())
        .spawn()
        .unwrap();
    wait_until("the burst as attach shows it", LIMIT, || {
        said().contains("checkpoint 1 in the depot")
    });
    let (depot, away) = (world.path("depot"), world.path("away"));
    std::fs::rename(&depot, &away).unwrap();
    // A file in its place: nothing can be read, written or made below it.
    std::fs::write(&depot, "").unwrap();
    let seen = sonic(&world);
    wait_until(
        "checkpoints that could not be taken, and work that goes on",
        LIMIT,
        || {
            journal(&world).matches("no checkpoint could be taken").count() >= 2
                && (sonic(&world) > seen || sonic(&world) == TRACKS)
        },
    );
    wait_until("attach to say since when", LIMIT, || {
        said().contains("does not answer since")
    });
    let held = checkpoints(&world);
    std::fs::remove_file(&depot).unwrap();
    std::fs::rename(&away, &depot).unwrap();
    wait_until("a checkpoint again", LIMIT, || {
        checkpoints(&world) > held || world.workers().is_empty()
    });
    // Neither the controller nor who watches has given up meanwhile.
    assert!(burst.wait().unwrap().success(), "{}", world.logs());
    assert!(world.logs().contains("the depot is there again"), "{}", world.logs());
    assert!(attach.wait().unwrap().success(), "{}", said());
    assert!(said().contains("the depot answers again, after"), "{}", said());
    let report = world.json(&["report", "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}\n{}", world.logs());
    assert_eq!(world.tracks(section).await.len() as u64, TRACKS);
    assert_eq!(report["after"]["sections"][0]["sonic_analysed"], TRACKS);
}
