//! Faults from outside: the work is done by a child under strace, which kills it, or makes a call fail, at the n-th call
//! of a kind, for every n that there is.
//!
//! Skipped, with a line that says so, where strace is not installed or may not trace.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plex_library::swap::{self, Plan, State};
use plex_library::verify::{self, Level};
use plex_library::{Databases, Which, bundle, delta, publish, snapshot};

use crate::support::{self, names, tree};
use crate::swap_files::by_files;
use crate::trace;

const WORK: &str = "PLEXBURST_TEST_WORK";
const ARGUMENTS: &str = "PLEXBURST_TEST_ARGUMENTS";

/// What the child does; the arguments are paths, one per line.
#[test]
fn works_when_told_to() {
    let (Ok(work), Ok(arguments)) = (std::env::var(WORK), std::env::var(ARGUMENTS)) else {
        return;
    };
    let paths: Vec<&Path> = arguments.lines().map(Path::new).collect();
    let plan = || -> Plan { serde_json::from_slice(&fs::read(paths[0]).unwrap()).unwrap() };
    let done = match work.as_str() {
        "snapshot" => snapshot::take(&Databases::at(paths[0]), paths[1], &()).map(drop),
        "apply" => delta::apply(paths[0], paths[1], paths[2], &()).map(drop),
        "make" => delta::make(paths[0], &Databases::at(paths[1]), paths[2], &()).map(drop),
        "add" => bundle::add(paths[0], paths[1], &()).map(drop),
        "exchange" => swap::exchange(&plan()).map(drop),
        "undo" => swap::undo(&plan()),
        other => panic!("unknown work {other}"),
    };
    if let Err(error) = done {
        println!("failed: {:?}: {error}", error.kind());
        std::process::exit(9);
    }
}

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Done,
    Failed,
    Killed,
    /// The fault struck the harness's own output, at any moment of the work.
    Harness,
}

