//! What comes of a snapshot's one pass beside the copy itself.

use std::fs;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use plex_library::snapshot::{self, Manifest, Options, Since, Way, packed_name};
use plex_library::{Databases, Kind, Which, delta, size};

use crate::support::{self, names};

#[test]
fn the_packed_databases_are_those_of_the_copy() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::pair(&tmp.path().join("home"), 1024, 3000);
    let (base, packed) = (tmp.path().join("base"), tmp.path().join("packed"));
    for way in [Way::OnePass, Way::Plain] {
        let options = Options {
            way,
            plex_version: Some("1.43.4".into()),
            packed: Some(&packed),
            ..Options::default()
        };
        let taken = snapshot::take_with(&home, &base, &options, &()).unwrap();
        assert_eq!(Manifest::read(&base).unwrap(), taken.manifest);
        assert_eq!(taken.manifest.plex_version.as_deref(), Some("1.43.4"));
        assert_eq!(names(&packed), ["blobs.db.zst", "library.db.zst"]);
        for which in Which::BOTH {
            let object = fs::read(packed.join(packed_name(which))).unwrap();
            assert_eq!(taken.packed[&which].bytes, object.len() as u64);
            assert_eq!(taken.packed[&which].blake3, blake3::hash(&object).to_hex().as_str());
            let unpacked = zstd::decode_all(object.as_slice()).unwrap();
            assert!(unpacked == fs::read(Databases::at(&base).path(which)).unwrap());
        }
        fs::remove_dir_all(&base).unwrap();
        fs::remove_dir_all(&packed).unwrap();
    }
}

/// The second burst: what the depot and the worker have is the first copy; only what changed since then goes up.
#[test]
fn a_second_snapshot_also_gives_what_changed_since_the_first() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::pair(&tmp.path().join("home"), 1024, 3000);
    let dir = |name: &str| tmp.path().join(name);
    snapshot::take(&home, &dir("first"), &()).unwrap();
    rusqlite::Connection::open(home.library())
        .unwrap()
        .execute_batch(
            "UPDATE metadata_items SET title = 'x' WHERE id % 500 = 0;
             INSERT INTO metadata_item_views(guid) VALUES('seen')",
        )
        .unwrap();
    // Of the first copy nothing but its indices is needed.
    fs::create_dir(dir("indices")).unwrap();
    for which in Which::BOTH {
        let name = plex_library::pages::index_name(which);
        fs::copy(dir("first").join(&name), dir("indices").join(&name)).unwrap();
    }
    let options = Options {
        since: Some(Since {
            index: &dir("indices"),
            out: &dir("delta"),
        }),
        ..Options::default()
    };
    let taken = snapshot::take_with(&home, &dir("second"), &options, &()).unwrap();
    let changes = taken.delta.unwrap();
    assert_eq!(delta::Manifest::read(&dir("delta")).unwrap(), changes);
    // Six rows of some 1,575 pages, with what random titles move in the index of titles.
    assert!(changes.databases[&Which::Library].changed_pages < 100, "{changes:?}");
    assert_eq!(changes.databases[&Which::Blobs].changed_pages, 0);
    delta::apply(&dir("first"), &dir("delta"), &dir("again"), &()).unwrap();
    for which in Which::BOTH {
        let path = |name: &str| Databases::at(dir(name)).path(which);
        assert!(fs::read(path("again")).unwrap() == fs::read(path("second")).unwrap());
    }
}

#[test]
fn what_fails_leaves_none_of_the_outcomes() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::pair(&tmp.path().join("home"), 1024, 50);
    fs::write(home.library(), vec![0x55; 5000]).unwrap();
    let packed = tmp.path().join("packed");
    let options = Options {
        packed: Some(&packed),
        ..Options::default()
    };
    let error = snapshot::take_with(&home, &tmp.path().join("base"), &options, &()).unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged);
    assert_eq!(names(tmp.path()), ["home"]);
}

#[test]
fn a_limit_of_bytes_per_second_is_kept() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::pair(&tmp.path().join("home"), 1024, 1000);
    let bytes = size::of(&home).unwrap().databases();
    let options = Options {
        bytes_per_second: NonZeroU64::new(bytes * 2),
        ..Options::default()
    };
    let begun = Instant::now();
    snapshot::take_with(&home, &tmp.path().join("base"), &options, &()).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(490), "{:?}", begun.elapsed());
}

#[test]
fn the_size_is_told_beforehand() {
    let tmp = tempfile::tempdir().unwrap();
    let home = Databases::at(tmp.path().join("Databases"));
    sim::fixture::Builder::new(home.dir())
        .music("Music", "/music", 1, 1, 5)
        .bloat(5000, 0)
        .build()
        .unwrap();
    fs::write(home.dir().join("com.plexapp.plugins.library.db-2026-01-02"), [0; 777]).unwrap();
    fs::write(home.dir().join("anything"), "else").unwrap();
    let told = size::of(&home).unwrap();
    let bytes = |which| fs::metadata(home.path(which)).unwrap().len();
    assert_eq!((told.library, told.blobs), (bytes(Which::Library), bytes(Which::Blobs)));
    assert_eq!(told.backups, 777);
    // Against what the table and its indices really take.
    let exact: u64 = plex_library::inspect::inspect(home.dir())
        .unwrap()
        .library
        .tables
        .iter()
        .filter(|table| table.table == "statistics_bandwidth")
        .map(|table| table.bytes + table.index_bytes)
        .sum();
    assert!(
        told.statistics > exact * 2 / 3 && told.statistics < exact * 3 / 2,
        "{} told, {exact} found",
        told.statistics
    );
}
