//! Random histories at home and at the worker: whatever happened, nothing that the household did is lost.
//!
//! A few cases run with every test run; `PLEXBURST_PROPTEST_CASES=2000` runs more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use plex_library::ids;
use plex_library::merge::{Options, merge};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sim::fixture::{Builder, Fixture};
use tempfile::TempDir;

use crate::history::{self, Act};
use crate::support::{Trio, assert_same, databases, dump, open, rows};

/// Cases of an ordinary run: enough to notice a slip, few enough not to be waited for.
const CASES: u32 = 6;

fn cases() -> u32 {
    std::env::var("PLEXBURST_PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(CASES)
}

/// One base for all cases; they work on copies.
fn base() -> &'static Fixture {
    static BASE: OnceLock<(TempDir, Fixture)> = OnceLock::new();
    &BASE
        .get_or_init(|| {
            let dir = tempfile::tempdir().expect("temporary folder");
            let fixture = Builder::new(dir.path().join("base"))
                .music("Music", "/music", 2, 2, 2)
                .shows("Shows", "/shows", 1, 1, 3)
                .movies("Films", "/films", 6)
                .photos("Photos", "/photos", 3)
                .household(12, 6, 2)
                .sonic(0.4)
                .build()
                .expect("fixture");
            (dir, fixture)
        })
        .1
}

fn trio(apart: bool) -> Trio {
    let dir = tempfile::tempdir().expect("temporary folder");
    let copy = |name: &str| base().copy(&dir.path().join(name)).expect("copy");
    let (base, mine, theirs) = (copy("base"), copy("mine"), copy("theirs"));
    if apart {
        ids::keep_apart(&databases(&theirs), 1).expect("apart");
    }
    Trio {
        dir,
        base,
        mine,
        theirs,
    }
}

fn live(trio: &Trio, home: &[Act], worker: &[Act], from: usize) {
    trio.home(|pair| {
        for (n, act) in home.iter().enumerate() {
            history::act(&trio.mine, pair, act, from + n);
        }
    });
    trio.worker(|pair| {
        for (n, act) in worker.iter().enumerate() {
            history::act(&trio.theirs, pair, act, from + 100 + n);
        }
    });
}

fn ids_of(fixture: &Fixture, table: &str) -> BTreeSet<i64> {
    rows(
        &open(&fixture.databases_dir),
        &format!("SELECT id FROM {table} NOT INDEXED"),
        (),
    )
    .iter()
    .map(|id| id.parse().expect("id"))
    .collect()
}

