//! Carrying back in two steps, beside a server and after it: the same result as looking at everything.

use std::cell::Cell;

use plex_library::Databases;
use plex_library::merge::{CatchUp, KeptAside, Options, Report, carry_back};
use sim::fixture::edit;

use crate::history::{self, Act};
use crate::properties::{self, Older, acts_of};
use crate::support::{NOW, assert_same, databases, dump};

fn everything() -> Options {
    Options {
        catch_up: true,
        thorough: true,
        ..Options::default()
    }
}

/// What a report names, in no order.
fn named(rows: &[KeptAside]) -> Vec<(&str, i64, &str)> {
    let mut all: Vec<_> = rows
        .iter()
        .map(|row| (row.table.as_str(), row.id, row.what.as_str()))
        .collect();
    all.sort_unstable();
    all
}

/// Both have said the same to a person who has read what was said before.
fn assert_same_words(before: &Report, one: &Report, other: &Report) {
    let [one, other] = [one, other].map(|report| before.clone().followed_by(report.clone()));
    assert_eq!(named(&one.kept_aside), named(&other.kept_aside));
    assert_eq!(named(&one.waiting), named(&other.waiting));
    let once: std::collections::BTreeSet<_> = one.kept_aside.iter().map(|kept| (&kept.table, kept.id)).collect();
    assert_eq!(once.len(), one.kept_aside.len(), "a row is named twice: {one:?}");
    assert_eq!(one.to_make, other.to_make);
}

/// What was done before the first step, between the two, and last of all; says whether the second step knew where to look.
fn one_case(burst: &[Act], home: &[Act], later: &[Act], last: &[Act], page_size: u32) -> bool {
    let trio = properties::swapped_in(burst, page_size);
    properties::live(&trio, home, &[], 300);
    let older = Older::of(&trio);
    let carried = trio.carry_back();
    let place = |name: &str| trio.dir.path().join(name);
    let merged = trio.mine.copy(&place("merged")).expect("copy");

    let server = trio.mine.open().expect("server");
    for (n, act) in later.iter().enumerate() {
        history::act(&trio.mine, &server, act, 500 + n);
    }
    let (home, copy) = (databases(&trio.mine), place("copy"));
    let whole = trio.theirs.copy(&place("whole")).expect("copy");
    let options = Options::default();
    let begun = CatchUp::begin_back(
        &databases(&merged),
        &home,
        &copy,
        &databases(&trio.theirs),
        &options,
        &(),
    )
    .expect("caught up beside the server");
    let copy = Databases::at(copy);
    let report = carry_back(&databases(&merged), &copy, &databases(&whole), &everything()).expect("carried with all");
    assert_same(&dump(&whole), &dump(&trio.theirs), &begun.report);
    assert_same_words(&carried, &begun.report, &report);

    let carried = carried.followed_by(begun.report.clone());
    for (n, act) in last.iter().enumerate() {
        history::act(&trio.mine, &server, act, 600 + n);
    }
    drop(server);
    let caught = begun.end(&home, &databases(&trio.theirs), &options).expect("caught up");
    assert!(caught.lost.is_empty(), "an older library lacks what came since");
    let report = carry_back(&copy, &home, &databases(&whole), &everything()).expect("carried with all");
    assert_same(&dump(&whole), &dump(&trio.theirs), &caught.report);
    assert_eq!(caught.report.carried, report.carried);
    assert_same_words(&carried, &caught.report, &report);
    older.judge(&trio, &carried.followed_by(caught.report).kept_aside);
    caught.is_narrow
}

#[test]
fn by_the_log_it_comes_out_as_with_everything_compared() {
    let told = Cell::new(0_u32);
    acts_of(|home, burst, later, last, page_size| {
        if one_case(burst, home, later, last, page_size) {
            told.set(told.get() + 1);
        }
    });
    assert!(told.get() > 0, "the log never told what was written");
}

#[test]
fn what_is_said_of_the_newer_librarys_things_in_the_last_minute_is_kept_aside_and_named() {
    let trio = properties::swapped_in(&[Act::AddTrack(3)], 4096);
    let new = crate::support::one(
        &trio.mine,
        "SELECT max(id) FROM metadata_items WHERE metadata_type = 10",
        (),
    );
    let new: i64 = new.parse().expect("id");
    let known = trio.mine.sections[0].leaves[0];
    let carried = trio.carry_back();
    assert!(carried.kept_aside.is_empty(), "{carried:?}");
    let merged = trio.mine.copy(&trio.dir.path().join("merged")).expect("copy");
    let server = trio.mine.open().expect("server");
    let home = databases(&trio.mine);
    let begun = CatchUp::begin_back(
        &databases(&merged),
        &home,
        &trio.dir.path().join("copy"),
        &databases(&trio.theirs),
        &Options::default(),
        &(),
    )
    .expect("begun");
    let list = edit::add_playlist(&server, 1, "Last minute", &[known, new], NOW).expect("playlist");
    drop(server);
    let caught = begun
        .end(&home, &databases(&trio.theirs), &Options::default())
        .expect("caught up");
    assert!(caught.is_narrow, "{caught:?}");
    let kept: Vec<&str> = caught
        .report
        .kept_aside
        .iter()
        .map(|kept| kept.table.as_str())
        .collect();
    assert_eq!(kept, ["play_queue_generators"], "{caught:?}");
    let entries = crate::support::one(
        &trio.theirs,
        "SELECT group_concat(metadata_item_id) FROM play_queue_generators WHERE playlist_id = ?1",
        [list],
    );
    assert_eq!(entries, known.to_string());
}
