//! Playlists, collections, devices, settings of the server.

use sim::fixture::edit;

use crate::support::{NOW, Trio, one, open, rows};

#[test]
fn playlists_of_both_sides_and_collections_are_there() {
    let trio = Trio::new();
    let tracks = &trio.base.sections[0].leaves;
    let films = &trio.base.sections[2];
    let (playlist, collection) = trio.home(|home| {
        (
            edit::add_playlist(home, 1, "Kitchen 9", &tracks[..4], NOW).expect("playlist"),
            edit::add_collection(home, films.id, "Winter", &films.leaves[..3], NOW + 1).expect("collection"),
        )
    });
    let theirs = trio.worker(|worker| {
        edit::add_collection(worker, films.id, "Automatic", &films.leaves[2..4], NOW).expect("collection")
    });
    let report = trio.merge_twice();
    assert!(report.kept_aside.is_empty(), "{:?}", report.kept_aside);
    let db = open(&trio.theirs.databases_dir);
    let titles = rows(
        &db,
        "SELECT title FROM metadata_items NOT INDEXED WHERE id IN (?1, ?2, ?3) ORDER BY title",
        [playlist, collection, theirs],
    );
    assert_eq!(titles, ["Automatic", "Kitchen 9", "Winter"]);
    let entries = rows(
        &db,
        "SELECT metadata_item_id FROM play_queue_generators WHERE playlist_id = ?1 ORDER BY \"order\"",
        [playlist],
    );
    assert_eq!(entries, tracks[..4].iter().map(ToString::to_string).collect::<Vec<_>>());
    let owner = rows(
        &db,
        "SELECT account_id FROM metadata_item_accounts WHERE metadata_item_id = ?1",
        [playlist],
    );
    assert_eq!(owner, ["1"]);
    let members = rows(
        &db,
        "SELECT t.metadata_item_id FROM taggings t JOIN tags g ON g.id = t.tag_id WHERE g.tag = 'Winter' AND g.tag_type = 2 ORDER BY 1",
        (),
    );
    assert_eq!(
        members,
        films.leaves[..3].iter().map(ToString::to_string).collect::<Vec<_>>()
    );
    let found = rows(
        &db,
        "SELECT docid FROM fts4_metadata_titles_icu WHERE fts4_metadata_titles_icu MATCH 'kitchen'",
        (),
    );
    assert_eq!(found, [playlist.to_string()]);
}

#[test]
fn the_same_tag_on_both_sides_is_one() {
    let trio = Trio::new();
    let films = &trio.base.sections[2];
    let tag = |fixture: &sim::fixture::Fixture, item: i64, at: i64| {
        let pair = fixture.open().expect("open");
        pair.library
            .execute(
                "INSERT INTO tags (tag, tag_type, key, created_at) VALUES ('Kept', 11, '', ?1)",
                [at],
            )
            .expect("tag");
        let id = pair.library.last_insert_rowid();
        pair.library
            .execute("INSERT INTO taggings (metadata_item_id, tag_id, \"index\", text, created_at) VALUES (?1, ?2, 0, '', ?3)", [item, id, at])
            .expect("tagging");
        id
    };
    let home = tag(&trio.mine, films.leaves[0], NOW);
    let worker = tag(&trio.theirs, films.leaves[1], NOW);
    assert_ne!(home, worker);
    trio.merge_twice();
    let db = open(&trio.theirs.databases_dir);
    assert_eq!(
        rows(&db, "SELECT id FROM tags WHERE tag = 'Kept'", ()),
        [home.to_string()]
    );
    let mut both = films.leaves[..2].to_vec();
    both.sort_unstable();
    let tagged = rows(
        &db,
        "SELECT metadata_item_id FROM taggings WHERE tag_id = ?1 ORDER BY 1",
        [home],
    );
    assert_eq!(tagged, both.iter().map(ToString::to_string).collect::<Vec<_>>());
}

#[test]
fn the_workers_own_devices_and_statistics_do_not_come_home() {
    let trio = Trio::new();
    trio.home(|home| {
        home.library
            .execute_batch(
                "INSERT INTO devices (identifier, name) VALUES ('tv', 'Living room');
                 INSERT INTO statistics_bandwidth (account_id, device_id, timespan, at, lan, bytes) VALUES (1, 1, 4, 1, 1, 77);
                 INSERT INTO preferences (name, value) VALUES ('viewStateSyncLastStateSent-1', '5');
                 INSERT INTO hub_templates (section, identifier, title) VALUES ('1', 'x', 'y');
                 INSERT INTO custom_channels (name, playlist_id) VALUES ('One', NULL);",
            )
            .expect("household");
    });
    trio.worker(|worker| {
        worker
            .library
            .execute_batch(
                "INSERT INTO devices (identifier, name) VALUES ('worker', 'Cloud');
                 INSERT INTO statistics_bandwidth (account_id, device_id, timespan, at, lan, bytes) VALUES (1, 1, 4, 2, 1, 99);
                 INSERT INTO activities (id, title) VALUES (999999, 'Scanning');",
            )
            .expect("worker");
    });
    let report = trio.merge_twice();
    for table in [
        "devices",
        "statistics_bandwidth",
        "preferences",
        "hub_templates",
        "custom_channels",
        "accounts",
        "play_queues",
    ] {
        let all = |fixture: &sim::fixture::Fixture| {
            rows(
                &open(&fixture.databases_dir),
                &format!("SELECT * FROM {table} ORDER BY id"),
                (),
            )
        };
        assert_eq!(all(&trio.theirs), all(&trio.mine), "{table}");
    }
    assert_eq!(report.carried["devices"].inserted, 1);
}

#[test]
fn a_playlist_follows_an_item_that_the_worker_merged_into_another() {
    let trio = Trio::new();
    let films = &trio.base.sections[2].leaves;
    let playlist = trio.home(|home| edit::add_playlist(home, 1, "Two", &films[..2], NOW).expect("playlist"));
    trio.worker(|worker| {
        worker
            .library
            .execute(
                "UPDATE media_items SET metadata_item_id = ?2 WHERE metadata_item_id = ?1",
                [films[0], films[1]],
            )
            .expect("move");
        worker
            .library
            .execute("DELETE FROM metadata_items WHERE id = ?1", [films[0]])
            .expect("delete");
        worker
            .library
            .execute("DELETE FROM taggings WHERE metadata_item_id = ?1", [films[0]])
            .expect("delete");
    });
    let report = trio.merge_twice();
    let entries = rows(
        &open(&trio.theirs.databases_dir),
        "SELECT metadata_item_id FROM play_queue_generators WHERE playlist_id = ?1",
        [playlist],
    );
    assert_eq!(entries, [films[1].to_string(), films[1].to_string()]);
    assert!(
        report.decided.iter().any(|decided| decided.id == films[0]),
        "{report:?}"
    );
    assert_eq!(
        one(
            &trio.theirs,
            "SELECT count(*) FROM metadata_items NOT INDEXED WHERE id = ?1",
            [films[0]]
        ),
        "0"
    );
}
