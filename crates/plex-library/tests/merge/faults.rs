//! A merge that is stopped half-way: by a failure, or by force.

use std::process::{Command, Stdio};
use std::time::Duration;

use plex_library::merge::{Options, merge};
use plex_library::{Databases, Kind};
use sim::fixture::edit::{self, Field};

use crate::support::{NOW, Trio, dump, guid, rows, whole};

/// Something of everything, so that both databases and the search index have to be written.
fn busy() -> Trio {
    let trio = Trio::new();
    let [music, films] = [0, 2].map(|n| trio.base.sections[n].clone());
    let film = guid(&trio.base, films.leaves[0]);
    trio.home(|home| {
        for n in 0..12 {
            let file = format!("/music/Home {n}/Album/01 - Song {n}.flac");
            edit::add_track(home, music.id, &file, NOW).expect("add");
        }
        edit::scrobble(home, 1, &film, NOW).expect("scrobble");
        edit::add_playlist(home, 1, "List", &music.leaves[..5], NOW).expect("playlist");
        edit::lock_field(home, films.leaves[1], Field::Title, "Another name", NOW).expect("rename");
        edit::delete_item(home, films.leaves[2], NOW).expect("delete");
        let part = crate::support::part_of(&trio.mine, films.leaves[3]);
        edit::add_subtitle(home, part, "deu", "text", NOW).expect("subtitle");
    });
    trio.worker(|worker| {
        for n in 6..18 {
            let file = format!("/music/Home {n}/Album/01 - Song {n}.flac");
            let ids = edit::add_track(worker, music.id, &file, NOW).expect("add");
            edit::analyse_track(worker, ids.track, NOW).expect("analyse");
        }
    });
    trio
}

#[test]
fn a_failure_after_the_first_writes_leaves_everything_as_it_was() {
    let trio = busy();
    let film = trio.base.sections[2].leaves[1];
    let pair = trio.theirs.open().expect("open");
    pair.library
        .execute(
            "UPDATE fts4_metadata_titles_icu_docsize SET size = x'0f0f0f' WHERE docid = ?1",
            [film],
        )
        .expect("damage");
    drop(pair);
    let before = dump(&trio.theirs);
    let error = trio.try_merge().expect_err("the search index cannot be read");
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    assert!(error.to_string().contains(&format!("metadata_items {film}")), "{error}");
    assert_eq!(dump(&trio.theirs), before);
}

const DIR: &str = "PLEXBURST_TEST_MERGE_IN";

/// Not a test by itself: what [`killed_at_any_moment_it_is_the_old_one_or_the_new_one`] runs in a process of its own.
#[test]
#[ignore = "run by another test"]
fn victim() {
    let Some(dir) = std::env::var_os(DIR).map(std::path::PathBuf::from) else {
        return;
    };
    let [base, mine, theirs] = ["base", "mine", "theirs"].map(|name| Databases::at(dir.join(name)));
    merge(&base, &mine, &theirs, &Options::default()).expect("merged");
}

#[test]
fn killed_at_any_moment_it_is_the_old_one_or_the_new_one() {
    let trio = busy();
    let pristine = trio.theirs.copy(&trio.dir.path().join("pristine")).expect("copy");
    let before = dump(&pristine);
    trio.merge();
    let after = dump(&trio.theirs);
    let (mut old, mut new) = (0, 0);
    for step in 0..14_u32 {
        drop(pristine.copy(&trio.theirs.databases_dir).expect("copy"));
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "faults::victim", "--ignored"])
            .env(DIR, trio.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("spawn");
        // The delays only spread the kills over the run; whichever moment each hits, the same has to hold.
        std::thread::sleep(Duration::from_millis(u64::from(step) * 25));
        child.kill().expect("kill");
        child.wait().expect("wait");
        let found = dump(&trio.theirs);
        if found == before {
            old += 1;
        } else {
            let same = |key: &String| found[key] == after[key];
            assert!(
                after.keys().all(same),
                "neither the old nor the new one, after {step} steps"
            );
            new += 1;
        }
        // And it can be done again.
        trio.try_merge().expect("merged");
        assert_eq!(dump(&trio.theirs), after);
        whole(&trio.theirs.databases_dir);
    }
    assert_eq!(old + new, 14);
    let leftovers = rows(
        &crate::support::open(&trio.theirs.databases_dir),
        "SELECT name FROM sqlite_schema WHERE type = 'trigger'",
        (),
    );
    assert_eq!(leftovers.len(), 8);
}
