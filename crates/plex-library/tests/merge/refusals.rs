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
