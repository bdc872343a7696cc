use std::fs;

use plex_library::diff::{self, Difference};
use plex_library::{Databases, Which};
use sim::fixture::Builder;
use sim::schema::Version;

fn library(dir: &std::path::Path, version: Version) -> Databases {
    Builder::new(dir)
        .version(version)
        .music("Music", "/music", 2, 2, 5)
        .movies("Films", "/films", 4)
        .household(10, 5, 2)
        .sonic(0.5)
        .build()
        .unwrap();
    Databases::at(dir)
}

/// The difference that these statements make; none of them touches a row with a trigger.
fn after(version: Version, library_sql: &str, blobs_sql: &str) -> Difference {
    let tmp = tempfile::tempdir().unwrap();
    let before = library(&tmp.path().join("before"), version);
    let after = Databases::at(tmp.path().join("after"));
    fs::create_dir(after.dir()).unwrap();
    for (which, sql) in [(Which::Library, library_sql), (Which::Blobs, blobs_sql)] {
        fs::copy(before.path(which), after.path(which)).unwrap();
        rusqlite::Connection::open(after.path(which))
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }
    diff::between(&before, &after).unwrap()
}

#[test]
fn equal_libraries_do_not_differ() {
    for version in [Version::Plex2026, Version::Plex2020] {
        let found = after(version, "", "");
        assert!(found.same, "{found:#?}");
        assert_eq!(found.sentences(), ["Nothing differs."]);
    }
}

#[test]
fn what_a_burst_and_a_household_did_is_told_in_words() {
    let found = after(
        Version::Plex2026,
        "UPDATE media_parts SET deleted_at = 1 WHERE id = 1;
         DELETE FROM media_parts WHERE id = 2;
         UPDATE media_items SET media_analysis_version = 99 WHERE id = 3;
         INSERT INTO metadata_item_views(account_id, guid, viewed_at) VALUES(1, 'plex://x', 1800000000);
         UPDATE metadata_item_settings SET rating = 3.0 WHERE id = (SELECT min(id) FROM metadata_item_settings);
         INSERT INTO metadata_item_settings(account_id, guid, view_offset, view_count) VALUES(7, 'plex://new', 5000, 0);
         INSERT INTO schema_migrations(version) VALUES('209901010000');",
        "DELETE FROM blobs WHERE id = (SELECT min(id) FROM blobs WHERE blob_type = 7);",
    );
    let music = &found.sections["Music"];
    assert_eq!(
        (
            music.trashed.count,
            music.removed.count,
            music.analysed.count,
            music.added.count
        ),
        (1, 1, 1, 0)
    );
    assert_eq!((music.sonic.0 - 1, found.sections.len()), (music.sonic.1, 1));
    let household = found.household;
    assert_eq!(
        (
            household.views_added,
            household.ratings,
            household.offsets,
            household.watched
        ),
        (1, 1, 1, 0)
    );
    assert_eq!(found.migrations_only_after, ["209901010000"]);
    let words = found.sentences().join("\n");
    for says in [
        "Music: 1 file gone (/music/",
        "1 file in the trash",
        "1 view added to the history",
        "only in the second",
    ] {
        assert!(words.contains(says), "{says} in:\n{words}");
    }
}

#[test]
fn two_libraries_of_different_ages_can_be_compared() {
    let tmp = tempfile::tempdir().unwrap();
    let old = library(&tmp.path().join("old"), Version::Plex2020);
    let new = library(&tmp.path().join("new"), Version::Plex2026);
    let found = diff::between(&old, &new).unwrap();
    assert!(!found.same);
    assert!(
        found
            .sections
            .values()
            .all(|section| section.added.count == 0 && section.removed.count == 0),
        "{found:#?}"
    );
    assert!(!found.migrations_only_after.is_empty());
}

#[test]
fn names_that_are_no_utf8_and_sections_of_one_name_are_compared() {
    let same_name = "UPDATE library_sections SET name = 'Music';";
    let found = after(
        Version::Plex2026,
        &format!("{same_name} UPDATE media_parts SET file = CAST(x'2f6d757369632fff' AS TEXT) WHERE id = 1;"),
        "",
    );
    let section = &found.sections["Music"];
    // The films are under the name of the music now.
    assert_eq!((section.before.tracks, section.after.tracks), (20, 20), "{found:#?}");
    assert_eq!((section.before.movies, section.after.movies), (0, 4), "{found:#?}");
    assert_eq!((section.added.count, section.removed.count), (1, 1), "{found:#?}");
    assert_eq!(section.added.first, ["/music/\u{fffd}"]);
}
