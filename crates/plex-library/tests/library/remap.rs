use std::fs;
use std::path::Path;

use plex_library::remap::{self, Inverse, Mapping, Plan};
use plex_library::verify::{self, Level};
use plex_library::{Databases, Kind};
use rusqlite::Connection;
use sim::fixture::Builder;
use sim::schema::Version;

use crate::support::{self, rows, tree};

fn map(pairs: &[(&str, &str)]) -> Vec<Mapping> {
    pairs.iter().map(|(old, new)| Mapping::new(old, new).unwrap()).collect()
}

fn library(dir: &Path, version: Version) -> Databases {
    Builder::new(dir)
        .version(version)
        .music("Music", "/Media/Music", 2, 2, 5)
        .music("More", "/Media/Music 2", 1, 1, 3)
        .movies("Films", "/Media/Films", 4)
        .household(10, 5, 2)
        .build()
        .unwrap();
    Databases::at(dir)
}

fn sql(databases: &Databases, text: &str) {
    Connection::open(databases.library())
        .unwrap()
        .execute_batch(text)
        .unwrap();
}

fn texts(databases: &Databases, text: &str) -> Vec<String> {
    Connection::open(databases.library())
        .unwrap()
        .prepare(text)
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn of_column(plan: &Plan, column: &str) -> u64 {
    plan.columns
        .iter()
        .find(|found| found.column == column)
        .map_or(0, |found| found.rows)
}

#[test]
fn paths_follow_and_come_back_byte_for_byte() {
    for version in [Version::Plex2026, Version::Plex2020] {
        let tmp = tempfile::tempdir().unwrap();
        let home = library(&tmp.path().join("home"), version);
        sql(
            &home,
            "UPDATE media_streams SET url = 'file:///Media/Music/%C3%89t%C3%A9/a.lrc' WHERE id = 1;
             UPDATE media_streams SET url = 'file:///Media/Music%202/b.lrc' WHERE id = 2;
             UPDATE media_parts SET file = CAST(x'2f4d656469612f4d757369632fff' AS TEXT) WHERE id = 1;",
        );
        let before = rows(&home.library());
        let untouched = tree(home.dir());
        let mappings = map(&[("/Media/Music", "/srv/tunes"), ("/Media/Films", "/Media/Music")]);
        let plan = remap::plan(&home, &mappings).unwrap();
        assert_eq!(tree(home.dir()), untouched, "a plan leaves no trace");
        assert_eq!(
            (
                of_column(&plan, "file"),
                of_column(&plan, "root_path"),
                of_column(&plan, "url")
            ),
            (25, 2, 1),
            "{plan:#?}"
        );
        assert_eq!(plan.unmapped, ["/Media/Music 2"]);
        assert_eq!((plan.merged.len(), plan.colliding), (0, 0));

        let note = tmp.path().join("inverse.json");
        let report = remap::apply_noted(&home, &plan, &note).unwrap();
        assert_eq!(report.columns, plan.columns);
        assert_eq!(Inverse::read(&note).unwrap(), report.inverse);
        assert_eq!(
            texts(&home, "SELECT root_path FROM section_locations ORDER BY id"),
            ["/srv/tunes", "/Media/Music 2", "/Media/Music"]
        );
        assert_eq!(
            texts(&home, "SELECT url FROM media_streams WHERE id IN (1, 2)"),
            ["file:///srv/tunes/%C3%89t%C3%A9/a.lrc", "file:///Media/Music%202/b.lrc"]
        );
        let after = rows(&home.library());
        let verified = verify::verify(home.dir(), Level::Full).unwrap();
        assert!(verified.ok, "{:#?}", verified.problems);
        // Killed after it was done, and begun again.
        assert_eq!(
            remap::apply_noted(&home, &plan, &note)
                .unwrap()
                .columns
                .iter()
                .map(|c| c.rows)
                .sum::<u64>(),
            28
        );
        assert_eq!(rows(&home.library()), after);

        let undone = remap::undo(&home, &report.inverse).unwrap();
        assert_eq!((undone.restored, undone.mapped, undone.gone), (28, 0, 0));
        assert_eq!(rows(&home.library()), before);
        let again = remap::undo(&home, &report.inverse).unwrap();
        assert!(again.already);
        assert_eq!(rows(&home.library()), before);
    }
}

#[test]
fn two_roots_that_fall_on_one_become_one_and_two_again() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(&tmp.path().join("home"), Version::Plex2026);
    sql(
        &home,
        "INSERT INTO section_locations(id, library_section_id, root_path, available) VALUES (50, 1, '/old/more', 't');
         UPDATE media_items SET section_location_id = 50 WHERE id IN (2, 4);
         UPDATE media_parts SET file = '/old/more/' || id || '.flac' WHERE media_item_id IN (2, 4);",
    );
    let before = rows(&home.library());
    let mappings = map(&[("/Media/Music", "/m"), ("/old/more", "/m/")]);
    let plan = remap::plan(&home, &mappings).unwrap();
    assert_eq!(plan.merged.len(), 1, "{plan:#?}");
    assert_eq!((plan.merged[0].id, plan.merged[0].into), (50, 1));
    let report = remap::apply(&home, &plan).unwrap();
    assert_eq!(
        texts(
            &home,
            "SELECT root_path FROM section_locations WHERE library_section_id = 1"
        ),
        ["/m"]
    );
    assert_eq!(
        texts(
            &home,
            "SELECT CAST(count(*) AS TEXT) FROM media_items WHERE section_location_id = 50"
        ),
        ["0"]
    );
    let undone = remap::undo(&home, &report.inverse).unwrap();
    assert_eq!((undone.roots, undone.gone), (1, 0));
    assert_eq!(rows(&home.library()), before);
}

