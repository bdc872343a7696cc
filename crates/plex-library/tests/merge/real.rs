//! The library that a real Plex wrote, when it is on this machine.

use std::path::{Path, PathBuf};

use plex_library::merge::{Options, carry_back, merge, two_way};
use plex_library::{Databases, ids};
use rusqlite::Connection;

use crate::support::rows;

/// Where it is.
pub(crate) fn library() -> Option<Databases> {
    let named = std::env::var_os("PLEXBURST_PLEX_2026").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/plex-2026");
    let from = Databases::at(
        named
            .unwrap_or(beside)
            .join("Plex Media Server/Plug-in Support/Databases"),
    );
    if !from.library().exists() {
        eprintln!("SKIPPED the library that a real Plex wrote: it is not there");
        return None;
    }
    Some(from)
}

/// Three copies of it.
fn three() -> Option<(tempfile::TempDir, [Databases; 3])> {
    let from = library()?;
    let dir = tempfile::tempdir().expect("temporary folder");
    let copies = ["base", "mine", "theirs"].map(|name| {
        let to = Databases::at(dir.path().join(name));
        std::fs::create_dir(to.dir()).expect("folder");
        for (source, target) in [(from.library(), to.library()), (from.blobs(), to.blobs())] {
            std::fs::write(target, std::fs::read(source).expect("read")).expect("write");
        }
        to
    });
    Some((dir, copies))
}

/// With Plex's order of titles. The simulator's tokenizer comes along; nothing here lets it make terms.
fn open(databases: &Databases) -> Connection {
    let conn = Connection::open(databases.library()).expect("open");
    sim::store::register(&conn).expect("register");
    conn.pragma_update(None, "foreign_keys", false).expect("pragma");
    conn
}

/// Runs statements on `metadata_items` and `tags` as a server would, but for the search index.
fn write(databases: &Databases, sql: &str) {
    let conn = open(databases);
    let triggers = conn
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .expect("prepare")
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .expect("query")
        .collect::<Result<Vec<_>, _>>()
        .expect("triggers");
    for (name, _) in &triggers {
        conn.execute_batch(&format!("DROP TRIGGER {name}")).expect("drop");
    }
    conn.execute_batch(sql).expect("write");
    for (_, sql) in &triggers {
        conn.execute_batch(sql).expect("trigger");
    }
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .expect("checkpoint");
}

#[test]
fn nothing_to_do_leaves_every_row_as_it_is() {
    let Some((_dir, [base, mine, theirs])) = three() else {
        return;
    };
    ids::keep_apart(&theirs, 1).expect("apart");
    let content = |databases: &Databases| {
        rows(
            &open(databases),
            "SELECT * FROM metadata_items NOT INDEXED ORDER BY id",
            (),
        )
    };
    let report = merge(&base, &mine, &theirs, &Options::default()).expect("merged");
    assert!(report.changed_nothing(), "{report:?}");
    assert_eq!(content(&theirs), content(&base));
}

