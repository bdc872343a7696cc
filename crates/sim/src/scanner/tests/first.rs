use super::*;
use crate::scanner::files::sha1_hex;

fn two_albums() -> World {
    let world = World::music();
    world.song("The Band", "First", 1, "One");
    world.song("The Band", "First", 2, "Two");
    world.song("Others", "Only", 1, "One");
    world
}

#[test]
fn tagged_music_becomes_artists_albums_and_tracks() {
    let world = two_albums();
    assert_eq!(
        world.scan(),
        Outcome {
            added: 3,
            ..Outcome::default()
        }
    );
    assert_eq!(world.titles(8), ["Others", "The Band"]);
    assert_eq!(world.titles(9), ["First", "Only"]);
    assert_eq!(world.titles(10), ["One", "One", "Two"]);
    let sorted = world.texts("SELECT title_sort FROM metadata_items WHERE title = 'The Band'");
    assert_eq!(sorted, ["Band"]);
    let guids = world.texts("SELECT guid FROM metadata_items NOT INDEXED ORDER BY id");
    assert!(guids.iter().all(|guid| guid.starts_with("plex://")), "{guids:?}");
    let hashes = world.texts("SELECT hash FROM metadata_items NOT INDEXED ORDER BY id");
    assert_eq!(hashes, guids.iter().map(|guid| sha1_hex(guid)).collect::<Vec<_>>());
    assert_eq!(world.texts("SELECT tag FROM tags WHERE tag_type = 1"), ["Ambient"]);
    assert_eq!(world.number("SELECT count(*) FROM taggings"), 4);
}

#[test]
fn files_have_their_hash_their_time_and_their_folder() {
    let world = two_albums();
    world.scan();
    let library = world.library();
    let mut statement = library
        .prepare(
            "SELECT p.file, p.hash, p.size, p.updated_at, d.path, m.media_analysis_version, m.duration
             FROM media_parts p JOIN media_items m ON m.id = p.media_item_id JOIN directories d ON d.id = p.directory_id",
        )
        .unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        count += 1;
        let file: String = row.get(0).unwrap();
        let (stat, hash) = crate::scanner::files::hash(Path::new(&file)).unwrap();
        assert_eq!(row.get::<_, String>(1).unwrap(), hash);
        assert_eq!(
            (row.get::<_, i64>(2).unwrap(), row.get::<_, i64>(3).unwrap()),
            (stat.size, stat.modified)
        );
        let folder = Path::new(&file).parent().unwrap().strip_prefix(&world.media).unwrap();
        assert_eq!(row.get::<_, String>(4).unwrap(), folder.to_str().unwrap());
        assert_eq!((row.get::<_, i64>(5).unwrap(), row.get::<_, i64>(6).unwrap()), (0, 100));
    }
    assert_eq!(count, 3);
    assert_eq!(
        world.number("SELECT count(*) FROM directories WHERE parent_directory_id IS NULL AND path = ''"),
        1
    );
    assert_eq!(
        world.number("SELECT count(*) FROM media_streams WHERE stream_type_id = 2 AND codec = 'pcm'"),
        3
    );
}

#[test]
fn posters_are_where_the_guid_says() {
    let world = two_albums();
    world.scan();
    for (kind, folder) in [(8, "Artists"), (9, "Albums")] {
        let library = world.library();
        let (hash, thumb): (String, String) = library
            .query_row(
                "SELECT hash, user_thumb_url FROM metadata_items WHERE metadata_type = ?1 LIMIT 1",
                [kind],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        let name = thumb.strip_prefix("metadata://").unwrap();
        let bundle = format!(
            "Plex Media Server/Metadata/{folder}/{}/{}.bundle",
            &hash[..1],
            &hash[1..]
        );
        assert!(
            world
                .support
                .join(bundle)
                .join("Contents/_combined")
                .join(name)
                .is_file(),
            "{thumb}"
        );
    }
}

#[test]
fn titles_are_found_by_full_text() {
    let world = two_albums();
    world.scan();
    let found = "SELECT count(*) FROM fts4_metadata_titles_icu WHERE title MATCH 'one'";
    assert_eq!(world.number(found), 2);
    assert_eq!(world.number("SELECT count(*) FROM fts4_metadata_titles_icu_docsize"), 7);
    let checked: String = world
        .library()
        .query_row("PRAGMA integrity_check('metadata_items')", [], |row| row.get(0))
        .unwrap();
    assert_eq!(checked, "ok");
}

#[test]
fn untagged_files_are_named_after_their_folders() {
    let world = World::music();
    wav(&world.media.join("Someone/Some Album/03 - Song.wav"), "a");
    wav(&world.media.join("loose.wav"), "b");
    world.scan();
    assert_eq!(world.titles(8), ["Someone", "[Unknown Artist]"]);
    assert_eq!(world.titles(9), ["Some Album", "[Unknown Album]"]);
    assert_eq!(world.titles(10), ["Song", "loose"]);
    assert_eq!(
        world.number("SELECT \"index\" FROM metadata_items WHERE title = 'Song'"),
        3
    );
    let wrong = "SELECT count(*) FROM metadata_items NOT INDEXED WHERE guid <> 'local://' || id";
    assert_eq!(world.number(wrong), 0);
}

#[test]
fn a_second_scan_changes_nothing() {
    let world = two_albums();
    world.scan();
    let rows = world.rows();
    assert_eq!(world.scan(), Outcome::default());
    assert_eq!(world.rows(), rows);
    settle(&world.media);
    world.scan();
    let rows = world.rows();
    assert_eq!(world.scan(), Outcome::default());
    assert_eq!(world.rows(), rows);
}

#[test]
fn the_same_files_have_the_same_guids_on_every_server() {
    let guids = |world: &World| world.texts("SELECT guid FROM metadata_items NOT INDEXED ORDER BY guid");
    let (one, other) = (two_albums(), two_albums());
    other.song("Before", "Them", 1, "All");
    one.scan();
    other.scan();
    let others = guids(&other);
    assert!(guids(&one).iter().all(|guid| others.contains(guid)));
}

#[test]
fn a_cancelled_scan_leaves_whole_folders_and_no_trash() {
    let world = two_albums();
    world.scan();
    fs::remove_dir_all(world.media.join("Others")).unwrap();
    let mut process = world.process();
    process.cancel.cancel();
    let outcome = walk::scan(
        &mut process,
        &Request {
            section: world.section,
            ..Request::default()
        },
    )
    .unwrap();
    assert_eq!(
        outcome,
        Outcome {
            is_cancelled: true,
            ..Outcome::default()
        }
    );
    assert_eq!(world.titles(8), ["Others", "The Band"]);
}

#[test]
fn no_such_section_is_an_error() {
    let world = World::music();
    let error = walk::scan(
        &mut world.process(),
        &Request {
            section: 77,
            ..Request::default()
        },
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "there is no section 77 that could be scanned");
}
