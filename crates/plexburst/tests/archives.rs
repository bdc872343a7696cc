//! Archives of every kind brought home, and what no merge can write made by home's own server, or placed where its `Plex SQLite`
//! says.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{World, files, look, wait_until};

/// A home that knows the first tracks of an album; more are in the media.
async fn world(known: usize, more: usize) -> (World, i64) {
    let mut world = World::new();
    world.cell = "auto";
    world.music(1, 1, 1, known, 2.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, known as u64).await;
    world.music(2, 1, 1, more, 2.0);
    world.issue_claim();
    world.configure(&[(&root, "Music")]);
    (world, section)
}

/// Packs `folder` as the earlier scripts did: tar in gzip, names below `prefix`.
fn tar_gz(folder: &Path, prefix: &str, archive: &Path) {
    let status = Command::new("tar")
        .arg("-czf")
        .arg(archive)
        .arg(format!("--transform=s,^\\./,{prefix},"))
        .args(["-C", folder.to_str().unwrap(), "."])
        .status()
        .unwrap();
    assert!(status.success());
}

/// The last file below a folder, by name.
fn last_file(folder: &Path) -> PathBuf {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let last = paths.pop().unwrap();
    if last.is_dir() { last_file(&last) } else { last }
}

fn write(path: PathBuf, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn what_is_no_archive_is_refused_before_anything_begins() {
    let world = World::new();
    world.configure(&[("/music", "Music")]);
    let zip = world.path("backup.zip");
    std::fs::write(&zip, b"PK\x03\x04 and so on").unwrap();
    for (path, words) in [
        (world.media(), "is a folder, and an archive is wanted"),
        (world.path("nothing"), "there is no archive"),
        (zip, "it is a zip archive"),
    ] {
        for args in [["import", "-y"], ["sync", "--archive"]] {
            let output = world.run(&[&args[..], &[path.to_str().unwrap()]].concat());
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains(words) && said.contains("hint: "), "{said}");
        }
    }
    assert!(!world.path("state").exists(), "a burst was begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_the_earlier_scripts_are_imported() {
    let (world, section) = world(4, 4).await;
    let archive = world.path("plex_db_only_20260101_000000.tar.zst");
    world.json(&["export", "--json", archive.to_str().unwrap()]);
    world.json(&["sync", "--json", "--archive", archive.to_str().unwrap()]);
    // What the earlier scripts would have left of it: no way back to the base, and a server's whole folder.
    let left = world.path("left");
    let result = world.path("plex_db_only_20260101_000000-result.tar.zst");
    plex_library::archive::unpack(&result, &left).unwrap();
    std::fs::remove_dir_all(left.join("plexburst")).unwrap();
    let databases = left.join("Plug-in Support/Databases");
    write(
        left.join("Preferences.xml"),
        "<Preferences MachineIdentifier=\"stranger\"/>",
    );
    write(
        databases.join(format!("{}-2026-01-02", plex_library::LIBRARY_DB)),
        "old",
    );
    write(databases.join("restore/x"), "junk");
    write(databases.join("Music Analysis 1/state"), "odd");
    write(
        left.join("Metadata/Albums/a/b.bundle/Contents/_combined/posters/p"),
        "poster",
    );

    let before = world.tracks(section).await;
    let client = world.client();
    client.scrobble(before[0].id).await.unwrap();
    client.rate(before[1].id, 8.0).await.unwrap();
    let list = client
        .create_playlist("Kitchen", &[before[2].id, before[3].id])
        .await
        .unwrap();
    let machine = client.identity().await.unwrap().machine_identifier;

    let old = world.path("plex_delta_sync_20260101_120000.tar.gz");
    tar_gz(&left, "", &old);
    let output = world.run(&["import", "-y", old.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{}", world.logs());
    for words in [
        "a result without its base",
        "Music Analysis 1/state",
        "a server's own identity, never used): Preferences.xml",
        "older copies of databases",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    let client = world.client();
    let imported = world.tracks(section).await;
    assert_eq!(imported.len(), 8, "{said}");
    for (id, file) in files(&before) {
        assert_eq!(files(&imported).get(&id), Some(&file), "ids of home never change");
    }
    let item = async |n: usize| client.item(before[n].id).await.unwrap().unwrap();
    assert_eq!(item(0).await.view_count, Some(1));
    assert_eq!(item(1).await.user_rating, Some(8.0));
    let lists = client.playlists().await.unwrap();
    assert!(lists.iter().any(|l| l.id == list.id && l.count == Some(2)), "{lists:?}");
    assert_eq!(client.identity().await.unwrap().machine_identifier, machine);
    let odd = world.databases().join("Music Analysis 1/state");
    assert_eq!(std::fs::read_to_string(odd).unwrap(), "odd");
    assert!(
        world
            .data_dir()
            .join("Metadata/Albums/a/b.bundle/Contents/_combined/posters/p")
            .is_file()
    );
    let sonic = |path: &Path| look("inspect", path)["sections"][0]["sonic_analysed"].clone();
    assert_eq!(sonic(&world.databases()), 8);

    // The same as a backup of a whole folder, one level further down: nothing new, nothing lost.
    let backup = world.path("plex_local_backup_20260101_120000.tar.gz");
    tar_gz(&left, "Plex Media Server/", &backup);
    let report = world.json(&["import", "-y", "--json", backup.to_str().unwrap()]);
    assert_eq!(report["outcome"], "committed");
    assert_eq!(files(&world.tracks(section).await), files(&imported));

    // A lone library.db is explained, and taken when that is said; home's own analysis stays.
    let lone = world.path("plex_db_backup_20260101.db");
    std::fs::copy(databases.join(plex_library::LIBRARY_DB), &lone).unwrap();
    let refused = world.run(&["import", "-y", lone.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("--without-blobs"), "{said}");
    let report = world.json(&["import", "-y", "--json", "--without-blobs", lone.to_str().unwrap()]);
    assert_eq!(report["outcome"], "committed");
    assert_eq!(files(&world.tracks(section).await), files(&imported));
    assert_eq!(sonic(&world.databases()), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_merge_can_write_is_made_by_homes_server() {
    // Fewer titles than it takes to prove Plex's order of them: one album, of which home knows one track.
    let world = World::new();
    world.music(1, 1, 1, 2, 2.0);
    let hidden = world.path("hidden");
    let second = last_file(&world.media().join("Music"));
    std::fs::rename(&second, &hidden).unwrap();
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 1).await;
    std::fs::rename(&hidden, &second).unwrap();
    world.issue_claim();
    world.configure(&[(&root, "Music")]);
    let before = world.tracks(section).await;
    let mut burst = world
        .command(&["sync", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let journal = || {
        let dirs = std::fs::read_dir(world.path("state/bursts"));
        let dir = dirs.ok().and_then(|mut dirs| dirs.next()).and_then(Result::ok);
        dir.and_then(|dir| std::fs::read_to_string(dir.path().join("journal.jsonl")).ok())
            .unwrap_or_default()
    };
    wait_until("the snapshot", Duration::from_secs(120), || {
        journal().contains(r#""phase":"park","event":"done""#) || burst.try_wait().unwrap().is_some()
    });
    let client = world.client();
    let track = [before[0].id];
    client.create_playlist("Kitchen", &track).await.unwrap();
    client.make_collection(section, 10, "A Set", &track).await.unwrap();
    client.rename(before[0].id, "Our Name", None).await.unwrap();
    let output = burst.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{}", world.logs());
    assert!(journal().contains(r#""phase":"aside","event":"done""#), "{said}");
    let client = world.client();
    let lists = client.playlists().await.unwrap();
    let of = |title: &str| {
        lists
            .iter()
            .filter(|l| l.title == title)
            .map(|l| l.count)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("Kitchen"), [Some(1)], "{said}");
    let sets = client.collections(section).await.unwrap();
    let titles: Vec<_> = sets.iter().map(|set| set.title.as_str()).collect();
    assert_eq!(titles, ["A Set"], "{said}");
    let after: BTreeMap<i64, String> = world
        .tracks(section)
        .await
        .into_iter()
        .map(|t| (t.id, t.title))
        .collect();
    assert_eq!(after.len(), 2);
    assert_eq!(after[&before[0].id], "Our Name");
    assert!(
        said.contains("playlist \"Kitchen\" (1 items) was made by home's server"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_plexs_order_can_place_is_placed_where_homes_plex_sqlite_says() {
    use plexburst::plex::client::ItemKind;
    use sim::store::{ORDER, Order};
    // A server whose order of titles is its own: those that begin with a digit come last.
    let order = (ORDER, Order::LettersFirst.word());
    let world = World::new();
    world.music(1, 1, 1, 3, 2.0);
    let env = [
        ("PLEX_SIM_PLEXTV".into(), world.plextv().into_os_string()),
        (order.0.into(), order.1.into()),
    ];
    sim::service::start(&world.server, &world.support(), world.port, &env).unwrap();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 3).await;
    world.configure(&[(&root, "Music")]);
    // The program hangs until it is another one.
    let (asked, program) = (world.path("asked"), world.path("plex-sqlite"));
    let hanging = format!("touch '{}'; exec cat >/dev/null", asked.display());
    write(program.clone(), &hanging);
    let config = world.path("plexburst.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let key = format!("[home]\nplex_sqlite = [\"sh\", {:?}]\n", program.display().to_string());
    std::fs::write(&config, text.replacen("[home]\n", &key, 1)).unwrap();

    let client = world.client();
    let tracks = world.tracks(section).await;
    client.create_playlist("7 Sins", &[tracks[0].id]).await.unwrap();
    let (unpacked, archive, backup) = (
        world.path("unpacked"),
        world.path("a.tar.zst"),
        world.path("plex_local_backup_x.tar.gz"),
    );
    world.json(&["export", "--json", archive.to_str().unwrap()]);
    plex_library::archive::unpack(&archive, &unpacked).unwrap();
    std::fs::remove_dir_all(unpacked.join("plexburst")).unwrap();
    tar_gz(&unpacked, "Plex Media Server/", &backup);
    let made = client
        .create_playlist("9 Lives", &[tracks[1].id, tracks[2].id])
        .await
        .unwrap();
    client
        .make_collection(section, 10, "A Set", &[tracks[1].id])
        .await
        .unwrap();
    let sets = client.collections(section).await.unwrap();

    // Killed while it asks, and gone on with when there is an answer.
    let mut import = world
        .command(&["import", "-y", backup.to_str().unwrap()])
        .env(order.0, order.1)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the question", Duration::from_secs(300), || {
        asked.exists() || import.try_wait().unwrap().is_some()
    });
    import.kill().unwrap();
    assert!(!import.wait().unwrap().success(), "{}", world.logs());
    assert!(asked.exists(), "it was not asked: {}", world.logs());
    let real = world.server.with_file_name("Plex SQLite");
    write(program, &format!("exec '{}' \"$@\"", real.display()));
    let output = world.command(&["resume"]).env(order.0, order.1).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{}", world.logs());
    assert!(
        said.contains("rows among the titles placed where home's Plex SQLite says: "),
        "{said}"
    );
    assert!(!said.contains("warning"), "{said}");

    let client = world.client();
    let lists = client.playlists().await.unwrap();
    let list = lists
        .iter()
        .find(|list| list.title == "9 Lives")
        .unwrap_or_else(|| panic!("{said}"));
    assert_eq!((list.id, list.count, lists.len()), (made.id, Some(2), 2), "{said}");
    let after = client.collections(section).await.unwrap();
    assert_eq!(
        after.iter().map(|set| set.id).collect::<Vec<_>>(),
        sets.iter().map(|set| set.id).collect::<Vec<_>>()
    );
    assert_eq!(
        client.items(section, ItemKind::Track, 0, 10).await.unwrap().items.len(),
        3
    );
    let report = world.json(&["report", "--json"]);
    assert!(
        report["merge"]["placed_by_plex"].as_u64().is_some_and(|rows| rows > 0),
        "{report}"
    );
    assert_eq!(report["merge"]["kept_aside"], serde_json::json!([]));
    let journal = std::fs::read_to_string(world.burst_dir().join("journal.jsonl")).unwrap();
    assert!(
        !journal.contains(r#""phase":"aside""#),
        "nothing was left to home's server: {said}"
    );
    world.stop_home();
    let db = sim::store::connect(&world.databases().join(plex_library::LIBRARY_DB)).unwrap();
    let check = || -> String {
        db.query_row("PRAGMA integrity_check('metadata_items')", [], |row| row.get(0))
            .unwrap()
    };
    assert_ne!(check(), "ok", "the order is not the usual one");
    Order::LettersFirst.register(&db).unwrap();
    assert_eq!(check(), "ok");
}
