//! Faults from outside at what the commands do to the disk: export, import (merge and swap), rollback, with the folder
//! exchanged and with the files moved one by one.
//!
//! The program is killed, or a call fails with ENOSPC or EIO, at the n-th call of a kind ([`strike`]). Home is the old library
//! or the new one then, whole, and the next command says which and goes on. The usual run takes a share; all of it, with
//! a stride over the writes, goes with `PLEXBURST_SOAK=1`, each n-th fault with `PLEXBURST_SOAK=n`, beginning at the one
//! that `PLEXBURST_SOAK_FIRST` numbers, and `PLEXBURST_SOAK_KILLS=1` takes the kills alone. With `TMPDIR` on a tmpfs (not
//! /dev/shm, which a cell has of its own) and among few processes (`unshare -m -p -f --mount-proc`: who has the databases open
//! is asked of them all) a fault costs a fraction.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics"
)]

#[path = "../common/mod.rs"]
mod common;
mod power;
mod strike;
#[path = "../../../plex-library/tests/library/trace.rs"]
mod trace;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{Mounted, PROGRAM, World, files, has, look, skip};
use plexburst::exit;
use strike::Fault;

/// Calls that make something durable or give it a name, and those that write pages.
const CALLS: [&str; 5] = [
    "fsync,fdatasync,syncfs",
    "rename,renameat,renameat2",
    "unlink,unlinkat,rmdir",
    "link,linkat",
    "write,pwrite64",
];
const FAULTS: [Fault; 3] = [Fault::Kill, Fault::Error("ENOSPC"), Fault::Error("EIO")];
/// Faults of one command in the usual run.
const SHARE: usize = 5;
/// A soak says how far it is after every so many.
const REPORTED: usize = 10;
/// Every so many writes in a soak.
const STRIDE: usize = 25;

fn traced(world: &World, strace: &[&str], args: &[&str]) -> Output {
    Command::new("strace")
        // Its servers are let go: a fault is the program's own.
        .args(["-qq", "-f", "-b", "execve"])
        .args(strace)
        .arg(PROGRAM)
        .arg("--config")
        .arg(world.path("plexburst.toml"))
        .args(args)
        .env_remove("PLEX_CLAIM")
        .stdin(Stdio::null())
        .current_dir(world.dir.path())
        .output()
        .unwrap()
}

/// How often a whole run makes the calls of each kind.
fn count(world: &World, args: &[&str]) -> Vec<usize> {
    let log = world.path("trace");
    let all = format!("trace={}", CALLS.join(","));
    let output = traced(world, &["-e", &all, "-o", log.to_str().unwrap()], args);
    assert!(
        output.status.success(),
        "{args:?}: {}\n{}",
        String::from_utf8_lossy(&output.stderr),
        world.logs()
    );
    let trace = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    CALLS
        .iter()
        .map(|calls| {
            let is_one = |line: &&str| {
                let name = line.split_once(' ').map_or(*line, |(_, rest)| rest.trim_start());
                calls.split(',').any(|call| name.starts_with(&format!("{call}(")))
            };
            trace.lines().filter(is_one).count()
        })
        .collect()
}

/// Which faults are tried: (calls, fault, number).
fn plan(counts: &[usize]) -> Vec<(&'static str, Fault, usize)> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let kills_alone = std::env::var_os("PLEXBURST_SOAK_KILLS").is_some();
    let mut all = Vec::new();
    for (calls, &count) in CALLS.into_iter().zip(counts) {
        let stride = if calls.starts_with("write") { STRIDE } else { 1 };
        for fault in FAULTS {
            if kills_alone && fault != Fault::Kill {
                continue;
            }
            all.extend((1..=count).step_by(stride).map(|number| (calls, fault, number)));
        }
    }
    if let Some(step) = number("PLEXBURST_SOAK") {
        let first = number("PLEXBURST_SOAK_FIRST").unwrap_or(0);
        return all.into_iter().skip(first).step_by(step.max(1)).collect();
    }
    if all.len() <= SHARE {
        return all;
    }
    // A step that has no factor in common with the kinds of faults, so that a share has some of each.
    let step = (all.len() / SHARE) | 1;
    all.into_iter().skip(step / 2).step_by(step).take(SHARE).collect()
}

