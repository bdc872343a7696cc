//! Habits of a program that stays on a machine: what it asks before it touches home, timers, another version of itself, and
//! how it is removed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::Path;
use std::process::Output;

use common::World;
use plexburst::exit;

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn assert_ends(output: &Output, code: u8, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(i32::from(code)), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

/// A home that is not running, with a library, and nothing else.
fn still_home() -> World {
    let world = World::new();
    sim::fixture::Builder::new(world.databases())
        .music("Music", "/music", 1, 1, 4)
        .build()
        .unwrap();
    world.configure(&[("/music", "Music")]);
    world
}

/// Every file below `dir` with its content.
fn content(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => all.push((path.display().to_string(), std::fs::read(&path).unwrap())),
            }
        }
    }
    all.sort();
    all
}

/// As a user whose units and state are in this world.
fn run(world: &World, args: &[&str]) -> Output {
    let mut command = world.command(args);
    command
        .env("HOME", world.dir.path())
        .env("XDG_CONFIG_HOME", world.path("config"));
    command.output().unwrap()
}

#[test]
fn nothing_touches_home_before_somebody_agreed() {
    let world = still_home();
    let archive = world.path("home.tar.zst");
    assert_ends(&run(&world, &["export", archive.to_str().unwrap()]), exit::DONE, &[]);
    let before = content(&world.support());
    let refused = run(&world, &["import", archive.to_str().unwrap()]);
    assert_ends(
        &refused,
        exit::USAGE,
        &["no terminal to ask on", "hint: give -y to agree beforehand"],
    );
    assert_eq!(content(&world.support()), before);
    assert!(!world.path("state/bursts").exists(), "no burst was begun");
}

#[test]
fn a_timer_is_written_shown_and_removed() {
    let world = still_home();
    let units = world.path("units");
    let into = ["--into", units.to_str().unwrap()];
    let with = |args: &[&str]| run(&world, &[&["timer"], args, &into[..]].concat());
    assert_ends(&with(&["show"]), exit::DONE, &["no timers in"]);

    // What would fail at night fails now.
    let wrong = run(&world, &["timer", "add", "sync", "--", "--no-such-option"]);
    assert_ends(
        &wrong,
        exit::USAGE,
        &["--no-such-option", "hint: `plexburst sync --help`"],
    );
    let unpaid = run(&world, &["timer", "add", "sync", "--", "--on", "scaleway"]);
    assert_ends(&unpaid, exit::USAGE, &["nobody will be there", "--max-cost"]);
    assert_ends(
        &with(&["add", "sync", "--when", "a\nb"]),
        exit::USAGE,
        &["is no time for a timer"],
    );
    assert!(!units.exists());

    let shown = with(&["add", "sync", "--dry-run"]);
    assert_ends(&shown, exit::DONE, &["OnCalendar=*-*-* 02:30:00", "KillMode=process"]);
    assert!(!units.exists());
    let args = [
        "timer",
        "add",
        "sync",
        "--when",
        "Sun 03:00",
        into[0],
        into[1],
        "--",
        "--quick",
        "--section",
        "My Music",
    ];
    assert_ends(&run(&world, &args), exit::DONE, &["wrote", "enable --now"]);
    let service = std::fs::read_to_string(units.join("plexburst-sync.service")).unwrap();
    let toml = world.path("plexburst.toml").display().to_string();
    assert!(
        service.contains(&format!(
            "--config \"{toml}\" sync \"--quick\" \"--section\" \"My Music\""
        )),
        "{service}"
    );
    let timer = std::fs::read_to_string(units.join("plexburst-sync.timer")).unwrap();
    assert!(timer.contains("OnCalendar=Sun 03:00\nPersistent=true"), "{timer}");
    if common::has("systemd-analyze") {
        let names = ["plexburst-sync.timer", "plexburst-sync.service"].map(|name| units.join(name));
        let checked = std::process::Command::new("systemd-analyze")
            .arg("verify")
            .args(&names)
            .output()
            .unwrap();
        let about: Vec<String> = said(&checked)
            .lines()
            .filter(|l| l.contains("plexburst-sync"))
            .map(str::to_owned)
            .collect();
        assert!(about.is_empty(), "{about:?}");
    } else {
        common::skip(
            "systemd's own check of the timer for sync",
            "systemd-analyze is not installed",
        );
    }
    assert_ends(&with(&["show"]), exit::DONE, &["sync", "Sun 03:00", "--quick"]);
    assert_ends(&with(&["remove", "sync"]), exit::USAGE, &["hint: give -y"]);
    assert_ends(&with(&["remove", "sync", "-y"]), exit::DONE, &["removed"]);
    assert_eq!(std::fs::read_dir(&units).unwrap().count(), 0);
    assert_ends(
        &with(&["remove", "sync", "-y"]),
        exit::USAGE,
        &["hint: `plexburst timer show`"],
    );
}

