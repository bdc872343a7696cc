use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use plex_library::repair::{self, Report};
use plex_library::{Databases, Kind, Which};
use rusqlite::{Connection, OpenFlags};
use sim::fixture::Builder;
use sim::schema::Version;

use crate::support::{self, rows};

fn library(dir: &Path, version: Version, page_size: u32) -> Databases {
    Builder::new(dir)
        .version(version)
        .page_size(page_size)
        .music("Music", "/Media/Music", 12, 6, 8)
        .movies("Films", "/Media/Films", 40)
        .household(200, 40, 4)
        .sonic(0.4)
        .build()
        .unwrap();
    Databases::at(dir)
}

fn page_size(path: &Path) -> usize {
    match u16::from_be_bytes(fs::read(path).unwrap()[16..18].try_into().unwrap()) {
        1 => 65536,
        size => usize::from(size),
    }
}

/// Pages of a tree, by kind as dbstat names them.
fn pages(path: &Path, name: &str, kind: &str) -> Vec<usize> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .unwrap()
        .prepare("SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = ?2 ORDER BY pageno")
        .unwrap()
        .query_map([name, kind], |row| row.get::<_, u32>(0))
        .unwrap()
        .map(|page| page.unwrap() as usize)
        .collect()
}

fn zero(path: &Path, page: usize) {
    let size = page_size(path);
    let mut bytes = fs::read(path).unwrap();
    bytes[(page - 1) * size..page * size].fill(0);
    fs::write(path, bytes).unwrap();
}

fn schema(path: &Path) -> BTreeMap<(String, String), Option<String>> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .unwrap()
        .prepare("SELECT type, name, sql FROM sqlite_schema")
        .unwrap()
        .query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// Repairs beside it, and sees that the damaged files stay as they are.
fn repaired(home: &Databases) -> (tempfile::TempDir, Databases, Report) {
    let tmp = tempfile::tempdir().unwrap();
    let before = support::tree(home.dir());
    let output = tmp.path().join("new");
    let report = repair::repair(home, &output, &()).unwrap();
    assert_eq!(support::tree(home.dir()), before);
    (tmp, Databases::at(output), report)
}

fn same_rows(one: &Databases, other: &Databases, but: &[&str]) {
    for which in Which::BOTH {
        let (mut one, mut other) = (rows(&one.path(which)), rows(&other.path(which)));
        for table in but.iter().chain(&["sqlite_schema", "sqlite_sequence"]) {
            one.remove(*table);
            other.remove(*table);
        }
        assert!(one.keys().eq(other.keys()));
        for (table, lines) in one {
            assert_eq!(lines, other[&table], "{which:?} {table}");
        }
    }
}

