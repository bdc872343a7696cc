//! Maintenance tasks and what they really do.

use std::fs;

use sim::plextv::PlexTv;
use sim::prefs::Preferences;

use crate::support::{Home, add_music, wait_until};

#[test]
fn tasks_are_listed_started_once_and_stopped() {
    let mut home = Home::new();
    home.replace_program(
        "Plex Music Analyzer",
        "trap 'exit 0' TERM\nwhile :; do sleep 0.05; done",
    );
    home.set("PLEX_CLAIM", &PlexTv::at(&home.plextv()).issue_claim(true).unwrap());
    home.start();
    let token = Preferences::read(&home.data().preferences())
        .unwrap()
        .online_token()
        .unwrap()
        .to_owned();
    let token = [("X-Plex-Token", token.as_str())];
    let list = home.call("GET", "/butler", &token).body;
    assert!(
        list.contains("<ButlerTasks>\n<ButlerTask name=\"AutomaticUpdates\" interval=\"1\""),
        "{list}"
    );
    assert!(!list.contains("BuildGracenoteCollections"));
    assert_eq!(home.call("POST", "/butler/MusicAnalysis", &token).status, 200);
    assert_eq!(home.call("POST", "/butler/MusicAnalysis", &token).status, 202);
    assert_eq!(home.call("POST", "/butler/CheckForUpdates", &token).status, 404);
    let activities = home.call("GET", "/activities", &token).body;
    assert!(
        activities.contains("type=\"media.generate.music.analysis\""),
        "{activities}"
    );
    assert_eq!(home.call("DELETE", "/butler/MusicAnalysis", &token).status, 200);
    wait_until("the task ended", || {
        !home.call("GET", "/activities", &token).body.contains("music.analysis")
    });
    assert_eq!(home.call("POST", "/butler/MusicAnalysis", &token).status, 200);
    assert_eq!(home.call("DELETE", "/butler", &token).status, 200);
    wait_until("the task ended", || {
        !home.call("GET", "/activities", &token).body.contains("music.analysis")
    });
}

fn run(home: &Home, task: &str) {
    home.ok("POST", &format!("/butler/{task}"));
    home.settle();
    assert!(
        home.log().contains(&format!("Butler: task {task} ended")),
        "{}",
        home.log()
    );
}

#[test]
fn backups_are_dated_and_four_are_kept() {
    let home = Home::started();
    add_music(&home);
    let databases = home.data().databases();
    for day in ["2026-01-01", "2026-01-04", "2026-01-07", "2026-01-10"] {
        fs::write(databases.join(format!("com.plexapp.plugins.library.db-{day}")), "old").unwrap();
    }
    run(&home, "BackupDatabase");
    run(&home, "BackupDatabase");
    let day = jiff::ZonedDateTime::now().date();
    let names: Vec<String> = fs::read_dir(&databases)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let of = |name: &str| names.iter().filter(|known| known.starts_with(name)).count();
    assert_eq!(of("com.plexapp.plugins.library.db-20"), 4, "{names:?}");
    assert_eq!(of("com.plexapp.plugins.library.blobs.db-20"), 1, "{names:?}");
    assert!(!names.iter().any(|name| name.ends_with("2026-01-01")));
    let copy = databases.join(format!("com.plexapp.plugins.library.db-{day}"));
    let header = fs::read(&copy).unwrap();
    assert_eq!(&header[18..20], &[2, 2], "WAL mode in the header");
    let copy = sim::store::connect(&copy).unwrap();
    assert_eq!(
        copy.query_row("SELECT count(*) FROM media_parts", [], |row| row.get::<_, i64>(0))
            .unwrap(),
        2
    );
    assert!(home.log().contains("Beginning database backup") && home.log().contains("Database backup completed: 0"));
}

#[test]
fn bundles_and_blobs_that_nothing_owns_go() {
    let home = Home::started();
    add_music(&home);
    let metadata = home.data().metadata().join("Albums");
    home.library()
        .execute("UPDATE metadata_items SET hash = 'aabbcc' WHERE id = 2", [])
        .unwrap();
    for bundle in ["a/abbcc.bundle", "d/eadbeef.bundle"] {
        fs::create_dir_all(metadata.join(bundle).join("Contents")).unwrap();
    }
    let media = home.data().media().join("localhost");
    for bundle in ["a/bc.bundle", "d/ef.bundle"] {
        fs::create_dir_all(media.join(bundle)).unwrap();
    }
    let blobs = sim::store::open(&home.data().databases()).unwrap().blobs;
    for (owner, id) in [
        ("metadata_item", 3),
        ("metadata_item", 99),
        ("media_stream", 4),
        ("media_part", 99),
    ] {
        blobs
            .execute(
                "INSERT INTO blobs (blob, linked_type, linked_id, blob_type) VALUES (x'00', ?1, ?2, 7)",
                (owner, id),
            )
            .unwrap();
    }
    run(&home, "CleanOldBundles");
    run(&home, "GarbageCollectLibraryMedia");
    run(&home, "GarbageCollectBlobs");
    assert!(metadata.join("a/abbcc.bundle").exists() && !metadata.join("d/eadbeef.bundle").exists());
    assert!(media.join("a/bc.bundle").exists() && !media.join("d/ef.bundle").exists());
    assert_eq!(
        blobs
            .query_row("SELECT count(*) FROM blobs", [], |row| row.get::<_, i64>(0))
            .unwrap(),
        2
    );
}

#[test]
fn optimizing_keeps_everything() {
    let home = Home::started();
    add_music(&home);
    home.ok("PUT", "/library/optimize?async=1");
    home.settle();
    assert_eq!(home.json("/library/sections/1/all?type=10")["size"], 2);
    assert!(home.log().contains("Database optimization complete."));
    home.ok("PUT", "/library/clean/bundles?async=1");
    home.settle();
}
