//! Odd libraries: old schemas, text that is not text, counters at their end, big pages.

use sim::fixture::edit;
use sim::schema::Version;

use plex_library::merge::{Options, Wish, carry_back, two_way};

use crate::support::{NOW, Trio, databases, guid, one};

#[test]
fn page_sizes_of_all_kinds() {
    for page_size in [4096, 16_384] {
        let trio = Trio::of(|builder| {
            builder
                .page_size(page_size)
                .music("M", "/m", 4, 2, 4)
                .household(9, 3, 1)
        });
        plex_library::ids::keep_apart(&databases(&trio.theirs), 1).expect("apart");
        let track = trio.base.sections[0].leaves[0];
        let playlist = trio.home(|home| edit::add_playlist(home, 1, "P", &[track], NOW).expect("playlist"));
        trio.worker(|worker| edit::analyse_track(worker, track, NOW).expect("analyse"));
        trio.merge_twice();
        assert_eq!(
            one(
                &trio.theirs,
                "SELECT title FROM metadata_items WHERE id = ?1",
                [playlist]
            ),
            "P"
        );
    }
}

#[test]
fn a_library_of_2020_keeps_its_user_state_and_says_what_it_cannot_write() {
    let trio = Trio::of(|builder| {
        builder
            .version(Version::Plex2020)
            .music("M", "/m", 3, 2, 4)
            .household(9, 3, 1)
    });
    plex_library::ids::keep_apart(&databases(&trio.theirs), 1).expect("apart");
    let track = guid(&trio.base, trio.base.sections[0].leaves[0]);
    trio.home(|home| edit::rate(home, 1, &track, Some(6.0), NOW).expect("rate"));
    let report = trio.try_merge().expect("merged");
    assert!(report.kept_aside.is_empty(), "{report:?}");
    let rating = one(
        &trio.theirs,
        "SELECT rating FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1",
        [&track],
    );
    assert_eq!(rating, "6");
    let playlist = trio.home(|home| {
        home.library
            .execute(
                "INSERT INTO metadata_items (metadata_type, guid, title, title_sort) VALUES (15, 'x', 'Old', 'Old')",
                [],
            )
            .expect("playlist");
        home.library.last_insert_rowid()
    });
    let report = trio.try_merge().expect("merged");
    assert_eq!(report.kept_aside.len(), 1, "{report:?}");
    assert_eq!(report.kept_aside[0].id, playlist);
    assert!(report.kept_aside[0].why.contains("naturalsort"), "{report:?}");
}

#[test]
fn a_library_of_2020_is_merged_without_a_base_and_carried_back_too() {
    let trio = Trio::of(|builder| {
        builder
            .version(Version::Plex2020)
            .music("M", "/m", 3, 2, 4)
            .household(9, 3, 1)
    });
    let tracks = trio.base.sections[0].leaves.clone();
    let track = guid(&trio.base, tracks[0]);
    trio.worker(|worker| {
        worker
            .library
            .execute(
                "UPDATE media_items SET bitrate = 7 WHERE metadata_item_id = ?1",
                [tracks[0]],
            )
            .expect("analyse");
    });
    let playlist = trio.home(|home| {
        edit::rate(home, 1, &track, Some(6.0), NOW).expect("rate");
        home.library
            .execute(
                "INSERT INTO metadata_items (metadata_type, guid, title, title_sort) VALUES (15, 'x', 'Old', 'Old')",
                [],
            )
            .expect("playlist");
        let playlist = home.library.last_insert_rowid();
        home.library
            .execute(
                "INSERT INTO play_queue_generators (playlist_id, metadata_item_id, \"order\", created_at, updated_at) VALUES (?1, ?2, 1.0, '2020-02-24 13:13:00', '2020-02-24 13:13:00')",
                [playlist, tracks[1]],
            )
            .expect("entry");
        playlist
    });
    let rating = "SELECT rating FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1";
    let wish = |made: &[Wish]| match made {
        [Wish::Playlist { id, title, items, .. }] => *id == playlist && title == "Old" && *items == [tracks[1]],
        _ => false,
    };
    let back = trio.theirs.copy(&trio.dir.path().join("back")).expect("copy");
    let report = two_way(&databases(&trio.mine), &databases(&trio.theirs), &Options::default()).expect("merged");
    assert!(wish(&report.to_make), "{report:?}");
    assert_eq!(one(&trio.theirs, rating, [&track]), "6");
    let measured = "SELECT bitrate FROM media_items WHERE metadata_item_id = ?1";
    assert_eq!(one(&trio.theirs, measured, [tracks[0]]), "7");
    let report = carry_back(
        &databases(&trio.base),
        &databases(&trio.mine),
        &databases(&back),
        &Options::default(),
    )
    .expect("carried back");
    assert!(wish(&report.to_make), "{report:?}");
    assert_eq!(one(&back, rating, [&track]), "6");
    assert_eq!(
        one(&back, measured, [tracks[0]]),
        "7",
        "what the older library had measured stays"
    );
}