fn sequence(path: &Path) -> BTreeMap<String, i64> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .unwrap()
        .prepare("SELECT name, seq FROM sqlite_sequence")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn a_whole_library_comes_out_as_it_was() {
    for (version, size) in [
        (Version::Plex2026, 1024),
        (Version::Plex2020, 4096),
        (Version::Plex2026, 16384),
    ] {
        let tmp = tempfile::tempdir().unwrap();
        let home = library(&tmp.path().join("home"), version, size);
        let (_tmp, new, report) = repaired(&home);
        assert!(report.is_complete(), "{report:#?}");
        assert!(report.verification.ok, "{:#?}", report.verification.problems);
        same_rows(&home, &new, &[]);
        for which in Which::BOTH {
            assert_eq!(schema(&home.path(which)), schema(&new.path(which)));
            assert_eq!(sequence(&home.path(which)), sequence(&new.path(which)));
            assert_eq!(page_size(&new.path(which)), size as usize);
        }
        // Plex's own order is in the index: what only Plex has would find each title there.
        let db = sim::store::connect(&new.library()).unwrap();
        let check: String = db
            .query_row("PRAGMA integrity_check(\"metadata_items\")", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok");
    }
}

#[test]
fn the_real_library_comes_out_as_it_was() {
    let Some(home) = support::real_copy("the_real_library_comes_out_as_it_was", &support::keep_dir("repair")) else {
        return;
    };
    let (_tmp, new, report) = repaired(&home);
    assert!(report.is_complete(), "{report:#?}");
    assert!(report.verification.ok, "{:#?}", report.verification.problems);
    same_rows(&home, &new, &[]);
    for which in Which::BOTH {
        assert_eq!(schema(&home.path(which)), schema(&new.path(which)));
    }
    fs::remove_dir_all(home.dir()).unwrap();
}

#[test]
fn a_broken_inner_page_costs_no_row() {
    for (version, size) in [(Version::Plex2026, 1024), (Version::Plex2020, 4096)] {
        let tmp = tempfile::tempdir().unwrap();
        let home = library(&tmp.path().join("home"), version, size);
        let original = library(&tmp.path().join("original"), version, size);
        for table in ["media_parts", "metadata_items", "taggings"] {
            // The root is the lowest of them, and has the others below it where there are more.
            let inner = pages(&home.library(), table, "internal");
            if let Some(page) = inner.first() {
                zero(&home.library(), *page);
            }
        }
        let (_tmp, new, report) = repaired(&home);
        assert!(report.verification.ok, "{:#?}", report.verification.problems);
        let library = &report.databases[&Which::Library];
        assert!(library.tables.iter().any(|table| table.regained > 0), "{report:#?}");
        assert!(library.tables.iter().all(|table| table.known_lost == 0), "{report:#?}");
        same_rows(&original, &new, &[]);
    }
}

#[test]
fn broken_leaves_are_told_by_what_the_indices_know_and_ids_are_not_given_twice() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(&tmp.path().join("home"), Version::Plex2026, 1024);
    let last = *pages(&home.library(), "media_items", "leaf").last().unwrap();
    let highest = |home: &Databases, table: &str| -> i64 {
        Connection::open_with_flags(home.library(), OpenFlags::SQLITE_OPEN_READ_ONLY)
            .unwrap()
            .query_row(&format!("SELECT max(rowid) FROM {table}"), [], |row| row.get(0))
            .unwrap()
    };
    let before = highest(&home, "media_items");
    zero(&home.library(), last);
    // The last ids given out are lost as well.
    zero(&home.library(), pages(&home.library(), "sqlite_sequence", "leaf")[0]);
    let (_tmp, new, report) = repaired(&home);
    let table = report.databases[&Which::Library]
        .tables
        .iter()
        .find(|table| table.table == "media_items")
        .unwrap();
    assert!(table.known_lost > 0 && table.regained == 0, "{table:?}");
    let after = sequence(&new.library());
    // The rows are gone, and so is the note of the last id: the index still knows the highest.
    assert!(highest(&new, "media_items") < before);
    assert_eq!(after["media_items"], before);
    assert!(
        report.databases[&Which::Library]
            .lost
            .iter()
            .any(|lost| lost.page as usize == last && lost.table.as_deref() == Some("media_items")),
        "{report:#?}"
    );
    assert!(report.verification.ok, "{:#?}", report.verification.problems);
}

#[test]
fn what_was_deleted_stays_deleted() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(&tmp.path().join("home"), Version::Plex2026, 1024);
    Connection::open(home.library())
        .unwrap()
        .execute_batch("PRAGMA foreign_keys=OFF; DELETE FROM taggings WHERE id > 100")
        .unwrap();
    let left = rows(&home.library());
    // The list of free pages is broken, so that old leaves of taggings belong to nothing.
    let mut bytes = fs::read(home.library()).unwrap();
    bytes[32..40].fill(0);
    fs::write(home.library(), bytes).unwrap();
    let (_tmp, new, _) = repaired(&home);
    assert_eq!(rows(&new.library())["taggings"], left["taggings"]);
}

#[test]
fn header_schema_and_a_cut_end_are_made_good() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(&tmp.path().join("home"), Version::Plex2026, 4096);
    let original = library(&tmp.path().join("original"), Version::Plex2026, 4096);
    let schema_before = schema(&home.library());
    // A header that says nothing, and a leaf of the schema that is gone: the other database has the same schema.
    let mut bytes = fs::read(home.library()).unwrap();
    bytes[..100].fill(0x55);
    fs::write(home.library(), &bytes).unwrap();
    let (_tmp, new, report) = repaired(&home);
    assert!(report.verification.ok, "{:#?}", report.verification.problems);
    same_rows(&original, &new, &[]);
    assert_eq!(schema(&new.library()), schema_before);

    let home = library(&tmp.path().join("cut"), Version::Plex2026, 4096);
    let bytes = fs::read(home.library()).unwrap();
    fs::write(home.library(), &bytes[..bytes.len() / 4096 * 3 / 4 * 4096 + 100]).unwrap();
    let (_tmp, new, report) = repaired(&home);
    assert!(!report.is_complete());
    assert!(
        report
            .verification
            .problems
            .iter()
            .all(|problem| problem.kind != verify_kind()),
        "{report:#?}"
    );
    let (some, all) = (rows(&new.library()), rows(&original.library()));
    assert!(
        some["metadata_items"]
            .iter()
            .all(|row| all["metadata_items"].contains(row))
    );
    assert!(some["metadata_items"].len() * 2 > all["metadata_items"].len());
}

fn verify_kind() -> plex_library::verify::FindingKind {
    plex_library::verify::FindingKind::Structure
}

