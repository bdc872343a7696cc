//! Small pairs of databases, and the real library where it is at hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use plex_library::{Databases, Which};
use rusqlite::Connection;

/// The tables that the byte-level tests need, under their real names.
const SCHEMA: &str = "
    CREATE TABLE schema_migrations (version varchar(255) NOT NULL, rollback_sql text);
    INSERT INTO schema_migrations(version) VALUES('20200101'), ('202601121053'), ('500000000001.231');
    CREATE TABLE library_sections (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, name varchar(255), section_type integer);
    CREATE TABLE metadata_items (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, library_section_id integer, title varchar(255));
    CREATE TABLE media_items (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, metadata_item_id integer);
    CREATE TABLE media_parts (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, media_item_id integer, file varchar(255));
    CREATE TABLE media_streams (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, media_part_id integer);
    CREATE TABLE metadata_item_settings (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, guid varchar(255));
    CREATE TABLE metadata_item_views (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, guid varchar(255));
    CREATE TABLE blobs (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, blob blob, linked_type varchar(255), linked_id integer);
    CREATE INDEX index_metadata_items_on_title ON metadata_items(title);
";

/// A pair in `dir` with `rows` items and as many blobs, at rest.
pub(crate) fn pair(dir: &Path, page_size: u32, rows: u32) -> Databases {
    fs::create_dir_all(dir).unwrap();
    let databases = Databases::at(dir);
    for which in Which::BOTH {
        let db = open(&databases.path(which), page_size);
        db.execute_batch(SCHEMA).unwrap();
        db.execute_batch("BEGIN").unwrap();
        for row in 0..rows {
            match which {
                Which::Library => db.execute(
                    "INSERT INTO metadata_items(library_section_id, title) VALUES(1, ?1 || hex(randomblob(100)))",
                    [format!("title {row}")],
                ),
                Which::Blobs => db.execute(
                    "INSERT INTO blobs(blob, linked_type, linked_id) VALUES(randomblob(300), 'metadata_item', ?1)",
                    [row + 1],
                ),
            }
            .unwrap();
        }
        db.execute_batch("COMMIT").unwrap();
    }
    databases
}

/// The tables of a library as the engine reads them, with one album of four tracks (one of them in the trash, two with
/// Sonic vectors), a film, and an extra without section and file.
pub(crate) fn plex_pair(dir: &Path) -> Databases {
    plex_pair_of(dir, 1024)
}

/// The same with another page size.
pub(crate) fn plex_pair_of(dir: &Path, page_size: u32) -> Databases {
    const CONTENT: &str = "
        CREATE TABLE schema_migrations (version varchar(255) NOT NULL);
        INSERT INTO schema_migrations VALUES('20200101'), ('202601121053');
        CREATE TABLE library_sections (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, name varchar(255), section_type integer,
            agent varchar(255));
        CREATE TABLE section_locations (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, library_section_id integer,
            root_path varchar(255));
        CREATE TABLE metadata_items (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, library_section_id integer,
            parent_id integer, metadata_type integer, title varchar(255), deleted_at dt_integer(8), extra_data varchar(255));
        CREATE TABLE media_items (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, library_section_id integer,
            metadata_item_id integer, deleted_at dt_integer(8));
        CREATE TABLE media_parts (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, media_item_id integer, file varchar(255),
            size integer(8), deleted_at dt_integer(8));
        CREATE TABLE media_streams (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, media_part_id integer);
        CREATE TABLE metadata_item_settings (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, guid varchar(255));
        CREATE TABLE metadata_item_views (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, guid varchar(255));
        CREATE TABLE blobs (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, blob blob, linked_type varchar(255),
            linked_id integer, blob_type integer);
        CREATE INDEX index_media_parts_on_file ON media_parts(file);
    ";
    const ROWS: &str = "
        INSERT INTO library_sections(name, section_type, agent) VALUES('Music', 8, 'tv.plex.agents.music'),
            ('Films', 1, 'tv.plex.agents.movie');
        INSERT INTO section_locations(library_section_id, root_path) VALUES(1, '/music'), (2, '/films');
        INSERT INTO metadata_items(id, library_section_id, parent_id, metadata_type, title, deleted_at) VALUES
            (1, 1, NULL, 8, 'Artist', NULL), (2, 1, 1, 9, 'Album', NULL), (3, 1, 2, 10, 'One', NULL),
            (4, 1, 2, 10, 'Two', NULL), (5, 1, 2, 10, 'Three', NULL), (6, 1, 2, 10, 'Trashed', 1700000000),
            (7, 2, NULL, 1, 'Film', NULL), (8, NULL, NULL, 12, 'Extra', NULL);
        INSERT INTO media_items(id, library_section_id, metadata_item_id) SELECT id, library_section_id, id
            FROM metadata_items WHERE metadata_type IN (1, 10, 12);
        INSERT INTO media_parts(media_item_id, file, size) SELECT m.id,
            CASE i.metadata_type WHEN 12 THEN '' WHEN 1 THEN '/films/Film.mkv' ELSE '/music/' || i.title || '.flac' END, 1000
            FROM media_items m JOIN metadata_items i ON i.id = m.metadata_item_id;
    ";
    fs::create_dir_all(dir).unwrap();
    let databases = Databases::at(dir);
    open(&databases.library(), page_size)
        .execute_batch(&format!("{CONTENT}{ROWS}"))
        .unwrap();
    let blobs = "INSERT INTO blobs(blob, linked_type, linked_id, blob_type) VALUES
        (x'0102', 'metadata_item', 3, 7), (x'0102', 'metadata_item', 4, 7), (x'0102', 'media_part', 5, 5);";
    open(&databases.blobs(), page_size)
        .execute_batch(&format!("{CONTENT}{blobs}"))
        .unwrap();
    databases
}

