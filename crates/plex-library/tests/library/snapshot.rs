use std::fs;
use std::path::Path;

use plex_library::snapshot::{self, Manifest, Options, Way};
use plex_library::{Databases, Kind, Which, open, users};
use rusqlite::Connection;

use crate::support::{self, names, tree};
use crate::writer::Writer;

/// Every statement that has to hold for a pair that is one moment.
fn assert_consistent(databases: &Databases, manifest: &Manifest) {
    for which in Which::BOTH {
        let path = databases.path(which);
        let bytes = fs::read(&path).unwrap();
        let copied = manifest.database(which).unwrap();
        assert_eq!(bytes.len() as u64, copied.whole.bytes);
        assert_eq!(blake3::hash(&bytes).to_hex().as_str(), copied.whole.blake3);
        let db = open::read_only(&path).unwrap();
        assert_eq!(db.mode(), open::Mode::Immutable);
        let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok", "{}", path.display());
    }
    let db = open::pair(databases).unwrap();
    let orphans: i64 = db
        .query_row(
            "SELECT count(*) FROM blobs.blobs WHERE linked_id NOT IN (SELECT id FROM metadata_items)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(
        orphans, 0,
        "blobs are marked first, so that every blob's owner is there"
    );
}

#[test]
fn beside_a_writer_at_full_speed_each_snapshot_is_one_moment() {
    let tmp = tempfile::tempdir().unwrap();
    let databases = support::pair(&tmp.path().join("home"), 1024, 20_000);
    let writer = Writer::start(&databases);
    let mut rows = 0;
    for round in 0..12 {
        let dest = tmp.path().join(format!("snapshot-{round}"));
        let manifest = snapshot::take(&databases, &dest, &()).unwrap();
        assert_consistent(&Databases::at(&dest), &manifest);
        assert!(manifest.counts["metadata_items"] >= rows, "later moments have more");
        rows = manifest.counts["metadata_items"];
    }
    let seen = writer.stop();
    // A wait for a lock would last for seconds (the busy timeout is 30 s); the slack is for a machine under load.
    assert!(seen.longest.as_secs() < 5, "the writer had to wait: {seen:?}");
    assert!(seen.commits > 100, "{seen:?}");
    assert_eq!(seen.locked_out, 0, "a snapshot takes no lock that a server could meet");
    assert_eq!(
        names(databases.dir()),
        ["com.plexapp.plugins.library.blobs.db", "com.plexapp.plugins.library.db"]
    );
}

#[test]
fn beside_an_idle_server_it_equals_the_backup_api_page_by_page() {
    for page_size in [1024, 4096, 16384] {
        let tmp = tempfile::tempdir().unwrap();
        let databases = support::pair(&tmp.path().join("home"), page_size, 500);
        // Held open in another process, with frames in the log that the file lacks.
        let mut holder = holder(&databases);
        assert!(
            users::of(&databases)
                .unwrap()
                .iter()
                .any(|user| user.pid == holder.id().cast_signed())
        );
        let dest = tmp.path().join("snapshot");
        let manifest = snapshot::take(&databases, &dest, &()).unwrap();
        assert!(manifest.database(Which::Library).unwrap().log_frames > 0);
        assert_consistent(&Databases::at(&dest), &manifest);
        let plain = tmp.path().join("plain");
        let options = Options {
            way: Way::Plain,
            ..Options::default()
        };
        let plainly = snapshot::take_with(&databases, &plain, &options, &()).unwrap().manifest;
        assert_eq!(plainly.counts, manifest.counts);
        assert_eq!(plainly.schema_migrations, manifest.schema_migrations);
        for which in Which::BOTH {
            let ours = fs::read(Databases::at(&dest).path(which)).unwrap();
            let theirs = fs::read(Databases::at(&plain).path(which)).unwrap();
            assert_same_pages(&ours, &theirs);
        }
        holder.kill().unwrap();
        holder.wait().unwrap();
    }
}

/// The backup API writes its own change counter, schema cookie, version-valid-for and SQLite version into the header;
/// all else is equal.
fn assert_same_pages(ours: &[u8], theirs: &[u8]) {
    assert_eq!(ours.len(), theirs.len());
    let differs: Vec<usize> = (0..ours.len()).filter(|&at| ours[at] != theirs[at]).collect();
    assert!(
        differs.iter().all(|at| matches!(at, 24..28 | 40..44 | 92..100)),
        "{differs:?}"
    );
}

/// A process (SQLite's shell is not needed for it) that has committed something and keeps the databases open.
fn holder(databases: &Databases) -> std::process::Child {
    use std::io::{BufRead, BufReader};
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "snapshot::holds_when_told_to", "--nocapture"])
        .env("PLEXBURST_TEST_HOLDER", databases.dir())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !lines.next().unwrap().unwrap().contains("holding") {}
    child
}

#[test]
fn holds_when_told_to() {
    let Some(dir) = std::env::var_os("PLEXBURST_TEST_HOLDER") else {
        return;
    };
    let databases = Databases::at(Path::new(&dir));
    let open: Vec<Connection> = Which::BOTH
        .into_iter()
        .map(|which| {
            let db = support::open(&databases.path(which), 1024);
            db.execute_batch("INSERT INTO metadata_item_views(guid) VALUES('x')")
                .unwrap();
            db
        })
        .collect();
    println!("holding");
    _ = std::io::stdin().lines().count();
    drop(open);
}