#[test]
fn uninstall_takes_what_is_plexbursts_and_nothing_else() {
    let world = still_home();
    let root = world.databases().parent().unwrap().join(".plexburst");
    let (ended, other) = ("01J8AD0Y1YVGBZEX7HABHM154Z", "01J9AD0Y1YVGBZEX7HABHM154Z");
    for path in ["state/worker-identity", "state/bases/x", "state/depot/bursts"] {
        std::fs::create_dir_all(world.path(path)).unwrap();
    }
    for path in ["state/serve-token", "state/depot-identity", "state/notes of mine.txt"] {
        std::fs::write(world.path(path), "x").unwrap();
    }
    let previous = root.join(ended).join("previous");
    common::copy_tree(&world.databases(), &previous);
    std::fs::write(
        root.join(ended).join("kept.json"),
        r#"{"v": 1, "at": "2026-01-01T00:00:00Z", "why": "sync", "plex_version": null}"#,
    )
    .unwrap();
    std::fs::create_dir_all(root.join(other)).unwrap();
    std::fs::create_dir_all(root.join("mine")).unwrap();
    let library = content(&world.databases());

    let before = content(world.dir.path());
    let shown = run(&world, &["uninstall", "--dry-run"]);
    assert_ends(
        &shown,
        exit::DONE,
        &["goes", "serve-token", "stays", "--with-previous", "plexburst.toml"],
    );
    assert_ends(&run(&world, &["uninstall"]), exit::USAGE, &["hint: give -y"]);
    let lock = root.join("lock");
    let after: Vec<_> = content(world.dir.path())
        .into_iter()
        .filter(|(path, _)| *path != lock.display().to_string())
        .collect();
    assert_eq!(after, before, "nothing was removed unasked");

    assert_ends(&run(&world, &["uninstall", "-y"]), exit::DONE, &["removed"]);
    assert_eq!(content(&world.databases()), library);
    for gone in ["state/worker-identity", "state/serve-token", "state/bases"] {
        assert!(!world.path(gone).exists(), "{gone}");
    }
    for stays in ["state/notes of mine.txt", "state/depot-identity", "plexburst.toml"] {
        assert!(world.path(stays).exists(), "{stays}");
    }
    assert!(previous.is_dir() && root.join("mine").is_dir() && !root.join(other).exists());

    std::fs::remove_dir(root.join("mine")).unwrap();
    std::fs::remove_file(world.path("state/notes of mine.txt")).unwrap();
    assert_ends(
        &run(&world, &["uninstall", "-y", "--with-previous", "--with-depot"]),
        exit::DONE,
        &["removed"],
    );
    assert!(!root.exists());
    assert!(!world.path("state/depot-identity").exists());
    assert_eq!(content(&world.databases()), library);
}

/// A burst's folder as another version of the program would leave it.
fn burst_of(world: &World, id: &str, request: &str, journal: &str) {
    let dir = world.path("state/bursts").join(id);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("burst.json"), request).unwrap();
    std::fs::write(dir.join("journal.jsonl"), journal).unwrap();
}

#[test]
fn what_a_newer_plexburst_began_is_named_and_left_alone() {
    let world = still_home();
    let id = "01J8AD0Y1YVGBZEX7HABHM154Z";
    let tomorrow = r#"{"v": 99, "id": {"of": "another shape"}}"#;
    burst_of(&world, id, tomorrow, "{\"v\": 99}\n");
    let before = content(world.dir.path());
    assert_ends(&run(&world, &["runs"]), exit::DONE, &["begun by a newer plexburst"]);
    for command in ["resume", "cancel", "status"] {
        assert_ends(
            &run(&world, &[command]),
            exit::USAGE,
            &["begun by a newer plexburst", "hint: that version"],
        );
    }
    assert_ends(
        &run(&world, &["uninstall", "-y"]),
        exit::REFUSED,
        &["does not understand", "hint:"],
    );
    assert_eq!(content(world.dir.path()), before);
}

#[test]
fn a_burst_that_another_process_runs_is_shown_and_not_touched() {
    let world = still_home();
    // Begun and never carried further: home does not answer.
    let output = run(&world, &["sync"]);
    assert_ne!(output.status.code(), Some(0), "{}", said(&output));
    let dir = world.burst_dir();
    let text = std::fs::read_to_string(dir.join("burst.json")).unwrap();
    let mut request: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(request["program"], env!("CARGO_PKG_VERSION"));
    request["program"] = "0.0.1".into();
    std::fs::write(dir.join("burst.json"), request.to_string()).unwrap();

    // Somebody else's process, of another version, has it.
    let lock = plexburst::burst::side::lock(&dir.join("lock")).unwrap().unwrap();
    let held = std::fs::read_to_string(dir.join("lock")).unwrap();
    std::fs::write(dir.join("lock"), held.replace(env!("CARGO_PKG_VERSION"), "9.9.9")).unwrap();
    for command in [&["resume"][..], &["cancel", "--discard"]] {
        let refused = run(&world, command);
        assert_ends(
            &refused,
            exit::USAGE,
            &[
                "already being run by another process (plexburst 9.9.9; this is",
                "hint:",
            ],
        );
    }
    assert_ends(&run(&world, &["uninstall", "-y"]), exit::REFUSED, &["has not ended"]);
    assert_ends(&run(&world, &["status"]), exit::DONE, &["stands at phase"]);
    drop(lock);
    // Within one format any version goes on, and says whose it was.
    let resumed = run(&world, &["resume"]);
    assert_ends(
        &resumed,
        output.status.code().unwrap().try_into().unwrap(),
        &["goes on (plexburst 0.0.1; this is"],
    );
    assert_ends(&run(&world, &["cancel", "--discard"]), exit::DONE, &[]);
    assert_ends(&run(&world, &["uninstall", "-y"]), exit::DONE, &["removed"]);
    assert!(!world.path("state/bursts").exists());
}
