//! Faults at random moments of a scan: whatever happens to the media, no file that the library knew is lost.
//!
//! A moment is so many requests after Plex's scanner was seen to run, and a run counts only when the scanner still ran after
//! the harm was done: what falls beside the scan is told apart, and others are run in its place.
//!
//! A real worker (the program itself, with the simulator as its Plex in a cell) works on a library of three dozen tracks
//! over a real rclone mount of a real S3 server; a proxy between the two, signals, a full disk or fusectl do the harm. The
//! worker may recover, or give up and be started again when the fault is over; in the end it must have its result with
//! every file, and nothing may be left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plex_library::Databases;
use rustix::process::Signal;
use sim::proxy::{Fault, Proxy};

use crate::common::{PROGRAM, World, copy_tree, kill, processes_with, skip, wait_until};
use crate::support::{Store, abort_connection, mounts, rclone_conf, signal};

/// Runs in every test run, one of each kind that harms most.
const SHARE: u64 = 6;
const TRACKS: u64 = 36;
/// Requests of a scan after which the fault comes, at most: a file takes one or more.
const MOMENTS: u64 = TRACKS;
/// A store that is fast and yet leaves a scan time to be met by a fault.
const CALM: Fault = Fault::Slow {
    from: Duration::from_millis(15),
    to: Duration::from_millis(40),
    errors: 0,
};
/// For one start of the worker.
const LIMIT: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Store(Fault),
    Killed,
    Stopped,
    Aborted,
    Full,
}

/// Every kind, the most dangerous first.
const HARMS: [(&str, Harm); 14] = [
    ("lists, no bodies", Harm::Store(Fault::NoBodies { hang: false })),
    ("rclone killed", Harm::Killed),
    ("403", Harm::Store(Fault::Status(403))),
    ("connection aborted", Harm::Aborted),
    ("rclone stopped", Harm::Stopped),
    ("cache disk full", Harm::Full),
    ("half a listing", Harm::Store(Fault::HalfListing)),
    ("429", Harm::Store(Fault::Status(429))),
    ("503 SlowDown", Harm::Store(Fault::Status(503))),
    ("500", Harm::Store(Fault::Status(500))),
    ("silence", Harm::Store(Fault::Silent)),
    ("lists, bodies hang", Harm::Store(Fault::NoBodies { hang: true })),
    ("connections closed", Harm::Store(Fault::Closed)),
    (
        "latency 1 ms to 30 s",
        Harm::Store(Fault::Slow {
            from: Duration::from_millis(1),
            to: Duration::from_secs(30),
            errors: 0,
        }),
    ),
];

/// A worker's folder and depot as they are right after the library was restored.
struct Template {
    world: World,
    store: Store,
    worker: PathBuf,
}

impl Template {
    async fn make(test: &str) -> Option<Self> {
        if Command::new("bwrap")
            .args(["--ro-bind", "/", "/", "true"])
            .status()
            .is_err()
        {
            skip(test, "bubblewrap is not installed");
            return None;
        }
        let mut world = World::new();
        let media = world.media();
        fs::create_dir_all(media.join("bucket")).unwrap();
        fs::create_dir_all(world.plextv()).unwrap();
        let store = Store::start(test, &media)?;
        let spec = sim::music::Spec {
            artists: 3,
            albums: 3,
            tracks: 4,
            seconds: 1.0,
            seed: 5,
            ..Default::default()
        };
        let root = media.join("bucket/Music");
        sim::music::synthesise(&root, &spec).unwrap();
        world.start_home();
        let root = root.display().to_string();
        world.create_music(&root, TRACKS).await;
        let proxy = store.proxy(0).await;
        rclone_conf(&world.path("rclone.conf"), proxy.address());
        world.media_config = format!(
            "remote = \"s3:bucket\"\nrclone_config = {:?}\n",
            world.path("rclone.conf").display().to_string()
        );
        world.configure(&[(root.as_str(), "Music")]);
        let file = world.path("plexburst.toml");
        let text = fs::read_to_string(&file).unwrap();
        // In the proportions of the real ones, for a machine that has other things to do.
        let limits = "probe = 4.0\nwatch = 0.5\ndead = 5.0\nremount = 0.3\nmount = 60\nstop = 30\n";
        fs::write(&file, text.replace("[limits]\n", &format!("[limits]\n{limits}"))).unwrap();
        let mut sync = world
            .command(&["sync", "--on", "here", "--quick"])
            .stdout(Stdio::null())
            .stderr(fs::File::create(world.path("sync.log")).unwrap())
            .spawn()
            .unwrap();
        let restored = || {
            let text = journal(&world.path("worker"));
            text.contains("\"mount\"") || sync_ended(&mut sync)
        };
        wait_until("the worker to have its library", LIMIT, restored);
        assert!(
            !sync_ended(&mut sync),
            "{}\n{}",
            fs::read_to_string(world.path("sync.log")).unwrap(),
            world.logs()
        );
        sync.kill().unwrap();
        sync.wait().unwrap();
        for pid in world.workers() {
            kill(pid);
        }
        wait_until("the worker's end", LIMIT, || world.workers().is_empty());
        for mount in mounts(world.dir.path()) {
            let _ = Command::new("fusermount3").arg("-uz").arg(mount).status();
        }
        world.stop_home();
        let worker = folder_with(&world.path("worker"), "spec.json").expect("the worker's folder");
        let _ = fs::remove_dir_all(worker.join("media"));
        Some(Self { world, store, worker })
    }

