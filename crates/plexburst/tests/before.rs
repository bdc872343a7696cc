//! Libraries that home had before: kept, listed, and in place again with what the household did since; and a home whose
//! databases lie in a mount of their own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics"
)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Mounted, World, files, has, look};
use plexburst::exit;

/// A home with three known tracks and two new ones.
async fn world(is_mounted: bool) -> Option<(World, i64, Option<Mounted>)> {
    let mut world = World::new();
    world.cell = if has("bwrap") { "auto" } else { "never" };
    world.music(1, 1, 1, 3, 1.0);
    let mounted = if is_mounted {
        std::fs::create_dir_all(world.databases()).unwrap();
        Some(Mounted::at(&world.databases())?)
    } else {
        None
    };
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 3).await;
    world.music(2, 1, 1, 2, 1.0);
    world.issue_claim();
    world.configure(&[(&root, "Music")]);
    Some((world, section, mounted))
}

fn kept(world: &World) -> Vec<serde_json::Value> {
    world.json(&["rollback", "--list", "--json"])["kept"]
        .as_array()
        .unwrap()
        .clone()
}

async fn rating(world: &World, section: i64, id: i64) -> Option<f64> {
    let tracks = world.tracks(section).await;
    tracks.iter().find(|item| item.id == id).unwrap().user_rating
}

fn assert_subset(some: &BTreeMap<i64, String>, all: &BTreeMap<i64, String>) {
    for (id, file) in some {
        assert_eq!(all.get(id), Some(file), "home's ids stay");
    }
}

fn journal_of(world: &World, report: &serde_json::Value) -> String {
    let burst = report["burst"].as_str().unwrap();
    std::fs::read_to_string(world.path("state/bursts").join(burst).join("journal.jsonl")).unwrap()
}

