//! Whole bursts from outside: the built program, real processes, real files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{World, files, has, look, skip, wait_until};
use plexburst::plex::client::Item;

/// A home that knows the first 4 tracks; 4 more are in the media.
async fn small_world(cell: &'static str) -> (World, i64) {
    let mut world = World::new();
    world.cell = cell;
    world.music(1, 1, 1, 4, 2.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 4).await;
    world.music(2, 1, 1, 4, 2.0);
    world.issue_claim();
    world.configure(&[(&root, "Music")]);
    (world, section)
}

/// The journal of the only burst so far.
fn journal(world: &World) -> String {
    std::fs::read_dir(world.path("state/bursts"))
        .ok()
        .and_then(|mut dirs| dirs.next())
        .and_then(|e| std::fs::read_to_string(e.unwrap().path().join("journal.jsonl")).ok())
        .unwrap_or_default()
}

/// Runs `sync` and, once the copy is taken, plays one track, rates one and leaves one in the middle; home must answer
/// from the beginning until it is swapped. `scans`: home looks for new files by itself as well.
async fn sync_while_the_household_lives(
    world: &World,
    section: i64,
    before: &[Item],
    scans: bool,
) -> serde_json::Value {
    let mut burst = world
        .command(&["sync", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the snapshot", Duration::from_secs(120), || {
        journal(world).contains(r#""phase":"park","event":"done""#) || burst.try_wait().unwrap().is_some()
    });
    let client = world.client();
    client.scrobble(before[1].id).await.unwrap();
    client.rate(before[2].id, 9.0).await.unwrap();
    client.timeline(before[3].id, "playing", 1_000, 120_000).await.unwrap();
    client.timeline(before[3].id, "stopped", 61_000, 120_000).await.unwrap();
    if scans {
        client.refresh(section, false, None).await.unwrap();
    }
    let mut answers = 0;
    while burst.try_wait().unwrap().is_none() {
        let answer = client.item(before[0].id).await;
        if journal(world).contains(r#""phase":"swap","event":"started""#) {
            break;
        }
        assert!(answer.unwrap().is_some(), "home is usable until the swap");
        answers += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(answers > 0, "home was asked while the burst ran");
    let output = burst.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        world.logs()
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the household did during the burst is there; `views` is how often the played track was seen in all.
async fn assert_household(world: &World, before: &[Item], views: i64) {
    let client = world.client();
    assert_eq!(
        client.item(before[1].id).await.unwrap().unwrap().view_count,
        Some(views)
    );
    assert_eq!(client.item(before[2].id).await.unwrap().unwrap().user_rating, Some(9.0));
    assert_eq!(
        client.item(before[3].id).await.unwrap().unwrap().view_offset,
        Some(61_000)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_goes_round_while_the_household_goes_on() {
    let (world, section) = small_world("auto").await;
    let before = world.tracks(section).await;
    let ids = files(&before);
    let client = world.client();
    client.rate(before[0].id, 6.0).await.unwrap();
    client.scrobble(before[1].id).await.unwrap();

    let report = sync_while_the_household_lives(&world, section, &before, true).await;
    assert_eq!(report["outcome"], "committed");
    let by_the_log = "home's log told what was left to catch up with";
    assert!(journal(&world).contains(by_the_log), "{}", journal(&world));
    assert_eq!(report["before"]["sections"][0]["counts"]["tracks"], 4);
    assert_eq!(report["after"]["sections"][0]["counts"]["tracks"], 8);
    assert_eq!(report["after"]["sections"][0]["sonic_analysed"], 8);
    assert!(report["bytes_up"].as_u64().unwrap() > 0);
    assert!(report["bytes_down"].as_u64().unwrap() > 0);
    assert!(report["home_downtime_ms"].as_u64().unwrap() > 0);

    let client = world.client();
    let after = world.tracks(section).await;
    let now = files(&after);
    assert_eq!(after.len(), 8);
    for (id, file) in &ids {
        assert_eq!(now.get(id), Some(file), "home's ids stay");
    }
    let paths: std::collections::BTreeSet<_> = now.values().collect();
    assert_eq!(paths.len(), 8, "nothing is doubled");
    assert_eq!(client.item(before[0].id).await.unwrap().unwrap().user_rating, Some(6.0));
    assert_household(&world, &before, 2).await;
    let setting = client.preference("autoEmptyTrash").await.unwrap().unwrap();
    assert!(setting.is("true"), "home's own preferences are back: {setting:?}");

    world.stop_home();
    assert_eq!(look("verify", &world.data_dir())["ok"], true);
    assert!(world.workers().is_empty(), "no worker is left");
    assert_eq!(
        std::fs::read_dir(world.path("depot")).map_or(0, Iterator::count),
        0,
        "the depot is empty"
    );
    assert!(
        !std::fs::read_to_string("/proc/self/mounts")
            .unwrap()
            .contains(&world.dir.path().display().to_string())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_namespaces_the_worker_stands_beside_home() {
    let (world, section) = small_world("never").await;
    let report = world.json(&["sync", "--json"]);
    assert_eq!(report["outcome"], "committed");
    assert_eq!(world.tracks(section).await.len(), 8);
    // The same again finds nothing new and changes nothing.
    world.issue_claim();
    let ids = files(&world.tracks(section).await);
    let report = world.json(&["sync", "--json"]);
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["before"]["sections"], report["after"]["sections"]);
    assert_eq!(files(&world.tracks(section).await), ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_goes_round_without_home_and_is_imported() {
    let (world, section) = small_world("auto").await;
    let archive = world.path("plex_db_only_20260101_000000.tar.zst");
    world.json(&["export", "--json", archive.to_str().unwrap()]);
    let before = world.tracks(section).await;
    // The household goes on after the export.
    world.client().scrobble(before[0].id).await.unwrap();
    let report = world.json(&["sync", "--json", "--archive", archive.to_str().unwrap()]);
    assert_eq!(report["outcome"], "committed");
    assert_eq!(world.tracks(section).await.len(), 4, "home is untouched");
    let result = world.path("plex_db_only_20260101_000000-result.tar.zst");
    assert_eq!(look("inspect", &result)["sections"][0]["counts"]["tracks"], 8);
    let report = world.json(&["import", "-y", "--json", result.to_str().unwrap()]);
    assert_eq!(report["outcome"], "committed");
    let after = world.tracks(section).await;
    assert_eq!(after.len(), 8);
    for (id, file) in files(&before) {
        assert_eq!(files(&after).get(&id), Some(&file));
    }
    let item = world.client().item(before[0].id).await.unwrap().unwrap();
    assert_eq!(item.view_count, Some(1));
}

/// Real audio behind a real S3 server, mounted by rclone, at a path that home has and this machine has not.
#[tokio::test(flavor = "multi_thread")]
async fn real_music_from_a_bucket() {
    let test = "real_music_from_a_bucket";
    let source = Path::new("/usr/share/games/wesnoth/1.16/data/core/music");
    if !source.is_dir() {
        return skip(test, "the package wesnoth-1.16-music is not installed");
    }
    for program in ["rclone", "fusermount3", "bwrap"] {
        if !has(program) {
            return skip(test, &format!("{program} is not installed"));
        }
    }
    if std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .is_err()
    {
        return skip(test, "/dev/fuse cannot be opened");
    }
    let mut world = World::new();
    world.cell = "always";
    let mut songs: Vec<_> = std::fs::read_dir(source)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "ogg"))
        .collect();
    songs.sort();
    let half = songs.len() / 2;
    // Home's own view of the media has half of the files at first; the bucket has them all.
    let bucket = world.path("s3/music/wesnoth");
    let at_home = world.path("media/Music");
    std::fs::create_dir_all(&bucket).unwrap();
    for (index, song) in songs.iter().enumerate() {
        let name = song.file_name().unwrap();
        let in_bucket = bucket.join(name);
        std::fs::copy(song, &in_bucket).unwrap();
        if index < half {
            let to = at_home.join(name);
            std::fs::hard_link(&in_bucket, &to).unwrap();
        }
    }
    let port = common::free_port();
    let key = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYxx");
    let server = Command::new("rclone")
        .args([
            "serve",
            "s3",
            "--addr",
            &format!("127.0.0.1:{port}"),
            "--dir-cache-time",
            "0s",
        ])
        .args(["--auth-key", &format!("{},{}", key.0, key.1)])
        .arg(world.path("s3"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    world.keep(server);
    let conf = world.path("rclone.conf");
    std::fs::write(
        &conf,
        format!(
            "[bucket]\ntype = s3\nprovider = Rclone\nendpoint = http://127.0.0.1:{port}\naccess_key_id = {}\nsecret_access_key = {}\n",
            key.0, key.1
        ),
    )
    .unwrap();
    world.media_config = format!(
        "remote = \"bucket:music\"\nrclone_config = {:?}\n",
        conf.display().to_string()
    );
    world.start_home();
    let root = at_home.display().to_string();
    let section = world.create_music(&root, half as u64).await;
    let before = world.tracks(section).await;
    // Home's own mount of the bucket has the rest by now; home has not looked yet.
    for song in &songs[half..] {
        let name = song.file_name().unwrap();
        std::fs::hard_link(bucket.join(name), at_home.join(name)).unwrap();
    }
    world.issue_claim();
    world.configure(&[(&root, "wesnoth")]);
    world.client().scrobble(before[0].id).await.unwrap();

    let report = sync_while_the_household_lives(&world, section, &before, false).await;
    assert_eq!(report["outcome"], "committed", "{report:#}");
    assert_eq!(report["after"]["sections"][0]["files"], songs.len());
    // Two files with the same tags are one track.
    let tracks = &report["after"]["sections"][0]["counts"]["tracks"];
    assert!(tracks.as_u64().unwrap() >= songs.len() as u64 - 2, "{tracks}");
    assert_eq!(
        &report["after"]["sections"][0]["sonic_analysed"], tracks,
        "all analysed"
    );
    let after = files(&world.tracks(section).await);
    for (id, file) in files(&before) {
        assert_eq!(after.get(&id), Some(&file), "home's ids stay");
    }
    let item = world.client().item(before[0].id).await.unwrap().unwrap();
    assert_eq!(item.view_count, Some(1));
    assert_household(&world, &before, 1).await;
    let log = world.logs();
    assert!(!log.contains(key.1), "no secret in a log");
    world.stop_home();
    assert_eq!(look("verify", &world.data_dir())["ok"], true);
}

/// The library that a real Plex server wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_library_goes_round() {
    let test = "a_real_library_goes_round";
    let Some(real) = common::real_library() else {
        return skip(
            test,
            "shared/data/plex-2026 is not beside the project (PLEXBURST_DATA names it)",
        );
    };
    if !has("bwrap") {
        return skip(test, "bwrap is not installed, and home's paths are not this machine's");
    }
    let mut world = World::new();
    world.cell = "always";
    common::copy_tree(&real.join("Plex Media Server"), &world.data_dir());
    // The stand-ins for secrets in it claim an account that the simulator's plex.tv does not know.
    std::fs::remove_file(world.data_dir().join("Preferences.xml")).unwrap();
    world.media_config = format!("directory = {:?}\n", real.join("media").display().to_string());
    world.issue_claim();
    world.configure(&[
        ("/movies", "movies"),
        ("/tvshows", "tvshows"),
        ("/custom_movies", "custom_movies"),
        ("/custom_tvshows", "custom_tvshows"),
    ]);
    let before = rows(&world);
    assert_eq!(before.0.len(), 106);
    world.start_home();
    let report = world.json(&["sync", "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    world.stop_home();
    let after = rows(&world);
    assert_eq!(after.0, before.0, "ids and guids of all items");
    for view in &before.1 {
        assert!(after.1.contains(view), "view {view:?}");
    }
    assert_eq!(look("verify", &world.data_dir())["ok"], true);
    for root in ["/movies", "/tvshows", "/custom_movies", "/custom_tvshows"] {
        assert!(
            !Path::new(root).exists(),
            "nothing is made on the machine's own root: {root}"
        );
    }
}

type Items = Vec<(i64, String, Option<i64>)>;
type Views = Vec<(i64, String, i64)>;

fn rows(world: &World) -> (Items, Views) {
    let path = world.databases().join(plex_library::LIBRARY_DB);
    let db = plex_library::open::read_only(&path).unwrap();
    let items = db
        .prepare("SELECT id, guid, library_section_id FROM metadata_items NOT INDEXED ORDER BY id")
        .unwrap()
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let views = db
        .prepare("SELECT account_id, guid, viewed_at FROM metadata_item_views")
        .unwrap()
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    (items, views)
}