fn map(fixture: &Fixture, sql: &str) -> BTreeMap<String, String> {
    rows(&open(&fixture.databases_dir), sql, ())
        .iter()
        .filter_map(|row| row.split_once('|'))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// What has to hold of the result, whatever happened.
fn judge(trio: &Trio, worker_before: &BTreeMap<&str, BTreeSet<i64>>, files_before: &BTreeMap<String, String>) {
    for (table, had) in worker_before {
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
        for id in base.iter().filter(|id| !mine.contains(id)) {
            assert!(
                !result.contains(id) || is_kept_container(trio, table, *id),
                "{table} {id} was deleted at home and is in the result"
            );
        }
    }
    let settings = "SELECT id, coalesce(rating, '') || '/' || coalesce(view_offset, '') FROM metadata_item_settings";
    let counts = "SELECT id, coalesce(view_count, 0) FROM metadata_item_settings";
    let (result, home) = (map(&trio.theirs, settings), map(&trio.mine, settings));
    for (id, stars) in &home {
        assert!(result.contains_key(id), "settings {id} ({stars}) are lost");
    }
    let base = map(&trio.base, settings);
    for (id, stars) in home.iter().filter(|(id, stars)| base.get(*id) != Some(*stars)) {
        let [ours, got] = [stars, &result[id]].map(|text| text.split_once('/').expect("two").to_owned());
        assert!(
            ours.0.is_empty() || ours.0 == got.0,
            "rating of settings {id}: {stars} became {}",
            result[id]
        );
    }
    let (result, home, base) = (
        map(&trio.theirs, counts),
        map(&trio.mine, counts),
        map(&trio.base, counts),
    );
    let number = |text: &String| text.parse::<i64>().expect("count");
    for (id, count) in &home {
        let (count, got) = (number(count), number(&result[id]));
        let taken_back = base.get(id).is_some_and(|before| count < number(before));
        assert!(
            got >= count,
            "settings {id} were played {count} times at home and {got} in the result"
        );
        assert!(
            !taken_back || got == count,
            "settings {id} were taken back to {count} and have {got}"
        );
    }
    let views = "SELECT id, account_id || ' at ' || viewed_at FROM metadata_item_views";
    let (result, home) = (map(&trio.theirs, views), map(&trio.mine, views));
    for (id, view) in &home {
        assert_eq!(result.get(id), Some(view), "view {id}");
    }
    let files = "SELECT file, count(*) FROM media_parts WHERE file IS NOT NULL GROUP BY file";
    let (result, home) = (map(&trio.theirs, files), map(&trio.mine, files));
    for (file, times) in &result {
        let most = [&home, files_before]
            .iter()
            .filter_map(|side| side.get(file))
            .map(number)
            .max()
            .unwrap_or(0);
        assert!(
            number(times) <= most,
            "{file} is there {times} times, {most} at most on one side"
        );
    }
    for file in home.keys() {
        let lost_by_worker = map(&trio.base, files).contains_key(file) && !files_before.contains_key(file);
        assert!(result.contains_key(file) || lost_by_worker, "{file} is lost");
    }
    for table in [
        "accounts",
        "devices",
        "preferences",
        "statistics_bandwidth",
        "statistics_media",
        "view_settings",
        "metadata_item_setting_markers",
        "play_queues",
        "hub_templates",
        "media_item_settings",
        "media_stream_settings",
        "media_provider_resources",
        "media_subscriptions",
        "media_grabs",
        "download_queues",
        "external_metadata_sources",
        "metadata_subscription_desired_items",
        "remote_id_translation",
        "library_section_permissions",
        "custom_channels",
    ] {
        let all = |fixture: &Fixture| {
            rows(
                &open(&fixture.databases_dir),
                &format!("SELECT * FROM {table} ORDER BY rowid"),
                (),
            )
        };
        assert_eq!(all(&trio.theirs), all(&trio.mine), "{table}");
    }
    let locked = "SELECT id, coalesce(title, '') || '/' || coalesce(summary, '') FROM metadata_items NOT INDEXED WHERE user_fields LIKE '%lockedFields%'";
    let result = map(
        &trio.theirs,
        "SELECT id, coalesce(title, '') || '/' || coalesce(summary, '') FROM metadata_items NOT INDEXED",
    );
    for (id, words) in map(&trio.mine, locked) {
        if let Some(got) = result.get(&id) {
            let fields = crate::support::one(
                &trio.mine,
                "SELECT user_fields FROM metadata_items WHERE id = ?1",
                [id.parse::<i64>().expect("id")],
            );
            let ([title, summary], [got_title, got_summary]) = ([&words, got])
                .map(|words| words.split_once('/').map(|(a, b)| [a, b]).expect("two"))
                .into();
            let is_locked = |n: &str| fields.split(['=', '|']).any(|field| field == n);
            assert!(
                !is_locked("1") || title == got_title,
                "locked title of {id}: {title} became {got_title}"
            );
            assert!(
                !is_locked("8") || summary == got_summary,
                "locked summary of {id}: {summary} became {got_summary}"
            );
        }
    }
    playlists(trio);
}

/// Labels and collections: what home gave is given, what home took away is away unless the worker gave it too.
fn labels(trio: &Trio, worker_gave: &BTreeSet<String>) {
    let given = |fixture: &Fixture| labels_of(fixture);
    let (base, home, result) = (given(&trio.base), given(&trio.mine), given(&trio.theirs));
    let items = ids_of(&trio.theirs, "metadata_items");
    let of = |label: &String| {
        label
            .split('|')
            .next()
            .and_then(|id| id.parse::<i64>().ok())
            .expect("item")
    };
    for label in home.difference(&base) {
        // An item that the worker absorbed has its labels with it no more.
        assert!(
            result.contains(label) || !items.contains(&of(label)),
            "label {label} is lost"
        );
    }
    for label in base.difference(&home).filter(|label| !worker_gave.contains(*label)) {
        assert!(!result.contains(label), "label {label} was taken away at home");
    }
}

/// Item and text of every label and collection.
fn labels_of(fixture: &Fixture) -> BTreeSet<String> {
    rows(
        &open(&fixture.databases_dir),
        "SELECT g.metadata_item_id, t.tag_type, t.tag FROM taggings g JOIN tags t ON t.id = g.tag_id WHERE t.tag_type IN (2, 11)",
        (),
    )
    .into_iter()
    .collect()
}

/// Playlists have as many entries as at home, each of which leads somewhere if it did.
fn playlists(trio: &Trio) {
    let sql = "SELECT id, coalesce(playlist_id, '') || ' ' || \"order\" FROM play_queue_generators";
    assert_eq!(map(&trio.theirs, sql), map(&trio.mine, sql), "entries of playlists");
    let titles = "SELECT id, title FROM metadata_items NOT INDEXED WHERE metadata_type = 15";
    assert_eq!(map(&trio.theirs, titles), map(&trio.mine, titles), "playlists");
    let collections = "SELECT id, title FROM metadata_items NOT INDEXED WHERE metadata_type = 18";
    let result = map(&trio.theirs, collections);
    for (id, title) in map(&trio.mine, collections) {
        assert_eq!(result.get(&id), Some(&title), "collection {id}");
    }
}

/// An item that home deleted, and below which the worker found something.
fn is_kept_container(trio: &Trio, table: &str, id: i64) -> bool {
    let count = |sql: &str| crate::support::one(&trio.theirs, sql, [id]) != "0";
    match table {
        "metadata_items" => {
            count("SELECT count(*) FROM metadata_items NOT INDEXED WHERE parent_id = ?1")
                || count("SELECT count(*) FROM media_items WHERE metadata_item_id = ?1")
        }
        "media_items" => count("SELECT count(*) FROM media_parts WHERE media_item_id = ?1"),
        _ => false,
    }
}

fn one_case(home: &[Act], worker: &[Act], later: &[Act], apart: bool) {
    let trio = trio(apart);
    live(&trio, home, worker, 0);
    let worker_had = |trio: &Trio| {
        BTreeMap::from(
            ["metadata_items", "media_items", "media_parts"].map(|table| (table, ids_of(&trio.theirs, table))),
        )
    };
    let files = "SELECT file, count(*) FROM media_parts WHERE file IS NOT NULL GROUP BY file";
    let (had, had_files) = (worker_had(&trio), map(&trio.theirs, files));
    let worker_gave: BTreeSet<String> = labels_of(&trio.theirs)
        .difference(&labels_of(&trio.base))
        .cloned()
        .collect();
    let report = trio.merge();
    assert!(report.kept_aside.is_empty(), "{:?}", report.kept_aside);
    judge(&trio, &if apart { had } else { BTreeMap::new() }, &had_files);
    let once = dump(&trio.theirs);
    let again = trio.try_merge().expect("merged again");
    assert_same(&once, &dump(&trio.theirs), &again);
    labels(&trio, &worker_gave);
    // The household goes on, and the merge catches up.
    let first = trio.mine.copy(&trio.dir.path().join("mine1")).expect("copy");
    live(&trio, later, &[], 500);
    let (had, had_files) = (worker_had(&trio), map(&trio.theirs, files));
    let caught_up = Trio {
        dir: tempfile::tempdir().expect("temporary folder"),
        base: first,
        mine: trio.mine.clone(),
        theirs: trio.theirs.clone(),
    };
    caught_up.merge();
    judge(&caught_up, &had, &had_files);
}

fn run(apart: bool) {
    let mut runner = TestRunner::new(Config {
        cases: cases(),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let acts = |strategy: BoxedStrategy<Act>, most: usize| prop::collection::vec(strategy, 0..most);
    let strategy = (
        acts(history::household().boxed(), 14),
        acts(history::worker().boxed(), 14),
        acts(history::household().boxed(), 6),
    );
    runner
        .run(&strategy, |(home, worker, later)| {
            one_case(&home, &worker, &later, apart);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn whatever_happens_nothing_of_the_household_is_lost() {
    run(true);
}

#[test]
fn also_when_both_sides_numbered_alike() {
    run(false);
}

#[test]
fn the_catching_up_alone_is_a_merge_like_any_other() {
    let trio = trio(true);
    merge(
        &databases(&trio.base),
        &databases(&trio.mine),
        &databases(&trio.theirs),
        &Options::default(),
    )
    .expect("nothing to do");
    trio.merge_twice();
}
