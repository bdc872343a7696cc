//! Catching up in two steps, beside a server and after it: the same result as looking at everything.

use plex_library::merge::{CatchUp, Options, merge};
use plex_library::{Databases, layered, losses};
use sim::fixture::{Fixture, edit};

use crate::history::{self, Act};
use crate::properties::{self, acts_of};
use crate::support::{NOW, Trio, assert_same, databases, dump};

fn everything() -> Options {
    Options {
        catch_up: true,
        thorough: true,
        ..Options::default()
    }
}

/// What is done before the first step, between the two, and at the worker; says whether the second knew where to look.
fn one_case(home: &[Act], worker: &[Act], later: &[Act], last: &[Act], page_size: u32) -> bool {
    // Most bursts keep the numbers apart; where they meet all the same the rest has to be right too.
    let trio = properties::trio(!home.len().is_multiple_of(3), page_size);
    properties::live(&trio, home, worker, 0);
    trio.try_merge().expect("merged");
    let place = |name: &str| trio.dir.path().join(name);
    let merged = trio.mine.copy(&place("merged")).expect("copy");

    let server = trio.mine.open().expect("server");
    for (n, act) in later.iter().enumerate() {
        history::act(&trio.mine, &server, act, 500 + n);
    }
    let options = Options::default();
    let home = databases(&trio.mine);
    let begun = CatchUp::begin(
        &databases(&merged),
        &home,
        &place("copy"),
        &databases(&trio.theirs),
        &options,
        &(),
    )
    .expect("caught up beside the server");
    let all = trio.theirs.copy(&place("all")).expect("copy");
    for (n, act) in last.iter().enumerate() {
        history::act(&trio.mine, &server, act, 600 + n);
    }
    drop(server);
    let caught = begun.end(&home, &databases(&trio.theirs), &options).expect("caught up");
    assert!(
        !trio
            .mine
            .databases_dir
            .join(format!("{}-wal", plex_library::LIBRARY_DB))
            .exists()
    );

    let report = merge(&Databases::at(place("copy")), &home, &databases(&all), &everything()).expect("merged with all");
    assert_same(&dump(&all), &dump(&trio.theirs), &caught.report);
    assert_eq!(caught.report.carried, report.carried);
    let lost = losses::of(&home, &databases(&trio.theirs)).expect("losses");
    assert_eq!(caught.lost, lost);
    caught.is_narrow
}

#[test]
fn by_the_log_it_comes_out_as_with_everything_compared() {
    let mut narrow = 0_u32;
    let told = std::cell::Cell::new(0_u32);
    acts_of(|home, worker, later, last, page_size| {
        if one_case(home, worker, later, last, page_size) {
            told.set(told.get() + 1);
        }
    });
    narrow += told.get();
    assert!(narrow > 0, "the log never told what was written");
}

#[test]
fn what_the_household_does_while_the_server_stops_is_in_the_result() {
    let trio = Trio::new();
    trio.try_merge().expect("merged");
    let merged = trio.mine.copy(&trio.dir.path().join("merged")).expect("copy");
    let server = trio.mine.open().expect("server");
    let home = databases(&trio.mine);
    let copy = trio.dir.path().join("copy");
    let options = Options::default();
    let begun = CatchUp::begin(
        &databases(&merged),
        &home,
        &copy,
        &databases(&trio.theirs),
        &options,
        &(),
    )
    .expect("begun");
    let item = trio.mine.sections[0].leaves[0];
    let guid: String = server
        .library
        .query_row("SELECT guid FROM metadata_items WHERE id = ?1", [item], |row| {
            row.get(0)
        })
        .expect("guid");
    edit::rate(&server, 1, &guid, Some(9.0), NOW).expect("rated");
    edit::add_playlist(&server, 1, "Last minute", &[item], NOW).expect("playlist");
    edit::delete_item(&server, trio.mine.sections[0].leaves[1], NOW).expect("deleted");
    drop(server);
    let caught = begun.end(&home, &databases(&trio.theirs), &options).expect("caught up");
    assert!(caught.is_narrow, "{caught:?}");
    assert!(caught.lost.is_empty(), "{caught:?}");
    let carried: Vec<&str> = caught.report.carried.keys().map(String::as_str).collect();
    for table in [
        "metadata_item_settings",
        "play_queue_generators",
        "metadata_items",
        "media_parts",
    ] {
        assert!(carried.contains(&table), "{table} is not among {carried:?}");
    }
}

#[test]
fn a_file_that_the_result_lacks_is_lost_also_when_only_the_last_minute_is_looked_at() {
    let trio = Trio::new();
    trio.try_merge().expect("merged");
    let merged = trio.mine.copy(&trio.dir.path().join("merged")).expect("copy");
    // The result has lost one file before, and home brings another one back from its trash at the end.
    let [gone, trashed] = [trio.mine.sections[0].leaves[0], trio.mine.sections[0].leaves[1]];
    trio.worker(|pair| edit::trash_item(pair, gone, NOW)).expect("trashed");
    let server = trio.mine.open().expect("server");
    let home = databases(&trio.mine);
    let copy = trio.dir.path().join("copy");
    let options = Options::default();
    let begun = CatchUp::begin(
        &databases(&merged),
        &home,
        &copy,
        &databases(&trio.theirs),
        &options,
        &(),
    )
    .expect("begun");
    edit::rate(&server, 1, "local://1", Some(3.0), NOW).expect("rated");
    edit::trash_item(&server, trashed, NOW).expect("trashed");
    drop(server);
    let caught = begun.end(&home, &databases(&trio.theirs), &options).expect("caught up");
    assert!(caught.is_narrow);
    let all = losses::of(&home, &databases(&trio.theirs)).expect("losses");
    assert_eq!((caught.lost.len(), &caught.lost), (1, &all));
}