    /// A copy of it that knows its own paths.
    fn copy(&self, to: &Path, proxy: &Proxy) -> PathBuf {
        let worker = to.join("worker");
        copy_tree(&self.worker, &worker);
        copy_tree(&self.world.path("depot"), &to.join("depot"));
        rclone_conf(&to.join("rclone.conf"), proxy.address());
        let spec = worker.join("spec.json");
        let mut text = fs::read_to_string(&spec).unwrap();
        for (old, new) in [
            (self.worker.clone(), worker.clone()),
            (self.world.path("depot"), to.join("depot")),
            (self.world.path("rclone.conf"), to.join("rclone.conf")),
        ] {
            text = text.replace(old.to_str().unwrap(), new.to_str().unwrap());
        }
        fs::write(&spec, text).unwrap();
        worker
    }
}

fn sync_ended(child: &mut Child) -> bool {
    child.try_wait().unwrap().is_some()
}

fn folder_with(dir: &Path, name: &str) -> Option<PathBuf> {
    if dir.join(name).is_file() {
        return Some(dir.to_owned());
    }
    let entries = fs::read_dir(dir).ok()?;
    entries.flatten().find_map(|entry| folder_with(&entry.path(), name))
}

/// The worker's journal, wherever it lies below `dir`.
fn journal(dir: &Path) -> String {
    folder_with(dir, "journal.jsonl")
        .and_then(|dir| fs::read_to_string(dir.join("journal.jsonl")).ok())
        .unwrap_or_default()
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What came of all runs of a kind.
#[derive(Debug, Default)]
struct Kind {
    runs: u64,
    in_scan: u64,
    recovered: u64,
    given_up: u64,
}

/// What came of one run.
struct Outcome {
    in_scan: bool,
    recovered: usize,
    given_up: bool,
    took: Duration,
}

async fn run(template: &Template, seed: u64) -> Outcome {
    let begun = Instant::now();
    let (name, harm) = HARMS[usize::try_from(seed).unwrap() % HARMS.len()];
    let mut dice = Dice(seed.wrapping_mul(7919) + 1);
    let dir = tempfile::Builder::new().prefix("plexburst-fault-").tempdir().unwrap();
    let proxy = template.store.proxy(seed).await;
    proxy.set(CALM);
    let worker = template.copy(dir.path(), &proxy);
    let disk = (harm == Harm::Full)
        .then(|| Disk::mount(&worker.join("media/cache")))
        .flatten();
    let mut child = start(&worker);
    let at = |what: &str| format!("run {seed} ({name}): {what}");
    let scanner = template.world.path("pms").display().to_string();
    let scans = || !scanners(&scanner).is_empty();
    wait_until(&at("the scan to begin"), LIMIT, || scans() || sync_ended(&mut child));
    let moment = proxy.requests() + dice.below(MOMENTS);
    wait_until(&at("the moment"), LIMIT, || proxy.requests() >= moment || !scans());
    match harm {
        Harm::Store(fault) => proxy.set(fault),
        Harm::Killed => on_rclone(&worker, Signal::KILL),
        Harm::Stopped => on_rclone(&worker, Signal::STOP),
        Harm::Aborted => {
            let _ = abort_connection(&worker);
        }
        Harm::Full => {
            if let Some(disk) = &disk {
                disk.fill();
            }
        }
    }
    let in_scan = scans();
    let lasts = Duration::from_millis(300 + dice.below(9000));
    let since = Instant::now();
    while since.elapsed() < lasts && !sync_ended(&mut child) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    proxy.set(CALM);
    let mut status = wait_for(&mut child, &at("the worker's end"));
    let given_up = status != Some(0);
    if given_up {
        // With the fault over, whoever resumes must get through.
        child = start(&worker);
        status = wait_for(&mut child, &at("the second worker's end"));
    }
    let said = || {
        format!(
            "{}\n{}\n{}",
            at("failed"),
            fs::read_to_string(dir.path().join("worker.log")).unwrap(),
            journal(&worker)
        )
    };
    assert_eq!(status, Some(0), "{}", said());
    let live = Databases::at(worker.join("support/Plex Media Server/Plug-in Support/Databases"));
    let lost = plex_library::losses::of(&Databases::at(worker.join("base")), &live).unwrap();
    assert!(lost.is_empty(), "{}\n{lost:?}", said());
    let known = plex_library::files::known(&live).unwrap();
    assert_eq!(known.values().map(Vec::len).sum::<usize>() as u64, TRACKS, "{}", said());
    drop(disk);
    assert!(mounts(dir.path()).is_empty(), "{}", said());
    let left = || processes_with(dir.path().to_str().unwrap()).is_empty();
    wait_until(&at("every process to be gone"), LIMIT, left);
    Outcome {
        in_scan,
        recovered: journal(&worker).matches("recovering: ").count(),
        given_up,
        took: begun.elapsed(),
    }
}

/// Scans that run under the template's server, in whatever cell.
fn scanners(server: &str) -> Vec<i32> {
    let mut found = processes_with(server);
    found.retain(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == b"--scan")
    });
    found
}

