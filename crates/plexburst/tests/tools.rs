//! The commands that look at, compare, change and mend a library that lies somewhere, as a person calls them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use plex_library::{Databases, Which};
use plexburst::exit;
use sim::fixture::Builder;

const PROGRAM: &str = env!("CARGO_BIN_EXE_plexburst");

/// A data folder with a library in it.
fn library(dir: &Path) -> Databases {
    let databases = dir.join("Plex Media Server/Plug-in Support/Databases");
    Builder::new(&databases)
        .music("Music", "/Media/Music", 4, 2, 6)
        .movies("Films", "/Media/Films", 6)
        .household(20, 10, 2)
        .sonic(0.5)
        .build()
        .unwrap();
    Databases::at(databases)
}

fn run(args: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut command = Command::new(PROGRAM);
    for arg in args {
        command.arg(arg);
    }
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

fn json(args: &[&dyn AsRef<std::ffi::OsStr>], code: u8) -> serde_json::Value {
    let output = run(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(i32::from(code)), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn bytes(databases: &Databases) -> Vec<Vec<u8>> {
    Which::BOTH
        .map(|which| std::fs::read(databases.path(which)).unwrap())
        .to_vec()
}

fn file(databases: &Databases, id: i64) -> String {
    rusqlite::Connection::open(databases.library())
        .unwrap()
        .query_row("SELECT file FROM media_parts WHERE id = ?1", [id], |row| row.get(0))
        .unwrap()
}

/// The archive of a snapshot, with or without its manifest.
fn archive(databases: &Databases, to: &Path, with_manifest: bool) -> PathBuf {
    let tmp = tempfile::tempdir().unwrap();
    let copy = Databases::at(tmp.path().join("copy"));
    plex_library::snapshot::take(databases, copy.dir(), &()).unwrap();
    let mut files: Vec<(String, PathBuf)> = Which::BOTH
        .iter()
        .map(|which| {
            let name = format!("Plex Media Server/Plug-in Support/Databases/{}", which.file_name());
            (name, copy.path(*which))
        })
        .collect();
    if with_manifest {
        let manifest = copy.dir().join(plex_library::snapshot::MANIFEST);
        files.push(("Plex Media Server/plexburst/manifest.json".into(), manifest));
    }
    plex_library::archive::pack(&files, to).unwrap();
    to.to_owned()
}

#[test]
fn remap_counts_first_asks_backs_up_and_is_taken_back() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(tmp.path());
    let (before, old) = (bytes(&home), file(&home, 1));
    assert!(old.starts_with("/Media/Music/"), "{old}");
    let map = "/Media/Music=/srv/tunes";
    let plan = json(
        &[&"remap", &home.dir(), &"--map", &map, &"--dry-run", &"--json"],
        exit::DONE,
    );
    assert_eq!(
        (&plan["done"], &plan["plan"]["roots"][0]["new"]),
        (&false.into(), &"/srv/tunes".into())
    );
    // Nobody can be asked here.
    let refused = run(&[&"remap", &home.dir(), &"--map", &map]);
    assert_eq!(refused.status.code(), Some(exit::USAGE.into()), "{}", text(&refused));
    assert!(text(&refused).contains("hint: give -y"), "{}", text(&refused));
    assert_eq!(bytes(&home), before);

    let done = json(&[&"remap", &home.dir(), &"--map", &map, &"-y", &"--json"], exit::DONE);
    assert!(file(&home, 1).starts_with("/srv/tunes/"));
    let backup = PathBuf::from(done["backup"].as_str().unwrap());
    assert_eq!(bytes(&Databases::at(&backup)), before);
    assert_eq!(json(&[&"verify", &backup, &"--json"], exit::DONE)["ok"], true);

    let undo = done["undo"].as_str().unwrap();
    let undone = json(
        &[
            &"remap",
            &home.dir(),
            &"--undo",
            &undo,
            &"-y",
            &"--json",
            &"--backup",
            &tmp.path().join("second"),
        ],
        exit::DONE,
    );
    assert_eq!(undone["done"], true);
    assert_eq!(file(&home, 1), old);

    // The file of the earlier scripts, and nonsense.
    let mappings = tmp.path().join("path_mappings.json");
    std::fs::write(
        &mappings,
        r#"{"_comment": "x", "mappings": {"/Media/Films": "/srv/films"}}"#,
    )
    .unwrap();
    let plan = json(
        &[&"remap", &home.dir(), &"--mappings", &mappings, &"--dry-run", &"--json"],
        exit::DONE,
    );
    assert_eq!(plan["plan"]["roots"][0]["new"], "/srv/films");
    let wrong = run(&[&"remap", &home.dir(), &"--map", &"Media=/x"]);
    assert_eq!(wrong.status.code(), Some(exit::USAGE.into()), "{}", text(&wrong));
}

#[test]
fn diff_tells_in_words_and_reads_archives() {
    let tmp = tempfile::tempdir().unwrap();
    let (old, new) = (library(&tmp.path().join("old")), library(&tmp.path().join("new")));
    let said = run(&[&"diff", &old.dir(), &new.dir()]);
    assert!(text(&said).contains("Nothing differs."), "{}", text(&said));
    rusqlite::Connection::open(new.library())
        .unwrap()
        .execute_batch(
            "INSERT INTO metadata_item_views(account_id, guid, viewed_at) VALUES(1, 'plex://x', 1800000000);
             UPDATE media_parts SET deleted_at = 1 WHERE id = 1;",
        )
        .unwrap();
    let archive = archive(&new, &tmp.path().join("new.tar.zst"), true);
    let said = run(&[&"diff", &old.dir(), &archive]);
    for words in ["Music: 1 file in the trash", "1 view added to the history"] {
        assert!(text(&said).contains(words), "{}", text(&said));
    }
    let difference = json(&[&"diff", &old.dir(), &archive, &"--json"], exit::DONE);
    assert_eq!(difference["household"]["views_added"], 1);
}

#[test]
fn archives_are_told_apart_and_checked_against_their_manifest() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(tmp.path());
    let ours = archive(&home, &tmp.path().join("ours.tar.zst"), true);
    let theirs = archive(
        &home,
        &tmp.path().join("plex_delta_sync_20260101_000000.tar.zst"),
        false,
    );
    assert_eq!(
        json(&[&"inspect", &ours, &"--json"], exit::DONE)["archive"]["holds"],
        "export"
    );
    assert_eq!(
        json(&[&"inspect", &theirs, &"--json"], exit::DONE)["archive"]["holds"],
        "result"
    );
    assert_eq!(json(&[&"verify", &ours, &"--json"], exit::DONE)["ok"], true);
    // Half a library under a name of its own.
    let lone = tmp.path().join("plex_db_backup_20260101.db");
    std::fs::copy(home.library(), &lone).unwrap();
    let said = run(&[&"inspect", &lone]);
    assert!(
        said.status.success() && text(&said).contains("half a library"),
        "{}",
        text(&said)
    );
    assert!(text(&said).contains("Music"), "{}", text(&said));
    let verified = json(&[&"verify", &lone, &"--json"], exit::REFUSED);
    assert_eq!(verified["problems"][0]["kind"], "missing");

    // A byte of a title: nothing but the manifest can find it.
    let title: i64 = 9;
    let manifest_only = library(&tmp.path().join("changed"));
    let copy = tmp.path().join("copy");
    plex_library::snapshot::take(&manifest_only, &copy, &()).unwrap();
    rusqlite::Connection::open(Databases::at(&copy).library())
        .unwrap()
        .execute("UPDATE media_parts SET size = size + 1 WHERE id = ?1", [title])
        .unwrap();
    assert_eq!(json(&[&"verify", &copy, &"--bare", &"--json"], exit::DONE)["ok"], true);
    let verified = json(&[&"verify", &copy, &"--json"], exit::REFUSED);
    assert_eq!(verified["problems"][0]["kind"], "sealed", "{verified:#}");
    assert!(verified["problems"][0]["object"].as_str().unwrap().starts_with("page "));
}

#[test]
fn repair_mends_in_place_and_keeps_the_damaged_files() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(tmp.path());
    let others = home.dir().join("com.plexapp.plugins.library.db-2026-01-01");
    std::fs::write(&others, "a dated backup").unwrap();
    let root: u32 = rusqlite::Connection::open(home.library())
        .unwrap()
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'media_parts'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let mut damaged = std::fs::read(home.library()).unwrap();
    let size = usize::from(u16::from_be_bytes([damaged[16], damaged[17]]));
    let at = (root as usize - 1) * size;
    damaged[at..at + 8].fill(0xa5);
    std::fs::write(home.library(), &damaged).unwrap();
    assert_eq!(json(&[&"verify", &home.dir(), &"--json"], exit::REFUSED)["ok"], false);

    let output = tmp.path().join("elsewhere");
    let report = json(&[&"repair", &home.dir(), &"--output", &output, &"--json"], exit::DONE);
    assert_eq!(report["report"]["verification"]["ok"], true);
    assert_eq!(std::fs::read(home.library()).unwrap(), damaged);
    assert_eq!(json(&[&"verify", &output, &"--json"], exit::DONE)["ok"], true);

    let report = json(&[&"repair", &home.dir(), &"-y", &"--json"], exit::DONE);
    let kept = Databases::at(report["backup"].as_str().unwrap());
    assert_eq!(std::fs::read(kept.library()).unwrap(), damaged);
    assert_eq!(json(&[&"verify", &home.dir(), &"--json"], exit::DONE)["ok"], true);
    assert_eq!(std::fs::read(&others).unwrap(), b"a dated backup");
    let said = run(&[&"diff", &output, &home.dir()]);
    assert!(text(&said).contains("Nothing differs."), "{}", text(&said));
}

