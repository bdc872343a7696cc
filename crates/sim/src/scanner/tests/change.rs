use super::*;

fn scanned() -> World {
    let world = World::music();
    world.song("The Band", "First", 1, "One");
    world.song("The Band", "First", 2, "Two");
    world.scan();
    settle(&world.media);
    world.scan();
    world
}

#[test]
fn a_new_file_joins_its_album() {
    let world = scanned();
    let before = world.texts("SELECT guid FROM metadata_items NOT INDEXED ORDER BY id");
    world.song("The Band", "First", 3, "Three");
    assert_eq!(
        world.scan(),
        Outcome {
            added: 1,
            ..Outcome::default()
        }
    );
    let after = world.texts("SELECT guid FROM metadata_items NOT INDEXED ORDER BY id");
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(world.titles(9), ["First"]);
}

#[test]
fn changes_are_counted_upwards() {
    let world = scanned();
    let highest = "SELECT max(max(changed_at), max(resources_changed_at)) FROM metadata_items NOT INDEXED";
    let before = world.number(highest);
    let section = "SELECT content_changed_at FROM library_sections";
    let section_before = world.number(section);
    world.song("The Band", "First", 3, "Three");
    world.scan();
    assert!(world.number(highest) > before);
    assert!(world.number(section) > section_before);
}

#[test]
fn a_moved_file_keeps_its_rows() {
    let world = scanned();
    let ids = "SELECT group_concat(id || ':' || media_item_id) FROM media_parts";
    let before = world.texts(ids);
    fs::create_dir_all(world.media.join("Elsewhere")).unwrap();
    let to = world.media.join("Elsewhere/renamed.wav");
    fs::rename(world.media.join("The Band/First/01 - One.wav"), &to).unwrap();
    assert_eq!(
        world.scan(),
        Outcome {
            moved: 1,
            ..Outcome::default()
        }
    );
    assert_eq!(world.texts(ids), before);
    assert_eq!(world.titles(10), ["One", "Two"]);
    let file = world.texts("SELECT file FROM media_parts WHERE file LIKE '%renamed%'");
    assert_eq!(file, [to.to_str().unwrap()]);
}

#[test]
fn a_copy_is_a_second_version_of_the_same_track() {
    let world = scanned();
    fs::create_dir_all(world.media.join("Copies")).unwrap();
    fs::copy(
        world.media.join("The Band/First/01 - One.wav"),
        world.media.join("Copies/One.wav"),
    )
    .unwrap();
    assert_eq!(
        world.scan(),
        Outcome {
            added: 1,
            ..Outcome::default()
        }
    );
    assert_eq!(world.titles(10), ["One", "Two"]);
    assert_eq!(
        world.number("SELECT media_item_count FROM metadata_items WHERE title = 'One'"),
        2
    );
}

#[test]
fn another_time_asks_for_another_analysis() {
    let world = scanned();
    let library = world.library();
    library
        .execute("UPDATE media_items SET media_analysis_version = 6", [])
        .unwrap();
    touch(&world.media.join("The Band/First/01 - One.wav"), 1_500_000_000);
    assert_eq!(
        world.scan(),
        Outcome {
            changed: 1,
            ..Outcome::default()
        }
    );
    assert_eq!(
        world.number("SELECT count(*) FROM media_items WHERE media_analysis_version = 0"),
        1
    );
    assert_eq!(
        world.number("SELECT count(*) FROM media_parts WHERE updated_at = 1500000000"),
        1
    );
}

#[test]
fn another_content_takes_the_sonic_mark_away() {
    let world = scanned();
    world
        .library()
        .execute(
            r#"UPDATE metadata_items SET extra_data = '{"ms:musicAnalysisVersion":"1","pv:a":"b","url":""}' WHERE metadata_type = 10"#,
            [],
        )
        .unwrap();
    wav(
        &world.media.join("The Band/First/01 - One.wav"),
        "something else entirely",
    );
    assert_eq!(world.forced().changed, 1);
    let marked = "SELECT count(*) FROM metadata_items WHERE extra_data LIKE '%musicAnalysisVersion%'";
    assert_eq!(world.number(marked), 1);
    assert_eq!(
        world.number("SELECT count(*) FROM metadata_items WHERE extra_data LIKE '%pv:a%'"),
        2
    );
}

