//! What home's own scans and people's edits did to the content, and what the worker did to the same.

use sim::fixture::edit::{self, Field};

use crate::support::{NOW, Trio, one, open, part_of, rows};

const FILE: &str = "/music/New Artist/New Album (2020)/01 - Song.flac";

#[test]
fn the_same_new_file_on_both_sides_is_one_item_with_homes_ids_and_the_workers_analysis() {
    let trio = Trio::new();
    let section = trio.base.sections[0].id;
    let home = trio.home(|home| {
        let ids = edit::add_track(home, section, FILE, NOW).expect("add");
        edit::rate(home, 1, &format!("local://{}", ids.track), Some(10.0), NOW + 1).expect("rate");
        edit::add_playlist(home, 1, "Fresh", &[ids.track], NOW + 2).expect("playlist");
        ids
    });
    let worker = trio.worker(|worker| {
        let ids = edit::add_track(worker, section, FILE, NOW + 5).expect("add");
        edit::analyse_track(worker, ids.track, NOW + 6).expect("analyse");
        // A second file in the same album, which home has not seen.
        edit::add_track(
            worker,
            section,
            "/music/New Artist/New Album (2020)/02 - Other.flac",
            NOW + 7,
        )
        .expect("add");
        ids
    });
    assert_ne!(home.track, worker.track);
    let report = trio.merge_twice();
    assert_eq!(report.same_files.len(), 1);
    assert_eq!(
        (report.same_files[0].home, report.same_files[0].worker),
        (home.track, worker.track)
    );
    let db = open(&trio.theirs.databases_dir);
    assert_eq!(
        rows(&db, "SELECT id FROM media_parts WHERE file = ?1", [FILE]),
        [home.part.to_string()]
    );
    for (table, ours, gone) in [
        ("metadata_items", home.track, worker.track),
        ("metadata_items", home.album, worker.album),
        ("metadata_items", home.artist, worker.artist),
        ("media_items", home.media, worker.media),
        ("media_parts", home.part, worker.part),
    ] {
        let count = |id: i64| {
            rows(
                &db,
                &format!("SELECT count(*) FROM {table} NOT INDEXED WHERE id = ?1"),
                [id],
            )
        };
        assert_eq!(
            (count(ours), count(gone)),
            (vec!["1".into()], vec!["0".into()]),
            "{table}"
        );
    }
    let albums = rows(
        &db,
        "SELECT id FROM metadata_items NOT INDEXED WHERE title = 'New Album' AND metadata_type = 9",
        (),
    );
    assert_eq!(albums, [home.album.to_string()], "the album is not doubled");
    let tracks = rows(
        &db,
        "SELECT title FROM metadata_items NOT INDEXED WHERE parent_id = ?1 ORDER BY \"index\"",
        [home.album],
    );
    assert_eq!(tracks, ["Song", "Other"]);
    let vector = sim::store::connect(&trio.theirs.databases_dir.join(plex_library::BLOBS_DB)).expect("blobs");
    let owners = rows(
        &vector,
        "SELECT linked_id FROM blobs WHERE blob_type = 7 AND linked_id IN (?1, ?2)",
        [home.track, worker.track],
    );
    assert_eq!(owners, [home.track.to_string()], "the vector belongs to home's id");
    let guid = format!("local://{}", home.track);
    assert_eq!(
        one(
            &trio.theirs,
            "SELECT guid FROM metadata_items WHERE id = ?1",
            [home.track]
        ),
        guid
    );
    let rating = one(
        &trio.theirs,
        "SELECT rating FROM metadata_item_settings WHERE guid = ?1",
        [&guid],
    );
    assert_eq!(rating, "10");
    assert!(!report.bundles.is_empty(), "the worker's bundles go under home's names");
}

#[test]
fn files_that_only_one_side_found_are_both_there() {
    let trio = Trio::new();
    let section = trio.base.sections[0].id;
    let home = trio.home(|home| edit::add_track(home, section, FILE, NOW).expect("add"));
    let worker =
        trio.worker(|worker| edit::add_track(worker, section, "/music/Third/Album/01 - X.flac", NOW).expect("add"));
    trio.merge_twice();
    for track in [home.track, worker.track] {
        assert_eq!(
            one(
                &trio.theirs,
                "SELECT count(*) FROM media_items WHERE metadata_item_id = ?1",
                [track]
            ),
            "1"
        );
    }
    let found = one(
        &trio.theirs,
        "SELECT count(*) FROM fts4_metadata_titles_icu WHERE fts4_metadata_titles_icu MATCH 'title:song'",
        [],
    );
    assert!(
        found.parse::<i64>().expect("count") >= 1,
        "home's new title can be searched for"
    );
}

