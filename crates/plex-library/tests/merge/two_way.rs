//! Results that come without their base.

use plex_library::merge::{Options, Report, merge, two_way};
use plex_library::{Error, ids};
use rusqlite::params;
use sim::fixture::edit::{self, Field};
use sim::fixture::{Builder, Fixture};

use crate::history::{self, Act};
use crate::support::{NOW, Trio, assert_same, databases, dump, guid, one, open, part_of, rows};

const FILE: &str = "/music/New Artist/New Album (2020)/01 - Song.flac";

/// Merges without the base, twice; the second time nothing changes.
fn both_ways(trio: &Trio) -> Report {
    let go = || two_way(&databases(&trio.mine), &databases(&trio.theirs), &Options::default());
    let mut before = crate::support::dangling(&trio.theirs);
    before.extend(crate::support::dangling(&trio.mine));
    let report = go().expect("merged");
    trio.check(&before);
    let once = dump(&trio.theirs);
    let again = go().expect("merged again");
    assert_same(&once, &dump(&trio.theirs), &again);
    assert!(again.changed_nothing(), "{again:?}");
    report
}

#[test]
fn homes_state_wins_and_the_archives_analysis_comes_home() {
    // As the earlier scripts had it: nothing kept the ids apart.
    let trio = Trio::together();
    let (music, films) = (&trio.base.sections[0], &trio.base.sections[2]);
    let film = guid(&trio.base, films.leaves[0]);
    let part = part_of(&trio.base, films.leaves[2]);
    let home = trio.home(|home| {
        let ours = edit::add_track(home, music.id, "/music/Home/Album/01 - Ours.flac", NOW).expect("add");
        edit::unscrobble(home, 1, &film, NOW).expect("unscrobble");
        edit::rate(home, 1, &film, Some(4.0), NOW + 1).expect("rate");
        edit::lock_field(home, films.leaves[3], Field::Title, "Called so at Home", NOW + 2).expect("lock");
        edit::delete_item(home, music.leaves[3], NOW + 3).expect("delete");
        edit::add_subtitle(home, part, "deu", "Hallo", NOW + 4).expect("subtitle");
        edit::add_playlist(home, 1, "Kitchen", &music.leaves[..3], NOW + 5).expect("playlist");
        ours
    });
    let worker = trio.worker(|worker| {
        edit::scrobble(worker, 1, &film, NOW - 50).expect("scrobble");
        edit::analyse_track(worker, music.leaves[0], NOW).expect("analyse");
        edit::analyse_track(worker, music.leaves[3], NOW).expect("analyse");
        edit::recreate_streams(worker, part, NOW).expect("streams");
        edit::refresh_item(worker, films.leaves[3], "the agent's", NOW + 9).expect("refresh");
        edit::add_track(worker, music.id, FILE, NOW).expect("add")
    });
    assert_eq!(home.track, worker.track, "one number for two files, to begin with");
    let report = both_ways(&trio);
    assert!(report.kept_aside.is_empty(), "{report:?}");
    let db = open(&trio.theirs.databases_dir);
    let state = "SELECT rating, coalesce(view_count, 0) FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1";
    let (was, is) = (
        rows(&open(&trio.mine.databases_dir), state, [&film]),
        rows(&db, state, [&film]),
    );
    assert_eq!(is, was, "unwatched at home stays so");
    let item = "SELECT title FROM metadata_items WHERE id = ?1";
    assert_eq!(rows(&db, item, [films.leaves[3]]), ["Called so at Home"]);
    let left = "SELECT count(*) FROM metadata_items NOT INDEXED WHERE id = ?1";
    assert_eq!(rows(&db, left, [music.leaves[3]]), ["0"], "deleted at home since");
    let of = |file: &str| {
        rows(
            &db,
            "SELECT i.id FROM media_parts p JOIN media_items m ON m.id = p.media_item_id
             JOIN metadata_items i ON i.id = m.metadata_item_id WHERE p.file = ?1",
            [file],
        )
    };
    assert_eq!(of("/music/Home/Album/01 - Ours.flac"), [home.track.to_string()]);
    let theirs = of(FILE);
    assert_eq!(theirs.len(), 1);
    assert_ne!(theirs, [worker.track.to_string()], "the archive's row gave way");
    let blobs = sim::store::connect(&trio.theirs.databases_dir.join(plex_library::BLOBS_DB)).expect("blobs");
    let vector = "SELECT count(*) FROM blobs WHERE blob_type = 7 AND linked_id = ?1";
    assert_eq!(rows(&blobs, vector, [music.leaves[0]]), ["1"]);
    let subtitles = "SELECT count(*) FROM blobs WHERE blob_type = 3";
    let at_home = sim::store::connect(&trio.mine.databases_dir.join(plex_library::BLOBS_DB)).expect("blobs");
    assert_eq!(rows(&blobs, subtitles, ()), rows(&at_home, subtitles, ()));
}