/// Opens a database as Plex does.
pub(crate) fn open(path: &Path, page_size: u32) -> Connection {
    let db = Connection::open(path).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    db.execute_batch(&format!(
        "PRAGMA page_size={page_size}; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=OFF;"
    ))
    .unwrap();
    db
}

/// Every file below `dir` with its content's hash, for "nothing has changed".
pub(crate) fn tree(dir: &Path) -> BTreeMap<PathBuf, (u32, blake3::Hash)> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            if entry.file_type().unwrap().is_dir() {
                found.insert(entry.path(), (mode, blake3::hash(b"")));
                open.push(entry.path());
            } else {
                found.insert(entry.path(), (mode, blake3::hash(&fs::read(entry.path()).unwrap())));
            }
        }
    }
    found
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The data directory of the real library, or `None` with a line that says what is skipped.
pub(crate) fn real(test: &str) -> Option<PathBuf> {
    let given = std::env::var_os("PLEXBURST_DATA").map(PathBuf::from);
    let data = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    let plex = data.join("plex-2026/Plex Media Server");
    if plex.is_dir() {
        return Some(plex);
    }
    println!("SKIPPED {test}: no real library at {}", plex.display());
    None
}

/// A copy of the real pair that may be changed.
pub(crate) fn real_copy(test: &str, dir: &Path) -> Option<Databases> {
    let from = Databases::at(real(test)?.join("Plug-in Support/Databases"));
    fs::create_dir_all(dir).unwrap();
    let to = Databases::at(dir);
    for which in Which::BOTH {
        // Not fs::copy: the original is read-only, and so would be the copy.
        fs::write(to.path(which), fs::read(from.path(which)).unwrap()).unwrap();
    }
    Some(to)
}

/// A folder for a copy that a test removes itself.
pub(crate) fn keep_dir(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("plexburst-test-{name}-{}", std::process::id()))
}

/// Every row of every ordinary table, for "the same content".
pub(crate) fn rows(path: &Path) -> BTreeMap<String, Vec<String>> {
    let db = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let tables: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut found = BTreeMap::new();
    for table in tables {
        let mut statement = db
            .prepare(&format!("SELECT rowid, * FROM \"{table}\" NOT INDEXED ORDER BY rowid"))
            .unwrap();
        let width = statement.column_count();
        let lines = statement
            .query_map([], |row| {
                Ok((0..width)
                    .map(|at| format!("{:?}", row.get_ref(at).unwrap()))
                    .collect::<Vec<_>>()
                    .join("|"))
            })
            .unwrap()
            .map(Result::unwrap)
            .collect();
        found.insert(table, lines);
    }
    found
}