#[test]
fn a_repair_in_which_rows_are_lost_is_not_put_in_place_by_y_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let home = library(&tmp.path().join("home"));
    let mut damaged = std::fs::read(home.library()).unwrap();
    let length = damaged.len();
    damaged[length / 2..length * 9 / 10].fill(0xa5);
    std::fs::write(home.library(), &damaged).unwrap();
    let before = bytes(&home);
    let report = json(&[&"repair", &home.dir(), &"-y", &"--json"], exit::REFUSED);
    assert_eq!(report["done"], false);
    assert_eq!(bytes(&home), before);
    let made = Databases::at(report["output"].as_str().unwrap());
    assert!(made.library().is_file());
    let lost = |table: &serde_json::Value| table["known_lost"].as_u64().unwrap();
    let tables = report["report"]["databases"]["library"]["tables"].as_array().unwrap();
    let lost: u64 = tables.iter().map(lost).sum();
    assert!(lost > 0, "{report:#}");
    let run = |accepted: u64| run(&[&"repair", &home.dir(), &"-y", &"--accept-losses", &accepted.to_string()]);
    let refused = run(lost - 1);
    assert_eq!(refused.status.code(), Some(i32::from(exit::REFUSED)));
    assert!(
        text(&refused).contains(&format!("--accept-losses {lost}")),
        "{}",
        text(&refused)
    );
    assert_eq!(bytes(&home), before);
    let done = run(lost);
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(json(&[&"verify", &home.dir(), &"--json"], exit::DONE)["ok"], true);
}

