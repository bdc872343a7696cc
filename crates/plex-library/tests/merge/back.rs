//! The way back after a swap: what the household did since is put onto the library that was there before.

use plex_library::ids;
use plex_library::merge::Report;
use sim::fixture::edit::{self, Field};
use sim::store::Pair;

use crate::support::{NOW, Trio, databases, dump, guid, one, open, rows};

const NEW: &str = "/music/New Artist/New Album (2020)/01 - Song.flac";

/// Base: what was swapped in after `burst`; mine: home, the same so far; theirs: the library before it.
fn swapped<T>(burst: impl FnOnce(&Pair, &sim::fixture::Fixture) -> T) -> (Trio, T) {
    let trio = Trio::together();
    ids::keep_apart(&databases(&trio.base), 1).expect("apart");
    let pair = trio.base.open().expect("open");
    let made = burst(&pair, &trio.base);
    for db in [&pair.library, &pair.blobs] {
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .expect("checkpoint");
    }
    drop(pair);
    let mine = trio.base.copy(&trio.dir.path().join("home")).expect("copy");
    (Trio { mine, ..trio }, made)
}

fn back(trio: &Trio) -> Report {
    let mut before = crate::support::dangling(&trio.theirs);
    before.extend(crate::support::dangling(&trio.mine));
    let report = trio.carry_back();
    trio.check(&before);
    let once = dump(&trio.theirs);
    let again = trio.carry_back();
    assert!(again.changed_nothing(), "{again:?}");
    assert_eq!(dump(&trio.theirs), once);
    report
}

#[test]
fn without_a_change_at_home_the_older_library_is_what_it_was() {
    let (trio, _) = swapped(|pair, base| {
        let new = edit::add_track(pair, base.sections[0].id, NEW, NOW).expect("add");
        edit::analyse_track(pair, new.track, NOW).expect("analyse");
        edit::refresh_item(pair, base.sections[2].leaves[0], "the agent's", NOW).expect("refresh");
        edit::delete_item(pair, base.sections[2].leaves[1], NOW).expect("delete");
    });
    let before = dump(&trio.theirs);
    let report = back(&trio);
    assert!(report.changed_nothing(), "{report:?}");
    for (table, content) in dump(&trio.theirs) {
        assert!(
            table.contains("sqlite_sequence") || content == before[&table],
            "{table} changed"
        );
    }
}

#[test]
fn what_the_household_did_since_the_swap_is_in_the_older_library() {
    let (trio, new) = swapped(|pair, base| {
        edit::recreate_streams(pair, part(pair, base.sections[2].leaves[2]), NOW).expect("streams");
        edit::add_track(pair, base.sections[0].id, NEW, NOW).expect("add")
    });
    let (tracks, films) = (&trio.base.sections[0].leaves, &trio.base.sections[2].leaves);
    let film = guid(&trio.base, films[0]);
    let watched = part_of(&trio, films[2]);
    let (list, subtitle) = trio.home(|home| {
        edit::rate(home, 1, &film, Some(9.0), NOW + 10).expect("rate");
        edit::scrobble(home, 1, &film, NOW + 11).expect("scrobble");
        edit::lock_field(home, films[3], Field::Title, "Our Own Name", NOW + 12).expect("lock");
        edit::delete_item(home, tracks[1], NOW + 13).expect("delete");
        let subtitle = edit::add_subtitle(home, watched, "deu", "Hallo", NOW + 14).expect("subtitle");
        (
            edit::add_playlist(home, 1, "Since", &[tracks[0], new.track], NOW + 15).expect("playlist"),
            subtitle,
        )
    });
    let report = back(&trio);
    let db = open(&trio.theirs.databases_dir);
    let rating = rows(
        &db,
        "SELECT rating FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1",
        [&film],
    );
    assert_eq!(rating, ["9"]);
    let seen = "SELECT count(*) FROM metadata_item_views WHERE guid = ?1 AND viewed_at = ?2";
    assert_eq!(rows(&db, seen, (&film, NOW + 11)), ["1"]);
    let named = "SELECT docid FROM fts4_metadata_titles_icu WHERE fts4_metadata_titles_icu MATCH 'own name'";
    assert_eq!(rows(&db, named, ()), [films[3].to_string()]);
    let gone = "SELECT count(*) FROM metadata_items NOT INDEXED WHERE id = ?1";
    assert_eq!(rows(&db, gone, [tracks[1]]), ["0"]);
    let entries = "SELECT metadata_item_id FROM play_queue_generators WHERE playlist_id = ?1";
    assert_eq!(
        rows(&db, entries, [list]),
        [tracks[0].to_string()],
        "the new track has no place"
    );
    let blobs = sim::store::connect(&trio.theirs.databases_dir.join(plex_library::BLOBS_DB)).expect("blobs");
    let stored = "SELECT count(*) FROM blobs WHERE blob_type = 3 AND linked_id = ?1";
    assert_eq!(rows(&blobs, stored, [subtitle]), ["1"]);
    let aside: Vec<_> = report.kept_aside.iter().map(|kept| kept.table.as_str()).collect();
    assert_eq!(aside, ["play_queue_generators"], "{report:?}");
}

