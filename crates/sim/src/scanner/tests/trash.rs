use super::*;

fn scanned() -> World {
    let world = World::music();
    world.song("Gone", "Away", 1, "One");
    world.song("Gone", "Away", 2, "Two");
    world.song("Stays", "Here", 1, "Three");
    world.scan();
    settle(&world.media);
    world.scan();
    world
}

#[test]
fn what_is_missing_waits_in_the_trash_when_it_is_not_emptied() {
    let world = scanned();
    world.keep_trash();
    fs::remove_dir_all(world.media.join("Gone")).unwrap();
    assert_eq!(
        world.scan(),
        Outcome {
            missing: 2,
            ..Outcome::default()
        }
    );
    assert_eq!(world.titles(8), ["Stays"]);
    for table in ["media_parts", "media_items"] {
        assert_eq!(
            world.number(&format!("SELECT count(*) FROM {table} WHERE deleted_at IS NOT NULL")),
            2,
            "{table}"
        );
    }
    assert_eq!(
        world.number("SELECT count(*) FROM metadata_items WHERE deleted_at IS NOT NULL"),
        4
    );
    assert_eq!(
        world.scan(),
        Outcome::default(),
        "what is in the trash is not missed again"
    );
}

#[test]
fn what_comes_back_leaves_the_trash_with_its_ids() {
    let world = scanned();
    world.keep_trash();
    let before = world.texts("SELECT id || file FROM media_parts ORDER BY id");
    let aside = world.media.with_file_name("aside");
    fs::rename(world.media.join("Gone"), &aside).unwrap();
    world.scan();
    fs::rename(&aside, world.media.join("Gone")).unwrap();
    assert_eq!(
        world.scan(),
        Outcome {
            changed: 2,
            ..Outcome::default()
        }
    );
    assert_eq!(world.texts("SELECT id || file FROM media_parts ORDER BY id"), before);
    assert_eq!(
        world.number("SELECT count(*) FROM metadata_items WHERE deleted_at IS NOT NULL"),
        0
    );
    assert_eq!(
        world.number("SELECT count(*) FROM directories WHERE deleted_at IS NOT NULL"),
        0
    );
}

#[test]
fn what_is_missing_is_removed_for_good() {
    let world = scanned();
    let guid = world
        .texts("SELECT guid FROM metadata_items WHERE title = 'One'")
        .remove(0);
    let library = world.library();
    library
        .execute(
            "INSERT INTO metadata_item_settings (account_id, guid, rating) VALUES (1, ?1, 8.0)",
            [&guid],
        )
        .unwrap();
    fs::remove_dir_all(world.media.join("Gone")).unwrap();
    assert_eq!(
        world.scan(),
        Outcome {
            missing: 2,
            removed: 2,
            ..Outcome::default()
        }
    );
    assert_eq!(world.number("SELECT count(*) FROM metadata_items NOT INDEXED"), 3);
    for (table, left) in [
        ("media_parts", 1),
        ("media_items", 1),
        ("media_streams", 1),
        ("directories", 3),
    ] {
        assert_eq!(world.number(&format!("SELECT count(*) FROM {table}")), left, "{table}");
    }
    assert_eq!(
        world.number("SELECT count(*) FROM metadata_item_settings"),
        1,
        "ratings outlive the file"
    );
    assert_eq!(world.number("SELECT count(*) FROM fts4_metadata_titles_icu_docsize"), 3);
}

#[test]
fn one_of_two_versions_may_go() {
    let world = scanned();
    fs::copy(
        world.media.join("Gone/Away/01 - One.wav"),
        world.media.join("Stays/copy.wav"),
    )
    .unwrap();
    world.scan();
    fs::remove_file(world.media.join("Stays/copy.wav")).unwrap();
    assert_eq!(
        world.scan(),
        Outcome {
            missing: 1,
            removed: 1,
            ..Outcome::default()
        }
    );
    assert_eq!(world.titles(10), ["One", "Three", "Two"]);
    assert_eq!(
        world.number("SELECT media_item_count FROM metadata_items WHERE title = 'One'"),
        1
    );
}

/// The promise that a server makes: a root that is not there takes nothing with it.
#[test]
fn an_unavailable_root_protects_what_is_below_it() {
    let world = scanned();
    let aside = world.media.with_file_name("aside");
    fs::rename(&world.media, &aside).unwrap();
    assert_eq!(world.forced(), Outcome::default());
    assert_eq!(world.number("SELECT available FROM section_locations"), 0);
    assert_eq!(world.titles(10), ["One", "Three", "Two"]);
    fs::rename(&aside, &world.media).unwrap();
    assert_eq!(world.scan(), Outcome::default());
    assert_eq!(world.number("SELECT available FROM section_locations"), 1);
}

/// The disaster of facts/plex.md §8.1: a mount whose folders are still listed and whose files cannot be read.
#[test]
fn a_mount_that_only_lists_loses_everything() {
    let world = scanned();
    for path in [
        "Gone/Away/01 - One.wav",
        "Gone/Away/02 - Two.wav",
        "Stays/Here/01 - Three.wav",
    ] {
        let path = world.media.join(path);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nonexistent/object", &path).unwrap();
    }
    assert_eq!(
        world.scan(),
        Outcome {
            missing: 3,
            removed: 3,
            ..Outcome::default()
        }
    );
    assert_eq!(world.number("SELECT count(*) FROM metadata_items NOT INDEXED"), 0);
}

/// The same where the folders' times tell nothing: known files are opened in any case.
#[test]
fn known_files_are_opened_in_unchanged_folders_too() {
    let world = scanned();
    let path = world.media.join("Gone/Away/01 - One.wav");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/nonexistent/object", &path).unwrap();
    let modified = world.number("SELECT updated_at FROM directories WHERE path = 'Gone/Away'");
    touch(path.parent().unwrap(), modified);
    assert_eq!(
        world.scan(),
        Outcome {
            missing: 1,
            removed: 1,
            ..Outcome::default()
        }
    );
}

#[test]
fn a_location_that_was_taken_away_is_left_alone() {
    let world = scanned();
    let other = world.media.with_file_name("other");
    fs::create_dir_all(&other).unwrap();
    world
        .library()
        .execute("UPDATE section_locations SET root_path = ?1", [other.to_str().unwrap()])
        .unwrap();
    assert_eq!(world.scan().missing, 0);
    assert_eq!(world.titles(10).len(), 3);
}