#[test]
fn a_library_that_was_scanned_from_nothing_gets_homes_numbers() {
    let trio = Trio::together();
    // The same media, found by another server: other numbers, other uuids, in another order.
    let scanned = Builder::new(trio.dir.path().join("scanned"))
        .movies("Films", "/films", 8)
        .music("Music", "/music", 3, 2, 3)
        .shows("Shows", "/shows", 2, 1, 3)
        .build()
        .expect("fixture");
    on(
        &scanned,
        "UPDATE library_sections SET uuid = 'other-' || id; UPDATE metadata_items SET created_at = created_at + 77;
         UPDATE media_items SET created_at = created_at + 77; UPDATE media_parts SET created_at = created_at + 77;",
    );
    let trio = Trio {
        theirs: scanned,
        ..trio
    };
    let new = trio.worker(|worker| {
        let section = trio.theirs.sections[1].id;
        let new = edit::add_track(worker, section, FILE, NOW).expect("add");
        edit::analyse_track(worker, new.track, NOW).expect("analyse");
        new
    });
    trio.home(|home| {
        let list = [&trio.base.sections[0].leaves[..2], &trio.base.sections[2].leaves[..1]].concat();
        edit::add_playlist(home, 1, "Mixed", &list, NOW).expect("playlist")
    });
    let before = dump(&trio.mine);
    let report = both_ways(&trio);
    assert!(report.kept_aside.is_empty(), "{:?}", report.kept_aside);
    let key = |table: &str| format!("{}: {table}", plex_library::LIBRARY_DB);
    let after = dump(&trio.theirs);
    for table in [
        "library_sections",
        "section_locations",
        "play_queue_generators",
        "play_queue_items",
        "accounts",
        "devices",
    ] {
        assert_eq!(ids_in(&after[&key(table)]), ids_in(&before[&key(table)]), "{table}");
    }
    for table in ["media_parts", "metadata_items", "media_items"] {
        let (home, result) = (ids_in(&before[&key(table)]), ids_in(&after[&key(table)]));
        assert!(
            home.iter().all(|id| result.contains(id)),
            "{table}: ids of home are gone"
        );
    }
    let db = open(&trio.theirs.databases_dir);
    let twice = "SELECT file FROM media_parts WHERE file <> '' GROUP BY file HAVING count(*) > 1";
    let known = rows(&open(&trio.mine.databases_dir), twice, ());
    assert_eq!(rows(&db, twice, ()), known, "no file is there twice");
    let moved = one(
        &trio.theirs,
        "SELECT i.library_section_id || ' ' || i.guid || ' ' || i.id FROM media_parts p JOIN media_items m ON m.id = p.media_item_id
         JOIN metadata_items i ON i.id = m.metadata_item_id WHERE p.file = ?1",
        [FILE],
    );
    let words: Vec<&str> = moved.split(' ').collect();
    assert_eq!(words[0], trio.base.sections[0].id.to_string());
    assert_eq!(
        words[1],
        format!("local://{}", words[2]),
        "named by its own number ({})",
        new.track
    );
}