#[test]
fn what_was_said_about_things_that_only_the_newer_library_has_is_listed() {
    let (trio, new) = swapped(|pair, base| edit::add_track(pair, base.sections[0].id, NEW, NOW).expect("add"));
    let local = guid(&trio.base, new.track);
    trio.home(|home| {
        edit::rate(home, 1, &local, Some(7.0), NOW + 10).expect("rate");
        edit::scrobble(home, 1, &local, NOW + 11).expect("scrobble");
        edit::lock_field(home, new.track, Field::Title, "Called Otherwise", NOW + 12).expect("lock");
        edit::add_subtitle(home, new.part, "deu", "Lied", NOW + 13).expect("subtitle");
        edit::select_stream(home, 1, new.part, stream(home, new.part), NOW + 14).expect("select");
    });
    let report = back(&trio);
    let named: Vec<_> = report.kept_aside.iter().map(|kept| kept.what.as_str()).collect();
    for what in ["track \"Called Otherwise\"", "a downloaded subtitle"] {
        assert!(named.contains(&what), "{named:?}");
    }
    assert!(
        report.kept_aside.iter().any(|kept| kept.table == "media_part_settings"),
        "{named:?}"
    );
    let waiting: Vec<_> = report.waiting.iter().map(|kept| kept.table.as_str()).collect();
    for table in ["metadata_item_settings", "metadata_item_views"] {
        assert!(waiting.contains(&table), "{waiting:?}");
    }
    let rated = one(
        &trio.theirs,
        "SELECT rating FROM metadata_item_settings WHERE guid = ?1",
        [&local],
    );
    assert_eq!(rated, "7", "it waits for the track to come back");
    let left = one(
        &trio.theirs,
        "SELECT count(*) FROM media_parts WHERE id = ?1",
        [new.part],
    );
    assert_eq!(left, "0");
}

#[test]
fn a_rating_of_what_the_worker_recognised_goes_back_to_what_it_was_called() {
    let (trio, track) = swapped(|pair, base| {
        let track = base.sections[0].leaves[0];
        pair.library
            .execute(
                "UPDATE metadata_items SET guid = 'plex://track/known', hash = 'known' WHERE id = ?1",
                [track],
            )
            .expect("match");
        track
    });
    trio.home(|home| edit::rate(home, 1, "plex://track/known", Some(6.0), NOW + 10).expect("rate"));
    back(&trio);
    let before = guid(&trio.theirs, track);
    assert_ne!(before, "plex://track/known");
    let rated = one(
        &trio.theirs,
        "SELECT count(*) FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1 AND rating = 6.0",
        [&before],
    );
    assert_eq!(rated, "1");
}

fn part(pair: &Pair, item: i64) -> i64 {
    pair.library
        .query_row(
            "SELECT p.id FROM media_parts p JOIN media_items m ON m.id = p.media_item_id WHERE m.metadata_item_id = ?1",
            [item],
            |row| row.get(0),
        )
        .expect("part")
}

fn part_of(trio: &Trio, item: i64) -> i64 {
    crate::support::part_of(&trio.base, item)
}

fn stream(pair: &Pair, part: i64) -> i64 {
    pair.library
        .query_row("SELECT id FROM media_streams WHERE media_part_id = ?1", [part], |row| {
            row.get(0)
        })
        .expect("stream")
}

#[test]
fn a_row_that_the_household_went_on_with_is_the_one_it_has_seen() {
    let (trio, _) = swapped(|_, _| ());
    let item = one(
        &trio.base,
        "SELECT guid FROM metadata_item_settings WHERE account_id = 1 AND view_offset IS NULL ORDER BY id LIMIT 1",
        (),
    );
    // In the older library it stands half-way and was played thrice; the burst, of all things, took that back.
    trio.worker(|older| {
        edit::scrobble(older, 1, &item, NOW).expect("scrobble");
        edit::set_offset(older, 1, &item, 300_000, NOW).expect("offset");
    });
    trio.home(|home| edit::rate(home, 1, &item, Some(9.0), NOW + 1).expect("rate"));
    back(&trio);
    let sql =
        "SELECT coalesce(view_offset, 'none') || ' ' || coalesce(view_count, 0) || ' ' || coalesce(rating, 'none')
               FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1";
    assert_eq!(one(&trio.theirs, sql, [&item]), one(&trio.mine, sql, [&item]));
}

#[test]
fn a_collection_of_the_burst_does_not_come_along_with_an_item_that_home_locked() {
    let (trio, collection) = swapped(|pair, base| {
        let films = &base.sections[2];
        edit::add_collection(pair, films.id, "Of the burst", &[films.leaves[0]], NOW).expect("collection")
    });
    let film = trio.base.sections[2].leaves[0];
    trio.home(|home| edit::lock_field(home, film, Field::Summary, "Said at home", NOW + 1).expect("lock"));
    back(&trio);
    let sql = "SELECT (SELECT summary FROM metadata_items NOT INDEXED WHERE id = ?1)
               || (SELECT count(*) FROM metadata_items NOT INDEXED WHERE id = ?2)
               || (SELECT count(*) FROM taggings g JOIN tags t ON t.id = g.tag_id WHERE t.tag = 'Of the burst')";
    assert_eq!(one(&trio.theirs, sql, [film, collection]), "Said at home00");
}