fn can_trace(test: &str) -> bool {
    let can = has("strace")
        && Command::new("strace")
            .args(["-f", "-qq", "-b", "execve", "-e", "trace=none", "true"])
            .output()
            .is_ok_and(|output| output.status.success());
    if !can {
        skip(test, "strace is not installed, or may not trace here");
    }
    can
}

/// A home with three known tracks, a result with two more in an archive, and all of it as it was, to begin from anew.
struct Scene {
    world: World,
    section: i64,
    old: BTreeMap<i64, String>,
    result: PathBuf,
    mounted: Option<Mounted>,
}

impl Scene {
    async fn new(is_mounted: bool) -> Option<Self> {
        Self::of(World::new(), is_mounted).await
    }

    async fn of(mut world: World, is_mounted: bool) -> Option<Self> {
        world.cell = if has("bwrap") { "auto" } else { "never" };
        world.music(1, 1, 1, 3, 1.0);
        let mounted = if is_mounted {
            std::fs::create_dir_all(world.databases()).unwrap();
            Some(Mounted::at(&world.databases())?)
        } else {
            None
        };
        world.start_home();
        let root = world.media().join("Music").display().to_string();
        let section = world.create_music(&root, 3).await;
        world.music(2, 1, 1, 2, 1.0);
        world.issue_claim();
        world.configure(&[(&root, "Music")]);
        let old = files(&world.tracks(section).await);
        let archive = world.path("base.tar.zst");
        world.json(&["export", "--json", archive.to_str().unwrap()]);
        world.json(&["sync", "--json", "--quick", "--archive", archive.to_str().unwrap()]);
        let scene = Self {
            result: world.path("base-result.tar.zst"),
            old,
            section,
            mounted,
            world,
        };
        scene
            .world
            .client()
            .rate(*scene.old.keys().next().unwrap(), 7.0)
            .await
            .unwrap();
        scene.keep("before");
        Some(scene)
    }

    /// Home as it is now, with its area, under a name.
    fn keep(&self, name: &str) {
        self.world.stop_home();
        copy(&self.world.data_dir(), &self.world.path(name));
        self.world.start_home();
    }

    /// Home as it was kept under `name`, running, and no burst.
    fn reset(&self, name: &str) {
        self.world.stop_home();
        let databases = self.world.databases();
        for dir in [
            &databases,
            &databases.with_file_name(".plexburst"),
            &self.world.path("state/bursts"),
        ] {
            empty(dir);
        }
        copy(&self.world.path(name), &self.world.data_dir());
        self.world.start_home();
    }

    /// One fault: home is whole, and the next command goes on to the end, whichever it is.
    async fn judge(&self, output: &Output, args: &[&str], known: [usize; 2], what: &str) {
        self.goes_on(&String::from_utf8_lossy(&output.stderr), args, known, what)
            .await;
    }

    /// The same, after `said`.
    async fn goes_on(&self, said: &str, args: &[&str], known: [usize; 2], what: &str) {
        let world = &self.world;
        let is_guarded = world
            .databases()
            .join("com.plexapp.plugins.library.db-journal")
            .is_dir();
        if is_guarded {
            assert!(self.mounted.is_some(), "{what}");
            let start = sim::service::start(&world.server, &world.support(), world.port, &[]);
            assert!(start.is_err(), "{what}: a server starts on half a library");
        } else {
            let verified = look("verify", &world.data_dir());
            assert_eq!(verified["ok"], true, "{what}: {verified:#}");
        }
        let has_burst = std::fs::read_dir(world.path("state/bursts"))
            .is_ok_and(|mut dirs| dirs.any(|dir| dir.unwrap().path().join("burst.json").exists()));
        let next = if has_burst {
            world.run(&["resume", "--json"])
        } else {
            world.run(args)
        };
        let text = String::from_utf8_lossy(&next.stderr).into_owned();
        let report: serde_json::Value = serde_json::from_slice(&next.stdout)
            .unwrap_or_else(|_| panic!("{what}: {said}\nthen {text}\n{}", world.logs()));
        let tracks = world.tracks(self.section).await;
        let expected = match report["outcome"].as_str() {
            Some("committed") => known[1],
            Some("rolled-back") => {
                assert_eq!(
                    next.status.code(),
                    Some(i32::from(exit::HOME_UNCHANGED)),
                    "{what}: {text}"
                );
                known[0]
            }
            other => panic!("{what}: {other:?}\n{text}\n{}", world.logs()),
        };
        assert_eq!(tracks.len(), expected, "{what}");
        let now = files(&tracks);
        for (id, file) in &self.old {
            assert_eq!(now.get(id), Some(file), "{what}: home's ids stay");
        }
        let rated = tracks
            .iter()
            .find(|item| item.id == *self.old.keys().next().unwrap())
            .unwrap();
        assert_eq!(rated.user_rating, Some(7.0), "{what}");
        assert!(
            !world
                .databases()
                .join("com.plexapp.plugins.library.db-journal")
                .exists(),
            "{what}"
        );
        let verified = look("verify", &world.data_dir());
        assert_eq!(verified["ok"], true, "{what}: {verified:#}");
    }