#[test]
fn an_archive_brought_to_a_new_home_keeps_its_playlists_and_its_history() {
    let trio = Trio::together();
    let home = Builder::new(trio.dir.path().join("new")).build().expect("fixture");
    let trio = Trio { mine: home, ..trio };
    on(
        &trio.mine,
        "INSERT OR IGNORE INTO accounts (id, name) VALUES (1, 'Owner')",
    );
    let playlists = "SELECT id, title FROM metadata_items NOT INDEXED WHERE metadata_type = 15 ORDER BY id";
    let entries = "SELECT playlist_id, metadata_item_id FROM play_queue_generators WHERE playlist_id IS NOT NULL ORDER BY playlist_id, \"order\", id";
    let views = "SELECT account_id, guid, viewed_at FROM metadata_item_views ORDER BY id";
    let all = |fixture: &Fixture| [playlists, entries, views].map(|sql| rows(&open(&fixture.databases_dir), sql, ()));
    let before = all(&trio.theirs);
    assert!(!before[1].is_empty());
    both_ways(&trio);
    assert_eq!(all(&trio.theirs), before);
}

#[test]
fn files_in_other_folders_are_refused_by_name() {
    let trio = Trio::together();
    for sql in [
        "UPDATE section_locations SET root_path = '/data' || root_path",
        "UPDATE media_parts SET file = '/data' || file WHERE file <> ''",
    ] {
        on(&trio.theirs, sql);
    }
    let before = dump(&trio.theirs);
    let error = two_way(&databases(&trio.mine), &databases(&trio.theirs), &Options::default()).expect_err("refused");
    let Error::Refused { items, hint, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        items
            .iter()
            .any(|item| item == "Music (/music at home, /data/music in the result)"),
        "{items:?}"
    );
    assert!(hint.contains("plexburst remap"), "{hint}");
    assert_eq!(dump(&trio.theirs), before);
}

#[test]
fn the_catching_up_after_it_is_a_merge_with_a_base() {
    let trio = Trio::together();
    let film = guid(&trio.base, trio.base.sections[2].leaves[0]);
    trio.worker(|worker| edit::add_track(worker, trio.base.sections[0].id, FILE, NOW).expect("add"));
    both_ways(&trio);
    let first = trio.mine.copy(&trio.dir.path().join("first")).expect("copy");
    let before = one(
        &trio.mine,
        "SELECT coalesce(max(view_count), 0) FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1",
        [&film],
    );
    trio.home(|home| edit::scrobble(home, 1, &film, NOW + 100).expect("scrobble"));
    let options = Options {
        catch_up: true,
        ..Options::default()
    };
    merge(
        &databases(&first),
        &databases(&trio.mine),
        &databases(&trio.theirs),
        &options,
    )
    .expect("caught up");
    let count = one(
        &trio.theirs,
        "SELECT view_count FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1",
        [&film],
    );
    assert_eq!(
        count.parse::<i64>().expect("count"),
        before.parse::<i64>().expect("count") + 1
    );
}