#[test]
fn one_number_for_two_collections_of_a_locked_item_keeps_homes() {
    // Without ids kept apart both taggings of the item have one number, and the lock has the worker's taken away.
    let trio = Trio::together();
    let films = &trio.base.sections[2];
    let film = films.leaves[0];
    let of_home = trio.home(|home| {
        edit::lock_field(home, film, edit::Field::Summary, "Said at home", NOW).expect("lock");
        edit::add_collection(home, films.id, "Of home", &[film], NOW).expect("collection")
    });
    let of_worker = trio
        .worker(|worker| edit::add_collection(worker, films.id, "Of the worker", &[film], NOW).expect("collection"));
    assert_eq!(of_home, of_worker, "the same ids, to begin with");
    trio.merge_twice();
    let given = rows(
        &open(&trio.theirs.databases_dir),
        "SELECT t.tag FROM taggings g JOIN tags t ON t.id = g.tag_id WHERE g.metadata_item_id = ?1 AND t.tag_type = 2",
        [film],
    );
    assert!(given.contains(&"Of home".to_owned()), "{given:?}");
}

#[test]
fn streams_that_both_sides_made_anew_with_overlapping_numbers_get_homes() {
    // Without ids kept apart: home's new streams of the film begin one further than the worker's.
    let trio = Trio::together();
    let section = trio.base.sections[0].id;
    let film = part_of(&trio.base, trio.base.sections[2].leaves[0]);
    trio.home(|home| {
        edit::add_track(home, section, "/music/Home/Album/01 - Ours.flac", NOW).expect("add");
        edit::recreate_streams(home, film, NOW).expect("streams");
    });
    trio.worker(|worker| edit::recreate_streams(worker, film, NOW + 1).expect("streams"));
    trio.merge_twice();
    let sql = "SELECT id || ' ' || stream_type_id || ' ' || codec || ' ' || coalesce(language, '') FROM media_streams
               WHERE media_part_id = ?1 ORDER BY id";
    let of = |fixture: &sim::fixture::Fixture| rows(&open(&fixture.databases_dir), sql, [film]);
    assert!(of(&trio.mine).len() > 1);
    assert_eq!(of(&trio.theirs), of(&trio.mine));
}

#[test]
fn one_id_for_two_files_becomes_two() {
    // Without ids kept apart: both sides give the next number, and local://<number> to different songs.
    let trio = Trio::together();
    let section = trio.base.sections[0].id;
    let home = trio.home(|home| {
        let ids = edit::add_track(home, section, "/music/Home/Album/01 - Ours.flac", NOW).expect("add");
        edit::rate(home, 1, &format!("local://{}", ids.track), Some(2.0), NOW).expect("rate");
        ids
    });
    let worker = trio.worker(|worker| {
        let ids = edit::add_track(worker, section, "/music/Worker/Album/01 - Theirs.flac", NOW).expect("add");
        edit::analyse_track(worker, ids.track, NOW).expect("analyse");
        ids
    });
    assert_eq!(home, worker, "the same ids, to begin with");
    let report = trio.merge();
    let db = open(&trio.theirs.databases_dir);
    let of = |file: &str| {
        rows(
            &db,
            "SELECT i.id || ' ' || i.guid || ' ' || i.title FROM media_parts p JOIN media_items m ON m.id = p.media_item_id
             JOIN metadata_items i ON i.id = m.metadata_item_id WHERE p.file = ?1",
            [file],
        )
    };
    assert_eq!(
        of("/music/Home/Album/01 - Ours.flac"),
        [format!("{0} local://{0} Ours", home.track)]
    );
    let theirs = of("/music/Worker/Album/01 - Theirs.flac");
    let moved: i64 = theirs[0].split(' ').next().and_then(|id| id.parse().ok()).expect("id");
    assert_ne!(moved, worker.track);
    assert_eq!(theirs, [format!("{moved} local://{moved} Theirs")]);
    let rated = rows(
        &db,
        "SELECT guid FROM metadata_item_settings WHERE rating = 2.0 AND guid LIKE 'local://%'",
        (),
    );
    assert_eq!(
        rated,
        [format!("local://{}", home.track)],
        "the rating stays with the song that was rated"
    );
    assert!(report.renumbered["metadata_items"] >= 3, "{report:?}");
    drop(db);
    trio.merge_twice();
}

