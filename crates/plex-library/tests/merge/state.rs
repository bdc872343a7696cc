//! Ratings, offsets, counts and history.

use sim::fixture::edit;

use crate::support::{NOW, Trio, databases, guid, one, open, rows};

fn setting(trio: &Trio, guid: &str, column: &str) -> String {
    one(
        &trio.theirs,
        &format!("SELECT {column} FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1"),
        [guid],
    )
}

#[test]
fn what_the_household_did_is_in_the_result() {
    let trio = Trio::new();
    let track = trio.base.sections[0].leaves[0];
    let film = trio.base.sections[2].leaves[1];
    let (track_guid, film_guid) = (guid(&trio.base, track), guid(&trio.base, film));
    let count: i64 = one(
        &trio.base,
        "SELECT coalesce(sum(view_count), 0) FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1",
        [&track_guid],
    )
    .parse()
    .expect("count");
    let view = trio.home(|home| {
        edit::rate(home, 1, &film_guid, Some(9.0), NOW).expect("rate");
        edit::set_offset(home, 1, &film_guid, 123_456, NOW + 1).expect("offset");
        edit::scrobble(home, 1, &track_guid, NOW + 2).expect("scrobble")
    });
    trio.worker(|worker| edit::analyse_track(worker, track, NOW + 3).expect("analyse"));
    let report = trio.merge_twice();
    assert_eq!(setting(&trio, &film_guid, "rating"), "9");
    assert_eq!(setting(&trio, &film_guid, "view_offset"), "123456");
    assert_eq!(setting(&trio, &track_guid, "view_count"), (count + 1).to_string());
    let viewed = one(
        &trio.theirs,
        "SELECT guid || ' ' || viewed_at FROM metadata_item_views WHERE id = ?1",
        [view],
    );
    assert_eq!(viewed, format!("{track_guid} {}", NOW + 2));
    assert!(report.carried["metadata_item_views"].inserted == 1, "{report:?}");
    let marked = one(
        &trio.theirs,
        "SELECT extra_data LIKE '%musicAnalysisVersion%' FROM metadata_items WHERE id = ?1",
        [track],
    );
    assert_eq!(marked, "1", "the worker's analysis");
}

#[test]
fn plays_on_both_sides_add_up_once() {
    let trio = Trio::new();
    let film = guid(&trio.base, trio.base.sections[2].leaves[0]);
    trio.home(|home| {
        edit::scrobble(home, 1, &film, NOW).expect("scrobble");
        edit::scrobble(home, 1, &film, NOW + 9_000).expect("scrobble");
    });
    trio.worker(|worker| edit::scrobble(worker, 1, &film, NOW + 100).expect("scrobble"));
    let before: i64 = one(
        &trio.base,
        "SELECT coalesce(sum(view_count), 0) FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1",
        [&film],
    )
    .parse()
    .expect("count");
    trio.merge_twice();
    assert_eq!(setting(&trio, &film, "view_count"), (before + 3).to_string());
    assert_eq!(setting(&trio, &film, "last_viewed_at"), (NOW + 9_000).to_string());
    let dates = rows(
        &open(&trio.theirs.databases_dir),
        "SELECT viewed_at FROM metadata_item_views WHERE guid = ?1 AND viewed_at >= ?2 ORDER BY 1",
        (&film, NOW),
    );
    assert_eq!(dates, [NOW, NOW + 100, NOW + 9_000].map(|at| at.to_string()));
}

#[test]
fn only_home_takes_a_play_back() {
    let trio = Trio::new();
    let [one_film, other] = [0, 1].map(|n| guid(&trio.base, trio.base.sections[2].leaves[n]));
    for film in [&one_film, &other] {
        for fixture in [&trio.base, &trio.mine, &trio.theirs] {
            let pair = fixture.open().expect("open");
            edit::scrobble(&pair, 1, film, NOW - 100).expect("scrobble");
        }
    }
    trio.home(|home| edit::unscrobble(home, 1, &one_film, NOW).expect("unscrobble"));
    trio.worker(|worker| edit::unscrobble(worker, 1, &other, NOW).expect("unscrobble"));
    trio.merge_twice();
    assert_eq!(setting(&trio, &one_film, "view_count"), "0");
    assert_ne!(setting(&trio, &other, "view_count"), "0");
    assert_eq!(setting(&trio, &other, "last_viewed_at"), (NOW - 100).to_string());
}