    /// Every planned fault of a command that turns home with `known[0]` tracks into one with `known[1]`.
    async fn at_every_fault(&self, name: &str, from: &str, args: &[&str], known: [usize; 2]) {
        self.reset(from);
        let counts = count(&self.world, args);
        let (mut struck, mut tried, begun) = (0, 0, std::time::Instant::now());
        let (mut kills, mut killed) = (0, 0);
        let faults = plan(&counts);
        for &(calls, fault, number) in &faults {
            self.reset(from);
            let hit = fault.strike(&self.world, calls, number, args);
            let output = hit.output;
            let what = format!("{name}: {fault:?} at {calls} number {number} ({})", output.status);
            struck += usize::from(!output.status.success());
            if let Some(was_killed) = hit.was_killed {
                kills += 1;
                killed += usize::from(was_killed);
            }
            self.judge(&output, args, known, &what).await;
            tried += 1;
            if tried % REPORTED == 0 {
                println!(
                    "{name}: {tried} of {} faults, {:.0} s",
                    faults.len(),
                    begun.elapsed().as_secs_f64()
                );
            }
        }
        println!(
            "{name}: {counts:?} calls, {} faults, {struck} of them ended the command; {killed} of {kills} kills met their call",
            faults.len()
        );
        // The last calls of a kind may not be made in each run.
        assert!(
            kills > 0 && killed * 4 >= kills * 3,
            "{name}: {killed} of {kills} kills met their call"
        );
    }
}

/// What is in a folder goes; the folder, which may be a mount, stays.
fn empty(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-aT").args([from, to]).status().unwrap();
    assert!(status.success());
}

async fn import_and_rollback(test: &str, is_mounted: bool) {
    if !can_trace(test) {
        return;
    }
    let Some(scene) = Scene::new(is_mounted).await else {
        return skip(test, "mounts cannot be made here");
    };
    let way = if is_mounted { "by files" } else { "by exchange" };
    let import = ["import", "-y", "--json", scene.result.to_str().unwrap()];
    scene
        .at_every_fault(&format!("import {way}"), "before", &import, [3, 5])
        .await;
    scene.reset("before");
    let report = scene.world.json(&import);
    assert_eq!(report["outcome"], "committed");
    scene.keep("after");
    scene
        .at_every_fault(
            &format!("rollback {way}"),
            "after",
            &["rollback", "-y", "--json"],
            [5, 3],
        )
        .await;
    scene.world.stop_home();
}

