//! Random histories on a library of 2020: it has other tables, dates as text and a collation that nobody has outside Plex.
//!
//! What the household says about what there is comes along whole; new items, which that collation would have to sort, are
//! kept aside and named, with what hangs on them.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use plex_library::ids;
use proptest::prelude::*;
use sim::fixture::{Builder, Fixture};
use sim::schema::Version;
use sim::store::Pair;
use tempfile::TempDir;

use crate::history::{self, Act};
use crate::properties::{HOMES, ids_of, judge_state, live, map, runner};
use crate::support::{Trio, assert_same, databases, dump, open, rows};

fn base() -> &'static Fixture {
    static BASE: OnceLock<(TempDir, Fixture)> = OnceLock::new();
    let (_, fixture) = BASE.get_or_init(|| {
        let dir = tempfile::tempdir().expect("temporary folder");
        let fixture = Builder::new(dir.path().join("base"))
            .version(Version::Plex2020)
            .music("Music", "/music", 2, 2, 2)
            .shows("Shows", "/shows", 1, 1, 3)
            .movies("Films", "/films", 6)
            .photos("Photos", "/photos", 3)
            .household(12, 6, 2)
            .build()
            .expect("fixture");
        (dir, fixture)
    });
    fixture
}

fn trio() -> Trio {
    let dir = tempfile::tempdir().expect("temporary folder");
    let copy = |name: &str| base().copy(&dir.path().join(name)).expect("copy");
    let (base, mine, theirs) = (copy("base"), copy("mine"), copy("theirs"));
    ids::keep_apart(&databases(&theirs), 1).expect("apart");
    Trio {
        dir,
        base,
        mine,
        theirs,
    }
}

/// Libraries of 2020 have no Sonic data.
fn is_of_2020(act: &Act) -> bool {
    !matches!(act, Act::Analyse(_))
}

/// A server of 2020 writes dates as text.
fn with_dates_as_text(pair: &Pair) {
    for db in [&pair.library, &pair.blobs] {
        let columns: Vec<(String, String)> = db
            .prepare(
                "SELECT s.name, c.name FROM sqlite_schema s, pragma_table_info(s.name) c
                 WHERE s.type = 'table' AND s.rootpage > 0 AND lower(c.type) = 'datetime'",
            )
            .expect("sql")
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("query")
            .collect::<Result<_, _>>()
            .expect("columns");
        assert!(columns.len() > 3, "{columns:?}");
        for (table, column) in columns {
            db.execute(
                &format!(
                    "UPDATE \"{table}\" SET \"{column}\" = datetime(\"{column}\", 'unixepoch') WHERE typeof(\"{column}\") = 'integer'"
                ),
                (),
            )
            .expect("dates");
        }
    }
}

fn one_case(home: &[Act], worker: &[Act]) {
    let trio = trio();
    live(&trio, home, worker, 0);
    trio.home(with_dates_as_text);
    trio.worker(with_dates_as_text);
    let had: Vec<(&str, BTreeSet<i64>)> = ["metadata_items", "media_items", "media_parts"]
        .map(|table| (table, ids_of(&trio.theirs, table)))
        .into();
    let files = "SELECT file, id FROM media_parts WHERE file IS NOT NULL";
    let had_files = map(&trio.theirs, files);
    let report = trio.merge();
    // What both found is one item, with the worker's number where home's would have to be sorted in.
    let decided = report
        .decided
        .iter()
        .map(|decided| (decided.table.as_str(), decided.id));
    let aside: BTreeSet<(&str, i64)> = report
        .kept_aside
        .iter()
        .map(|kept| (kept.table.as_str(), kept.id))
        .chain(decided)
        .collect();
    // What hangs on something that was kept aside is so with it.
    let parents = map(
        &trio.mine,
        "SELECT 'metadata_items ' || id, 'metadata_items ' || parent_id FROM metadata_items NOT INDEXED WHERE parent_id > 0
         UNION ALL SELECT 'media_items ' || id, 'metadata_items ' || metadata_item_id FROM media_items
         UNION ALL SELECT 'media_parts ' || id, 'media_items ' || media_item_id FROM media_parts",
    );
    let is_named = |table: &str, id: i64| {
        let named = |thing: &String| aside.iter().any(|(table, id)| *thing == format!("{table} {id}"));
        std::iter::successors(Some(format!("{table} {id}")), |thing| parents.get(thing).cloned())
            .any(|thing| named(&thing))
    };
    assert!(report.kept_aside.iter().all(|kept| !kept.why.is_empty()), "{report:?}");
    judge_state(&trio);
    for (table, had) in &had {
        let (base, mine, result) = (
            ids_of(&trio.base, table),
            ids_of(&trio.mine, table),
            ids_of(&trio.theirs, table),
        );
        for id in base.intersection(&mine).filter(|id| had.contains(id)) {
            assert!(
                result.contains(id),
                "{table} {id} is in base, home and worker, and not in the result"
            );
        }
        for id in mine.difference(&base) {
            assert!(
                result.contains(id) || is_named(table, *id),
                "{table} {id} is new at home, and neither in the result nor named: {report:?}"
            );
        }
    }
    let result = map(&trio.theirs, files);
    let base_files = map(&trio.base, files);
    for (file, id) in map(&trio.mine, files) {
        let lost_by_worker = base_files.contains_key(&file) && !had_files.contains_key(&file);
        let id = id.parse().expect("id");
        assert!(
            result.contains_key(&file) || is_named("media_parts", id) || lost_by_worker,
            "{file} is lost and not named"
        );
    }
    let known = |table: &str| {
        !rows(
            &open(&trio.base.databases_dir),
            "SELECT 1 FROM sqlite_schema WHERE name = ?1",
            [table],
        )
        .is_empty()
    };
    for table in HOMES
        .iter()
        .filter(|table| !table.starts_with("sqlite") && known(table))
    {
        let all = |fixture: &Fixture| -> BTreeSet<String> {
            rows(
                &open(&fixture.databases_dir),
                &format!("SELECT rowid AS number, * FROM {table}"),
                (),
            )
            .into_iter()
            .filter(|row| {
                let id = row.split('|').next().and_then(|id| id.parse().ok()).expect("a number");
                !aside.contains(&(*table, id))
            })
            .collect()
        };
        assert_eq!(all(&trio.theirs), all(&trio.mine), "{table}");
    }
    let once = dump(&trio.theirs);
    let again = trio.try_merge().expect("merged again");
    assert_same(&once, &dump(&trio.theirs), &again);
}

#[test]
fn a_library_of_2020_loses_nothing_either() {
    let mut runner = runner();
    let acts = |strategy: BoxedStrategy<Act>| {
        prop::collection::vec(strategy.prop_filter("a version that has it", is_of_2020), 0..14)
    };
    let strategy = (acts(history::household().boxed()), acts(history::worker().boxed()));
    runner
        .run(&strategy, |(home, worker)| {
            one_case(&home, &worker);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
