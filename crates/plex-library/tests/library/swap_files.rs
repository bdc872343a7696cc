//! The pair moved file by file behind the start guard, where the folder cannot be exchanged.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use plex_library::swap::{self, Plan, State, Way};
use plex_library::{Databases, Kind, Which};

use crate::support::{self, names};
use crate::swap::{assert_others_only_in, home, stage_dir, title};
use crate::writer::Writer;

/// The same exchange, file by file.
pub(crate) fn by_files(plan: &Plan) -> Plan {
    use std::os::unix::fs::MetadataExt;
    let inodes = |dir: &Path| {
        Which::BOTH.map(|which| {
            let meta = fs::metadata(Databases::at(dir).path(which)).unwrap();
            swap::Inode {
                device: meta.dev(),
                number: meta.ino(),
            }
        })
    };
    Plan {
        way: Way::Files {
            previous: plan.staged.with_file_name("previous"),
            before: inodes(&plan.live),
            after: inodes(&plan.staged),
        },
        ..plan.clone()
    }
}

#[test]
fn the_pair_changes_places_and_everything_else_stays() {
    let tmp = tempfile::tempdir().unwrap();
    let (live, plan) = home(tmp.path());
    let plan = by_files(&plan);
    let all = names(live.dir());
    let old = fs::read(live.library()).unwrap();
    assert_eq!(swap::state(&plan).unwrap(), State::NotYet);

    for _ in 0..2 {
        let swapped = swap::exchange(&plan).unwrap();
        assert_eq!(swap::state(&plan).unwrap(), State::Done);
        assert_eq!(swapped.previous, plan.replaced());
        assert_eq!(title(&live), None);
        assert_eq!(fs::read(Databases::at(&swapped.previous).library()).unwrap(), old);
        assert_others_only_in(&live, &swapped.previous);
        assert!(names(&plan.staged).is_empty());
        assert_eq!(swap::unfinished(&live).unwrap(), None);
    }
    for _ in 0..2 {
        swap::undo(&plan).unwrap();
        assert_eq!(swap::state(&plan).unwrap(), State::NotYet);
        assert_eq!(fs::read(live.library()).unwrap(), old);
        assert_others_only_in(&live, &plan.staged);
        assert!(names(plan.replaced()).is_empty());
        assert_eq!(names(live.dir()), all);
    }
}

#[test]
fn logs_go_with_the_pair_that_they_were_written_for() {
    let tmp = tempfile::tempdir().unwrap();
    let live = support::pair(&tmp.path().join("Databases"), 1024, 100);
    let staged = stage_dir(&live);
    support::pair(&staged, 1024, 10);
    Writer::start(&live).kill();
    let logs = |dir: &Path| names(dir).iter().filter(|name| name.contains(".db-")).count();
    let before = logs(live.dir());
    assert!(before >= 2);
    let plan = by_files(&swap::prepare(&live, &staged, &staged.with_file_name("previous")).unwrap());
    swap::exchange(&plan).unwrap();
    assert_eq!((logs(live.dir()), logs(plan.replaced())), (0, before));
    // The new library's server was killed as well.
    Writer::start(&live).kill();
    let after = logs(live.dir());
    swap::undo(&plan).unwrap();
    assert_eq!((logs(live.dir()), logs(&plan.staged)), (before, after));
    let db = plex_library::open::read_only(&live.library()).unwrap();
    let rows: i64 = db
        .query_row("SELECT count(*) FROM metadata_items", [], |row| row.get(0))
        .unwrap();
    assert!(rows >= 100);
}

#[test]
fn nothing_is_moved_under_a_running_server_and_no_guard_stays() {
    let tmp = tempfile::tempdir().unwrap();
    let live = support::pair(&tmp.path().join("Databases"), 1024, 100);
    let staged = stage_dir(&live);
    support::pair(&staged, 1024, 10);
    let plan = by_files(&swap::prepare(&live, &staged, &staged.with_file_name("previous")).unwrap());
    let writer = Writer::start(&live);
    assert_eq!(swap::exchange(&plan).unwrap_err().kind(), Kind::InUse);
    assert_eq!(swap::state(&plan).unwrap(), State::NotYet);
    assert_eq!(swap::unfinished(&live).unwrap(), None);
    writer.stop();
    swap::exchange(&plan).unwrap();
}

#[test]
fn what_came_no_further_than_the_guard_is_finished_or_undone() {
    for target in [State::Done, State::NotYet] {
        let tmp = tempfile::tempdir().unwrap();
        let (live, plan) = home(tmp.path());
        let plan = by_files(&plan);
        let guard = live.dir().join("com.plexapp.plugins.library.db-journal");
        fs::create_dir(&guard).unwrap();
        fs::write(guard.join("plexburst-swap.json"), serde_json::to_vec(&plan).unwrap()).unwrap();
        assert_eq!(swap::state(&plan).unwrap(), State::Between);
        match target {
            State::Done => drop(swap::exchange(&plan).unwrap()),
            _ => swap::undo(&plan).unwrap(),
        }
        assert_eq!(swap::state(&plan).unwrap(), target);
        assert_eq!(swap::unfinished(&live).unwrap(), None);
    }
}