#[tokio::test(flavor = "multi_thread")]
async fn import_and_rollback_by_exchange() {
    import_and_rollback("import_and_rollback_by_exchange", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn import_and_rollback_by_files() {
    import_and_rollback("import_and_rollback_by_files", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_there_whole_or_not_at_all() {
    if !can_trace("an_export_is_there_whole_or_not_at_all") {
        return;
    }
    let world = World::new();
    world.music(1, 1, 1, 3, 1.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 3).await;
    world.configure(&[(&root, "Music")]);
    let dir = world.path("out");
    let file = dir.join("x.tar.zst");
    let args = ["export", "--json", file.to_str().unwrap()];
    std::fs::create_dir(&dir).unwrap();
    let counts = count(&world, &args);
    let faults = plan(&counts);
    for &(calls, fault, number) in &faults {
        std::fs::remove_dir_all(&dir).unwrap();
        std::fs::create_dir(&dir).unwrap();
        let output = fault.strike(&world, calls, number, &args).output;
        let what = format!("export: {fault:?} at {calls} number {number} ({})", output.status);
        let said = String::from_utf8_lossy(&output.stderr);
        // The number may fall on the runtime's own way to wake a thread, which no disk can make fail and which it does not
        // survive: as good as a kill.
        let was_killed = output.status.signal() == Some(9)
            || output.status.code() == Some(137)
            || said.contains("failed to wake I/O driver");
        if !was_killed && !output.status.success() {
            assert!(said.contains("error: "), "{what}: {said}");
        }
        if file.exists() {
            let unpacked = world.path("unpacked");
            plex_library::archive::unpack(&file, &unpacked).unwrap();
            assert_eq!(look("verify", &unpacked)["ok"], true, "{what}");
            std::fs::remove_dir_all(&unpacked).unwrap();
        } else {
            assert!(!output.status.success(), "{what}");
            world.json(&args);
        }
        assert_eq!(world.tracks(section).await.len(), 3, "{what}");
    }
    assert_eq!(look("verify", &world.data_dir())["ok"], true);
    println!("export: {counts:?} calls, {} faults", faults.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_import_gets_its_name_before_it_is_durable() {
    let test = "nothing_of_an_import_gets_its_name_before_it_is_durable";
    if !can_trace(test) {
        return;
    }
    for is_mounted in [false, true] {
        let Some(scene) = Scene::new(is_mounted).await else {
            return skip(test, "mounts cannot be made here");
        };
        let log = scene.world.path("trace");
        let calls = "trace=write,pwrite64,fsync,fdatasync,rename,renameat,renameat2";
        let strace = ["-y", "-e", calls, "-o", log.to_str().unwrap()];
        let import = ["import", "-y", "--json", scene.result.to_str().unwrap()];
        for args in [&import[..], &["rollback", "-y", "--json"]] {
            let output = traced(&scene.world, &strace, args);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let trace = std::fs::read_to_string(&log).unwrap();
            let databases = std::fs::canonicalize(scene.world.databases()).unwrap();
            let renames = assert_durable(&trace, databases.parent().unwrap());
            assert!(renames >= 4, "{args:?}: {renames} renames at home");
        }
        scene.world.stop_home();
    }
}

/// Below `home`: what a rename brings was flushed before it and not written since, and the folder of its new name is
/// flushed afterwards. Gives how many renames there were.
fn assert_durable(trace: &str, home: &Path) -> usize {
    let lines = trace::calls(trace);
    let home = home.to_str().unwrap();
    let mut renames = 0;
    for (at, line) in lines.iter().enumerate() {
        let paths: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        let [from, to] = paths[..] else { continue };
        if !line.contains("rename") || !to.starts_with(home) || !line.ends_with("= 0") {
            continue;
        }
        // What is put aside, or only tried, promises nothing.
        if [from, to].iter().any(|path| path.contains(".plexburst-probe")) || to.ends_with(".plexburst-guard") {
            continue;
        }
        renames += 1;
        let of = |path: &str| format!("<{path}>");
        let flushed = |lines: &[String], path: &str| {
            lines
                .iter()
                .rposition(|line| line.contains("sync(") && line.contains(&of(path)))
        };
        let source = if line.contains("RENAME_EXCHANGE") { to } else { from };
        let is_live = |path: &str| path.starts_with(&format!("{home}/Databases/com.plexapp"));
        // A file of Plex's own that leaves is as durable as Plex made it.
        let is_plexs = from.ends_with("-shm") || from.ends_with("-wal") || (is_live(from) && !is_live(to));
        if !is_plexs {
            let flush =
                flushed(&lines[..at], source).unwrap_or_else(|| panic!("{source} was not flushed before {line}"));
            assert!(
                !lines[flush..at]
                    .iter()
                    .any(|line| line.contains("write") && line.contains(&of(source))),
                "{source} was written after its flush, before {line}"
            );
        }
        let parent = Path::new(to).parent().unwrap().to_str().unwrap();
        assert!(
            flushed(&lines[at..], parent).is_some(),
            "{parent} was not flushed after {line}"
        );
    }
    renames
}