#[test]
fn blobs_are_made_anew_too_and_lent_what_they_lack() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(&tmp.path().join("home"), Version::Plex2026, 1024);
    let blobs = rows(&home.blobs())["blobs"].len();
    let leaf = pages(&home.blobs(), "blobs", "leaf")[1];
    zero(&home.blobs(), leaf);
    zero(&home.blobs(), pages(&home.blobs(), "schema_migrations", "leaf")[0]);
    let (_tmp, new, report) = repaired(&home);
    assert!(report.verification.ok, "{:#?}", report.verification.problems);
    let kept = rows(&new.blobs());
    assert!(kept["blobs"].len() < blobs && kept["blobs"].len() > blobs / 2);
    let versions = |home: &Databases, which: Which| rows(&home.path(which))["schema_migrations"].len();
    assert_eq!(versions(&new, Which::Blobs), versions(&new, Which::Library));

    fs::remove_file(home.blobs()).unwrap();
    let (_tmp, new, report) = repaired(&home);
    assert!(report.verification.ok, "{:#?}", report.verification.problems);
    assert_eq!(rows(&new.blobs())["blobs"], Vec::<String>::new());
}

#[test]
fn nothing_is_begun_beside_a_server_or_over_something() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(&tmp.path().join("home"), Version::Plex2026, 1024);
    let server = support::open(&home.library(), 1024);
    let output = tmp.path().join("new");
    assert_eq!(repair::repair(&home, &output, &()).unwrap_err().kind(), Kind::InUse);
    drop(server);
    assert_eq!(
        repair::repair(&home, home.dir(), &()).unwrap_err().kind(),
        Kind::Refused
    );
    assert!(!output.exists());
    assert_eq!(
        repair::repair(&Databases::at(tmp.path().join("nowhere")), &output, &())
            .unwrap_err()
            .kind(),
        Kind::NotALibrary
    );
}

#[test]
fn a_lost_beginning_and_damaged_texts_of_the_schema_cost_no_row() {
    for size in [1024, 4096] {
        let tmp = tempfile::tempdir().unwrap();
        let original = library(&tmp.path().join("original"), Version::Plex2026, size);
        let schema_before = schema(&original.library());
        let damaged = |name: &str, damage: &dyn Fn(&mut Vec<u8>)| {
            let home = library(&tmp.path().join(name), Version::Plex2026, size);
            let mut bytes = fs::read(home.library()).unwrap();
            damage(&mut bytes);
            fs::write(home.library(), bytes).unwrap();
            let (kept, new, report) = repaired(&home);
            assert!(report.verification.ok, "{name}: {:#?}", report.verification.problems);
            assert_eq!(schema(&new.library()), schema_before, "{name}");
            assert_eq!(sequence(&original.library()), sequence(&new.library()), "{name}");
            (kept, new, report)
        };
        // Neither the size of a page nor the way to the schema is known.
        for (name, length) in [("header", 100), ("page", size as usize)] {
            let (_kept, new, report) = damaged(name, &|bytes| bytes[..length].fill(0xa5));
            assert!(report.is_complete(), "{report:#?}");
            same_rows(&original, &new, &[]);
        }
        // Where it stands in the schema, and in what migrations noted for their own way back.
        for (text, at) in [
            (&b"CREATE TABLE \"media_items\""[..], 9),
            (b"CREATE INDEX \"index_media_items_on", 9),
            (b"CREATE VIRTUAL TABLE", 16),
        ] {
            let (_kept, new, report) = damaged(&format!("text-{}-{at}", text.len()), &|bytes| {
                let places: Vec<usize> = (0..bytes.len() - text.len())
                    .filter(|&place| bytes[place..].starts_with(text))
                    .collect();
                assert!(!places.is_empty(), "{text:?}");
                for place in places {
                    bytes[place + at] = 1;
                }
            });
            assert!(!report.databases[&Which::Library].lent.is_empty(), "{report:#?}");
            assert!(report.is_complete(), "{report:#?}");
            same_rows(&original, &new, &["schema_migrations"]);
        }
    }
}

#[test]
fn text_that_is_none_any_more_stays_as_it_is() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(&tmp.path().join("home"), Version::Plex2026, 1024);
    Connection::open(home.library())
        .unwrap()
        .execute_batch("UPDATE schema_migrations SET version = CAST(x'ff3131' AS TEXT) WHERE rowid = 3")
        .unwrap();
    let (_tmp, new, report) = repaired(&home);
    assert!(report.is_complete(), "{report:#?}");
    let odd = Connection::open(new.library())
        .unwrap()
        .query_row(
            "SELECT count(*) FROM schema_migrations WHERE version = CAST(x'ff3131' AS TEXT)",
            [],
            |row| row.get::<_, i64>(0),
        )
        .unwrap();
    assert_eq!(odd, 1);
}