async fn goes_back_and_forth(world: &World, section: i64) {
    let old = files(&world.tracks(section).await);
    let id = *old.keys().next().unwrap();
    let output = world.run(&["rollback", "-y"]);
    assert_eq!(
        output.status.code(),
        Some(i32::from(exit::USAGE)),
        "nothing is kept yet"
    );
    assert_eq!(world.json(&["sync", "--json", "--quick"])["outcome"], "committed");
    let new = files(&world.tracks(section).await);
    assert_eq!(new.len(), 5);
    let list = kept(world);
    assert_eq!(list.len(), 1);
    assert_eq!(
        (&list[0]["why"], &list[0]["knows_since"]),
        (&"sync".into(), &true.into())
    );

    // The household lives with it.
    world.client().rate(id, 7.0).await.unwrap();
    let only_new = *new.keys().find(|id| !old.contains_key(id)).unwrap();
    let mixed = [id, only_new];
    world.client().create_playlist("since then", &mixed).await.unwrap();
    let report = world.json(&["rollback", "-y", "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}\n{}", world.logs());
    let journal = journal_of(world, &report);
    let by_the_log = "home's log told what was left to catch up with";
    assert!(journal.contains(by_the_log), "{journal}");
    // The entry that has no place is named once, however often the library was caught up with.
    assert_eq!(journal.matches("warning: ").count(), 1, "{journal}");
    assert_eq!(files(&world.tracks(section).await), old);
    assert_eq!(
        rating(world, section, id).await,
        Some(7.0),
        "what was done since is carried back"
    );
    let playlists = world.client().playlists().await.unwrap();
    assert!(
        playlists.iter().any(|playlist| playlist.title == "since then"),
        "{playlists:?}"
    );
    assert_eq!(look("verify", &world.data_dir())["ok"], true);

    // Now there are two, and one has to be named.
    let list = kept(world);
    assert_eq!(list.len(), 2, "{list:?}");
    let output = world.run(&["rollback", "-y"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(i32::from(exit::USAGE)), "{text}");
    for one in &list {
        assert!(text.contains(one["burst"].as_str().unwrap()), "{text}");
    }

    // A rollback can be rolled back.
    assert_eq!(list[0]["why"], "rollback");
    world.client().rate(id, 3.0).await.unwrap();
    let report = world.json(&["rollback", "-y", list[0]["burst"].as_str().unwrap(), "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    assert_eq!(files(&world.tracks(section).await), new);
    assert_eq!(rating(world, section, id).await, Some(3.0));
    assert_eq!(look("verify", &world.data_dir())["ok"], true);

    // Two are kept unless more is said; the oldest went.
    let list = kept(world);
    assert_eq!(list.len(), 2, "{list:?}");
    assert!(list.iter().all(|one| one["why"] == "rollback"), "{list:?}");
    assert_subset(&old, &files(&world.tracks(section).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_from_before_comes_back_with_what_the_household_did_since() {
    let (world, section, _) = world(false).await.unwrap();
    goes_back_and_forth(&world, section).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_in_a_mount_of_their_own_are_swapped_and_rolled_back_too() {
    let Some((world, section, mounted)) = world(true).await else {
        return common::skip(
            "databases_in_a_mount_of_their_own_are_swapped_and_rolled_back_too",
            "mounts cannot be made here",
        );
    };
    goes_back_and_forth(&world, section).await;
    assert!(world.databases().join(".plexburst").is_dir(), "within the mount");
    world.stop_home();
    drop(mounted);
}

/// Whatever is to become of what the household did since: a byte that nothing else repeats, and a file that is gone.
fn kept_files_that_are_not_what_they_were_are_refused(world: &World, pair: &Path) {
    let blobs = pair.join(plex_library::BLOBS_DB);
    let whole = std::fs::read(&blobs).unwrap();
    let mut changed = whole.clone();
    // The user's own number of the version: no structure, and no check of SQLite's.
    changed[63] ^= 1;
    for content in [Some(changed), None] {
        match content {
            Some(content) => std::fs::write(&blobs, content).unwrap(),
            None => std::fs::remove_file(&blobs).unwrap(),
        }
        let output = world.run(&["rollback", "-y", "--discard-since", "--json"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(i32::from(exit::REFUSED)), "{text}");
        assert!(text.contains(plex_library::BLOBS_DB), "{text}");
        world.json(&["cancel", "--discard", "--json"]);
    }
    std::fs::write(&blobs, whole).unwrap();
    let library = pair.join(plex_library::LIBRARY_DB);
    let aside = pair.join("aside");
    std::fs::rename(&library, &aside).unwrap();
    let list = world.json(&["rollback", "--list", "--json"]);
    assert_eq!(list["kept"], serde_json::json!([]), "{list}");
    assert_eq!(list["gone"], serde_json::json!([library]), "{list}");
    std::fs::rename(aside, library).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_wanted_back_is_left_where_it_is_kept() {
    let (world, section, _) = world(false).await.unwrap();
    let toml = world.path("plexburst.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(&toml, text.replace("\n[media]\n", "\nkeep_previous = 1\n\n[media]\n")).unwrap();
    let id = *files(&world.tracks(section).await).keys().next().unwrap();
    world.json(&["sync", "--json", "--quick"]);
    world.client().rate(id, 7.0).await.unwrap();
    let list = kept(&world);
    let burst = list[0]["burst"].as_str().unwrap();
    kept_files_that_are_not_what_they_were_are_refused(&world, Path::new(list[0]["path"].as_str().unwrap()));
    // As if the burst had been killed before it was noted.
    let since = Path::new(list[0]["path"].as_str().unwrap()).with_file_name("since");
    std::fs::remove_dir_all(since).unwrap();
    let output = world.run(&["rollback", "-y", "--json"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(i32::from(exit::REFUSED)), "{text}");
    assert!(text.contains("--discard-since"), "{text}");
    assert_eq!(rating(&world, section, id).await, Some(7.0));
    world.json(&["cancel", "--json"]);

    let report = world.json(&["rollback", "-y", &burst[burst.len() - 6..], "--discard-since", "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    assert_eq!(world.tracks(section).await.len(), 3);
    assert_eq!(rating(&world, section, id).await, None);
    // Only one is to be kept: the one with the rating.
    let list = kept(&world);
    assert_eq!(list.len(), 1, "{list:?}");
    let report = world.json(&["rollback", "-y", "--discard-since", "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    assert_eq!(rating(&world, section, id).await, Some(7.0));
}
