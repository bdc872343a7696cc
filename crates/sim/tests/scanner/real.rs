use super::*;

/// The music of a real game: ogg files with tags made by people.
#[test]
fn music_of_wesnoth() {
    let Some(folder) = folder_of_wesnoth() else { return };
    let world = World::new(8);
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ogg") {
            symlink(&path, world.media().join(path.file_name().unwrap())).unwrap();
            files += 1;
        }
    }
    let output = world.run(&["--scan", "--section", "1"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(world.number("SELECT count(*) FROM media_parts"), files);
    assert!(world.number("SELECT count(*) FROM metadata_items WHERE metadata_type = 8") > 1);
    assert_eq!(
        world.number("SELECT count(*) FROM media_items WHERE coalesce(duration, 0) < 1000 OR container <> 'ogg'"),
        0
    );
    let matched = "SELECT count(*) FROM metadata_items WHERE metadata_type = 10 AND guid LIKE 'plex://track/%'";
    assert!(world.number(matched) > 0);
}

/// A real library of 2026 and its (tiny) media, scanned at its own paths' stand-in: everything keeps its ids.
#[test]
fn a_real_library_keeps_its_rows() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/plex-2026");
    if !data.is_dir() {
        eprintln!("skipped: no real library of 2026 beside the checkout");
        return;
    }
    let world = World::new(8);
    for name in [sim::store::LIBRARY_DB, sim::store::BLOBS_DB] {
        let from = data.join("Plex Media Server/Plug-in Support/Databases").join(name);
        fs::write(world.databases().join(name), fs::read(from).unwrap()).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(world.databases().join(format!("{name}{suffix}")));
        }
    }
    let media = data.join("media");
    let library = world.library();
    for table in [
        "section_locations SET root_path = ?1 || root_path",
        "media_parts SET file = ?1 || file WHERE file <> ''",
    ] {
        library
            .execute(&format!("UPDATE {table}"), [media.to_str().unwrap()])
            .unwrap();
    }
    let rows = |sql: &str| -> Vec<String> {
        let mut statement = library.prepare(sql).unwrap();
        statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    let items = "SELECT id || ' ' || guid FROM metadata_items NOT INDEXED ORDER BY id";
    let parts = "SELECT id || ' ' || file || coalesce(hash, '') FROM media_parts ORDER BY id";
    let (items_before, parts_before) = (rows(items), rows(parts));
    assert_eq!(items_before.len(), 106);
    for section in ["1", "3", "4", "5"] {
        let output = world.run(&["--scan", "--force", "--section", section]);
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(rows(items), items_before);
    assert_eq!(rows(parts), parts_before);
}