#[test]
fn numbers_that_move_in_a_ring_take_their_vectors_with_them() {
    // The archive has the same tracks under each other's numbers: 1 → 2 → 3 → 1.
    let trio = Trio::together();
    ids::keep_apart(&databases(&trio.mine), 1).expect("apart");
    let section = trio.base.sections[0].id;
    let file = |n: usize| format!("/music/Ring/Ring (2001)/{n:02} - Turn {n}.flac");
    let home: Vec<i64> = trio.home(|home| {
        [1, 2, 3]
            .map(|n| edit::add_track(home, section, &file(n), NOW).expect("add").track)
            .to_vec()
    });
    let start = home.iter().min().expect("tracks") - 3;
    // The worker counts from where home counts, so that its numbers are home's in another order.
    on(
        &trio.theirs,
        &format!("UPDATE sqlite_sequence SET seq = {start} WHERE name = 'metadata_items'"),
    );
    trio.worker(|worker| {
        for n in [3, 1, 2] {
            let new = edit::add_track(worker, section, &file(n), NOW).expect("add");
            edit::analyse_track(worker, new.track, NOW).expect("analyse");
            worker
                .blobs
                .execute(
                    "UPDATE blobs SET blob = ?2 WHERE linked_type = 'metadata_item' AND blob_type = 7 AND linked_id = ?1",
                    params![new.track, format!("vector of {n}").as_bytes()],
                )
                .expect("vector");
        }
    });
    both_ways(&trio);
    let blobs = sim::store::connect(&trio.theirs.databases_dir.join(plex_library::BLOBS_DB)).expect("blobs");
    for (id, n) in home.iter().zip(1..) {
        let found = rows(
            &blobs,
            "SELECT CAST(blob AS TEXT) FROM blobs WHERE linked_type = 'metadata_item' AND blob_type = 7 AND linked_id = ?1",
            [id],
        );
        assert_eq!(found, [format!("vector of {n}")]);
    }
}

fn on(fixture: &Fixture, sql: &str) {
    fixture.open().expect("open").library.execute_batch(sql).expect("sql");
}

/// The first column of dumped rows.
fn ids_in(rows: &[String]) -> Vec<&str> {
    rows.iter().filter_map(|row| row.split('|').next()).collect()
}

#[test]
fn what_both_began_to_say_of_one_thing_stays_together_when_it_is_merged_again() {
    let trio = Trio::new();
    let said = "SELECT guid FROM metadata_item_settings WHERE account_id = 1";
    let said: std::collections::BTreeSet<String> =
        rows(&open(&trio.base.databases_dir), said, ()).into_iter().collect();
    let new = (trio.base.sections[0].leaves.iter())
        .map(|&track| guid(&trio.base, track))
        .find(|guid| !said.contains(guid))
        .expect("a track of which nothing is said yet");
    trio.home(|pair| edit::set_offset(pair, 1, &new, 61_000, NOW).expect("offset"));
    trio.worker(|pair| edit::scrobble(pair, 1, &new, NOW + 10).expect("scrobble"));
    let merge = || two_way(&databases(&trio.mine), &databases(&trio.theirs), &Options::default()).expect("merged");
    let state = || {
        let sql = "SELECT view_offset, view_count, last_viewed_at FROM metadata_item_settings
                   WHERE account_id = 1 AND guid = ?1";
        rows(&open(&trio.theirs.databases_dir), sql, [&new])
    };
    merge();
    assert_eq!(state(), [format!("61000|1|{}", NOW + 10)]);
    let again = merge();
    assert!(again.changed_nothing(), "{again:?}");
    assert_eq!(state(), [format!("61000|1|{}", NOW + 10)]);
}

/// What an item is called and what is said of it, but for what was measured.
fn words(fixture: &Fixture, item: i64) -> Vec<String> {
    let db = open(&fixture.databases_dir);
    let mut words = rows(
        &db,
        "SELECT guid, title, summary FROM metadata_items WHERE id = ?1",
        [item],
    );
    words.extend(rows(
        &db,
        "SELECT g.id, t.tag_type, t.tag, g.text FROM taggings g JOIN tags t ON t.id = g.tag_id
         WHERE g.metadata_item_id = ?1 AND t.tag_type NOT IN (9, 12) ORDER BY g.id",
        [item],
    ));
    words
}

