//! Three libraries that begin as one, and what is looked at afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use plex_library::merge::{self, Options, Report};
use plex_library::{Databases, ids};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params};
use sim::fixture::{Builder, Fixture};
use sim::store::Pair;
use tempfile::TempDir;

/// Midnight after the fixtures end.
pub(crate) const NOW: i64 = 1_795_000_000;

/// Base, home and worker.
pub(crate) struct Trio {
    pub(crate) dir: TempDir,
    pub(crate) base: Fixture,
    pub(crate) mine: Fixture,
    pub(crate) theirs: Fixture,
}

pub(crate) fn databases(fixture: &Fixture) -> Databases {
    Databases::at(&fixture.databases_dir)
}

impl Trio {
    /// A household with music, shows, films and photos; ids kept apart as a burst does.
    pub(crate) fn new() -> Self {
        let trio = Self::together();
        ids::keep_apart(&databases(&trio.theirs), 1).expect("ids kept apart");
        trio
    }

    /// The same, but both sides number their new rows alike.
    pub(crate) fn together() -> Self {
        Self::of(|builder| {
            builder
                .music("Music", "/music", 3, 2, 3)
                .shows("Shows", "/shows", 2, 1, 3)
                .movies("Films", "/films", 8)
                .photos("Photos", "/photos", 4)
                .household(30, 10, 2)
                .sonic(0.3)
        })
    }

    pub(crate) fn of(fill: impl FnOnce(Builder) -> Builder) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let base = fill(Builder::new(dir.path().join("base"))).build().expect("fixture");
        let mine = base.copy(&dir.path().join("mine")).expect("copy");
        let theirs = base.copy(&dir.path().join("theirs")).expect("copy");
        Self {
            dir,
            base,
            mine,
            theirs,
        }
    }

    /// Something happens at home.
    pub(crate) fn home<T>(&self, act: impl FnOnce(&Pair) -> T) -> T {
        with(&self.mine, act)
    }

    /// Something happens at the worker.
    pub(crate) fn worker<T>(&self, act: impl FnOnce(&Pair) -> T) -> T {
        with(&self.theirs, act)
    }

    /// Merges, and looks whether the result is a whole library.
    pub(crate) fn merge(&self) -> Report {
        let before = self.dangling();
        let report = self.try_merge().expect("merged");
        self.check(&before);
        report
    }

    pub(crate) fn try_merge(&self) -> plex_library::Result<Report> {
        merge::merge(
            &databases(&self.base),
            &databases(&self.mine),
            &databases(&self.theirs),
            &Options::default(),
        )
    }

    /// Carries home back: `theirs` is the older library, `base` the one that was swapped in.
    pub(crate) fn carry_back(&self) -> Report {
        merge::carry_back(
            &databases(&self.base),
            &databases(&self.mine),
            &databases(&self.theirs),
            &Options::default(),
        )
        .expect("carried back")
    }

    /// Merges twice; the second time nothing changes.
    pub(crate) fn merge_twice(&self) -> Report {
        let report = self.merge();
        let once = dump(&self.theirs);
        let again = self.try_merge().expect("merged again");
        let twice = dump(&self.theirs);
        assert_same(&once, &twice, &again);
        assert!(again.changed_nothing(), "{again:?}");
        report
    }

    /// References that lead nowhere already, at home or at the worker.
    fn dangling(&self) -> BTreeSet<Dangling> {
        let mut all = dangling(&self.mine);
        all.extend(dangling(&self.theirs));
        all
    }

    /// The result has to be a library in which Plex can go on.
    pub(crate) fn check(&self, before: &BTreeSet<Dangling>) {
        let new: Vec<_> = dangling(&self.theirs).difference(before).cloned().collect();
        assert!(new.is_empty(), "references that lead nowhere: {new:#?}");
        // A real library's search index was made by Plex's own tokenizer, which is not here to judge it.
        match has_its_words(&self.base.databases_dir) {
            Ok(()) => whole(&self.theirs.databases_dir),
            Err(_) => sound(&self.theirs.databases_dir),
        }
        let names = |fixture: &Fixture| {
            rows(
                &open(&fixture.databases_dir),
                "SELECT name, sql FROM sqlite_schema WHERE type='trigger' ORDER BY name",
                (),
            )
        };
        assert_eq!(names(&self.theirs), names(&self.base), "triggers");
    }
}

fn with<T>(fixture: &Fixture, act: impl FnOnce(&Pair) -> T) -> T {
    let pair = fixture.open().expect("open");
    let result = act(&pair);
    for db in [&pair.library, &pair.blobs] {
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .expect("checkpoint");
    }
    drop(pair);
    result
}

/// The library beside `dir`, for reading, with the simulator's stand-ins.
pub(crate) fn open(dir: &Path) -> Connection {
    sim::store::connect(&dir.join(plex_library::LIBRARY_DB)).expect("open")
}

