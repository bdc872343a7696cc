use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use plex_library::swap::{self, Plan, State};
use plex_library::{Databases, Kind, snapshot};

use crate::support::{self, names};
use crate::writer::Writer;

/// Where a result is staged.
pub(crate) fn stage_dir(live: &Databases) -> PathBuf {
    let dir = swap::area(live).unwrap().join("burst");
    fs::create_dir_all(&dir).unwrap();
    dir.join("staged")
}

/// A home with all that may lie in its `Databases`, and a result staged beside it.
pub(crate) fn home(root: &Path) -> (Databases, Plan) {
    let live = support::plex_pair(&root.join("Plug-in Support/Databases"));
    let result = support::pair(&root.join("result"), 4096, 50);
    let staged = stage_dir(&live);
    snapshot::take(&result, &staged, &()).unwrap();
    for own in ["manifest.json", "library.pages", "blobs.pages"] {
        fs::remove_file(staged.join(own)).unwrap();
    }
    let dir = live.dir();
    fs::write(dir.join("com.plexapp.plugins.library.db-2026-01-01"), "backup").unwrap();
    fs::write(dir.join("tv.plex.providers.epg.cloud.db"), "guide").unwrap();
    fs::create_dir_all(dir.join("restore/deep")).unwrap();
    fs::write(dir.join("restore/deep/x"), "x").unwrap();
    symlink("nowhere", dir.join("link")).unwrap();
    fs::set_permissions(live.library(), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o750)).unwrap();
    let plan = swap::prepare(&live, &staged, &staged.with_file_name("previous")).unwrap();
    (live, plan)
}

pub(crate) const OTHERS: [&str; 4] = [
    "com.plexapp.plugins.library.db-2026-01-01",
    "link",
    "restore",
    "tv.plex.providers.epg.cloud.db",
];

pub(crate) fn title(databases: &Databases) -> Option<String> {
    let db = plex_library::open::read_only(&databases.library()).unwrap();
    db.query_row("SELECT name FROM library_sections", [], |row| row.get(0))
        .ok()
}

pub(crate) fn assert_others_only_in(live: &Databases, other: &Path) {
    for name in OTHERS {
        assert!(live.dir().join(name).symlink_metadata().is_ok(), "{name}");
    }
    assert_eq!(fs::read(live.dir().join("restore/deep/x")).unwrap(), b"x");
    assert_eq!(names(other).len(), 2, "{:?}", names(other));
}

#[test]
fn the_pair_is_exchanged_and_everything_else_stays_live() {
    let tmp = tempfile::tempdir().unwrap();
    let (live, plan) = home(tmp.path());
    let old = fs::read(live.library()).unwrap();
    assert_eq!(swap::state(&plan).unwrap(), State::NotYet);
    assert_eq!(title(&live).as_deref(), Some("Music"));

    let swapped = swap::exchange(&plan).unwrap();
    assert_eq!(swap::state(&plan).unwrap(), State::Done);
    assert_eq!(title(&live), None);
    assert_eq!(fs::read(Databases::at(&swapped.previous).library()).unwrap(), old);
    assert_others_only_in(&live, &swapped.previous);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (mode(live.dir()), mode(&live.library()), mode(&live.blobs())),
        (0o750, 0o640, 0o644)
    );

    // Again, as a resumed burst would.
    swap::exchange(&plan).unwrap();
    assert_eq!(swap::state(&plan).unwrap(), State::Done);

    // Plex lives on it for a while.
    fs::write(live.dir().join("tv.plex.providers.epg.cloud.db"), "newer guide").unwrap();
    fs::write(
        live.dir().join("com.plexapp.plugins.library.db-2026-01-04"),
        "new backup",
    )
    .unwrap();
    swap::undo(&plan).unwrap();
    swap::undo(&plan).unwrap();
    assert_eq!(swap::state(&plan).unwrap(), State::NotYet);
    assert_eq!(fs::read(live.library()).unwrap(), old);
    assert_others_only_in(&live, &plan.staged);
    assert_eq!(
        fs::read(live.dir().join("tv.plex.providers.epg.cloud.db")).unwrap(),
        b"newer guide"
    );
    assert!(live.dir().join("com.plexapp.plugins.library.db-2026-01-04").exists());
}

