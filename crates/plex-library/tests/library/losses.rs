use std::fs;

use plex_library::losses::{self, How, Lost};
use plex_library::{Databases, Which};
use rusqlite::Connection;

use crate::support;

/// What is lost if `sql` happens to the result.
fn after(sql: &str) -> Vec<Lost> {
    let tmp = tempfile::tempdir().unwrap();
    let base = support::plex_pair(&tmp.path().join("base"));
    let result = Databases::at(tmp.path().join("result"));
    fs::create_dir(result.dir()).unwrap();
    for which in Which::BOTH {
        fs::copy(base.path(which), result.path(which)).unwrap();
    }
    Connection::open(result.library()).unwrap().execute_batch(sql).unwrap();
    losses::of(&base, &result).unwrap()
}

fn files(lost: &[Lost]) -> Vec<(&str, How)> {
    lost.iter().map(|lost| (lost.file.as_str(), lost.how)).collect()
}

#[test]
fn a_file_that_is_gone_or_trashed_in_any_way_is_lost() {
    assert_eq!(after(""), []);
    let lost = after("DELETE FROM media_parts WHERE file = '/music/Two.flac'");
    let expected = Lost {
        file: "/music/Two.flac".into(),
        section: "Music".into(),
        title: "Two".into(),
        how: How::Gone,
    };
    assert_eq!(lost, [expected]);
    let two = [("/music/Two.flac", How::Trashed)];
    assert_eq!(
        files(&after(
            "UPDATE media_parts SET deleted_at = 1 WHERE file = '/music/Two.flac'"
        )),
        two
    );
    assert_eq!(
        files(&after(
            "UPDATE media_items SET deleted_at = 1 WHERE metadata_item_id = 4"
        )),
        two
    );
    assert_eq!(
        files(&after("UPDATE metadata_items SET deleted_at = 1 WHERE id = 4")),
        two
    );
    // The album or the artist in the trash takes the tracks along.
    assert_eq!(after("UPDATE metadata_items SET deleted_at = 1 WHERE id = 2").len(), 3);
    assert_eq!(after("UPDATE metadata_items SET deleted_at = 1 WHERE id = 1").len(), 3);
    assert_eq!(after("DELETE FROM library_sections WHERE id = 1").len(), 3);
    assert_eq!(after("DELETE FROM metadata_items").len(), 4);
}

#[test]
fn a_file_found_again_under_another_item_is_not_lost() {
    let moved = "
        DELETE FROM media_parts WHERE file = '/music/Two.flac';
        DELETE FROM metadata_items WHERE id = 4;
        INSERT INTO metadata_items(id, library_section_id, metadata_type, title) VALUES(50, 1, 10, 'Two again');
        INSERT INTO media_items(id, library_section_id, metadata_item_id) VALUES(50, 1, 50);
        INSERT INTO media_parts(media_item_id, file) VALUES(50, '/music/Two.flac');";
    assert_eq!(after(moved), []);
    // One of two parts of the same file in the trash is not a loss either.
    let doubled = "INSERT INTO media_parts(media_item_id, file, deleted_at) VALUES(3, '/music/Two.flac', 1)";
    assert_eq!(after(doubled), []);
}

#[test]
fn what_was_never_in_a_section_or_was_lost_before_does_not_count() {
    assert_eq!(
        after("DELETE FROM metadata_items WHERE id = 8; DELETE FROM media_items WHERE id = 8"),
        []
    );
    assert_eq!(after("DELETE FROM media_parts WHERE file = '/music/Trashed.flac'"), []);
    assert_eq!(
        after("INSERT INTO media_parts(media_item_id, file) VALUES(3, '/music/A new one.flac')"),
        []
    );
}