#[test]
fn counters_at_their_end_stay_there() {
    let trio = Trio::new();
    let films = &trio.base.sections[2].leaves;
    for fixture in [&trio.base, &trio.mine, &trio.theirs] {
        let pair = fixture.open().expect("open");
        pair.library
            .execute(
                "UPDATE metadata_items SET changed_at = 9223372036854775806 WHERE id = ?1",
                [films[0]],
            )
            .expect("update");
    }
    let film = guid(&trio.base, films[1]);
    trio.home(|home| {
        home.library
            .execute(
                "INSERT INTO metadata_item_settings (account_id, guid, rating, changed_at) VALUES (7, ?1, 5.0, 12)",
                [&film],
            )
            .expect("rate");
    });
    trio.merge_twice();
    let counter = one(
        &trio.theirs,
        "SELECT changed_at FROM metadata_item_settings WHERE account_id = 7 AND guid = ?1",
        [&film],
    );
    assert_eq!(counter, i64::MAX.to_string(), "counted on, never copied");
}

#[test]
fn file_names_that_are_not_text_come_through() {
    let trio = Trio::new();
    let section = trio.base.sections[0].id;
    let ids = trio.home(|home| {
        let ids = edit::add_track(home, section, "/music/A/B/01 - C.flac", NOW).expect("add");
        home.library
            .execute(
                "UPDATE media_parts SET file = CAST(x'2f6d757369632fff2e666c6163' AS TEXT) WHERE id = ?1",
                [ids.part],
            )
            .expect("update");
        ids
    });
    trio.merge_twice();
    let got = one(
        &trio.theirs,
        "SELECT typeof(file) || hex(file) FROM media_parts WHERE id = ?1",
        [ids.part],
    );
    assert_eq!(got, "text2F6D757369632FFF2E666C6163");
}

#[test]
fn an_index_that_keeps_its_text_is_carried_with_what_plex_put_into_it() {
    let trio = Trio::new();
    // The layout of servers since about 1.43: the words of an episode include those of its show, as Plex writes them there.
    for fixture in [&trio.base, &trio.mine, &trio.theirs] {
        let pair = fixture.open().expect("open");
        pair.library
            .execute_batch(
                "DROP TABLE fts4_metadata_titles_icu;
                 CREATE VIRTUAL TABLE fts4_metadata_titles_icu USING fts4(title, title_sort, original_title, tokenize=collating 'root@colStrength=primary;colAlternate=shifted');
                 INSERT INTO fts4_metadata_titles_icu(docid, title, title_sort, original_title)
                   SELECT id, title || ' ', title_sort, original_title FROM metadata_items NOT INDEXED;",
            )
            .expect("layout");
    }
    let film = trio.base.sections[2].leaves[0];
    let playlist = trio.home(|home| {
        let id = edit::add_playlist(home, 1, "Words", &[film], NOW).expect("playlist");
        home.library
            .execute_batch(&format!(
                "DELETE FROM fts4_metadata_titles_icu WHERE docid = {id};
                 INSERT INTO fts4_metadata_titles_icu(docid, title) VALUES ({id}, 'Words and More');"
            ))
            .expect("words");
        id
    });
    trio.merge_twice();
    let found = one(
        &trio.theirs,
        "SELECT docid || title FROM fts4_metadata_titles_icu WHERE fts4_metadata_titles_icu MATCH 'more'",
        [],
    );
    assert_eq!(found, format!("{playlist}Words and More"));
}