#[test]
fn what_home_deleted_stays_deleted_although_the_worker_analysed_it() {
    let trio = Trio::new();
    let track = trio.base.sections[0].leaves[4];
    let part = part_of(&trio.base, track);
    trio.home(|home| edit::delete_item(home, track, NOW).expect("delete"));
    trio.worker(|worker| {
        edit::analyse_track(worker, track, NOW).expect("analyse");
        edit::recreate_streams(worker, part, NOW).expect("streams");
        edit::refresh_item(worker, track, "fresh words", NOW).expect("refresh");
    });
    trio.merge_twice();
    for (table, column, id) in [
        ("metadata_items", "id", track),
        ("media_items", "metadata_item_id", track),
        ("media_parts", "id", part),
        ("media_streams", "media_part_id", part),
        ("taggings", "metadata_item_id", track),
    ] {
        let left = one(
            &trio.theirs,
            &format!("SELECT count(*) FROM {table} NOT INDEXED WHERE {column} = ?1"),
            [id],
        );
        assert_eq!(left, "0", "{table}");
    }
}

#[test]
fn an_album_with_a_new_file_outlives_its_deletion() {
    let trio = Trio::new();
    let section = trio.base.sections[0].id;
    let old = [&trio.base, &trio.mine].map(|fixture| {
        let pair = fixture.open().expect("open");
        edit::add_track(&pair, section, FILE, NOW - 10).expect("add")
    });
    // The worker has it too, by the same ids: it begins from the base.
    let trio = Trio {
        theirs: trio.base.copy(&trio.dir.path().join("theirs2")).expect("copy"),
        ..trio
    };
    plex_library::ids::keep_apart(&crate::support::databases(&trio.theirs), 1).expect("apart");
    let new = trio.worker(|worker| {
        edit::add_track(
            worker,
            section,
            "/music/New Artist/New Album (2020)/02 - Other.flac",
            NOW,
        )
        .expect("add")
    });
    assert_eq!(new.album, old[0].album);
    trio.home(|home| {
        for item in [old[0].track, old[0].album, old[0].artist] {
            edit::delete_item(home, item, NOW).expect("delete");
        }
    });
    let report = trio.merge_twice();
    let left = |id: i64| {
        one(
            &trio.theirs,
            "SELECT count(*) FROM metadata_items NOT INDEXED WHERE id = ?1",
            [id],
        )
    };
    assert_eq!(
        (left(old[0].track), left(old[0].album), left(new.track)),
        ("0".into(), "1".into(), "1".into())
    );
    assert!(
        report.decided.iter().any(|decided| decided.id == new.album),
        "{report:?}"
    );
}

#[test]
fn locked_edits_win_over_a_refresh_and_can_be_searched_for() {
    let trio = Trio::new();
    let film = trio.base.sections[2].leaves[3];
    trio.home(|home| {
        edit::lock_field(home, film, Field::Title, "Zebras of the Household", NOW).expect("edit");
        edit::lock_field(home, film, Field::Summary, "ours", NOW).expect("edit");
    });
    trio.worker(|worker| edit::refresh_item(worker, film, "the agent's", NOW + 1).expect("refresh"));
    let report = trio.merge_twice();
    let got = one(
        &trio.theirs,
        "SELECT title || '/' || summary FROM metadata_items WHERE id = ?1",
        [film],
    );
    assert_eq!(got, "Zebras of the Household/ours");
    let hits = one(
        &trio.theirs,
        "SELECT docid FROM fts4_metadata_titles_icu WHERE fts4_metadata_titles_icu MATCH 'zebras household'",
        [],
    );
    assert_eq!(hits, film.to_string());
    assert!(
        report.decided.iter().any(|decided| decided.about.contains("summary")),
        "{report:?}"
    );
}

#[test]
fn a_new_sort_title_is_found_by_plexs_own_order() {
    let trio = Trio::new();
    let film = trio.base.sections[2].leaves[0];
    trio.home(|home| {
        home.library
            .execute(
                "UPDATE metadata_items SET title_sort = '10 Ängste' WHERE id = ?1",
                [film],
            )
            .expect("edit");
    });
    trio.merge_twice();
    let found = one(
        &trio.theirs,
        "SELECT id FROM metadata_items INDEXED BY index_title_sort_icu WHERE title_sort = '10 Ängste' COLLATE icu_root",
        [],
    );
    assert_eq!(found, film.to_string());
}