#[test]
fn a_library_of_windows_gets_paths_of_this_system_and_its_own_back() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(&tmp.path().join("home"), Version::Plex2026);
    sql(
        &home,
        r"UPDATE section_locations SET root_path = 'D:\Music' WHERE id = 1;
          UPDATE media_parts SET file = 'D:\Music\a\' || id || '.flac' WHERE id < 10;
          UPDATE media_parts SET file = 'D:\Music\a/b\odd.flac' WHERE id = 3;",
    );
    let before = rows(&home.library());
    let plan = remap::plan(&home, &map(&[(r"D:\Music\", "/m")])).unwrap();
    assert_eq!(
        (of_column(&plan, "file"), of_column(&plan, "root_path")),
        (9, 1),
        "{plan:#?}"
    );
    let report = remap::apply(&home, &plan).unwrap();
    let left = r"SELECT file FROM media_parts WHERE file LIKE '%\%' UNION SELECT root_path FROM section_locations
                 WHERE root_path LIKE '%\%'";
    assert_eq!(texts(&home, left), Vec::<String>::new());
    assert_eq!(
        texts(&home, "SELECT file FROM media_parts WHERE id IN (2, 3) ORDER BY id"),
        ["/m/a/2.flac", "/m/a/b/odd.flac"]
    );
    assert!(!remap::is_undone(&home, &report.inverse).unwrap());
    remap::undo(&home, &report.inverse).unwrap();
    assert!(remap::is_undone(&home, &report.inverse).unwrap());
    assert_eq!(rows(&home.library()), before);
}

#[test]
fn what_a_worker_added_is_mapped_back_and_what_was_there_stays() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(&tmp.path().join("home"), Version::Plex2026);
    // Under the new root before anything is mapped: it must not be taken for a mapped one.
    sql(&home, "UPDATE media_parts SET file = '/mnt/own.mkv' WHERE id = 3");
    let plan = remap::plan(&home, &map(&[("/Media/Films", "/mnt")])).unwrap();
    let report = remap::apply(&home, &plan).unwrap();
    sql(
        &home,
        "INSERT INTO media_parts(id, media_item_id, file) VALUES (9000, 1, '/mnt/new film/new.mkv');
         UPDATE media_parts SET file = '/mnt/moved.mkv' WHERE id = (SELECT max(id) FROM media_parts WHERE id < 9000);",
    );
    let undone = remap::undo(&home, &report.inverse).unwrap();
    assert_eq!((undone.mapped, undone.gone), (1, 0), "{undone:?}");
    assert_eq!(
        texts(
            &home,
            "SELECT file FROM media_parts WHERE id = 3 OR id >= (SELECT max(id) FROM media_parts WHERE id < 9000) ORDER BY id"
        ),
        [
            "/mnt/own.mkv",
            "/Media/Films/moved.mkv",
            "/Media/Films/new film/new.mkv"
        ]
    );
}

#[test]
fn files_that_would_meet_and_what_is_left_alone_are_named() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(&tmp.path().join("home"), Version::Plex2026);
    sql(
        &home,
        "UPDATE media_parts SET file = '/a/x.flac' WHERE id = 1; UPDATE media_parts SET file = '/b/x.flac' WHERE id = 2;
         UPDATE media_items SET hints = '/a/x.flac' WHERE id = 1;",
    );
    let mappings = map(&[("/a", "/c"), ("/b", "/c"), ("/nowhere", "/d")]);
    let plan = remap::plan(&home, &mappings).unwrap();
    assert_eq!(
        (plan.colliding, plan.collisions.as_slice()),
        (1, &["/c/x.flac".to_owned()][..])
    );
    assert_eq!(plan.unused, ["/nowhere"]);
    let elsewhere = remap::elsewhere(&home, &mappings).unwrap();
    assert_eq!(elsewhere.len(), 1, "{elsewhere:?}");
    assert_eq!((elsewhere[0].column.as_str(), elsewhere[0].rows), ("hints", 1));
}

#[test]
fn a_plan_of_another_library_and_one_that_is_open_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(&tmp.path().join("home"), Version::Plex2026);
    let plan = remap::plan(&home, &map(&[("/Media/Films", "/mnt")])).unwrap();
    let server = Connection::open(home.library()).unwrap();
    server.execute_batch("SELECT * FROM media_parts").unwrap_or(());
    assert_eq!(remap::apply(&home, &plan).unwrap_err().kind(), Kind::InUse);
    drop(server);
    sql(
        &home,
        "UPDATE media_parts SET file = '/elsewhere' WHERE file LIKE '/Media/Films%'",
    );
    let before = rows(&home.library());
    let note = tmp.path().join("inverse.json");
    assert_eq!(remap::apply_noted(&home, &plan, &note).unwrap_err().kind(), Kind::InUse);
    assert_eq!(rows(&home.library()), before);
    assert!(!note.exists());
}

#[test]
fn the_real_library_goes_there_and_back() {
    let Some(home) = support::real_copy("the_real_library_goes_there_and_back", &support::keep_dir("remap")) else {
        return;
    };
    let before = rows(&home.library());
    let mappings = map(&[
        ("/movies", "/srv/a b"),
        ("/tvshows", "/movies"),
        ("/custom_movies", "/srv/a b"),
    ]);
    let plan = remap::plan(&home, &mappings).unwrap();
    assert_eq!((of_column(&plan, "file"), plan.unmapped.len()), (33, 1), "{plan:#?}");
    let report = remap::apply(&home, &plan).unwrap();
    assert!(verify::verify(home.dir(), Level::Full).unwrap().ok);
    remap::undo(&home, &report.inverse).unwrap();
    assert_eq!(rows(&home.library()), before);
    fs::remove_dir_all(home.dir()).unwrap();
}