#[test]
fn views_edits_and_deletions_are_carried_and_the_index_stays_in_plexs_order() {
    let Some((_dir, [base, mine, theirs])) = three() else {
        return;
    };
    ids::keep_apart(&theirs, 1).expect("apart");
    write(
        &mine,
        "INSERT INTO metadata_item_views (account_id, guid, metadata_type, viewed_at, device_id)
           SELECT 1, guid, 1, 1795000000, 1 FROM metadata_items NOT INDEXED WHERE id = 23;
         UPDATE metadata_item_settings SET rating = 7.5;
         UPDATE metadata_items SET summary = 'ours', user_fields = 'lockedFields=8' WHERE id = 24;
         DELETE FROM metadata_items WHERE id = 25;
         DELETE FROM media_items WHERE metadata_item_id = 25;
         DELETE FROM taggings WHERE metadata_item_id = 25;",
    );
    write(
        &theirs,
        "UPDATE metadata_items SET summary = 'theirs', duration = 5 WHERE id IN (24, 25);
         UPDATE media_streams SET bitrate = 99;",
    );
    let report = merge(&base, &mine, &theirs, &Options::default()).expect("merged");
    assert!(report.kept_aside.is_empty(), "{report:?}");
    let conn = open(&theirs);
    assert_eq!(rows(&conn, "PRAGMA integrity_check('metadata_items')", ()), ["ok"]);
    assert_eq!(
        rows(&conn, "SELECT summary, duration FROM metadata_items WHERE id = 24", ()),
        ["ours|5"]
    );
    assert_eq!(
        rows(
            &conn,
            "SELECT count(*) FROM metadata_items NOT INDEXED WHERE id = 25",
            ()
        ),
        ["0"]
    );
    assert_eq!(
        rows(
            &conn,
            "SELECT count(*) FROM fts4_metadata_titles_icu_docsize WHERE docid = 25",
            ()
        ),
        ["0"]
    );
    assert_eq!(
        rows(&conn, "SELECT count(*) FROM fts4_metadata_titles_icu_docsize", ()),
        ["105"]
    );
    assert_eq!(
        rows(
            &conn,
            "SELECT count(*) FROM metadata_item_settings WHERE rating = 7.5",
            ()
        ),
        ["48"]
    );
    assert_eq!(rows(&conn, "SELECT count(*) FROM metadata_item_views", ()), ["12"]);
    assert_eq!(
        rows(
            &conn,
            "SELECT count(*) FROM media_streams WHERE bitrate = 99 AND media_item_id IS NOT NULL",
            ()
        )
        .len(),
        1
    );
    drop(conn);
    let again = merge(&base, &mine, &theirs, &Options::default()).expect("merged again");
    assert!(again.changed_nothing(), "{again:?}");
}

#[test]
fn a_title_that_home_does_not_search_is_not_searched_in_the_result() {
    let Some((_dir, [base, mine, theirs])) = three() else {
        return;
    };
    ids::keep_apart(&theirs, 1).expect("apart");
    write(
        &mine,
        "INSERT INTO metadata_items (metadata_type, guid, title, title_sort, changed_at) VALUES (15, 'x://y', '9 of 10', '9 of 10', 5);",
    );
    merge(&base, &mine, &theirs, &Options::default()).expect("merged");
    let conn = open(&theirs);
    assert_eq!(rows(&conn, "PRAGMA integrity_check('metadata_items')", ()), ["ok"]);
    assert_eq!(
        rows(
            &conn,
            "SELECT title FROM metadata_items NOT INDEXED WHERE guid = 'x://y'",
            ()
        ),
        ["9 of 10"]
    );
    assert_eq!(
        rows(&conn, "SELECT count(*) FROM fts4_metadata_titles_icu_docsize", ()),
        ["106"]
    );
}

#[test]
fn without_a_base_nothing_to_do_leaves_every_row_as_it_is() {
    let Some((_dir, [_, mine, theirs])) = three() else {
        return;
    };
    let content = |databases: &Databases| {
        rows(
            &open(databases),
            "SELECT * FROM metadata_items NOT INDEXED ORDER BY id",
            (),
        )
    };
    let before = content(&theirs);
    let report = two_way(&mine, &theirs, &Options::default()).expect("merged");
    assert!(report.changed_nothing(), "{report:?}");
    assert!(report.decided.is_empty() && report.kept_aside.is_empty(), "{report:?}");
    assert_eq!(content(&theirs), before);
}