#[test]
fn a_setting_that_both_sides_began_is_one_row_with_homes_id() {
    let trio = Trio::new();
    let photo = one(
        &trio.base,
        "SELECT guid FROM metadata_items NOT INDEXED WHERE metadata_type IN (1, 10, 13) AND library_section_id > 0
         AND guid NOT IN (SELECT guid FROM metadata_item_settings) LIMIT 1",
        [],
    );
    trio.home(|home| edit::rate(home, 1, &photo, Some(4.0), NOW).expect("rate"));
    trio.worker(|worker| edit::scrobble(worker, 1, &photo, NOW + 5).expect("scrobble"));
    let at_home = one(
        &trio.mine,
        "SELECT id FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1",
        [&photo],
    );
    trio.merge_twice();
    assert_eq!(setting(&trio, &photo, "id"), at_home);
    assert_eq!(setting(&trio, &photo, "rating"), "4");
    assert_eq!(setting(&trio, &photo, "view_count"), "1");
}

#[test]
fn what_hangs_on_an_item_follows_when_the_worker_matches_it() {
    let trio = Trio::of(|builder| builder.music("Music", "/music", 2, 1, 3).household(4, 2, 0));
    let file = "/music/New Artist/New Album (2020)/01 - Song.flac";
    let added = [&trio.base, &trio.mine, &trio.theirs].map(|fixture| {
        let pair = fixture.open().expect("open");
        edit::add_track(&pair, trio.base.sections[0].id, file, NOW - 50)
            .expect("add")
            .track
    });
    assert!(added.iter().all(|id| *id == added[0]));
    let local = format!("local://{}", added[0]);
    trio.home(|home| {
        edit::rate(home, 1, &local, Some(8.0), NOW).expect("rate");
        edit::view(home, 1, &local, NOW + 1).expect("view");
    });
    trio.worker(|worker| {
        worker
            .library
            .execute(
                "UPDATE metadata_items SET guid = 'plex://track/abc' WHERE id = ?1",
                [added[0]],
            )
            .expect("match");
    });
    trio.merge_twice();
    assert_eq!(setting(&trio, "plex://track/abc", "rating"), "8");
    let views = one(
        &trio.theirs,
        "SELECT count(*) FROM metadata_item_views WHERE guid = 'plex://track/abc'",
        [],
    );
    assert_eq!(views, "1");
}

#[test]
fn catching_up_carries_what_happened_since_the_first_merge() {
    let trio = Trio::new();
    let film = guid(&trio.base, trio.base.sections[2].leaves[0]);
    let section = trio.base.sections[0].id;
    trio.home(|home| edit::scrobble(home, 1, &film, NOW).expect("scrobble"));
    trio.worker(|worker| {
        edit::scrobble(worker, 1, &film, NOW + 1).expect("scrobble");
        edit::add_track(worker, section, "/music/A/B/01 - C.flac", NOW + 1).expect("add");
    });
    trio.merge();
    let first = trio.mine.copy(&trio.dir.path().join("mine1")).expect("copy");
    let playlist = trio.home(|home| {
        edit::scrobble(home, 1, &film, NOW + 60).expect("scrobble");
        edit::add_playlist(home, 1, "Evening", &trio.base.sections[0].leaves[..3], NOW + 61).expect("playlist")
    });
    let report = plex_library::merge::merge(
        &databases(&first),
        &databases(&trio.mine),
        &databases(&trio.theirs),
        &plex_library::merge::Options::default(),
    )
    .expect("caught up");
    crate::support::whole(&trio.theirs.databases_dir);
    assert!(
        report.same_files.is_empty() && report.kept_aside.is_empty(),
        "{report:?}"
    );
    let before: i64 = one(
        &trio.base,
        "SELECT coalesce(sum(view_count), 0) FROM metadata_item_settings WHERE account_id = 1 AND guid = ?1",
        [&film],
    )
    .parse()
    .expect("count");
    assert_eq!(setting(&trio, &film, "view_count"), (before + 3).to_string());
    assert_eq!(
        one(
            &trio.theirs,
            "SELECT title FROM metadata_items WHERE id = ?1",
            [playlist]
        ),
        "Evening"
    );
    let entries = one(
        &trio.theirs,
        "SELECT count(*) FROM play_queue_generators WHERE playlist_id = ?1",
        [playlist],
    );
    assert_eq!(entries, "3");
}
