//! Whose the worker's server is: claimed when everything else stands, without a person, and gone from the account afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use common::{World, wait_until};
use sim::plextv::{PlexTv, Served};

/// A home that knows 2 tracks; 1 more is in the media. Nothing is claimed yet.
async fn world(worker: &str) -> World {
    let mut world = World::new();
    world.music(1, 1, 1, 2, 2.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    world.create_music(&root, 2).await;
    world.music(2, 1, 1, 1, 2.0);
    std::fs::create_dir_all(world.plextv()).unwrap();
    world.worker_config = format!("server = {:?}\n{worker}", world.server);
    world.configure(&[(&root, "Music")]);
    world
}

fn store(world: &World) -> PlexTv {
    PlexTv::at(&world.plextv())
}

/// A file that nobody else can read.
fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn sonic(report: &serde_json::Value) -> u64 {
    report["after"]["sections"][0]["sonic_analysed"].as_u64().unwrap()
}

/// Every file below `dir` that holds `text`.
fn files_with(dir: &Path, text: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_with(&path, text));
        } else if std::fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|w| w == text.as_bytes())) {
            found.push(path);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_accounts_token_nobody_is_needed_and_nothing_stays_in_the_account() {
    let mut world = world("").await;
    let plextv = store(&world);
    let owner = plextv.household(true).unwrap();
    let served = Served::start(plextv.clone()).unwrap();
    private(&world.path("token"), &owner.token);
    world.worker_config = format!(
        "server = {:?}\naccount_token_file = {:?}\nplextv_url = {:?}",
        world.server,
        world.path("token"),
        served.url()
    );
    world.configure(&[(&world.media().join("Music").display().to_string(), "Music")]);
    let report = world.json(&["sync", "--json"]);
    assert_eq!(report["outcome"], "committed");
    assert_eq!(sonic(&report), 3);
    assert_eq!(served.claims(), 1);
    assert!(
        plextv.servers_of("owner").unwrap().is_empty(),
        "the worker's server left the account"
    );
    for folder in ["state", "depot", "worker"] {
        assert_eq!(
            files_with(&world.path(folder), &owner.token),
            Vec::<std::path::PathBuf>::new()
        );
    }
    // Fetched anew each time, so nothing has to be kept.
    assert!(!world.path("state/worker-identity").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_of_the_first_claim_is_kept_sealed_for_the_next_burst() {
    let world = world("").await;
    world.issue_claim();
    let report = world.json(&["sync", "--json"]);
    assert_eq!(sonic(&report), 3);
    let plextv = store(&world);
    let first = plextv.servers_of("owner").unwrap();
    assert_eq!(first.len(), 1);
    let sealed = world.path("state/worker-identity/identity.age");
    for path in [&sealed, &world.path("state/worker-identity/key")] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    for folder in ["state", "depot", "worker"] {
        assert_eq!(
            files_with(&world.path(folder), &first[0].token),
            Vec::<std::path::PathBuf>::new()
        );
    }
    // A timer has nobody to ask.
    std::fs::remove_file(world.path("claim")).unwrap();
    world.music(3, 1, 1, 2, 2.0);
    let report = world.json(&["sync", "--json"]);
    assert_eq!(sonic(&report), 5);
    let second = plextv.servers_of("owner").unwrap();
    assert_eq!(second.len(), 1, "no second server in the account");
    assert_eq!(second[0].token, first[0].token);
    assert!(!world.path("state/worker-identity/used-by").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_too_old_or_was_used_is_said_and_a_fresh_one_goes_on() {
    let world = world("keep_identity = false").await;
    world.issue_claim();
    let claim = std::fs::File::options().write(true).open(world.path("claim")).unwrap();
    claim
        .set_modified(SystemTime::now() - Duration::from_secs(600))
        .unwrap();
    let output = world.run(&["sync"]);
    assert_eq!(output.status.code(), Some(4), "{}", world.logs());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("10 minutes old, and lives four") && said.contains("hint:"),
        "{said}"
    );

    // Used by somebody else: plex.tv alone knows that.
    world.issue_claim();
    let text = std::fs::read_to_string(world.path("claim")).unwrap();
    store(&world)
        .exchange(&text, "0123456789abcdef0123456789abcdef01234567")
        .unwrap();
    let output = world.run(&["resume"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("plex.tv does not accept the claim in"), "{said}");
    assert!(!said.contains(text.trim()), "no claim is shown");
    // The same again is not even tried.
    let output = world.run(&["resume"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("was used already"), "{said}");

    world.issue_claim();
    let report = world.json(&["resume", "--json"]);
    assert_eq!(report["outcome"], "committed");
    assert_eq!(sonic(&report), 3);
    assert!(
        !world.path("state/worker-identity").exists(),
        "nothing is kept where that is not wanted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_reach_plex_tv_says_so() {
    let world = world("").await;
    world.issue_claim();
    let path = world.path("plexburst.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let without = text
        .lines()
        .filter(|line| !line.starts_with("env = "))
        .collect::<Vec<_>>()
        .join("\n");
    assert_ne!(text.trim_end(), without);
    std::fs::write(&path, without).unwrap();
    let output = world.run(&["sync"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("it does not reach plex.tv"), "{said}");
    assert!(said.contains("worker.internet"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_claim_the_rest_is_done_and_that_is_said() {
    let world = world("").await;
    let report = world.json(&["sync", "--json"]);
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["after"]["sections"][0]["counts"]["tracks"], 3);
    assert_eq!(sonic(&report), 0);
    assert!(
        report["warnings"].to_string().contains("Sonic analysis is left out"),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_a_claim_takes_it_when_it_comes() {
    let world = world("").await;
    // Its controller is killed while the worker asks; another one answers.
    let mut burst = world
        .command(&["sync"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the worker", Duration::from_secs(120), || !world.workers().is_empty());
    burst.kill().unwrap();
    burst.wait().unwrap();
    world.issue_claim();
    let report = world.json(&["resume", "--json"]);
    assert_eq!(report["outcome"], "committed");
    assert_eq!(sonic(&report), 3);
}