/// Whether both files, all indices and the search indices are right.
pub(crate) fn whole(dir: &Path) {
    sound(dir);
    has_its_words(dir).unwrap_or_else(|error| panic!("{error}"));
}

/// The tables whose titles are searched, and their index, which has another name in each generation of Plex.
fn searched(conn: &Connection) -> Vec<(&'static str, String)> {
    [("metadata_items", "fts4_metadata_titles"), ("tags", "fts4_tag_titles")]
        .into_iter()
        .map(|(table, name)| {
            let known = rows(
                conn,
                "SELECT name FROM sqlite_schema WHERE name IN (?1, ?1 || '_icu') ORDER BY name DESC LIMIT 1",
                [name],
            );
            (table, known.into_iter().next().expect("a search index"))
        })
        .collect()
}

/// Whether the search indices hold the words of their rows.
pub(crate) fn has_its_words(dir: &Path) -> Result<(), String> {
    let conn = open(dir);
    for (_, index) in searched(&conn) {
        conn.execute_batch(&format!("INSERT INTO {index}({index}) VALUES('integrity-check')"))
            .map_err(|error| format!("{index} does not hold the words of its rows: {error}"))?;
    }
    Ok(())
}

/// Whether both files and all indices are right.
fn sound(dir: &Path) {
    for name in [plex_library::LIBRARY_DB, plex_library::BLOBS_DB] {
        assert!(!dir.join(format!("{name}-wal")).exists(), "a log was left behind");
        assert!(
            !dir.join(format!("{name}-journal")).exists(),
            "a journal was left behind"
        );
        let header = std::fs::read(dir.join(name)).expect("read");
        assert_eq!(&header[18..20], [2, 2], "{name} is in WAL mode, as Plex has it");
    }
    let conn = open(dir);
    let tables: Vec<String> = rows(
        &conn,
        "SELECT name FROM sqlite_schema WHERE type='table' AND rootpage > 0 AND name NOT LIKE 'sqlite%'",
        (),
    );
    for table in tables {
        let found = rows(&conn, &format!("PRAGMA integrity_check(\"{table}\")"), ());
        assert_eq!(found, ["ok"], "{table}");
    }
    for (table, index) in searched(&conn) {
        let unlisted = rows(
            &conn,
            &format!("SELECT docid FROM {index}_docsize WHERE docid NOT IN (SELECT id FROM {table} NOT INDEXED)"),
            (),
        );
        assert!(unlisted.is_empty(), "{index} knows rows that are gone: {unlisted:?}");
    }
}

/// Rows as text, columns joined by `|`.
pub(crate) fn rows(conn: &Connection, sql: &str, params: impl Params) -> Vec<String> {
    let mut statement = conn.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let width = statement.column_count();
    let mut found = statement.query(params).expect("query");
    let mut all = Vec::new();
    while let Some(row) = found.next().expect("row") {
        let columns: Vec<String> = (0..width)
            .map(|n| match row.get_ref(n).expect("column") {
                ValueRef::Null => "NULL".into(),
                ValueRef::Integer(n) => n.to_string(),
                ValueRef::Real(n) => n.to_string(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            })
            .collect();
        all.push(columns.join("|"));
    }
    all
}

/// The only value of a query about the result.
pub(crate) fn one(fixture: &Fixture, sql: &str, params: impl Params) -> String {
    let found = rows(&open(&fixture.databases_dir), sql, params);
    assert_eq!(found.len(), 1, "{sql}: {found:?}");
    found.into_iter().next().expect("one")
}

/// Two dumps have to be equal; only the rows that differ are shown.
pub(crate) fn assert_same(
    once: &BTreeMap<String, Vec<String>>,
    twice: &BTreeMap<String, Vec<String>>,
    report: &Report,
) {
    for (table, rows) in twice {
        let gone: Vec<_> = once[table].iter().filter(|row| !rows.contains(row)).collect();
        let new: Vec<_> = rows.iter().filter(|row| !once[table].contains(row)).collect();
        assert!(
            gone.is_empty() && new.is_empty() && once[table].len() == rows.len(),
            "{table} changed when the same was merged again: {gone:#?} became {new:#?}; {report:?}"
        );
    }
}

/// Everything in both databases, search indices and numbering included.
pub(crate) fn dump(fixture: &Fixture) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for name in [plex_library::LIBRARY_DB, plex_library::BLOBS_DB] {
        let conn = sim::store::connect(&fixture.databases_dir.join(name)).expect("open");
        for table in rows(
            &conn,
            "SELECT name FROM sqlite_schema WHERE type='table' AND rootpage > 0",
            (),
        ) {
            let content = rows(&conn, &format!("SELECT * FROM \"{table}\" ORDER BY rowid"), ());
            all.insert(format!("{name}: {table}"), content);
        }
    }
    all
}

