//! A home that does not come up with its new library gets the old one back, whenever anybody is killed on the way.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use common::{World, files, look, wait_until};
use plexburst::exit;

/// A home with three known tracks and two new ones, whose start command fails as long as the file `broken` is there;
/// each failed start takes the file away when `once`.
async fn world(once: bool) -> (World, i64) {
    let mut world = World::new();
    world.cell = if common::has("bwrap") { "auto" } else { "never" };
    world.music(1, 1, 1, 3, 1.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 3).await;
    world.music(2, 1, 1, 2, 1.0);
    world.issue_claim();
    world.configure(&[(&root, "Music")]);
    let toml = world.path("plexburst.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    let at = text.find("start = [").unwrap();
    let end = at + text[at..].find('\n').unwrap();
    let words: Vec<String> = text[at + "start = [".len()..end - 1]
        .split(", ")
        .map(|word| word.trim_matches('"').to_owned())
        .collect();
    let script = world.path("start-home");
    let broken = world.path("broken");
    let remove = if once {
        format!("rm '{}'; ", broken.display())
    } else {
        String::new()
    };
    let quoted: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
    std::fs::write(
        &script,
        format!(
            "#!/bin/sh\nif [ -e '{}' ]; then {remove}echo 'it does not start' >&2; exit 1; fi\nexec {}\n",
            broken.display(),
            quoted.join(" ")
        ),
    )
    .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(
        &toml,
        format!(
            "{}start = [{:?}]{}",
            &text[..at],
            script.display().to_string(),
            &text[end..]
        ),
    )
    .unwrap();
    std::fs::write(&broken, "").unwrap();
    (world, section)
}

async fn assert_old_library(world: &World, section: i64, ids: &std::collections::BTreeMap<i64, String>) {
    assert_eq!(&files(&world.tracks(section).await), ids);
    let setting = world.client().preference("autoEmptyTrash").await.unwrap().unwrap();
    assert!(setting.is("true"), "home's preferences are back");
    assert_eq!(look("verify", &world.data_dir())["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_does_not_start_gets_its_old_library_back() {
    let (world, section) = world(true).await;
    let ids = files(&world.tracks(section).await);
    let output = world.run(&["sync", "--json", "--quick"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(i32::from(exit::HOME_UNCHANGED)), "{text}");
    assert!(text.contains("it does not start"), "{text}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "rolled-back", "{report:#}");
    assert_old_library(&world, section, &ids).await;
    // The burst has ended; asking again changes nothing.
    let output = world.run(&["resume", "--json"]);
    assert_eq!(output.status.code(), Some(i32::from(exit::HOME_UNCHANGED)));
    assert_old_library(&world, section, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_that_was_killed_is_finished() {
    for command in ["resume", "cancel"] {
        let (world, section) = world(false).await;
        let ids = files(&world.tracks(section).await);
        let mut burst = world
            .command(&["sync", "--quick"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the way back", Duration::from_secs(120), || {
            let journal = std::fs::read_dir(world.path("state/bursts"))
                .ok()
                .and_then(|mut dirs| dirs.next())
                .and_then(|e| std::fs::read_to_string(e.unwrap().path().join("journal.jsonl")).ok())
                .unwrap_or_default();
            journal.contains(r#""event":"undone""#) || burst.try_wait().unwrap().is_some()
        });
        burst.kill().unwrap();
        burst.wait().unwrap();
        assert!(world.client().identity().await.is_err(), "home is down");
        std::fs::remove_file(world.path("broken")).unwrap();
        let output = world.run(&[command, "--json"]);
        let code = if command == "resume" {
            exit::HOME_UNCHANGED
        } else {
            exit::DONE
        };
        assert_eq!(
            output.status.code(),
            Some(i32::from(code)),
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_old_library(&world, section, &ids).await;
        let runs = world.json(&["runs", "--json"]);
        assert_eq!(runs["runs"][0]["stands"], "rolled-back", "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_that_is_in_cannot_be_cancelled() {
    let (world, section) = world(true).await;
    std::fs::remove_file(world.path("broken")).unwrap();
    let report = world.json(&["sync", "--json", "--quick"]);
    assert_eq!(report["outcome"], "committed");
    let output = world.run(&["cancel"]);
    assert_eq!(output.status.code(), Some(i32::from(exit::USAGE)));
    assert_eq!(world.tracks(section).await.len(), 5);
    assert_eq!(look("verify", &world.data_dir())["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_home_cannot_read_yet_keeps_its_preferences_off() {
    let (world, section) = world(true).await;
    std::fs::remove_file(world.path("broken")).unwrap();
    // The worker's media are a copy; home's own view of them lacks the new files.
    let copy = world.path("bucket");
    common::copy_tree(&world.media(), &copy);
    let known: std::collections::BTreeSet<String> = files(&world.tracks(section).await).into_values().collect();
    let hidden: Vec<_> = walk(&world.media())
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "flac") && !known.contains(&p.display().to_string()))
        .collect();
    assert_eq!(hidden.len(), 2);
    for file in &hidden {
        std::fs::remove_file(file).unwrap();
    }
    let toml = world.path("plexburst.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    let text = text
        .replace(
            &format!("directory = {:?}\n\n[media.roots]", world.media().display().to_string()),
            &format!("directory = {:?}\n\n[media.roots]", copy.display().to_string()),
        )
        .replace("[limits]", "[limits]\nmount = 2");
    std::fs::write(&toml, text).unwrap();
    if !common::has("bwrap") {
        return common::skip(
            "what_home_cannot_read_yet_keeps_its_preferences_off",
            "bwrap is not installed",
        );
    }
    let output = world.run(&["sync", "--json", "--quick"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(i32::from(exit::RESUMABLE)),
        "{message}\n{}",
        world.logs()
    );
    assert_eq!(world.tracks(section).await.len(), 5, "home has its new library");
    let setting = world.client().preference("autoEmptyTrash").await.unwrap().unwrap();
    assert!(setting.is("false"), "{setting:?}");
    // Home's mount shows them at last.
    common::copy_tree(&copy, &world.media());
    let report = world.json(&["resume", "--json"]);
    assert_eq!(report["outcome"], "committed");
    let setting = world.client().preference("autoEmptyTrash").await.unwrap().unwrap();
    assert!(setting.is("true"), "{setting:?}");
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}
