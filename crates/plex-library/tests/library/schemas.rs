//! The whole way over libraries with the true schemas of two ages of Plex and in three page sizes.

use std::fs;

use plex_library::inspect::{self, Counts};
use plex_library::verify::{self, Level};
use plex_library::{Databases, Which, delta, ids, losses, snapshot};
use sim::fixture::Builder;
use sim::schema::Version;

use crate::support::tree;

#[test]
fn every_schema_and_page_size_goes_the_whole_way() {
    for version in [Version::Plex2026, Version::Plex2020] {
        for page_size in [1024, 4096, 16384] {
            goes_the_whole_way(version, page_size);
        }
    }
}

fn goes_the_whole_way(version: Version, page_size: u32) {
    let what = format!("{version:?} in pages of {page_size}");
    let tmp = tempfile::tempdir().unwrap();
    let home = Databases::at(tmp.path().join("Databases"));
    Builder::new(home.dir())
        .version(version)
        .page_size(page_size)
        .music("Music", "/music", 2, 2, 5)
        .movies("Films", "/films", 4)
        .shows("Series", "/series", 1, 2, 3)
        .photos("Photos", "/photos", 25)
        .household(20, 10, 2)
        .sonic(0.5)
        .build()
        .unwrap();
    let before = tree(home.dir());

    let found = inspect::inspect(home.dir()).unwrap();
    let counts = Counts {
        artists: 2,
        albums: 4,
        tracks: 20,
        movies: 4,
        shows: 1,
        seasons: 2,
        episodes: 6,
        photos: 25,
    };
    assert_eq!(found.totals, counts, "{what}");
    assert_eq!(found.library.page_size, page_size);
    let sonic = if version == Version::Plex2026 { 10 } else { 0 };
    let music = found.sections.iter().find(|section| section.name == "Music").unwrap();
    assert_eq!(
        (music.kind.as_str(), music.sonic_analysed, music.files),
        ("artist", sonic, 20),
        "{what}"
    );
    for level in [Level::Quick, Level::Full] {
        let verified = verify::verify(home.dir(), level).unwrap();
        assert!(verified.ok, "{what}: {:#?}", verified.problems);
    }

    let base = tmp.path().join("base");
    let manifest = snapshot::take(&home, &base, &()).unwrap();
    assert_eq!(tree(home.dir()), before, "{what}");
    assert_eq!(manifest.database(Which::Library).unwrap().whole.page_size, page_size);

    let worker = Databases::at(tmp.path().join("worker"));
    fs::create_dir(worker.dir()).unwrap();
    for which in Which::BOTH {
        fs::copy(Databases::at(&base).path(which), worker.path(which)).unwrap();
    }
    let stride = ids::keep_apart(&worker, 1).unwrap();
    assert_eq!(ids::check(&stride, &home).unwrap(), [], "{what}");
    assert!(verify::verify(worker.dir(), Level::Full).unwrap().ok, "{what}");
    let (changes, staged) = (tmp.path().join("delta"), tmp.path().join("staged"));
    let made = delta::make(&base, &worker, &changes, &()).unwrap();
    // The sequences alone: a few pages, whatever the size.
    assert!(
        made.databases.values().all(|change| change.changed_pages <= 8),
        "{what}: {made:?}"
    );
    delta::apply(&base, &changes, &staged, &()).unwrap();
    for which in Which::BOTH {
        assert!(fs::read(Databases::at(&staged).path(which)).unwrap() == fs::read(worker.path(which)).unwrap());
    }
    assert_eq!(losses::of(&home, &Databases::at(&staged)).unwrap(), [], "{what}");
}
