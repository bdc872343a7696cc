use std::fs;
use std::path::Path;

use plex_library::delta::{self, Manifest};
use plex_library::{Databases, Kind, Which, pages, snapshot};
use proptest::prelude::*;

use crate::support::{self, names};

/// Takes the base, lets `change` change the library, and returns base, delta and the changed pair.
fn burst(
    dir: &Path,
    page_size: u32,
    change: impl Fn(&Databases),
) -> (std::path::PathBuf, std::path::PathBuf, Databases) {
    let home = support::pair(&dir.join("home"), page_size, 300);
    let base = dir.join("base");
    snapshot::take(&home, &base, &()).unwrap();
    change(&home);
    let delta = dir.join("delta");
    delta::make(&base, &home, &delta, &()).unwrap();
    (base, delta, home)
}

fn assert_same(left: &Databases, right: &Databases) {
    for which in Which::BOTH {
        assert!(
            fs::read(left.path(which)).unwrap() == fs::read(right.path(which)).unwrap(),
            "{which:?}"
        );
    }
}

fn sql(databases: &Databases, which: Which, sql: &str) {
    rusqlite::Connection::open(databases.path(which))
        .unwrap()
        .execute_batch(sql)
        .unwrap();
}

#[test]
fn growing_shrinking_and_unchanged_files_come_out_byte_for_byte() {
    let changes = [
        "",
        "UPDATE metadata_items SET title = 'short' WHERE id % 50 = 0",
        "INSERT INTO media_parts(file) SELECT hex(randomblob(200)) FROM metadata_items",
        "DELETE FROM metadata_items WHERE id > 20; VACUUM",
        "PRAGMA journal_mode=DELETE; PRAGMA page_size=8192; VACUUM; PRAGMA journal_mode=WAL",
    ];
    for page_size in [1024, 4096, 16384] {
        for change in changes {
            let tmp = tempfile::tempdir().unwrap();
            let (base, delta, home) = burst(tmp.path(), page_size, |home| sql(home, Which::Library, change));
            let dest = tmp.path().join("staged");
            let manifest = delta::apply(&base, &delta, &dest, &()).unwrap();
            assert_same(&home, &Databases::at(&dest));
            assert_eq!(manifest.databases[&Which::Blobs].changed_pages, 0);
            if change.is_empty() {
                assert_eq!(manifest.databases[&Which::Library].changed_pages, 0);
            }
            assert_eq!(names(&dest).len(), 2);
        }
    }
}

#[test]
fn a_result_with_a_log_is_taken_with_it() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::pair(&tmp.path().join("home"), 1024, 300);
    let base = tmp.path().join("base");
    snapshot::take(&home, &base, &()).unwrap();
    let writer = crate::writer::Writer::start(&home);
    let delta_beside = tmp.path().join("beside");
    delta::make(&base, &home, &delta_beside, &()).unwrap();
    delta::apply(&base, &delta_beside, &tmp.path().join("staged-beside"), &()).unwrap();
    writer.kill();
    let delta = tmp.path().join("delta");
    delta::make(&base, &home, &delta, &()).unwrap();
    delta::apply(&base, &delta, &tmp.path().join("staged"), &()).unwrap();
    // SQLite recovers the killed writer's log into the file; that has to be the staged one.
    for which in Which::BOTH {
        sql(&home, which, "SELECT count(*) FROM metadata_items");
    }
    assert_same(&home, &Databases::at(tmp.path().join("staged")));
}

