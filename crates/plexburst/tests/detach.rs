//! A burst that goes on by itself while nobody is there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics"
)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use common::{World, has, wait_until};

async fn world() -> World {
    let mut world = World::new();
    world.cell = if has("bwrap") { "auto" } else { "never" };
    world.music(1, 1, 1, 3, 1.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    world.create_music(&root, 3).await;
    world.music(2, 1, 1, 2, 1.0);
    world.issue_claim();
    world.configure(&[(&root, "Music")]);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_when_whoever_began_it_is_gone() {
    let world = world().await;
    // In a session with its own group, whose end is sent to all of it as a terminal's is.
    let said = world.path("said.json");
    let status = world
        .command(&["sync", "--detach", "--json"])
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&said).unwrap())
        .stderr(Stdio::inherit())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let said: serde_json::Value = serde_json::from_slice(&std::fs::read(&said).unwrap()).unwrap();
    let id = said["burst"].as_str().unwrap();
    let log = std::path::PathBuf::from(said["log"].as_str().unwrap());
    assert_eq!(std::fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    let lock = world.path("state/bursts").join(id).join("lock");
    // Its second line is the program's version.
    let said = std::fs::read_to_string(&lock).unwrap();
    let pid = said.lines().next().unwrap_or_default().to_owned();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // pid (name) state ppid pgrp session: it leads its own.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    assert_eq!(fields[3], pid, "its session is its own: {stat}");
    // A second one is refused while it runs.
    let again = world.run(&["resume", id, "--detach"]);
    assert!(!again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
    wait_until("the end of the burst", Duration::from_secs(300), || {
        !std::path::Path::new("/proc").join(&pid).exists()
    });
    let status = world.json(&["status", id, "--json"]);
    assert_eq!(
        status["stands"],
        "committed",
        "{status:#}\n{}",
        std::fs::read_to_string(&log).unwrap()
    );
    assert!(std::fs::read_to_string(&log).unwrap().contains("home is stopped"));
    // It has ended: there is nothing to let go.
    assert!(world.run(&["resume", id, "--detach"]).status.success());
}