#[test]
fn without_a_base_home_wins_and_what_it_deleted_stays_deleted() {
    let Some((_dir, [_, mine, theirs])) = three() else {
        return;
    };
    write(
        &mine,
        "UPDATE metadata_item_settings SET rating = 2.5, view_count = NULL;
         DELETE FROM metadata_item_views WHERE id = (SELECT min(id) FROM metadata_item_views);
         UPDATE metadata_items SET title = 'Ours', title_sort = 'Ours', user_fields = 'lockedFields=1' WHERE id = 24;
         DELETE FROM metadata_items WHERE id = 25;
         DELETE FROM media_parts WHERE media_item_id IN (SELECT id FROM media_items WHERE metadata_item_id = 25);
         DELETE FROM media_items WHERE metadata_item_id = 25;
         DELETE FROM taggings WHERE metadata_item_id = 25;",
    );
    write(
        &theirs,
        "UPDATE metadata_items SET summary = 'theirs', duration = 5 WHERE id IN (24, 25);
         UPDATE media_streams SET bitrate = 99;
         UPDATE metadata_item_settings SET view_count = 9;",
    );
    let report = two_way(&mine, &theirs, &Options::default()).expect("merged");
    let (conn, home) = (open(&theirs), open(&mine));
    assert_eq!(rows(&conn, "PRAGMA integrity_check('metadata_items')", ()), ["ok"]);
    for sql in [
        "SELECT id, account_id, guid, rating, view_count, view_offset, last_viewed_at FROM metadata_item_settings ORDER BY id",
        "SELECT * FROM metadata_item_views ORDER BY id",
        "SELECT id FROM metadata_items NOT INDEXED ORDER BY id",
        "SELECT id FROM media_items ORDER BY id",
    ] {
        assert_eq!(rows(&conn, sql, ()), rows(&home, sql, ()), "{sql}");
    }
    // Real words need Plex's tokenizer, and home's index here does not have those of the new name: it is home's server that
    // will be told.
    assert!(report.kept_aside.iter().all(|kept| kept.id == 24), "{report:?}");
    assert_eq!(
        rows(&conn, "SELECT duration FROM metadata_items WHERE id = 24", ()),
        ["5"]
    );
    let streams =
        "SELECT count(*) FROM media_streams WHERE bitrate = 99 AND media_item_id IN (SELECT id FROM media_items)";
    assert_ne!(rows(&conn, streams, ()), ["0"]);
}

#[test]
fn the_way_back_carries_the_household_and_nothing_of_the_burst() {
    let Some((_dir, [swapped_in, home, previous])) = three() else {
        return;
    };
    let burst = "UPDATE metadata_items SET summary = 'of the burst', duration = 5 WHERE id IN (23, 24);
                 UPDATE media_streams SET bitrate = 99;";
    write(&swapped_in, burst);
    std::fs::write(home.library(), std::fs::read(swapped_in.library()).expect("read")).expect("write");
    write(
        &home,
        "INSERT INTO metadata_item_views (account_id, guid, metadata_type, viewed_at, device_id)
           SELECT 1, guid, 1, 1795000000, 1 FROM metadata_items NOT INDEXED WHERE id = 23;
         UPDATE metadata_item_settings SET rating = 7.5;
         UPDATE metadata_items SET tagline = 'ours', user_fields = 'lockedFields=7' WHERE id = 24;",
    );
    let before = rows(
        &open(&previous),
        "SELECT id, summary, duration FROM metadata_items NOT INDEXED ORDER BY id",
        (),
    );
    let report = carry_back(&swapped_in, &home, &previous, &Options::default()).expect("carried back");
    assert!(report.kept_aside.is_empty() && report.waiting.is_empty(), "{report:?}");
    let conn = open(&previous);
    assert_eq!(
        rows(
            &conn,
            "SELECT id, summary, duration FROM metadata_items NOT INDEXED ORDER BY id",
            ()
        ),
        before
    );
    assert_eq!(
        rows(&conn, "SELECT tagline FROM metadata_items WHERE id = 24", ()),
        ["ours"]
    );
    assert_eq!(
        rows(
            &conn,
            "SELECT count(*) FROM metadata_item_settings WHERE rating = 7.5",
            ()
        ),
        ["48"]
    );
    assert_eq!(
        rows(
            &conn,
            "SELECT count(*) FROM metadata_item_views WHERE viewed_at = 1795000000",
            ()
        ),
        ["1"]
    );
    assert_eq!(
        rows(&conn, "SELECT count(*) FROM media_streams WHERE bitrate = 99", ()),
        ["0"]
    );
    drop(conn);
    let again = carry_back(&swapped_in, &home, &previous, &Options::default()).expect("carried back again");
    assert!(again.changed_nothing(), "{again:?}");
}