#[test]
fn nothing_is_used_that_is_not_what_was_promised() {
    let change = |home: &Databases| {
        sql(
            home,
            Which::Library,
            "UPDATE metadata_items SET title = 'x' WHERE id < 90",
        )
    };
    let flip = |path: &Path, at: usize| {
        let mut bytes = fs::read(path).unwrap();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 0x40;
        fs::write(path, bytes).unwrap();
    };
    type Spoil<'a> = &'a dyn Fn(&Path, &Path);
    let cases: [(&str, Spoil<'_>, Kind); 6] = [
        (
            "a page of the base",
            &|base, _| flip(&Databases::at(base).library(), 40_000),
            Kind::Mismatch,
        ),
        (
            "the object",
            &|_, delta| flip(&delta.join("library.delta"), 100),
            Kind::Damaged,
        ),
        (
            "a cut object",
            &|_, delta| {
                fs::File::options()
                    .write(true)
                    .open(delta.join("library.delta"))
                    .unwrap()
                    .set_len(99)
                    .unwrap()
            },
            Kind::Damaged,
        ),
        (
            "no manifest",
            &|_, delta| fs::remove_file(delta.join("delta.json")).unwrap(),
            Kind::Io,
        ),
        (
            "an object elsewhere",
            &|_, delta| {
                let path = delta.join("delta.json");
                let text = fs::read_to_string(&path)
                    .unwrap()
                    .replace("library.delta", "../library.delta");
                fs::write(path, text).unwrap();
            },
            Kind::Damaged,
        ),
        (
            "another base",
            &|base, _| {
                sql(
                    &Databases::at(base),
                    Which::Library,
                    "INSERT INTO media_parts(file) VALUES('x')",
                )
            },
            Kind::Mismatch,
        ),
    ];
    for (name, spoil, kind) in cases {
        let tmp = tempfile::tempdir().unwrap();
        let (base, delta, _) = burst(tmp.path(), 1024, change);
        spoil(&base, &delta);
        let error = delta::apply(&base, &delta, &tmp.path().join("staged"), &()).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert_eq!(names(tmp.path()), ["base", "delta", "home"], "{name}");
    }
}

#[test]
fn a_broken_index_is_noticed_before_it_is_used() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::pair(&tmp.path().join("home"), 1024, 30);
    let base = tmp.path().join("base");
    fs::create_dir(&base).unwrap();
    pages::index_pair(&home, &base, &()).unwrap();
    let path = pages::index_path(&base, Which::Library);
    let whole = fs::read(&path).unwrap();
    for at in [0, 9, 13, 17, 30, 60, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let kind = pages::Index::open(&path).unwrap_err().kind();
        assert!(matches!(kind, Kind::Damaged | Kind::Mismatch), "byte {at}: {kind:?}");
    }
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(pages::Index::open(&path).unwrap_err().kind(), Kind::Damaged);
    fs::write(&path, &whole).unwrap();
    assert_eq!(
        pages::Index::open(&path).unwrap().whole().bytes,
        fs::metadata(home.library()).unwrap().len()
    );
}

/// One thing that somebody does to a library.
#[derive(Debug, Clone)]
enum Edit {
    Insert(u8),
    Grow(u16),
    Shorten(u8),
    Delete(u8),
    Blob(u16),
    Vacuum,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        any::<u8>().prop_map(Edit::Insert),
        (0..5000_u16).prop_map(Edit::Grow),
        any::<u8>().prop_map(Edit::Shorten),
        any::<u8>().prop_map(Edit::Delete),
        (0..9000_u16).prop_map(Edit::Blob),
        Just(Edit::Vacuum),
    ]
}

impl Edit {
    fn apply(&self, home: &Databases) {
        match self {
            Self::Insert(n) => sql(
                home,
                Which::Library,
                &format!(
                    "WITH n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i<{n})
                     INSERT INTO media_parts(file) SELECT hex(randomblob(20)) FROM n"
                ),
            ),
            Self::Grow(n) => sql(
                home,
                Which::Library,
                &format!("UPDATE metadata_items SET title = hex(randomblob({n})) WHERE id % 40 = 1"),
            ),
            Self::Shorten(n) => {
                sql(
                    home,
                    Which::Library,
                    &format!("UPDATE metadata_items SET title = 'a' WHERE id % 200 = {n}"),
                );
            }
            Self::Delete(n) => sql(
                home,
                Which::Library,
                &format!("DELETE FROM metadata_items WHERE id > {n}"),
            ),
            Self::Blob(n) => {
                sql(
                    home,
                    Which::Blobs,
                    &format!("INSERT INTO blobs(blob) VALUES(randomblob({n}))"),
                );
            }
            Self::Vacuum => sql(home, Which::Blobs, "DELETE FROM blobs WHERE id % 2; VACUUM"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_history_of_edits_comes_out_byte_for_byte(
        page_size in prop::sample::select(vec![1024_u32, 4096, 16384]),
        edits in prop::collection::vec(edit(), 0..8),
    ) {
        let tmp = tempfile::tempdir().unwrap();
        let (base, delta, home) = burst(tmp.path(), page_size, |home| edits.iter().for_each(|edit| edit.apply(home)));
        let dest = tmp.path().join("staged");
        delta::apply(&base, &delta, &dest, &()).unwrap();
        assert_same(&home, &Databases::at(&dest));
        // No page travels that is the same on both sides.
        let manifest = Manifest::read(&delta).unwrap();
        for which in Which::BOTH {
            let before = fs::read(Databases::at(&base).path(which)).unwrap();
            let after = fs::read(home.path(which)).unwrap();
            let mut old = before.chunks(page_size as usize);
            let differ = after.chunks(page_size as usize).filter(|page| old.next() != Some(page)).count();
            prop_assert_eq!(manifest.databases[&which].changed_pages as usize, differ);
        }
    }
}