#[test]
fn chosen_streams_and_downloaded_subtitles_survive_a_new_analysis() {
    let trio = Trio::new();
    let film = trio.base.sections[2].leaves[2];
    let part = part_of(&trio.base, film);
    let audio: i64 = one(
        &trio.base,
        "SELECT min(id) FROM media_streams WHERE media_part_id = ?1 AND stream_type_id = 2",
        [part],
    )
    .parse()
    .expect("an audio stream");
    let subtitle = trio.home(|home| {
        edit::select_stream(home, 1, part, audio, NOW).expect("select");
        home.library
            .execute(
                "UPDATE media_part_settings SET selected_audio_stream_id = ?2 WHERE media_part_id = ?1",
                [part, audio],
            )
            .expect("select");
        edit::add_subtitle(home, part, "deu", "1\n00:00:01,000 --> 00:00:02,000\nHallo\n", NOW).expect("subtitle")
    });
    trio.worker(|worker| edit::recreate_streams(worker, part, NOW + 1).expect("streams"));
    trio.merge_twice();
    let db = open(&trio.theirs.databases_dir);
    let chosen = rows(
        &db,
        "SELECT s.id, s.stream_type_id FROM media_part_settings p JOIN media_streams s ON s.id = p.selected_audio_stream_id
         WHERE p.media_part_id = ?1",
        [part],
    );
    assert_eq!(chosen, [format!("{audio}|2")]);
    let streams = |fixture: &sim::fixture::Fixture| {
        rows(
            &open(&fixture.databases_dir),
            "SELECT stream_type_id, \"index\", codec, language FROM media_streams WHERE media_part_id = ?1 ORDER BY 1, 2, 3, 4",
            [part],
        )
    };
    assert_eq!(streams(&trio.theirs), streams(&trio.mine), "no stream twice, none lost");
    let blobs = sim::store::connect(&trio.theirs.databases_dir.join(plex_library::BLOBS_DB)).expect("blobs");
    assert_eq!(
        rows(
            &blobs,
            "SELECT count(*) FROM blobs WHERE blob_type = 3 AND linked_id = ?1",
            [subtitle]
        ),
        ["1"]
    );
}

#[test]
fn an_item_that_the_worker_made_anew_has_its_old_id() {
    let trio = Trio::new();
    let section = trio.base.sections[0].id;
    let track = trio.base.sections[0].leaves[0];
    let file = one(
        &trio.base,
        "SELECT file FROM media_parts WHERE id = ?1",
        [part_of(&trio.base, track)],
    );
    let worker = trio.worker(|worker| {
        edit::delete_item(worker, track, NOW).expect("delete");
        edit::add_track(worker, section, &file, NOW + 1).expect("add")
    });
    assert_ne!(worker.track, track);
    trio.merge_twice();
    let owner = one(
        &trio.theirs,
        "SELECT m.metadata_item_id FROM media_parts p JOIN media_items m ON m.id = p.media_item_id WHERE p.file = ?1",
        [&file],
    );
    assert_eq!(owner, track.to_string());
}

#[test]
fn a_section_deleted_at_home_goes_with_what_the_worker_found_in_it() {
    let trio = Trio::new();
    let section = trio.base.sections[0].id;
    trio.worker(|worker| edit::add_track(worker, section, FILE, NOW).expect("add"));
    trio.home(|home| {
        for track in &trio.base.sections[0].leaves {
            edit::delete_item(home, *track, NOW).expect("delete");
        }
        home.library
            .execute_batch(&format!(
                "DELETE FROM metadata_items WHERE library_section_id = {section};
                 DELETE FROM directories WHERE library_section_id = {section};
                 DELETE FROM section_locations WHERE library_section_id = {section};
                 DELETE FROM library_sections WHERE id = {section};"
            ))
            .expect("delete");
    });
    trio.merge_twice();
    for table in ["metadata_items", "media_items", "directories", "section_locations"] {
        let left = one(
            &trio.theirs,
            &format!("SELECT count(*) FROM {table} NOT INDEXED WHERE library_section_id = ?1"),
            [section],
        );
        assert_eq!(left, "0", "{table}");
    }
}