fn start(worker: &Path) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(worker.parent().unwrap().join("worker.log"))
        .unwrap();
    Command::new(PROGRAM)
        .arg("worker")
        .arg(worker)
        .env_remove("PLEX_CLAIM")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn wait_for(child: &mut Child, what: &str) -> Option<i32> {
    wait_until(what, LIMIT, || sync_ended(child));
    child.wait().unwrap().code()
}

/// The worker's rclone may be between two mounts: then the fault meets nobody.
fn on_rclone(worker: &Path, what: Signal) {
    for pid in processes_with(&worker.display().to_string()) {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name.trim() == "rclone" {
            signal(pid, what);
        }
    }
}

/// A disk of a few megabytes for the mount's cache.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "none"])
            .arg(at)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        skip("a full cache disk", "a tmpfs cannot be mounted");
        None
    }

    fn fill(&self) {
        let mut size = 1 << 20;
        let mut number = 0;
        while size > 0 {
            // Until not even one block is left.
            let file = self.0.join(format!("filler-{number}"));
            if fs::write(&file, vec![1; size]).is_err() {
                size /= 2;
            }
            number += 1;
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_is_lost_whatever_happens_to_the_media() {
    let test = "no_file_is_lost_whatever_happens_to_the_media";
    let Some(template) = Template::make(test).await else {
        return;
    };
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (first, runs) = (
        number("PLEXBURST_SOAK_FIRST").unwrap_or(0),
        number("PLEXBURST_SOAK_RUNS").unwrap_or(SHARE),
    );
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    let (mut counted, mut seed) = (0, first);
    while counted < runs {
        assert!(
            seed < first + 3 * runs + 20,
            "only {counted} of {} runs met the scan",
            seed - first
        );
        let outcome = run(&template, seed).await;
        let name = HARMS[usize::try_from(seed).unwrap() % HARMS.len()].0;
        let kind = kinds.entry(name).or_default();
        kind.runs += 1;
        kind.in_scan += u64::from(outcome.in_scan);
        kind.recovered += u64::from(outcome.recovered > 0);
        kind.given_up += u64::from(outcome.given_up);
        counted += u64::from(outcome.in_scan);
        println!(
            "run {seed} ({name}, {}): nothing lost, {} recoveries{}, {:.1} s",
            if outcome.in_scan {
                "in the scan"
            } else {
                "beside the scan"
            },
            outcome.recovered,
            if outcome.given_up { ", given up and resumed" } else { "" },
            outcome.took.as_secs_f64()
        );
        seed += 1;
    }
    println!(
        "{} runs, {counted} of them in the scan: nothing lost in any",
        seed - first
    );
    for (name, kind) in kinds {
        println!("{name}: {kind:?}");
    }
}
