//! Whole bursts through a depot that is not a folder.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::common::{World, files, hold_everything, look};
use crate::support::{Place, SECRET};

/// A home with 4 tracks and 4 more in the media; its depot is `place`, encrypted.
async fn world(place: &mut Place) -> (World, i64) {
    let mut world = World::new();
    world.music(1, 1, 1, 4, 2.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 4).await;
    place.config.encryption = None;
    place.config.identity_file = Some(world.path("identity"));
    place.config.part_bytes = 32 << 10;
    world.depot_config = toml::to_string(&place.config).unwrap();
    world.configure(&[(&root, "Music")]);
    world.json(&["depot", "init", "--json"]);
    (world, section)
}

/// Everything in a folder, with what is in it.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(tree(&path)),
            // A socket has nothing to read.
            false => found.push((path.clone(), std::fs::read(&path).unwrap_or_default())),
        }
    }
    found
}

fn has(content: &[u8], word: &str) -> bool {
    content.windows(word.len()).any(|w| w == word.as_bytes())
}

/// One more burst, after `seed` put four more tracks into the media.
async fn burst(world: &World, section: i64, seed: u64, tracks: usize) -> serde_json::Value {
    let before = files(&world.tracks(section).await);
    world.music(seed, 1, 1, 4, 2.0);
    world.issue_claim();
    let report = world.json(&["sync", "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    let now = files(&world.tracks(section).await);
    assert_eq!(now.len(), tracks, "{report:#}");
    for (id, file) in &before {
        assert_eq!(now.get(id), Some(file), "home's ids stay");
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_burst_sends_what_changed() {
    let test = "the_second_burst_sends_what_changed";
    let Some(mut place) = Place::s3(test, true) else { return };
    place.config.keep = 1;
    place.config.price = Some(1e6);
    let (world, section) = world(&mut place).await;
    let kept = place.kept().parent().unwrap().to_path_buf();

    let first = burst(&world, section, 2, 8).await;
    assert_eq!(first["bytes_saved_up"], 0, "{first:#}");
    let in_depot = tree(&kept);
    assert!(!in_depot.is_empty(), "the base stays");
    for (path, content) in &in_depot {
        assert!(content.starts_with(b"age-encryption.org/v1"), "{}", path.display());
    }

    let second = burst(&world, section, 3, 12).await;
    let number = |key: &str| second[key].as_u64().unwrap();
    let (sent, saved) = (number("bytes_up"), number("bytes_saved_up"));
    assert!(sent < saved, "{sent} bytes were sent, {saved} saved\n{}", world.logs());

    // Of what the depot keeps a part gets lost: the whole library goes, and why is said.
    let (part, _) = tree(&kept.join("bases")).pop().unwrap();
    std::fs::remove_file(part).unwrap();
    let third = burst(&world, section, 4, 16).await;
    assert_eq!(third["bytes_saved_up"], 0, "{third:#}");
    assert!(world.logs().contains("missing from the depot"), "{}", world.logs());
    assert_eq!(look("verify", &world.data_dir())["ok"], true);

    retention(&world, &kept);

    // No secret anywhere but in the files that are for secrets.
    let identity = std::fs::read_to_string(world.path("identity")).unwrap();
    let identity = identity.lines().last().unwrap();
    for (path, content) in tree(&world.path("state")).iter().chain(&tree(&world.path("worker"))) {
        assert!(!has(content, SECRET), "{}", path.display());
        assert!(!has(content, identity), "{}", path.display());
        // A burst's own keys, and the one that a kept identity is sealed to: files of mode 0600.
        let is_key = path.extension().is_some_and(|e| e == "key") || path.ends_with("worker-identity/key");
        assert!(is_key || !has(content, "AGE-SECRET-KEY"), "{}", path.display());
    }
}

/// After three bursts, the last of which had to begin anew, with `keep = 1`.
fn retention(world: &World, kept: &Path) {
    let list = || {
        let list = world.json(&["depot", "list", "--json"]);
        let holdings = list["holdings"].as_array().unwrap().clone();
        let mut names: Vec<(String, String)> = holdings
            .iter()
            .map(|h| {
                let text = |key: &str| h[key].as_str().unwrap().to_owned();
                (text("name"), text("need"))
            })
            .collect();
        names.sort();
        assert!(list["eur_per_month"].as_f64().unwrap() > 0.0, "{list:#}");
        names
    };
    let id = world.burst_dir().file_name().unwrap().to_str().unwrap().to_owned();
    let expected = [
        (id.clone(), "kept".to_owned()),
        (format!("bases/{id}"), "base".to_owned()),
    ];
    assert_eq!(list(), expected, "one result and one base are left of three bursts");

    // What nothing speaks of, and what another machine may have put there.
    std::fs::write(
        kept.join(format!("bases/{id}/base/library.db.zst.0000-0123456789abcdef")),
        "left over",
    )
    .unwrap();
    std::fs::create_dir_all(kept.join("01ARZ3NDEKTSV4RRFFQ69G5FAV/base")).unwrap();
    std::fs::write(kept.join("01ARZ3NDEKTSV4RRFFQ69G5FAV/base/x"), "another's").unwrap();
    let plan = world.json(&["depot", "prune", "--dry-run", "--json"]);
    assert_eq!(
        plan["would_remove"][0]["orphans"].as_array().unwrap().len(),
        1,
        "{plan:#}"
    );
    let pruned = world.json(&["depot", "prune", "--json"]);
    assert_eq!(
        (pruned["orphans"].as_array().unwrap().len(), pruned["bytes"].as_u64()),
        (1, Some(9)),
        "{pruned:#}"
    );
    assert_eq!(list().len(), 3, "what is not of this machine stays");
    world.json(&["depot", "prune", "--also", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "--json"]);
    assert_eq!(list(), expected);

    // Everything is what was put there, until something is not.
    let check = world.json(&["depot", "check", "--json"]);
    assert!(check["ok"] == true && check["sound"].as_u64().unwrap() > 3, "{check:#}");
    let parts = tree(&kept.join(format!("bases/{id}/base")));
    let (flipped, lost) = (&parts[0], &parts[1]);
    let mut content = flipped.1.clone();
    content[300] ^= 1;
    std::fs::write(&flipped.0, content).unwrap();
    std::fs::remove_file(&lost.0).unwrap();
    let output = world.run(&["depot", "check", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let check: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(check["problems"].as_array().unwrap().len(), 2, "{check:#}");
    std::fs::write(&flipped.0, &flipped.1).unwrap();
    std::fs::write(&lost.0, &lost.1).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_goes_round_through_an_sftp_host() {
    let test = "a_burst_goes_round_through_an_sftp_host";
    let Some(mut place) = Place::sftp(test) else { return };
    let (mut world, section) = world(&mut place).await;
    let is_mounted = world.mount_media(test);
    let root = world.media().join("Music").display().to_string();
    world.configure(&[(&root, "Music")]);
    let report = burst(&world, section, 2, 8).await;
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let mut secrets = vec![
        read(&world.path("claim")),
        read(&world.data_dir().join(".LocalAdminToken")),
    ];
    secrets.push(lines(read(&world.path("identity"))).pop().unwrap());
    secrets.push(lines(read(place.config.ssh_key.as_deref().unwrap())).swap_remove(1));
    hold_everything(&world.packed_logs(), is_mounted, &secrets);
    assert!(report["bytes_up"].as_u64().unwrap() > 0);
    assert!(report["bytes_saved_down"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(look("verify", &world.data_dir())["ok"], true);
}

/// Another machine that reaches the depot, with the user's key, and knows nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn another_machine_shows_and_cancels_a_burst() {
    let test = "another_machine_shows_and_cancels_a_burst";
    let Some(mut place) = Place::s3(test, true) else { return };
    let (world, section) = world(&mut place).await;
    let before = files(&world.tracks(section).await);
    world.music(2, 1, 1, 4, 2.0);
    world.issue_claim();
    let mut burst = world
        .command(&["sync"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let limit = Duration::from_secs(60);
    let at = |name: &str| {
        let worker = std::fs::read_dir(world.path("worker"))
            .ok()
            .and_then(|mut dirs| dirs.next());
        worker.map_or_else(PathBuf::new, |dir| dir.unwrap().path().join(name))
    };
    let says = |word: &str| std::fs::read(at("journal.jsonl")).is_ok_and(|journal| has(&journal, word));
    crate::support::wait_until("the worker's library", limit, || says(r#""phase":"mount""#));
    // So slow that the worker is met at work.
    let slow = at("support/Plex Media Server/sim.json");
    std::fs::write(&slow, r#"{"analysis_delay_ms": 5000}"#).unwrap();
    crate::support::wait_until("the worker at work", limit, || says("index:"));
    let id = world.burst_dir().file_name().unwrap().to_str().unwrap().to_owned();

    let other = tempfile::tempdir().unwrap();
    let state = other.path().join("state");
    let depot = toml::to_string(&place.config).unwrap();
    let text = format!("state_dir = {state:?}\n[depot]\n{depot}");
    std::fs::write(other.path().join("plexburst.toml"), text).unwrap();
    let output = crate::commands::run(other.path(), &["status", &id, "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["stands"], "resumable", "{status:#}");
    assert!(
        status["worker"].as_str().unwrap().starts_with("the worker is at phase"),
        "{status:#}"
    );
    assert!(status["controller"]["machine"].is_string(), "{status:#}");
    let output = crate::commands::run(other.path(), &["cancel", "--discard", &id]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ended = burst.wait().unwrap();
    assert_eq!(ended.code(), Some(6), "{}", world.logs());
    assert!(
        world.logs().contains("cancelled: by another machine"),
        "{}",
        world.logs()
    );
    assert!(world.workers().is_empty(), "the worker has ended");

    // The burst goes on at home: the word in the mailbox was for that worker alone.
    std::fs::remove_file(&slow).unwrap();
    world.issue_claim();
    let report = world.json(&["resume", "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    let now = files(&world.tracks(section).await);
    assert_eq!(now.len(), before.len() + 4);
}
