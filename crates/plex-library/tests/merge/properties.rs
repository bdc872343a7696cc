//! Random histories at home and at the worker: whatever happened, nothing that the household did is lost.
//!
//! A few cases run with every test run; `PLEXBURST_PROPTEST_CASES=2000` runs more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use plex_library::ids;
use plex_library::merge::{KeptAside, Options, merge, two_way};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sim::fixture::{Builder, Fixture};
use tempfile::TempDir;

use crate::history::{self, Act};
use crate::support::{Dangling, Trio, assert_same, dangling, databases, dump, open, rows};

/// Cases of an ordinary run: enough to notice a slip, few enough not to be waited for.
const CASES: u32 = 4;

pub(crate) fn cases() -> u32 {
    std::env::var("PLEXBURST_PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(CASES)
}

/// The same cases in each ordinary run, so that one that fails can be had again; others each time where more are asked for.
pub(crate) fn runner() -> TestRunner {
    let config = Config {
        cases: cases(),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    match std::env::var_os("PLEXBURST_PROPTEST_CASES") {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    }
}

/// Page sizes that libraries have: a fresh server's, and those that maintenance tools make of it (facts §1.1).
const PAGE_SIZES: [u32; 3] = [1024, 4096, 16_384];

/// One base per page size for all cases; they work on copies.
fn base(page_size: u32) -> &'static Fixture {
    static OF_PLEX: OnceLock<(TempDir, Fixture)> = OnceLock::new();
    if page_size == REAL {
        let (_, fixture) = OF_PLEX.get_or_init(|| {
            let dir = tempfile::tempdir().expect("temporary folder");
            let library = crate::real::library().expect("it was there");
            for name in [plex_library::LIBRARY_DB, plex_library::BLOBS_DB] {
                let pages = std::fs::read(library.dir().join(name)).expect("read");
                std::fs::write(dir.path().join(name), pages).expect("write");
            }
            with_music(dir.path());
            let fixture = Fixture::at(dir.path()).expect("fixture");
            (dir, fixture)
        });
        return fixture;
    }
    static BASES: OnceLock<Vec<(TempDir, Fixture)>> = OnceLock::new();
    let bases = BASES.get_or_init(|| {
        PAGE_SIZES
            .map(|page_size| {
                let dir = tempfile::tempdir().expect("temporary folder");
                let fixture = Builder::new(dir.path().join("base"))
                    .page_size(page_size)
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
            .into()
    });
    let at = PAGE_SIZES.iter().position(|size| *size == page_size).expect("known");
    &bases[at].1
}

/// That library has no music, which most of the histories are about.
fn with_music(dir: &std::path::Path) {
    let fixture = Fixture::at(dir).expect("fixture");
    let pair = fixture.open().expect("open");
    let run = |sql: &str| pair.library.execute(sql, ()).expect(sql);
    run(
        "INSERT INTO library_sections(name, section_type, language, agent, scanner, created_at, updated_at, uuid)
         VALUES ('Music', 8, 'en', 'tv.plex.agents.music', 'Plex Music', 1720000000, 1720000000, '3f1b')",
    );
    let section = pair.library.last_insert_rowid();
    run(&format!(
        "INSERT INTO section_locations(library_section_id, root_path, available, scanned_at, created_at, updated_at)
         VALUES ({section}, '/music', 1, 1720000000, 1720000000, 1720000000)"
    ));
    for n in 1..=8 {
        let file = format!("/music/Artist {}/Album {} (2020)/{n:02} - Song.flac", n % 2, n % 4);
        sim::fixture::edit::add_track(&pair, section, &file, 1_720_000_000 + n).expect("track");
    }
    for db in [&pair.library, &pair.blobs] {
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .expect("checkpoint");
    }
}

/// Stands for the library that a real Plex wrote, among the page sizes.
const REAL: u32 = 0;

/// The libraries that histories begin with: one for each page size, and the real one where it is there.
fn bases() -> Vec<u32> {
    static HAS_REAL: OnceLock<bool> = OnceLock::new();
    let has_real = HAS_REAL.get_or_init(|| crate::real::library().is_some());
    PAGE_SIZES.into_iter().chain(has_real.then_some(REAL)).collect()
}

pub(crate) fn trio(apart: bool, page_size: u32) -> Trio {
    let dir = tempfile::tempdir().expect("temporary folder");
    let copy = |name: &str| base(page_size).copy(&dir.path().join(name)).expect("copy");
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

pub(crate) fn live(trio: &Trio, home: &[Act], worker: &[Act], from: usize) {
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

pub(crate) fn ids_of(fixture: &Fixture, table: &str) -> BTreeSet<i64> {
    rows(
        &open(&fixture.databases_dir),
        &format!("SELECT id FROM {table} NOT INDEXED"),
        (),
    )
    .iter()
    .map(|id| id.parse().expect("id"))
    .collect()
}

pub(crate) fn map(fixture: &Fixture, sql: &str) -> BTreeMap<String, String> {
    rows(&open(&fixture.databases_dir), sql, ())
        .iter()
        .filter_map(|row| row.split_once('|'))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Ratings, offsets, counts and the history.
pub(crate) fn judge_state(trio: &Trio) {
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
    judge_state(trio);
    let number = |text: &String| text.parse::<i64>().expect("count");
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
    whole_tables(trio, &HOMES);
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

/// Tables of which the result has home's rows and no others.
pub(crate) const HOMES: [&str; 30] = [
    "accounts",
    "devices",
    "preferences",
    "statistics_bandwidth",
    "statistics_media",
    "statistics_resources",
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
    "external_metadata_items",
    "metadata_subscription_desired_items",
    "remote_id_translation",
    "library_section_permissions",
    "custom_channels",
    "plugins",
    "plugin_prefixes",
    "metadata_agent_providers",
    "metadata_agent_provider_groups",
    "metadata_agent_provider_group_items",
    "sqlite_schema",
    "schema_migrations",
    "metadata_item_accounts",
];

/// Every table of home's is as home has it.
fn whole_tables(trio: &Trio, tables: &[&str]) {
    for table in tables {
        let all = |fixture: &Fixture| {
            let columns = if *table == "sqlite_schema" {
                "type, name, sql"
            } else {
                "*"
            };
            rows(
                &open(&fixture.databases_dir),
                &format!(
                    "SELECT {columns} FROM {table} ORDER BY {}",
                    if *table == "sqlite_schema" { "2" } else { "rowid" }
                ),
                (),
            )
        };
        assert_eq!(all(&trio.theirs), all(&trio.mine), "{table}");
    }
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

fn one_case(home: &[Act], worker: &[Act], later: &[Act], apart: bool, page_size: u32) {
    let trio = trio(apart, page_size);
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

/// Without the base: home's state as it is, nothing of home's lost, what home deleted gone where ids can tell.
fn one_case_without_base(home: &[Act], worker: &[Act], apart: bool, page_size: u32) {
    let trio = trio(apart, page_size);
    live(&trio, home, worker, 0);
    let merge = || two_way(&databases(&trio.mine), &databases(&trio.theirs), &Options::default()).expect("merged");
    let mut before = dangling(&trio.theirs);
    before.extend(dangling(&trio.mine));
    let files = "SELECT file, count(*) FROM media_parts WHERE file IS NOT NULL GROUP BY file";
    let worker_files = map(&trio.theirs, files);
    let parted: BTreeMap<&str, BTreeSet<i64>> = ["metadata_items", "media_items", "media_parts"]
        .map(|table| (table, ids_of(&trio.theirs, table)))
        .into();
    let report = merge();
    trio.check(&before);
    assert!(report.kept_aside.is_empty(), "{:?}", report.kept_aside);
    let once = dump(&trio.theirs);
    let again = merge();
    assert_same(&once, &dump(&trio.theirs), &again);
    // A playlist that home deleted and that had the last number of all is not known to be deleted.
    whole_tables(&trio, &HOMES[..HOMES.len() - 1]);
    for sql in [
        "SELECT id, coalesce(playlist_id, '') || ' ' || \"order\" FROM play_queue_generators",
        "SELECT id, title FROM metadata_items NOT INDEXED WHERE metadata_type IN (15, 18)",
        "SELECT id, account_id || ' ' || metadata_item_id FROM metadata_item_accounts",
    ] {
        let result = map(&trio.theirs, sql);
        for (id, home) in map(&trio.mine, sql) {
            assert_eq!(result.get(&id), Some(&home), "{sql}: {id}");
        }
    }
    for (table, worker) in &parted {
        let (base, mine, result) = (
            ids_of(&trio.base, table),
            ids_of(&trio.mine, table),
            ids_of(&trio.theirs, table),
        );
        let lost: Vec<_> = mine.difference(&result).collect();
        assert!(lost.is_empty(), "{table}: {lost:?} of home's are not in the result");
        // The greatest number that both still have was given before they parted.
        let common = mine.intersection(worker).filter(|id| base.contains(id)).max();
        for id in base.iter().filter(|id| !mine.contains(id) && Some(*id) < common) {
            let media = *table == "media_parts" || !result.contains(id) || is_kept_container(&trio, table, *id);
            assert!(
                media && (*table != "media_parts" || !result.contains(id)),
                "{table} {id} was deleted at home"
            );
        }
    }
    let state = "SELECT id, account_id || ' ' || coalesce(rating, '') || '/' || coalesce(view_offset, '') || '/' ||
                 coalesce(view_count, 0) FROM metadata_item_settings";
    let (result, home_has, base_had) = (map(&trio.theirs, state), map(&trio.mine, state), map(&trio.base, state));
    let names = "SELECT id, guid FROM metadata_item_settings";
    let (named, home_named) = (map(&trio.theirs, names), map(&trio.mine, names));
    let times = "SELECT id, coalesce(last_viewed_at, 0) FROM metadata_item_settings";
    let (seen, home_saw) = (map(&trio.theirs, times), map(&trio.mine, times));
    for (id, was) in &home_has {
        let got = result
            .get(id)
            .unwrap_or_else(|| panic!("settings {id} ({was}) are lost"));
        // What both made of one thing since they parted is put together, and what is about an item that was merged into
        // another with what is about that one; the rest is home's as it is.
        assert!(
            got == was || !base_had.contains_key(id) || named.get(id) != home_named.get(id),
            "settings {id}: {was} became {got}"
        );
        // A later view on the other side moves the time forward, and nothing moves it back.
        let time = |of: &BTreeMap<String, String>| of[id].parse::<i64>().expect("time");
        assert!(time(&seen) >= time(&home_saw), "settings {id} are of an earlier time");
    }
    let views = "SELECT id, account_id || ' at ' || viewed_at FROM metadata_item_views";
    let (result, home_has) = (map(&trio.theirs, views), map(&trio.mine, views));
    for (id, view) in &home_has {
        assert_eq!(result.get(id), Some(view), "view {id}");
    }
    let (result, home_has) = (map(&trio.theirs, files), map(&trio.mine, files));
    let number = |text: &String| text.parse::<i64>().expect("count");
    for (file, times) in &result {
        let sides = [&home_has, &worker_files];
        let most = sides
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
    assert!(
        home_has.keys().all(|file| result.contains_key(file)),
        "files of home's are lost"
    );
}

/// Home after a burst was swapped in: the base is what it began with, the result the library from before.
pub(crate) fn swapped_in(burst: &[Act], page_size: u32) -> Trio {
    let older = trio(true, page_size);
    live(&older, &[], burst, 0);
    Trio {
        base: older.theirs.copy(&older.dir.path().join("swapped")).expect("copy"),
        mine: older.theirs.clone(),
        theirs: older.base.clone(),
        dir: older.dir,
    }
}

/// What the older library was before anything was carried into it.
pub(crate) struct Older {
    had: BTreeMap<&'static str, BTreeSet<i64>>,
    dangling: BTreeSet<Dangling>,
}

impl Older {
    pub(crate) fn of(trio: &Trio) -> Self {
        Self {
            had: ["metadata_items", "media_items", "media_parts"]
                .map(|table| (table, ids_of(&trio.theirs, table)))
                .into(),
            dangling: dangling(&trio.theirs),
        }
    }

    /// What has to hold of an older library into which home was carried back; `kept_aside` is all that was named.
    pub(crate) fn judge(&self, trio: &Trio, kept_aside: &[KeptAside]) {
        let mut before = self.dangling.clone();
        before.extend(dangling(&trio.mine));
        trio.check(&before);
        for (table, had) in &self.had {
            let (mine, result, base) = (
                ids_of(&trio.mine, table),
                ids_of(&trio.theirs, table),
                ids_of(&trio.base, table),
            );
            for id in had.iter().filter(|id| mine.contains(id)) {
                assert!(result.contains(id), "{table} {id} was in the older library and at home");
            }
            for id in base.intersection(&mine).filter(|id| !had.contains(id)) {
                assert!(!result.contains(id), "{table} {id} came with the burst");
            }
        }
        let named: BTreeSet<(&str, i64)> = kept_aside.iter().map(|kept| (kept.table.as_str(), kept.id)).collect();
        for table in HOMES
            .iter()
            .filter(|table| !table.starts_with("sqlite") && **table != "external_metadata_items")
        {
            if ["schema_migrations", "metadata_subscription_desired_items"].contains(table) {
                continue;
            }
            let (home_has, result) = (ids_of(&trio.mine, table), ids_of(&trio.theirs, table));
            for id in &home_has {
                assert!(
                    result.contains(id) || named.contains(&(*table, *id)),
                    "{table} {id} is lost and not named"
                );
            }
        }
        for sql in [
            "SELECT id, account_id || ' at ' || viewed_at FROM metadata_item_views",
            "SELECT id, account_id || ' ' || coalesce(rating, '') || '/' || coalesce(view_offset, '') || '/' || coalesce(view_count, 0) FROM metadata_item_settings",
        ] {
            let (result, home_has) = (map(&trio.theirs, sql), map(&trio.mine, sql));
            let changed = map(&trio.base, sql);
            for (id, was) in home_has.iter().filter(|(id, was)| changed.get(*id) != Some(*was)) {
                assert_eq!(result.get(id), Some(was), "{sql}: {id}");
            }
        }
    }
}

/// The way back: what the household did since the swap is in the older library, or is named.
fn one_case_back(burst: &[Act], home: &[Act], page_size: u32) {
    let trio = swapped_in(burst, page_size);
    live(&trio, home, &[], 300);
    let older = Older::of(&trio);
    let report = trio.carry_back();
    older.judge(&trio, &report.kept_aside);
    let once = dump(&trio.theirs);
    let again = trio.carry_back();
    assert_same(&once, &dump(&trio.theirs), &again);
}

/// Histories of home, of the worker, and two later ones of home's.
pub(crate) fn acts_of(case: impl Fn(&[Act], &[Act], &[Act], &[Act], u32)) {
    let mut runner = runner();
    let acts = |strategy: BoxedStrategy<Act>, most: usize| prop::collection::vec(strategy, 0..most);
    let strategy = (
        acts(history::household().boxed(), 10),
        acts(history::worker().boxed(), 14),
        acts(history::household().boxed(), 5),
        acts(history::household().boxed(), 8),
        prop::sample::select(bases()),
    );
    runner
        .run(&strategy, |(home, worker, later, last, page_size)| {
            case(&home, &worker, &later, &last, page_size);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

fn run(case: impl Fn(&[Act], &[Act], &[Act], u32)) {
    let mut runner = runner();
    let acts = |strategy: BoxedStrategy<Act>, most: usize| prop::collection::vec(strategy, 0..most);
    let strategy = (
        acts(history::household().boxed(), 14),
        acts(history::worker().boxed(), 14),
        acts(history::household().boxed(), 6),
        prop::sample::select(bases()),
    );
    runner
        .run(&strategy, |(home, worker, later, page_size)| {
            case(&home, &worker, &later, page_size);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn whatever_happens_nothing_of_the_household_is_lost() {
    run(|home, worker, later, page_size| one_case(home, worker, later, true, page_size));
}

#[test]
fn also_when_both_sides_numbered_alike() {
    run(|home, worker, later, page_size| one_case(home, worker, later, false, page_size));
}

#[test]
fn also_without_a_base() {
    run(|home, worker, _, page_size| one_case_without_base(home, worker, true, page_size));
}

#[test]
fn also_without_a_base_when_both_sides_numbered_alike() {
    run(|home, worker, _, page_size| one_case_without_base(home, worker, false, page_size));
}

#[test]
fn also_on_the_way_back() {
    run(|home, worker, _, page_size| one_case_back(worker, home, page_size));
}

#[test]
fn the_catching_up_alone_is_a_merge_like_any_other() {
    let trio = trio(true, 1024);
    merge(
        &databases(&trio.base),
        &databases(&trio.mine),
        &databases(&trio.theirs),
        &Options::default(),
    )
    .expect("nothing to do");
    trio.merge_twice();
}