#[test]
fn logs_stay_with_the_pair_that_they_were_written_for() {
    let tmp = tempfile::tempdir().unwrap();
    let live = support::pair(&tmp.path().join("Databases"), 1024, 100);
    let result = support::pair(&tmp.path().join("result"), 1024, 10);
    let staged = stage_dir(&live);
    fs::rename(result.dir(), &staged).unwrap();
    Writer::start(&live).kill();
    assert!(names(live.dir()).iter().any(|name| name.ends_with(".db-wal")));
    let plan = swap::prepare(&live, &staged, &staged.with_file_name("previous")).unwrap();
    swap::exchange(&plan).unwrap();
    assert_eq!(names(live.dir()).len(), 2);
    assert!(names(&plan.staged).iter().any(|name| name.ends_with(".db-wal")));
    let db = plex_library::open::read_only(&live.library()).unwrap();
    let rows: i64 = db
        .query_row("SELECT count(*) FROM metadata_items", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 10);
}

#[test]
fn nothing_is_exchanged_under_a_running_server() {
    let tmp = tempfile::tempdir().unwrap();
    let live = support::pair(&tmp.path().join("Databases"), 1024, 100);
    let result = support::pair(&tmp.path().join("result"), 1024, 10);
    let staged = stage_dir(&live);
    fs::rename(result.dir(), &staged).unwrap();
    let plan = swap::prepare(&live, &staged, &staged.with_file_name("previous")).unwrap();
    let writer = Writer::start(&live);
    let error = swap::exchange(&plan).unwrap_err();
    assert_eq!(error.kind(), Kind::InUse);
    assert!(
        error.hint().unwrap().contains(&format!("pid {}", writer.pid())),
        "{error}"
    );
    assert_eq!(swap::state(&plan).unwrap(), State::NotYet);
    writer.stop();
    // A merge of the last minute that left its log behind.
    let log = plan.staged.join("com.plexapp.plugins.library.db-wal");
    fs::write(&log, "log").unwrap();
    assert_eq!(swap::exchange(&plan).unwrap_err().kind(), Kind::Refused);
    assert_eq!(swap::state(&plan).unwrap(), State::NotYet);
    fs::remove_file(log).unwrap();
    swap::exchange(&plan).unwrap();
}

#[test]
fn what_is_not_ready_is_not_prepared() {
    let tmp = tempfile::tempdir().unwrap();
    let live = support::pair(&tmp.path().join("Databases"), 1024, 10);
    let staged = stage_dir(&live);
    let result = support::pair(&staged, 1024, 10);
    fs::write(staged.join("com.plexapp.plugins.library.db-wal"), "stale").unwrap();
    assert_eq!(
        swap::prepare(&live, &staged, &staged.with_file_name("previous"))
            .unwrap_err()
            .kind(),
        Kind::Refused
    );
    fs::remove_file(staged.join("com.plexapp.plugins.library.db-wal")).unwrap();
    fs::remove_file(result.blobs()).unwrap();
    assert_eq!(
        swap::prepare(&live, &staged, &staged.with_file_name("previous"))
            .unwrap_err()
            .kind(),
        Kind::NotALibrary
    );
}

#[test]
fn a_folder_behind_a_symbolic_link_is_exchanged_itself() {
    let tmp = tempfile::tempdir().unwrap();
    let real = support::pair(&tmp.path().join("disk/Databases"), 1024, 10);
    let link = tmp.path().join("Databases");
    symlink(real.dir(), &link).unwrap();
    let live = Databases::at(&link);
    let staged = stage_dir(&live);
    assert!(staged.starts_with(real.dir().parent().unwrap()));
    support::pair(&staged, 1024, 99);
    let plan = swap::prepare(&live, &staged, &staged.with_file_name("previous")).unwrap();
    swap::exchange(&plan).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(inode(&link), (plan.after.device, plan.after.number));
}

fn inode(path: &Path) -> (u64, u64) {
    let meta = fs::metadata(path).unwrap();
    (meta.dev(), meta.ino())
}

#[test]
fn a_folder_that_somebody_replaced_is_not_taken_for_either() {
    let tmp = tempfile::tempdir().unwrap();
    let (live, plan) = home(tmp.path());
    let aside = PathBuf::from(format!("{}-aside", live.dir().display()));
    fs::rename(live.dir(), &aside).unwrap();
    fs::create_dir(live.dir()).unwrap();
    assert_eq!(swap::state(&plan).unwrap_err().kind(), Kind::Mismatch);
    assert_eq!(swap::exchange(&plan).unwrap_err().kind(), Kind::Mismatch);
    assert_eq!(swap::undo(&plan).unwrap_err().kind(), Kind::Mismatch);
}

#[test]
fn the_probe_says_what_can_be_exchanged_and_leaves_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let live = support::pair(&tmp.path().join("Databases"), 1024, 1);
    assert!(swap::can_exchange(&live).unwrap());
    assert_eq!(names(tmp.path()), ["Databases"]);
    assert!(!swap::can_exchange(&Databases::at("/proc")).unwrap());
}