#[test]
fn a_start_against_the_guard_leaves_nothing_that_counts() {
    let tmp = tempfile::tempdir().unwrap();
    let (live, plan) = home(tmp.path());
    let plan = by_files(&plan);
    let old = fs::read(live.library()).unwrap();
    swap::exchange(&plan).unwrap();
    // As a power cut leaves it where there are no hard links: the guard up, one database away.
    let guard = live.dir().join("com.plexapp.plugins.library.db-journal");
    fs::create_dir(&guard).unwrap();
    fs::write(guard.join("plexburst-swap.json"), serde_json::to_vec(&plan).unwrap()).unwrap();
    fs::rename(live.library(), plan.staged.join(plex_library::LIBRARY_DB)).unwrap();
    assert_eq!(swap::state(&plan).unwrap(), State::Between);
    assert!(
        rusqlite::Connection::open(live.library())
            .and_then(|db| db.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(a)"))
            .is_err()
    );
    assert_eq!(fs::metadata(live.library()).unwrap().len(), 0);
    assert_eq!(swap::state(&plan).unwrap(), State::Between);
    assert_eq!(swap::unfinished(&live).unwrap().as_ref(), Some(&plan));
    swap::undo(&plan).unwrap();
    assert_eq!(fs::read(live.library()).unwrap(), old);
    swap::exchange(&plan).unwrap();
    assert_eq!(title(&live), None);
    // Anything with content in it is somebody's, and stays.
    fs::create_dir(&guard).unwrap();
    fs::rename(live.library(), plan.staged.join(plex_library::LIBRARY_DB)).unwrap();
    fs::write(live.library(), "somebody's").unwrap();
    assert_eq!(swap::undo(&plan).unwrap_err().kind(), Kind::Mismatch);
    assert_eq!(fs::read(live.library()).unwrap(), b"somebody's");
}

const MOUNTED: &str = "PLEXBURST_TEST_MOUNTED";

/// What is done in a namespace where `Databases` is a mount; the variable names the folder that holds it.
#[test]
#[ignore = "run by another test, in a mount namespace of its own"]
fn in_a_mount() {
    let root = std::env::var(MOUNTED).unwrap();
    let dir = Path::new(&root).join("Databases");
    let live = support::pair(&dir, 1024, 100);
    assert!(!swap::can_exchange(&live).unwrap());
    let staged = stage_dir(&live);
    assert!(staged.starts_with(&dir), "where files can be renamed into the mount");
    support::pair(&staged, 1024, 10);
    let (old, new) = (
        fs::read(live.library()).unwrap(),
        fs::read(staged.join(plex_library::LIBRARY_DB)).unwrap(),
    );
    let plan = swap::prepare(&live, &staged, &staged.with_file_name("previous")).unwrap();
    assert!(matches!(plan.way, Way::Files { .. }));
    swap::exchange(&plan).unwrap();
    assert_eq!(fs::read(live.library()).unwrap(), new);
    assert_eq!(fs::read(Databases::at(plan.replaced()).library()).unwrap(), old);
    swap::undo(&plan).unwrap();
    assert_eq!(fs::read(live.library()).unwrap(), old);
    // What lies outside of the mount cannot be put in place, which is found out before anything is touched.
    let outside = Path::new(&root).join("outside");
    support::pair(&outside, 1024, 10);
    let error = swap::prepare(&live, &outside, &outside.with_file_name("previous")).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.hint().is_some());
}

#[test]
fn a_folder_that_is_a_mount_of_its_own_is_served_too() {
    for mount in [
        "mount --bind \"$0\" \"$0/Databases\"",
        "mount -t tmpfs none \"$0/Databases\"",
    ] {
        let tmp = tempfile::tempdir().unwrap();
        fs::create_dir(tmp.path().join("Databases")).unwrap();
        let output = Command::new("unshare")
            .args(["-rm", "sh", "-c"])
            .arg(format!(
                "{mount} || exit 77; exec \"$1\" --exact swap_files::in_a_mount --ignored --nocapture"
            ))
            .arg(tmp.path())
            .arg(std::env::current_exe().unwrap())
            .env(MOUNTED, tmp.path())
            .stdin(Stdio::null())
            .output();
        let Some(output) = output
            .ok()
            .filter(|output| output.status.code() != Some(77) && output.status.code() != Some(1))
        else {
            println!("SKIPPED a_folder_that_is_a_mount_of_its_own_is_served_too: mounts cannot be made here ({mount})");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{mount}: {text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
