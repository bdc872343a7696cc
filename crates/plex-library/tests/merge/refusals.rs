//! What is refused, and that the result is then what it was.

use plex_library::{Error, Kind};
use sim::fixture::{Fixture, edit};

use crate::support::{NOW, Trio, dump, guid};

fn everywhere(trio: &Trio, sql: &str) {
    for fixture in [&trio.base, &trio.mine, &trio.theirs] {
        fixture.open().expect("open").library.execute_batch(sql).expect("sql");
    }
}

fn on(fixture: &Fixture, sql: &str) {
    fixture.open().expect("open").library.execute_batch(sql).expect("sql");
}

#[test]
fn an_unknown_table_that_home_changed_is_refused_by_name() {
    let trio = Trio::new();
    everywhere(
        &trio,
        "CREATE TABLE dreams(id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, what TEXT); CREATE TABLE wishes(a, b);",
    );
    let film = guid(&trio.base, trio.base.sections[2].leaves[0]);
    trio.home(|home| edit::rate(home, 1, &film, Some(1.0), NOW).expect("rate"));
    on(
        &trio.mine,
        "INSERT INTO dreams(what) VALUES ('of more'); INSERT INTO wishes VALUES (1, 2);",
    );
    let before = dump(&trio.theirs);
    let error = trio.try_merge().expect_err("refused");
    let Error::Refused { items, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(items, &["dreams", "wishes"]);
    assert!(error.hint().is_some());
    assert_eq!(dump(&trio.theirs), before);
    crate::support::whole(&trio.theirs.databases_dir);
}

#[test]
fn an_unknown_table_that_only_the_worker_changed_is_no_obstacle() {
    let trio = Trio::new();
    everywhere(
        &trio,
        "CREATE TABLE dreams(id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, what TEXT);",
    );
    on(&trio.theirs, "INSERT INTO dreams(what) VALUES ('of more');");
    trio.merge_twice();
}

#[test]
fn different_versions_are_refused() {
    let trio = Trio::new();
    on(
        &trio.mine,
        "INSERT INTO schema_migrations(version) VALUES ('202701010000')",
    );
    let error = trio.try_merge().expect_err("refused");
    assert_eq!(error.kind(), Kind::SchemaDiffers);
    assert!(error.to_string().contains("202701010000"), "{error}");
    let trio = Trio::new();
    on(&trio.theirs, "ALTER TABLE metadata_items ADD COLUMN mood TEXT");
    let error = trio.try_merge().expect_err("refused");
    assert!(error.to_string().contains("mood"), "{error}");
}

#[test]
fn an_order_of_titles_that_is_not_plexs_is_not_written_into() {
    let trio = Trio::new();
    let film = trio.base.sections[2].leaves[0];
    let film_guid = guid(&trio.base, film);
    let playlist = trio.home(|home| {
        edit::rate(home, 1, &film_guid, Some(3.0), NOW).expect("rate");
        edit::add_playlist(home, 1, "Aside", &[film], NOW).expect("playlist")
    });
    // Another order of the same index, as another version of ICU might have it.
    let conn = rusqlite::Connection::open(trio.theirs.databases_dir.join(plex_library::LIBRARY_DB)).expect("open");
    conn.create_collation("icu_root", |a: &str, b: &str| b.cmp(a))
        .expect("collation");
    conn.execute_batch("REINDEX index_title_sort_icu").expect("reindex");
    drop(conn);
    let report = trio.try_merge().expect("merged");
    let aside: Vec<_> = report
        .kept_aside
        .iter()
        .map(|aside| (aside.table.as_str(), aside.id))
        .collect();
    assert!(aside.contains(&("metadata_items", playlist)), "{aside:?}");
    assert!(
        aside.iter().any(|(table, _)| *table == "play_queue_generators"),
        "{aside:?}"
    );
    assert!(
        report.kept_aside.iter().any(|aside| aside.what == "playlist \"Aside\""),
        "{report:?}"
    );
    let conn = rusqlite::Connection::open(trio.theirs.databases_dir.join(plex_library::LIBRARY_DB)).expect("open");
    let count = |sql: &str, id: i64| conn.query_row(sql, [id], |row| row.get::<_, i64>(0)).expect("count");
    assert_eq!(
        count(
            "SELECT count(*) FROM metadata_items NOT INDEXED WHERE id = ?1",
            playlist
        ),
        0
    );
    assert_eq!(
        count(
            "SELECT count(*) FROM play_queue_generators WHERE playlist_id = ?1",
            playlist
        ),
        0
    );
    let rating: f64 = conn
        .query_row(
            "SELECT rating FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1",
            [&film_guid],
            |row| row.get(0),
        )
        .expect("rating");
    assert!((rating - 3.0).abs() < f64::EPSILON, "user state needs no collation");
}

#[test]
fn a_result_that_somebody_holds_is_not_touched() {
    let trio = Trio::new();
    let holder = trio.theirs.open().expect("open");
    holder.library.execute_batch("BEGIN IMMEDIATE").expect("begin");
    let error = trio.try_merge().expect_err("refused");
    assert_eq!(error.kind(), Kind::InUse, "{error}");
}

#[test]
fn where_ids_cannot_be_changed_what_home_says_follows_to_the_workers() {
    let trio = Trio::new();
    let section = trio.base.sections[0].id;
    let file = "/music/New Artist/New Album (2020)/01 - Song.flac";
    let playlist: i64 = crate::support::one(
        &trio.base,
        "SELECT min(id) FROM metadata_items NOT INDEXED WHERE metadata_type = 15",
        [],
    )
    .parse()
    .expect("a playlist");
    let home = trio.home(|home| {
        let ids = edit::add_track(home, section, file, NOW).expect("add");
        edit::rate(home, 1, &format!("local://{}", ids.track), Some(8.0), NOW).expect("rate");
        edit::add_to_playlist(home, playlist, &[ids.track], NOW).expect("extend");
        ids
    });
    let worker = trio.worker(|worker| edit::add_track(worker, section, file, NOW).expect("add"));
    let path = trio.theirs.databases_dir.join(plex_library::LIBRARY_DB);
    let conn = rusqlite::Connection::open(&path).expect("open");
    conn.create_collation("icu_root", |a: &str, b: &str| b.cmp(a))
        .expect("collation");
    conn.execute_batch("REINDEX index_title_sort_icu").expect("reindex");
    drop(conn);
    for _ in 0..2 {
        let report = trio.try_merge().expect("merged");
        assert!(report.kept_aside.is_empty(), "{report:?}");
        let conn = rusqlite::Connection::open(&path).expect("open");
        let number = |sql: &str, id: i64| conn.query_row(sql, [id], |row| row.get::<_, i64>(0)).expect(sql);
        assert_eq!(
            number(
                "SELECT count(*) FROM metadata_items NOT INDEXED WHERE id = ?1",
                home.track
            ),
            0
        );
        assert_eq!(
            number(
                "SELECT count(*) FROM metadata_items NOT INDEXED WHERE id = ?1",
                worker.track
            ),
            1
        );
        let entries = "SELECT count(*) FROM play_queue_generators WHERE metadata_item_id = ?1";
        assert_eq!((number(entries, home.track), number(entries, worker.track)), (0, 1));
        let rated: String = conn
            .query_row(
                "SELECT guid FROM metadata_item_settings WHERE rating = 8.0 AND guid LIKE 'local://%'",
                [],
                |row| row.get(0),
            )
            .expect("rating");
        assert_eq!(rated, format!("local://{}", worker.track));
        let parts: i64 = conn
            .query_row("SELECT count(*) FROM media_parts WHERE file = ?1", [file], |row| {
                row.get(0)
            })
            .expect("parts");
        assert_eq!(parts, 1);
    }
}