#[test]
fn one_folder_only() {
    let world = scanned();
    world.song("New", "In", 1, "Here");
    world.song("The Band", "Second", 1, "There");
    fs::remove_file(world.media.join("The Band/First/02 - Two.wav")).unwrap();
    let directory = Some(world.media.join("New"));
    let outcome = world.request(&Request {
        section: world.section,
        force: false,
        directory,
    });
    assert_eq!(
        outcome,
        Outcome {
            added: 1,
            ..Outcome::default()
        }
    );
    assert_eq!(world.titles(10), ["Here", "One", "Two"]);
    let directory = Some(world.media.join("The Band"));
    let outcome = world.request(&Request {
        section: world.section,
        force: false,
        directory,
    });
    assert_eq!(
        outcome,
        Outcome {
            added: 1,
            missing: 1,
            removed: 1,
            ..Outcome::default()
        }
    );
    assert_eq!(world.titles(10), ["Here", "One", "There"]);
}

#[test]
fn an_edited_title_stays() {
    let world = scanned();
    let edit = "UPDATE metadata_items SET title = 'Mine', title_sort = 'Mine', user_fields = 'lockedFields=1' WHERE title = 'First'";
    world.library().execute(edit, []).unwrap();
    world.song("The Band", "First", 3, "Three");
    world.forced();
    assert_eq!(world.titles(9), ["Mine"]);
    assert_eq!(world.titles(10), ["One", "Three", "Two"]);
}

#[test]
fn what_is_new_in_an_unchanged_folder_is_not_found() {
    let world = scanned();
    world.song("The Band", "First", 3, "Three");
    settle(&world.media);
    let known = world.number("SELECT updated_at FROM directories WHERE path = 'The Band/First'");
    touch(&world.media.join("The Band/First"), known);
    assert_eq!(world.scan(), Outcome::default());
    assert_eq!(world.forced().added, 1);
}

#[test]
fn a_forced_scan_asks_the_agents_again() {
    let world = scanned();
    world
        .library()
        .execute("UPDATE metadata_items SET refreshed_at = 1", [])
        .unwrap();
    let untouched = "SELECT count(*) FROM metadata_items NOT INDEXED WHERE refreshed_at = 1";
    world.scan();
    assert_eq!(world.number(untouched), 4);
    world.forced();
    assert_eq!(world.number(untouched), 0);
}

#[test]
fn an_item_is_refreshed_with_its_files() {
    let world = scanned();
    world.song("Others", "Only", 1, "One");
    world.scan();
    world
        .library()
        .execute("UPDATE metadata_items SET refreshed_at = 1", [])
        .unwrap();
    let band = world.number("SELECT id FROM metadata_items WHERE title = 'The Band'");
    let requests = walk::of_items(&world.library(), &[band]).unwrap();
    let folders: Vec<_> = requests
        .iter()
        .map(|request| request.directory.clone().unwrap())
        .collect();
    assert_eq!(folders, [world.media.join("The Band/First")]);
    for request in &requests {
        world.request(request);
    }
    assert_eq!(
        world.texts("SELECT title FROM metadata_items WHERE refreshed_at = 1 ORDER BY title"),
        ["One", "Only", "Others"]
    );
}

#[test]
fn a_new_title_in_the_tags_is_taken_over_unless_locked() {
    let world = scanned();
    let one = world.media.join("The Band/First/01 - One.wav");
    let two = world.media.join("The Band/First/02 - Two.wav");
    world
        .library()
        .execute(
            "UPDATE metadata_items SET user_fields = 'lockedFields=1%7C13' WHERE title = 'Two'",
            [],
        )
        .unwrap();
    let before = world.texts("SELECT id || guid FROM metadata_items NOT INDEXED ORDER BY id");
    fs::rename(world.song("The Band", "First", 1, "The New One"), &one).unwrap();
    fs::rename(world.song("The Band", "First", 2, "New Two"), &two).unwrap();
    assert_eq!(world.forced().changed, 2);
    assert_eq!(world.titles(10), ["The New One", "Two"]);
    assert_eq!(
        world.texts("SELECT id || guid FROM metadata_items NOT INDEXED ORDER BY id"),
        before
    );
    assert_eq!(
        world.number("SELECT count(*) FROM fts4_metadata_titles_icu WHERE title MATCH 'new'"),
        1
    );
}