#[test]
fn a_film_that_the_worker_merged_into_one_that_home_deleted_stays_itself() {
    for trio in [Trio::new(), Trio::together()] {
        let (film, deleted) = (trio.base.sections[2].leaves[2], trio.base.sections[2].leaves[3]);
        let at_home = words(&trio.mine, film);
        assert!(at_home.len() > 1, "it has tags");
        trio.home(|pair| edit::delete_item(pair, deleted, NOW).expect("delete"));
        trio.worker(|pair| {
            // Of the films in the order of their numbers the third becomes a version of the fourth.
            history::act(&trio.theirs, pair, &Act::Absorb(2), 0);
            let of_media = "SELECT count(*) FROM media_items WHERE metadata_item_id = ?1";
            assert_eq!(rows(&pair.library, of_media, [deleted]), ["2"]);
        });
        both_ways(&trio);
        assert_eq!(words(&trio.theirs, film), at_home);
        let left = "SELECT count(*) FROM metadata_items NOT INDEXED WHERE id = ?1";
        assert_eq!(one(&trio.theirs, left, [deleted]), "0");
    }
}

#[test]
fn what_home_deleted_and_found_again_is_homes_new_row_with_the_archives_analysis() {
    for apart in [true, false] {
        let trio = Trio::together();
        let section = trio.base.sections[0].id;
        let track = trio.base.sections[0].leaves[1];
        let file = one(
            &trio.base,
            "SELECT p.file FROM media_parts p JOIN media_items m ON m.id = p.media_item_id WHERE m.metadata_item_id = ?1",
            [track],
        );
        let label = |pair: &sim::store::Pair, item: i64, label: &str| {
            let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| pair.library.execute(sql, params).expect(sql);
            run(
                "INSERT INTO tags (tag, tag_type, created_at) VALUES (?1, 11, ?2)",
                &[&label, &NOW],
            );
            run(
                "INSERT INTO taggings (metadata_item_id, tag_id, created_at) VALUES (?1, last_insert_rowid(), ?2)",
                &[&item, &NOW],
            );
        };
        // From before the two parted.
        for side in [&trio.base, &trio.mine, &trio.theirs] {
            label(&side.open().expect("open"), track, "old");
            label(
                &side.open().expect("open"),
                trio.base.sections[0].leaves[0],
                "elsewhere",
            );
        }
        if apart {
            ids::keep_apart(&databases(&trio.theirs), 1).expect("apart");
        }
        let new = trio.home(|pair| {
            edit::delete_item(pair, track, NOW).expect("delete");
            let new = edit::add_track(pair, section, &file, NOW + 5).expect("add").track;
            label(pair, new, "new");
            new
        });
        trio.worker(|pair| edit::analyse_track(pair, track, NOW + 7).expect("analyse"));
        both_ways(&trio);
        let words = words(&trio.theirs, new).join("\n");
        assert!(words.contains("|11|new|") && !words.contains("|11|old|"), "{words}");
        let blobs = sim::store::connect(&trio.theirs.databases_dir.join(plex_library::BLOBS_DB)).expect("blobs");
        let vector =
            "SELECT count(*) FROM blobs WHERE blob_type = 7 AND linked_type = 'metadata_item' AND linked_id = ?1";
        assert_eq!(rows(&blobs, vector, [new]), ["1"]);
    }
}

#[test]
fn what_the_archive_had_matched_to_something_else_says_nothing_of_homes() {
    let trio = Trio::together();
    let film = trio.base.sections[2].leaves[1];
    let other = trio.base.sections[2].leaves[5];
    let at_home = words(&trio.mine, film);
    on(
        &trio.theirs,
        &format!(
            "UPDATE metadata_items SET guid = 'plex://movie/another', hash = 'another', title = 'Another', title_sort = 'Another',
               summary = 'About another', refreshed_at = refreshed_at + 900 WHERE id = {film};
             DELETE FROM taggings WHERE metadata_item_id = {film} AND id % 2 = 0;
             INSERT INTO taggings (metadata_item_id, tag_id, \"index\", text, created_at)
               SELECT {film}, tag_id, \"index\", text, {NOW} FROM taggings WHERE metadata_item_id = {other};"
        ),
    );
    both_ways(&trio);
    assert_eq!(words(&trio.theirs, film), at_home);
}
