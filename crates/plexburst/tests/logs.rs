//! The logs of a burst are one archive at its end, with nothing of Plex's rotated away and no secret in it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::{World, has, processes_with, wait_until};
use plexburst::plex::preferences::Preferences;

const LIMIT: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn all_that_was_said_is_in_one_archive_without_a_secret() {
    let mut world = World::new();
    world.cell = if has("bwrap") { "auto" } else { "never" };
    world.music(1, 1, 1, 2, 0.5);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    world.create_music(&root, 2).await;
    world.music(2, 1, 1, 2, 0.5);
    world.issue_claim();
    world.configure(&[(&root, "Music")]);
    let claim = std::fs::read_to_string(world.path("claim")).unwrap();
    // Begun and left: a process of its own goes on with it.
    let begun = world
        .command(&["sync", "--detach", "--json"])
        .env("SCW_SECRET_KEY", "11111111-2222-3333-4444-555555555555")
        .output()
        .unwrap();
    assert!(begun.status.success(), "{}", String::from_utf8_lossy(&begun.stderr));
    let begun: serde_json::Value = serde_json::from_slice(&begun.stdout).unwrap();
    let id = begun["burst"].as_str().unwrap().to_owned();
    let worker_file = |name: &str| {
        let dir = std::fs::read_dir(world.path("worker"))
            .ok()
            .and_then(|mut dirs| dirs.next()?.ok());
        dir.map_or_else(PathBuf::new, |dir| dir.path().join(name))
    };
    let data = |name: &str| worker_file("support/Plex Media Server").join(name);
    let token = || Some(Preferences::read(&data("")).ok()?.get("PlexOnlineToken")?.to_owned());
    wait_until("the worker's claim", LIMIT, || token().is_some());
    let token = token().unwrap();
    // What a careless server might log, in a file that is rotated away at once.
    let line = format!(
        "GET /x?X-Plex-Token={token} with {token}, {claim} and Authorization: Bearer {token}\nkept this line\n"
    );
    std::fs::write(data("Logs/Plex Media Scanner.log"), &line).unwrap();
    std::fs::rename(
        data("Logs/Plex Media Scanner.log"),
        data("Logs/Plex Media Scanner.1.log"),
    )
    .unwrap();
    wait_until("the end of whatever works on the burst", LIMIT, || {
        processes_with(&id).is_empty()
    });
    let stands = world.json(&["status", "--json"]);
    assert_eq!(stands["stands"], "committed", "{}", world.logs());

    let dir = world.burst_dir();
    let logs = world.packed_logs();
    let find = |end: &str| {
        logs.iter()
            .find(|(name, _)| name.ends_with(end))
            .unwrap_or_else(|| panic!("{end}: {:?}", logs.keys()))
    };
    assert!(find("Plex-Media-Scanner.log").1.contains("kept this line"));
    assert!(!find("/Plex-Media-Server.log").1.is_empty());
    assert!(find("terminal.log").1.contains("committed") || find("terminal.log").1.contains("tidying up"));
    for name in ["journal.jsonl", "worker-journal.jsonl", "report.json", "worker.log"] {
        find(name);
    }
    let file = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let mut secrets = vec![token, claim, "11111111-2222-3333-4444-555555555555".to_owned()];
    secrets.push(file(world.data_dir().join(".LocalAdminToken")));
    let depot_key = file(dir.join("depot.key"));
    secrets.extend(
        depot_key
            .lines()
            .filter(|line| line.starts_with("AGE-"))
            .map(str::to_owned),
    );
    common::hold_no_secret(&logs, &secrets);
    assert!(!dir.join("logs").exists(), "the parts are in the archive");
    let report: serde_json::Value = serde_json::from_str(&file(dir.join("report.json"))).unwrap();
    assert_eq!(report["post_mortem"], serde_json::json!({}), "nothing went wrong");
}