/// A reference that leads nowhere: table, column, and where it led.
pub(crate) type Dangling = (String, String, i64);

/// What refers to what; written down here once more, so that a slip in the merge's own list shows.
const REFERENCES: &[(&str, &str, &str)] = &[
    ("metadata_items", "parent_id", "metadata_items"),
    ("metadata_items", "library_section_id", "library_sections"),
    ("media_items", "metadata_item_id", "metadata_items"),
    ("media_items", "library_section_id", "library_sections"),
    ("media_items", "section_location_id", "section_locations"),
    ("media_parts", "media_item_id", "media_items"),
    ("media_parts", "directory_id", "directories"),
    ("media_streams", "media_item_id", "media_items"),
    ("media_streams", "media_part_id", "media_parts"),
    ("directories", "parent_directory_id", "directories"),
    ("directories", "library_section_id", "library_sections"),
    ("section_locations", "library_section_id", "library_sections"),
    ("taggings", "metadata_item_id", "metadata_items"),
    ("taggings", "tag_id", "tags"),
    ("tags", "metadata_item_id", "metadata_items"),
    ("metadata_relations", "metadata_item_id", "metadata_items"),
    ("metadata_relations", "related_metadata_item_id", "metadata_items"),
    ("metadata_item_clusterings", "metadata_item_id", "metadata_items"),
    (
        "metadata_item_clusterings",
        "metadata_item_cluster_id",
        "metadata_item_clusters",
    ),
    ("metadata_item_accounts", "metadata_item_id", "metadata_items"),
    ("metadata_item_accounts", "account_id", "accounts"),
    ("metadata_item_views", "device_id", "devices"),
    (
        "metadata_item_setting_markers",
        "metadata_item_setting_id",
        "metadata_item_settings",
    ),
    ("media_part_settings", "media_part_id", "media_parts"),
    ("media_part_settings", "selected_audio_stream_id", "media_streams"),
    ("media_part_settings", "selected_subtitle_stream_id", "media_streams"),
    ("media_item_settings", "media_item_id", "media_items"),
    ("media_stream_settings", "media_stream_id", "media_streams"),
    ("play_queue_items", "play_queue_id", "play_queues"),
    ("play_queue_items", "metadata_item_id", "metadata_items"),
    ("play_queue_items", "play_queue_generator_id", "play_queue_generators"),
    ("play_queues", "playlist_id", "metadata_items"),
    ("play_queue_generators", "playlist_id", "metadata_items"),
    ("play_queue_generators", "metadata_item_id", "metadata_items"),
    ("versioned_metadata_items", "metadata_item_id", "metadata_items"),
    ("custom_channels", "playlist_id", "metadata_items"),
];

/// All references that lead nowhere.
pub(crate) fn dangling(fixture: &Fixture) -> BTreeSet<Dangling> {
    let conn = open(&fixture.databases_dir);
    let blobs = fixture.databases_dir.join(plex_library::BLOBS_DB);
    conn.execute("ATTACH ?1 AS blobs", [blobs.to_str().expect("path")])
        .expect("attach");
    let mut found = BTreeSet::new();
    let mut collect = |table: &str, column: &str, sql: String| {
        for id in rows(&conn, &sql, ()) {
            found.insert((table.to_owned(), column.to_owned(), id.parse().expect("number")));
        }
    };
    let known: BTreeSet<String> = rows(&conn, "SELECT name FROM sqlite_schema", ()).into_iter().collect();
    // Versions of Plex differ in what they have.
    for (table, column, target) in REFERENCES.iter().filter(|(table, ..)| known.contains(*table)) {
        collect(
            table,
            column,
            format!(
                "SELECT DISTINCT {column} FROM {table} NOT INDEXED WHERE {column} IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM {target} t NOT INDEXED WHERE t.id = {table}.{column})"
            ),
        );
    }
    for (word, target) in [
        ("metadata_item", "metadata_items"),
        ("media_part", "media_parts"),
        ("media_stream", "media_streams"),
    ] {
        collect(
            "blobs",
            word,
            format!(
                "SELECT linked_id FROM blobs.blobs b WHERE linked_type = '{word}' AND linked_id IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM {target} t NOT INDEXED WHERE t.id = b.linked_id)"
            ),
        );
    }
    found
}

/// An item that can be played.
pub(crate) fn guid(fixture: &Fixture, item: i64) -> String {
    one(fixture, "SELECT guid FROM metadata_items WHERE id = ?1", [item])
}

/// The first part of an item.
pub(crate) fn part_of(fixture: &Fixture, item: i64) -> i64 {
    one(
        fixture,
        "SELECT min(p.id) FROM media_parts p JOIN media_items i ON i.id = p.media_item_id WHERE i.metadata_item_id = ?1",
        [item],
    )
    .parse()
    .expect("a part")
}
