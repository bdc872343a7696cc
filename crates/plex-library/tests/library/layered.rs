//! A second copy that lies over the first: it reads as the library it was made of, and the first is never touched.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use plex_library::layered::{self, Made};
use plex_library::{Databases, Kind, Which, open, snapshot};
use rusqlite::Connection;

use crate::support;

/// What a pair holds, read as everything else reads it.
fn content(databases: &Databases) -> Vec<(i64, String, i64)> {
    let reader = open::pair(databases).unwrap();
    let mut rows = reader
        .prepare(
            "SELECT i.id, i.title, (SELECT coalesce(sum(length(b.blob) + b.linked_id), 0) FROM blobs.blobs b WHERE b.id = i.id)
             FROM metadata_items i ORDER BY i.id",
        )
        .unwrap();
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

fn bytes(databases: &Databases) -> [Vec<u8>; 2] {
    Which::BOTH.map(|which| fs::read(databases.path(which)).unwrap())
}

/// Bytes on disk that are this folder's alone.
fn own(dir: &Path) -> u64 {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap())
        .filter(|meta| meta.nlink() == 1)
        .map(|meta| meta.blocks() * 512)
        .sum()
}

/// What a household does between base and now, and whether the server still runs.
fn compare(page_size: u32, edit: &str, is_running: bool) {
    let tmp = tempfile::tempdir().unwrap();
    let at = |name: &str| Databases::at(tmp.path().join(name));
    let (live, base, now, plain) = (
        support::pair(&tmp.path().join("live"), page_size, 4000),
        at("base"),
        at("now"),
        at("plain"),
    );
    snapshot::take(&live, base.dir(), &()).unwrap();
    let before = (bytes(&base), content(&base));
    let server: Vec<Connection> = Which::BOTH
        .map(|which| support::open(&live.path(which), page_size))
        .into();
    for connection in &server {
        connection.execute_batch("PRAGMA wal_autocheckpoint=0").unwrap();
        connection.execute_batch(edit).unwrap();
    }
    let mut server = Some(server);
    if !is_running {
        server = None;
    }
    let what = format!("pages of {page_size}, {edit:?}, running: {is_running}");
    let made = layered::take(&live, &base, now.dir(), &()).unwrap();
    let Made::Layered(differing) = made else {
        panic!("{what}: {made:?}");
    };
    snapshot::take(&live, plain.dir(), &()).unwrap();
    assert!(layered::is_one(&now) && !layered::is_one(&plain), "{what}");
    assert!(
        own(now.dir()) < differing * 2 + (64 << 10),
        "{what}: {} for {differing}",
        own(now.dir())
    );
    for _ in 0..2 {
        assert!(content(&now) == content(&plain), "{what}");
        assert!(
            (bytes(&base), content(&base)) == before,
            "{what}: the base is what it was"
        );
    }
    // As a copy of the copy it is the same, page by page.
    let again = at("again");
    snapshot::take(&now, again.dir(), &()).unwrap();
    assert!(bytes(&again) == bytes(&plain), "{what}");

    assert_eq!(layered::fold(&now).unwrap_err().kind(), Kind::Refused, "{what}");
    assert!((bytes(&base), content(&base)) == before, "{what}");
    fs::remove_dir_all(base.dir()).unwrap();
    layered::fold(&now).unwrap();
    layered::fold(&now).unwrap();
    assert!(!layered::is_one(&now), "{what}");
    assert!(bytes(&now) == bytes(&plain), "{what}");
    let mut names: Vec<_> = fs::read_dir(now.dir())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, [plex_library::BLOBS_DB, plex_library::LIBRARY_DB], "{what}");
    assert!(content(&now) == content(&plain), "{what}");
    drop(server);
}

#[test]
fn it_reads_as_home_and_the_base_stays_what_it_was() {
    const EDITS: [&str; 4] = [
        "UPDATE metadata_items SET title = 'changed' WHERE id % 500 = 1; UPDATE blobs SET blob = randomblob(300) WHERE id = 9",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
         INSERT INTO metadata_items(title) SELECT 'new' || i FROM n",
        "DELETE FROM metadata_items WHERE id > 300; DELETE FROM blobs WHERE id > 300; VACUUM",
        "",
    ];
    for page_size in [1024, 4096, 16384] {
        for edit in EDITS {
            for is_running in [true, false] {
                compare(page_size, edit, is_running);
            }
        }
    }
}

#[test]
fn what_does_not_fit_becomes_an_ordinary_copy() {
    let tmp = tempfile::tempdir().unwrap();
    let at = |name: &str| Databases::at(tmp.path().join(name));
    let (one, other) = (
        support::pair(&tmp.path().join("one"), 1024, 200),
        support::pair(&tmp.path().join("other"), 4096, 200),
    );
    let now = at("now");
    assert_eq!(layered::take(&other, &one, now.dir(), &()).unwrap(), Made::Plain);
    assert!(!layered::is_one(&now) && content(&now) == content(&other));
    // Nothing is left of the try.
    assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 3);
    // A base whose journal is of the old kind has no log that could be looked for.
    for which in Which::BOTH {
        support::open(&one.path(which), 1024)
            .query_row("PRAGMA journal_mode=DELETE", [], |_| Ok(()))
            .unwrap();
    }
    let third = support::pair(&tmp.path().join("third"), 1024, 200);
    assert_eq!(layered::take(&third, &one, at("then").dir(), &()).unwrap(), Made::Plain);
}

#[test]
fn a_fold_that_was_cut_off_is_finished_by_the_next() {
    let tmp = tempfile::tempdir().unwrap();
    let at = |name: &str| Databases::at(tmp.path().join(name));
    let live = support::pair(&tmp.path().join("live"), 1024, 2000);
    let (base, now, plain) = (at("base"), at("now"), at("plain"));
    snapshot::take(&live, base.dir(), &()).unwrap();
    support::open(&live.library(), 1024)
        .execute_batch("UPDATE metadata_items SET title = 'changed' WHERE id % 100 = 1")
        .unwrap();
    snapshot::take(&live, plain.dir(), &()).unwrap();
    layered::take(&live, &base, now.dir(), &()).unwrap();
    fs::remove_dir_all(base.dir()).unwrap();
    // Half of its pages were written back when the power went, the log is still there.
    let file = fs::OpenOptions::new().write(true).open(now.library()).unwrap();
    let wanted = fs::read(plain.library()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &wanted[..wanted.len() / 2], 0).unwrap();
    drop(file);
    assert!(content(&now) == content(&plain));
    layered::fold(&now).unwrap();
    assert!(bytes(&now) == bytes(&plain));
}