fn child(strace: &[&str], work: &str, arguments: &[&Path]) -> Ended {
    let arguments: Vec<&str> = arguments.iter().map(|path| path.to_str().unwrap()).collect();
    let mut command = if strace.is_empty() {
        Command::new(std::env::current_exe().unwrap())
    } else {
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qq", "--seccomp-bpf"])
            .args(strace)
            .arg(std::env::current_exe().unwrap());
        command
    };
    let output = command
        .args(["--exact", "faults::works_when_told_to", "--nocapture"])
        .env(WORK, work)
        .env(ARGUMENTS, arguments.join("\n"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    match (output.status.code(), output.status.signal()) {
        (Some(0), _) => Ended::Done,
        (Some(9), _) => Ended::Failed,
        (_, Some(9)) | (Some(137), _) => Ended::Killed,
        (Some(101), _) if String::from_utf8_lossy(&output.stderr).contains("io error when") => Ended::Harness,
        other => panic!("{other:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn can_trace(test: &str) -> bool {
    let traced = Command::new("strace")
        .args(["-f", "-qq", "--seccomp-bpf", "-e", "trace=none", "true"])
        .output();
    let can = traced.as_ref().is_ok_and(|output| output.status.success());
    if !can {
        println!("SKIPPED {test}: strace is not installed, or may not trace here");
    }
    can
}

/// Calls that make something durable or give it a name.
const CALLS: [&str; 6] = [
    "fsync,fdatasync,syncfs",
    "rename,renameat,renameat2",
    "unlink,unlinkat,rmdir",
    "link,linkat",
    "mkdir,mkdirat",
    "write",
];
const FAULTS: [&str; 3] = ["signal=KILL", "error=ENOSPC", "error=EIO"];
/// More calls of one kind than any of the works makes, but for writes.
const MOST: usize = 60;

/// Runs the work with every fault at every call. `reset` makes the world new and gives the arguments; `check` judges what
/// the fault left, and brings it to its end.
fn at_every_call(work: &str, reset: &dyn Fn() -> Vec<PathBuf>, check: &dyn Fn(&Ended, &str)) {
    let mut tried = 0;
    for calls in CALLS {
        for fault in FAULTS {
            // Writes go by the hundred: a stride over them.
            let stride = if calls == "write" { 7 } else { 1 };
            for number in (0..MOST).map(|number| 1 + number * stride) {
                let paths = reset();
                let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
                let trace = format!("trace={calls}");
                let inject = format!("inject={calls}:{fault}:when={number}");
                let ended = child(&["-o", "/dev/null", "-e", &trace, "-e", &inject], work, &paths);
                check(
                    &ended,
                    &format!("{work}: {fault} at {calls} number {number}: {ended:?}"),
                );
                tried += 1;
                // So many calls are not made at all, or the fault was of no consequence at the very end.
                if ended == Ended::Done {
                    break;
                }
                assert!(number < (MOST - 1) * stride, "{work} makes more calls than were tried");
            }
        }
    }
    println!("{work}: {tried} faults");
    assert!(tried > 20);
}

fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.contains(".plexburst-tmp-")
}

#[test]
fn a_snapshot_is_there_whole_or_not_at_all() {
    if !can_trace("a_snapshot_is_there_whole_or_not_at_all") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let home = support::plex_pair(&tmp.path().join("home"));
    let before = tree(home.dir());
    let dest = tmp.path().join("out/snapshot");
    let out = tmp.path().join("out");
    at_every_call(
        "snapshot",
        &|| {
            _ = fs::remove_dir_all(&out);
            fs::create_dir(&out).unwrap();
            vec![home.dir().to_owned(), dest.clone()]
        },
        &|ended, what| {
            assert_eq!(tree(home.dir()), before, "{what}");
            let left: Vec<String> = names(&out).into_iter().filter(|name| !is_temporary(name)).collect();
            match left.as_slice() {
                [] => assert_ne!(*ended, Ended::Done, "{what}"),
                [one] if one == "snapshot" => {
                    assert!(verify::verify(&dest, Level::Full).unwrap().ok, "{what}")
                }
                other => panic!("{what}: {other:?}"),
            }
            if *ended == Ended::Failed {
                assert!(
                    names(&out).iter().all(|name| !is_temporary(name)),
                    "{what}: {:?}",
                    names(&out)
                );
            }
            if left.is_empty() {
                snapshot::take(&home, &dest, &()).unwrap();
            }
            publish::sweep(&out).unwrap();
            assert_eq!(names(&out), ["snapshot"], "{what}");
        },
    );
}

/// A library, and its copy from before something in it changed.
fn changed(root: &Path) -> (Databases, PathBuf) {
    let home = support::plex_pair(&root.join("home"));
    let base = root.join("base");
    snapshot::take(&home, &base, &()).unwrap();
    rusqlite::Connection::open(home.library())
        .unwrap()
        .execute_batch("UPDATE metadata_items SET title = 'changed' WHERE id < 4")
        .unwrap();
    (home, base)
}

fn assert_same_pair(ours: &Databases, theirs: &Databases, what: &str) {
    for which in Which::BOTH {
        assert!(
            fs::read(ours.path(which)).unwrap() == fs::read(theirs.path(which)).unwrap(),
            "{what}"
        );
    }
}

#[test]
fn a_delta_is_applied_whole_or_not_at_all() {
    if !can_trace("a_delta_is_applied_whole_or_not_at_all") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let (home, base) = changed(tmp.path());
    let changes = tmp.path().join("delta");
    delta::make(&base, &home, &changes, &()).unwrap();
    let inputs = || [tree(&base), tree(&changes)];
    let before = inputs();
    let out = tmp.path().join("out");
    let dest = out.join("staged");
    at_every_call(
        "apply",
        &|| {
            _ = fs::remove_dir_all(&out);
            fs::create_dir(&out).unwrap();
            vec![base.clone(), changes.clone(), dest.clone()]
        },
        &|_, what| {
            assert_eq!(inputs(), before, "{what}");
            if !dest.exists() {
                delta::apply(&base, &changes, &dest, &()).unwrap();
            }
            assert_same_pair(&Databases::at(&dest), &home, what);
            publish::sweep(&out).unwrap();
            assert_eq!(names(&out), ["staged"], "{what}");
        },
    );
}

#[test]
fn a_delta_is_made_whole_or_not_at_all() {
    if !can_trace("a_delta_is_made_whole_or_not_at_all") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let (home, base) = changed(tmp.path());
    let applied = tmp.path().join("applied");
    let inputs = || [tree(&base), tree(home.dir())];
    let before = inputs();
    let out = tmp.path().join("out");
    let dest = out.join("delta");
    at_every_call(
        "make",
        &|| {
            _ = fs::remove_dir_all(&out);
            fs::create_dir(&out).unwrap();
            vec![base.clone(), home.dir().to_owned(), dest.clone()]
        },
        &|ended, what| {
            assert_eq!(inputs(), before, "{what}");
            assert!(dest.exists() || *ended != Ended::Done, "{what}");
            if !dest.exists() {
                delta::make(&base, &home, &dest, &()).unwrap();
            }
            delta::apply(&base, &dest, &applied, &()).unwrap();
            assert_same_pair(&Databases::at(&applied), &home, what);
            fs::remove_dir_all(&applied).unwrap();
            publish::sweep(&out).unwrap();
            assert_eq!(names(&out), ["delta"], "{what}");
        },
    );
}

const OTHERS: [&str; 3] = [
    "com.plexapp.plugins.library.db-2026-01-01",
    "restore",
    "tv.plex.providers.epg.cloud.db",
];

/// A home and a staged result, and the plan of their exchange in a file.
fn staged(root: &Path) -> (Databases, Plan, PathBuf) {
    _ = fs::remove_dir_all(root);
    let live = support::plex_pair(&root.join("Databases"));
    fs::write(live.dir().join(OTHERS[0]), "backup").unwrap();
    fs::create_dir(live.dir().join(OTHERS[1])).unwrap();
    fs::write(live.dir().join("restore/x"), "x").unwrap();
    fs::write(live.dir().join(OTHERS[2]), "guide").unwrap();
    let result = support::pair(&root.join("result"), 4096, 20);
    let dir = root.join("staged");
    fs::rename(result.dir(), &dir).unwrap();
    let plan = swap::prepare(&live, &dir, &root.join("previous")).unwrap();
    let file = root.join("plan.json");
    fs::write(&file, serde_json::to_vec(&plan).unwrap()).unwrap();
    (live, plan, file)
}

fn assert_one_whole_pair(live: &Databases, hashes: &[[blake3::Hash; 2]; 2], what: &str) -> usize {
    let pair = [Which::Library, Which::Blobs].map(|which| blake3::hash(&fs::read(live.path(which)).unwrap()));
    for name in OTHERS {
        assert!(live.dir().join(name).exists(), "{what}: {name}");
    }
    assert_eq!(fs::read(live.dir().join("restore/x")).unwrap(), b"x", "{what}");
    hashes
        .iter()
        .position(|known| *known == pair)
        .unwrap_or_else(|| panic!("{what}: a mixture is live"))
}

/// Neither a look nor a start gets at a mixture.
fn assert_no_server_starts(live: &Databases, what: &str) {
    for which in Which::BOTH {
        let opened = rusqlite::Connection::open(live.path(which))
            .and_then(|db| db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)));
        // The library's guard is up first and comes down last: without it the blobs' does not matter.
        assert!(opened.is_err() || which == Which::Blobs, "{what}: {opened:?}");
    }
}

#[test]
fn home_is_the_old_library_or_the_new_one_and_the_next_run_knows_which() {
    if !can_trace("home_is_the_old_library_or_the_new_one_and_the_next_run_knows_which") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("root");
    let hash = |dir: &Path| {
        [Which::Library, Which::Blobs].map(|which| blake3::hash(&fs::read(Databases::at(dir).path(which)).unwrap()))
    };
    let hashes = |plan: &Plan| [hash(&plan.live), hash(&plan.staged)];
    for (work, is_by_files) in [("exchange", false), ("undo", false), ("exchange", true), ("undo", true)] {
        let world = std::cell::RefCell::new(None);
        at_every_call(
            work,
            &|| {
                let (live, mut plan, file) = staged(&root);
                let known = hashes(&plan);
                if is_by_files {
                    plan = by_files(&plan);
                    fs::write(&file, serde_json::to_vec(&plan).unwrap()).unwrap();
                }
                if work == "undo" {
                    swap::exchange(&plan).unwrap();
                }
                *world.borrow_mut() = Some((live, plan, known));
                vec![file]
            },
            &|ended, what| {
                let world = world.borrow();
                let (live, plan, known) = world.as_ref().unwrap();
                let state = swap::state(plan).unwrap();
                if state == State::Between {
                    assert!(is_by_files && *ended != Ended::Done, "{what}");
                    assert_no_server_starts(live, what);
                    assert_eq!(swap::unfinished(live).unwrap().as_ref(), Some(plan), "{what}");
                } else {
                    let is_new = assert_one_whole_pair(live, known, what) == 1;
                    assert_eq!(state, if is_new { State::Done } else { State::NotYet }, "{what}");
                    assert_eq!(swap::unfinished(live).unwrap(), None, "{what}");
                    if *ended == Ended::Done {
                        assert_eq!(is_new, work == "exchange", "{what}");
                    }
                }
                // The next run brings it to either end.
                swap::exchange(plan).unwrap();
                assert_eq!(assert_one_whole_pair(live, known, what), 1);
                assert_eq!(names(plan.replaced()).len(), 2, "{what}");
                swap::undo(plan).unwrap();
                assert_eq!(assert_one_whole_pair(live, known, what), 0);
                assert_eq!(names(&plan.staged).len(), 2, "{what}");
            },
        );
    }
}

#[test]
fn bundles_are_added_each_whole_or_not_at_all() {
    if !can_trace("bundles_are_added_each_whole_or_not_at_all") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let (worker, home, packs) = (
        tmp.path().join("worker"),
        tmp.path().join("home"),
        tmp.path().join("packs"),
    );
    for (path, content) in [("Metadata/a/b", "one"), ("Media/c/d", "two"), ("Media/c/e", "three")] {
        fs::create_dir_all(worker.join(path).parent().unwrap()).unwrap();
        fs::write(worker.join(path), content).unwrap();
    }
    bundle::pack(&worker, &bundle::Index::default(), &packs, &()).unwrap();
    let files = |root: &Path| -> Vec<(PathBuf, Vec<u8>)> {
        tree(root)
            .into_keys()
            .filter(|path| path.is_file() && !path.to_str().unwrap().contains(".plexburst-tmp-"))
            .map(|path| (path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap()))
            .collect()
    };
    let all = files(&worker);
    at_every_call(
        "add",
        &|| {
            _ = fs::remove_dir_all(&home);
            fs::create_dir(&home).unwrap();
            vec![packs.clone(), home.clone()]
        },
        &|_, what| {
            assert!(files(&home).iter().all(|file| all.contains(file)), "{what}");
            let added = bundle::add(&packs, &home, &()).unwrap();
            assert_eq!((added.added + added.same, added.kept_count), (3, 0), "{what}");
            assert_eq!(files(&home), all, "{what}");
            assert_eq!(names(&home.join("Media")), ["c"], "{what}");
        },
    );
}

/// From the trace itself: what gets a name was flushed before it, and the folder of the name after it.
#[test]
fn nothing_gets_its_name_before_it_is_durable() {
    if !can_trace("nothing_gets_its_name_before_it_is_durable") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().canonicalize().unwrap();
    let (live, _, plan) = staged(&root.join("root"));
    let log = root.join("trace");
    let trace = [
        "-y",
        "-o",
        log.to_str().unwrap(),
        "-e",
        "trace=write,pwrite64,fsync,rename,renameat,renameat2",
    ];
    assert_eq!(
        child(&trace, "snapshot", &[live.dir(), &root.join("snapshot")]),
        Ended::Done
    );
    assert_durable(&fs::read_to_string(&log).unwrap(), 6);
    assert_eq!(child(&trace, "exchange", &[&plan]), Ended::Done);
    assert_durable(&fs::read_to_string(&log).unwrap(), 1);
}

fn assert_durable(trace: &str, least: usize) {
    let lines = trace::calls(trace);
    let mut renames = 0;
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(" rename")) {
        renames += 1;
        let paths: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        let [from, to] = paths[..] else { panic!("{line}") };
        let of = |path: &str| format!("<{path}>");
        let flushed = |lines: &[String], path: &str| {
            lines
                .iter()
                .rposition(|line| line.contains("fsync(") && line.contains(&of(path)))
        };
        let is_exchange = line.contains("RENAME_EXCHANGE");
        let source = if is_exchange { to } else { from };
        let last_flush =
            flushed(&lines[..at], source).unwrap_or_else(|| panic!("{source} was not flushed before {line}"));
        assert!(
            !lines[last_flush..at]
                .iter()
                .any(|line| line.contains("write") && line.contains(&of(source))),
            "{source} was written after its flush, before {line}"
        );
        let parent = Path::new(to).parent().unwrap().to_str().unwrap();
        assert!(
            flushed(&lines[at..], parent).is_some(),
            "{parent} was not flushed after {line}"
        );
    }
    assert!(renames >= least, "{renames} renames");
}