#[test]
fn a_killed_server_leaves_its_log_and_nothing_is_lost_or_touched() {
    let tmp = tempfile::tempdir().unwrap();
    let databases = support::pair(&tmp.path().join("home"), 1024, 2000);
    let writer = Writer::start(&databases);
    std::thread::sleep(std::time::Duration::from_millis(300));
    writer.kill();
    let before = tree(databases.dir());
    assert!(before.len() > 2, "the logs are still there");
    let dest = tmp.path().join("snapshot");
    let manifest = snapshot::take(&databases, &dest, &()).unwrap();
    assert_consistent(&Databases::at(&dest), &manifest);
    assert_eq!(tree(databases.dir()), before);

    // What SQLite itself recovers from the same files is the oracle.
    let db = Connection::open(databases.library()).unwrap();
    let rows: i64 = db
        .query_row("SELECT count(*) FROM metadata_items", [], |row| row.get(0))
        .unwrap();
    assert_eq!(manifest.counts["metadata_items"], rows.unsigned_abs());
    drop(db);
    assert_eq!(
        fs::read(databases.library()).unwrap(),
        fs::read(Databases::at(&dest).library()).unwrap()
    );
}

#[test]
fn a_library_at_rest_is_copied_byte_for_byte_from_a_folder_that_may_not_be_written() {
    let tmp = tempfile::tempdir().unwrap();
    let databases = support::pair(&tmp.path().join("home"), 4096, 100);
    let before = tree(databases.dir());
    let dest = tmp.path().join("a/b/snapshot");
    let manifest = snapshot::take(&databases, &dest, &()).unwrap();
    assert_eq!(tree(databases.dir()), before);
    assert_eq!(Manifest::read(&dest).unwrap(), manifest);
    assert_eq!(manifest.schema_migrations.len(), 3);
    for which in Which::BOTH {
        assert_eq!(
            fs::read(databases.path(which)).unwrap(),
            fs::read(Databases::at(&dest).path(which)).unwrap()
        );
    }
}

#[test]
fn what_is_no_whole_library_is_refused_and_leaves_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let dest = tmp.path().join("snapshot");
    type Spoil<'a> = &'a dyn Fn(&Databases);
    let cases: [(&str, Spoil<'_>, Kind); 5] = [
        (
            "no blobs",
            &|home| fs::remove_file(home.blobs()).unwrap(),
            Kind::NotALibrary,
        ),
        ("empty", &|home| fs::write(home.blobs(), "").unwrap(), Kind::Damaged),
        (
            "garbage",
            &|home| fs::write(home.library(), vec![0x55; 5000]).unwrap(),
            Kind::Damaged,
        ),
        (
            "cut off",
            &|home| {
                fs::File::options()
                    .write(true)
                    .open(home.library())
                    .unwrap()
                    .set_len(10_000)
                    .unwrap()
            },
            Kind::Damaged,
        ),
        (
            "another program's",
            &|home| {
                fs::remove_file(home.library()).unwrap();
                Connection::open(home.library())
                    .unwrap()
                    .execute_batch("CREATE TABLE t(x)")
                    .unwrap();
            },
            Kind::NotALibrary,
        ),
    ];
    for (name, spoil, kind) in cases {
        let home = support::pair(&tmp.path().join(name), 1024, 50);
        spoil(&home);
        let error = snapshot::take(&home, &dest, &()).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.hint().is_some(), "{name}");
    }
    assert_eq!(names(tmp.path()).len(), 5, "{:?}", names(tmp.path()));
}

#[test]
fn a_newer_manifest_is_not_guessed_at() {
    let tmp = tempfile::tempdir().unwrap();
    fs::write(
        tmp.path().join(snapshot::MANIFEST),
        r#"{"format": 99, "shape": "unknown"}"#,
    )
    .unwrap();
    assert_eq!(Manifest::read(tmp.path()).unwrap_err().kind(), Kind::Mismatch);
    fs::write(tmp.path().join(snapshot::MANIFEST), "{").unwrap();
    assert_eq!(Manifest::read(tmp.path()).unwrap_err().kind(), Kind::Damaged);
}

#[test]
fn cancelling_leaves_nothing() {
    struct AtOnce;
    impl plex_library::Progress for AtOnce {
        fn advance(&self, _: &str, _: u64, _: u64) {}
        fn is_cancelled(&self) -> bool {
            true
        }
    }
    let tmp = tempfile::tempdir().unwrap();
    let home = support::pair(&tmp.path().join("home"), 1024, 50);
    let error = snapshot::take(&home, &tmp.path().join("snapshot"), &AtOnce).unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
    assert_eq!(names(tmp.path()), ["home"]);
}

#[test]
fn the_real_library_is_copied() {
    let Some(real) = support::real("the_real_library_is_copied") else {
        return;
    };
    let home = Databases::at(real.join("Plug-in Support/Databases"));
    let tmp = tempfile::tempdir().unwrap();
    let manifest = snapshot::take(&home, &tmp.path().join("snapshot"), &()).unwrap();
    assert_eq!(manifest.counts["metadata_items"], 106);
    assert_eq!(manifest.schema_migrations.len(), 441);
    assert_eq!(
        fs::read(home.library()).unwrap(),
        fs::read(Databases::at(tmp.path().join("snapshot")).library()).unwrap()
    );
}
