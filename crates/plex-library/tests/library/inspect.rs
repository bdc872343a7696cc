use std::fs;
use std::os::unix::fs::PermissionsExt;

use plex_library::inspect::{self, Counts};
use plex_library::{Databases, Kind};

use crate::support::{self, tree};
use crate::writer::Writer;

#[test]
fn the_real_library_is_described() {
    let Some(real) = support::real("the_real_library_is_described") else {
        return;
    };
    let before = tree(&real);
    let found = inspect::inspect(&real).unwrap();
    assert_eq!(tree(&real), before);
    let sections: Vec<_> = found
        .sections
        .iter()
        .map(|section| (section.name.as_str(), section.kind.as_str(), section.counts))
        .collect();
    let movies = |movies| Counts {
        movies,
        ..Counts::default()
    };
    assert_eq!(sections[0], ("Movies", "movie", movies(7)));
    assert_eq!(sections[2], ("Custom Movies", "movie", movies(4)));
    assert_eq!(
        (sections[1].0, sections[1].1, sections[1].2.shows),
        ("TV Shows", "show", 6)
    );
    assert_eq!(found.totals.shows, 7);
    assert_eq!(found.sections[0].roots, ["/movies"]);
    assert_eq!(found.schema_migrations, 441);
    assert_eq!(found.schema_newest.as_deref(), Some("202601121053"));
    assert_eq!(
        (found.library.page_size, found.library.pages, found.library.log),
        (1024, 1381, None)
    );
    assert_eq!(found.backups.len(), 2);
    assert_eq!(found.others, []);
    assert!(found.library.tables[0].bytes > 10_000, "{:?}", found.library.tables[0]);
}

#[test]
fn the_promised_keys_are_there() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::plex_pair(tmp.path());
    let found = serde_json::to_value(inspect::inspect(home.dir()).unwrap()).unwrap();
    let section = &found["sections"][0];
    assert_eq!(
        (&section["name"], &section["type"]),
        (&"Music".into(), &"artist".into())
    );
    assert_eq!(
        section["counts"],
        serde_json::json!({"artists": 1, "albums": 1, "tracks": 3, "movies": 0, "shows": 0, "seasons": 0, "episodes": 0,
            "photos": 0})
    );
    assert_eq!(section["sonic_analysed"], 2);
    assert_eq!(section["trashed"], 1);
}

#[test]
fn no_trace_is_left_whatever_state_the_files_are_in() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::plex_pair(&tmp.path().join("rest"));
    let killed = support::plex_pair(&tmp.path().join("killed"));
    Writer::start(&killed).kill();
    for databases in [&home, &killed] {
        // Also where nothing may be written at all (root may, so the tree is compared as well).
        fs::set_permissions(databases.dir(), fs::Permissions::from_mode(0o555)).unwrap();
        let before = tree(tmp.path());
        inspect::inspect(databases.dir()).unwrap();
        inspect::inspect(&databases.library()).unwrap();
        assert_eq!(tree(tmp.path()), before);
        fs::set_permissions(databases.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let beside = support::plex_pair(&tmp.path().join("beside"));
    let writer = Writer::start(&beside);
    for _ in 0..20 {
        inspect::inspect(beside.dir()).unwrap();
    }
    writer.stop();
    assert_eq!(support::names(beside.dir()).len(), 2);
}

#[test]
fn a_library_without_blobs_and_with_strange_values_is_described() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::plex_pair(tmp.path());
    fs::remove_file(home.blobs()).unwrap();
    let db = rusqlite::Connection::open(home.library()).unwrap();
    db.execute_batch(
        "UPDATE metadata_items SET extra_data = 'pv%3Ax=1&ms%3AmusicAnalysisVersion=1' WHERE id = 3;
         INSERT INTO library_sections(name, section_type, agent) VALUES(NULL, NULL, x'ff'), (7, 99, 1.5);",
    )
    .unwrap();
    drop(db);
    let found = inspect::inspect(home.dir()).unwrap();
    assert_eq!(found.blobs, None);
    assert_eq!(found.sections[0].sonic_analysed, 1);
    assert_eq!(
        (found.sections[3].name.as_str(), found.sections[3].kind.as_str()),
        ("7", "type-99")
    );
}

#[test]
fn what_is_no_library_gets_a_clear_error() {
    let tmp = tempfile::tempdir().unwrap();
    let library = Databases::at(tmp.path()).library();
    for (content, kind) in [
        (&b""[..], Kind::NotALibrary),
        (b"garbage", Kind::Damaged),
        (&[0; 4096], Kind::Damaged),
    ] {
        fs::write(&library, content).unwrap();
        let error = inspect::inspect(tmp.path()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn the_real_library_is_judged_by_its_bundles() {
    let Some(real) = support::real("the_real_library_is_judged_by_its_bundles") else {
        return;
    };
    let found = inspect::inspect(&real).unwrap();
    let movies = &found.sections[0].health;
    // Seven films, all with posters and analysed; bundles were kept of a few.
    assert_eq!(
        (movies.posters.have, movies.posters.all, movies.posters.percent()),
        (7, 7, Some(100))
    );
    let bundles = found.bundles.unwrap();
    assert!(bundles.media > 0 && bundles.metadata["Movies"] > 0, "{bundles:?}");
    assert!(movies.bundles.unwrap().have <= bundles.metadata["Movies"]);
    assert_eq!(movies.thumbnails.unwrap().all, found.sections[0].files);
    assert_eq!(found.bytes, found.library.bytes + found.blobs.unwrap().bytes);
    assert!(found.statistics_bytes > 0);
}

#[test]
fn bundles_are_counted_and_make_a_verdict() {
    let tmp = tempfile::tempdir().unwrap();
    let data = tmp.path().join("Plex Media Server");
    let databases = data.join("Plug-in Support/Databases");
    sim::fixture::Builder::new(&databases)
        .music("Music", "/music", 4, 1, 5)
        .movies("Films", "/films", 4)
        .sonic(1.0)
        .build()
        .unwrap();
    let verdicts = |data: &std::path::Path| -> Vec<(String, &'static str, Option<u64>)> {
        inspect::inspect(data)
            .unwrap()
            .sections
            .iter()
            .map(|section| {
                let bundles = section.health.bundles.and_then(inspect::Share::percent);
                (section.name.clone(), section.health.verdict.word(), bundles)
            })
            .collect()
    };
    assert_eq!(
        verdicts(&data),
        [("Music".into(), "unknown", None), ("Films".into(), "unknown", None)]
    );
    let hashes: Vec<(i64, String)> = rusqlite::Connection::open(Databases::at(&databases).library())
        .unwrap()
        .prepare(
            "SELECT metadata_type, hash FROM metadata_items NOT INDEXED WHERE metadata_type IN (1, 8, 9) ORDER BY id",
        )
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut films = 0;
    for (kind, hash) in hashes {
        let folder = match kind {
            1 => "Movies",
            8 => "Artists",
            _ => "Albums",
        };
        films += usize::from(kind == 1);
        // Two films of four have theirs.
        if kind != 1 || films <= 2 {
            let bundle = format!("Metadata/{folder}/{}/{}.bundle/Contents", &hash[..1], &hash[1..]);
            fs::create_dir_all(data.join(bundle)).unwrap();
        }
    }
    assert_eq!(
        verdicts(&data),
        [
            ("Music".into(), "good", Some(100)),
            ("Films".into(), "partial", Some(50))
        ]
    );
}