#[test]
fn a_repair_that_is_told_to_end_leaves_nothing_behind() {
    let tmp = tempfile::tempdir().unwrap();
    let databases = tmp.path().join("Databases");
    Builder::new(&databases)
        .music("Music", "/Media/Music", 20, 10, 12)
        .build()
        .unwrap();
    let home = Databases::at(databases);
    let before = bytes(&home);
    let beside = || -> Vec<String> {
        let names = std::fs::read_dir(tmp.path()).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "Databases")
            .collect();
        names.sort();
        names
    };
    let mut child = Command::new(PROGRAM)
        .args(["repair", "-y", "--json"])
        .arg(home.dir())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let since = std::time::Instant::now();
    while beside().is_empty() {
        assert!(since.elapsed().as_secs() < 120, "it did not begin");
        assert!(child.try_wait().unwrap().is_none(), "it ended before it began");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let told = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(told.success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(i32::from(exit::RESUMABLE)), "{said}");
    assert!(said.contains("interrupted") && said.contains("hint:"), "{said}");
    assert_eq!(bytes(&home), before);
    assert!(
        !beside().iter().any(|name| name.contains("plexburst-tmp")),
        "{:?}",
        beside()
    );

    // What a killed one left goes with the next, although that has another name.
    std::fs::create_dir(tmp.path().join(".before-repair-20200101_000000.plexburst-tmp-1-0")).unwrap();
    let done = run(&[&"repair", &"-y", &home.dir()]);
    assert!(done.status.success(), "{}", text(&done));
    assert!(
        !beside().iter().any(|name| name.contains("plexburst-tmp")),
        "{:?}",
        beside()
    );
}