#[test]
fn without_a_server_everything_is_compared() {
    let trio = Trio::new();
    trio.try_merge().expect("merged");
    let merged = trio.mine.copy(&trio.dir.path().join("merged")).expect("copy");
    let home = databases(&trio.mine);
    let copy = trio.dir.path().join("copy");
    let options = Options::default();
    let begun = CatchUp::begin(
        &databases(&merged),
        &home,
        &copy,
        &databases(&trio.theirs),
        &options,
        &(),
    )
    .expect("begun");
    let caught = begun.end(&home, &databases(&trio.theirs), &options).expect("caught up");
    assert!(!caught.is_narrow);
    assert!(caught.report.changed_nothing(), "{caught:?}");
}

#[test]
fn a_number_in_a_text_follows_also_in_the_last_minute() {
    let trio = Trio::new();
    let music = trio.mine.sections[0].id;
    // The worker found a file, and something else names what came of it.
    let named = trio.worker(|pair| {
        let found = edit::add_track(pair, music, &history::file(1), NOW).expect("found").track;
        pair.library
            .execute(
                "UPDATE metadata_items SET extra_data = '{\"ex:primaryExtraKey\":\"/library/metadata/' || ?1 || '\"}' WHERE id = ?2",
                [found, trio.theirs.sections[0].leaves[0]],
            )
            .expect("named");
        found
    });
    trio.try_merge().expect("merged");
    let merged = trio.mine.copy(&trio.dir.path().join("merged")).expect("copy");
    let server = trio.mine.open().expect("server");
    let home = databases(&trio.mine);
    let options = Options::default();
    let begun = CatchUp::begin(
        &databases(&merged),
        &home,
        &trio.dir.path().join("copy"),
        &databases(&trio.theirs),
        &options,
        &(),
    )
    .expect("begun");
    let found = edit::add_track(&server, music, &history::file(1), NOW + 9)
        .expect("found at home too")
        .track;
    assert_ne!(found, named);
    drop(server);
    let caught = begun.end(&home, &databases(&trio.theirs), &options).expect("caught up");
    assert!(caught.is_narrow, "{caught:?}");
    let text = crate::support::one(
        &trio.theirs,
        "SELECT extra_data FROM metadata_items WHERE id = ?1",
        [trio.theirs.sections[0].leaves[0]],
    );
    assert!(text.contains(&format!("/library/metadata/{found}\"")), "{text}");
}

#[test]
fn what_home_made_and_took_back_after_an_attempt_that_was_cut_short_does_not_stay() {
    acts_of(cut_short);
}

/// Rows of the result that nobody has: not home, and not the worker's result before the merge.
fn of_nobody(trio: &Trio, before: &Fixture) -> Vec<String> {
    let mut found = Vec::new();
    for table in [
        "metadata_items",
        "media_items",
        "media_parts",
        "media_streams",
        "taggings",
        "tags",
    ] {
        let [result, home, had] = [&trio.theirs, &trio.mine, before].map(|side| properties::ids_of(side, table));
        found.extend(
            (result.iter())
                .filter(|id| !home.contains(id) && !had.contains(id))
                .map(|id| format!("{table} {id}")),
        );
    }
    found
}

/// An attempt to catch up that is given up after its first half, with what the household does until the next one.
fn cut_short(home: &[Act], worker: &[Act], later: &[Act], last: &[Act], page_size: u32) {
    let trio = properties::trio(true, page_size);
    properties::live(&trio, home, worker, 0);
    let place = |name: &str| trio.dir.path().join(name);
    let before = trio.theirs.copy(&place("before")).expect("copy");
    trio.try_merge().expect("merged");
    let merged = trio.mine.copy(&place("merged")).expect("copy");
    let (mine, staged, options) = (databases(&trio.mine), databases(&trio.theirs), Options::default());
    let server = trio.mine.open().expect("server");
    for (n, act) in later.iter().enumerate() {
        history::act(&trio.mine, &server, act, 500 + n);
    }
    let item = trio.mine.sections[2].leaves[0];
    let list = edit::add_playlist(&server, 1, "Taken back", &[item], NOW).expect("playlist");
    let first = Databases::at(place("first"));
    // Whether the attempt came to write anything makes no difference.
    let unwritten = databases(&trio.theirs.copy(&place("unwritten")).expect("copy"));
    drop(CatchUp::begin(&databases(&merged), &mine, first.dir(), &staged, &options, &()).expect("begun"));

    edit::delete_item(&server, list, NOW).expect("taken back");
    for (n, act) in last.iter().enumerate() {
        history::act(&trio.mine, &server, act, 600 + n);
    }
    for staged in [&staged, &unwritten] {
        merge(&databases(&merged), &first, staged, &everything()).expect("merged for good");
    }
    std::fs::remove_dir_all(merged.databases_dir).expect("removed");
    layered::fold(&first).expect("folded");
    let begun = CatchUp::begin(&first, &mine, &place("second"), &staged, &options, &()).expect("begun");
    drop(server);
    let caught = begun.end(&mine, &staged, &options).expect("caught up");
    let left = of_nobody(&trio, &before);
    assert!(left.is_empty(), "{left:?}");
    properties::judge_state(&trio);
    merge(&first, &mine, &unwritten, &everything()).expect("merged with all");
    let unwritten = Fixture::at(unwritten.dir()).expect("fixture");
    assert_same(&dump(&unwritten), &dump(&trio.theirs), &caught.report);
}
