//! What the processes of the rows do; the bench starts itself again for each.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plex_library::snapshot::{self, Options, Way};
use plex_library::{Databases, Which, delta, export, ids, merge, swap, verify};
use sim::fixture::{Fixture, edit, scale};

use crate::measure::{self, Cost};

const CHILD: &str = "PLEXBURST_BENCH_CHILD";
/// After the fixtures' own now.
const LATER: i64 = 1_764_100_000;

pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

fn command(work: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(CHILD, work).args(arguments);
    command
}

/// Does one work in a process of its own.
pub(crate) fn child(work: &str, arguments: &[&str]) -> Cost {
    measure::run(command(work, arguments))
}

/// A server that stays until it is dropped.
pub(crate) struct Server(Child);

impl Server {
    /// Starts it, and waits until it has written.
    pub(crate) fn start(work: &str, dir: &Path) -> Self {
        let mut child = command(work, &[dir.to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Self(child)
    }

    /// Lets it end, and returns what it says.
    pub(crate) fn stop(mut self) -> String {
        drop(self.0.stdin.take());
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        self.0.wait().unwrap();
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

pub(crate) fn run() {
    let work = std::env::var(CHILD).unwrap();
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let path = |at: usize| PathBuf::from(&arguments[at]);
    let pair = |at: usize| Databases::at(path(at));
    let plain = Options {
        way: Way::Plain,
        ..Options::default()
    };
    let plan = |at: usize| -> swap::Plan { serde_json::from_slice(&std::fs::read(path(at)).unwrap()).unwrap() };
    match work.as_str() {
        "fixture" => fixture(&arguments),
        "idle" => idle(&path(0)),
        "writer" => writer(&path(0)),
        "export" => println!(
            "{}",
            export::write(&pair(0), None, &path(1), &Options::default(), &())
                .unwrap()
                .object
                .bytes
        ),
        "export-plain" => println!(
            "{}",
            export::write(&pair(0), None, &path(1), &plain, &())
                .unwrap()
                .object
                .bytes
        ),
        "snapshot" => drop(snapshot::take(&pair(0), &path(1), &()).unwrap()),
        "snapshot-packed" => {
            let packed = path(2);
            let options = Options {
                packed: Some(&packed),
                ..Options::default()
            };
            let taken = snapshot::take_with(&pair(0), &path(1), &options, &()).unwrap();
            println!("{}", taken.packed.values().map(|object| object.bytes).sum::<u64>());
        }
        "backup" => backup(&pair(0), &path(1)),
        "floor" => floor(&pair(0), &pair(1), &path(2)),
        "read" => arguments.iter().for_each(|file| read(Path::new(file))),
        "delta" => println!("{}", delta::make(&path(0), &pair(1), &path(2), &()).unwrap().bytes()),
        "apply" => drop(delta::apply(&path(0), &path(1), &path(2), &()).unwrap()),
        "merge" => drop(merge::merge(&pair(0), &pair(1), &pair(2), &merge::Options::default()).unwrap()),
        "back" => drop(merge::carry_back(&pair(0), &pair(1), &pair(2), &merge::Options::default()).unwrap()),
        "stopped" => stopped(merge::CatchUp::begin, &pair(0), &pair(1), &pair(2), &path(3), &plan(4)),
        "stopped-back" => stopped(
            merge::CatchUp::begin_back,
            &pair(0),
            &pair(1),
            &pair(2),
            &path(3),
            &plan(4),
        ),
        "verify" => assert!(verify::verify(&path(0), verify::Level::Full).unwrap().ok),
        "prepare" => {
            let plan = swap::prepare(&pair(0), &path(1), &path(1).with_file_name("previous")).unwrap();
            std::fs::write(path(2), serde_json::to_vec(&plan).unwrap()).unwrap();
        }
        "undo" => swap::undo(&plan(0)).unwrap(),
        other => panic!("unknown work {other}"),
    }
}

/// The first half of catching up.
type Begin = fn(
    &Databases,
    &Databases,
    &Path,
    &Databases,
    &merge::Options,
    &dyn plex_library::Progress,
) -> plex_library::Result<merge::CatchUp>;

/// A server that stops after the first half of catching up; says how long everything took that was done while it stood still,
/// of which processor time, and in which way.
fn stopped(begin: Begin, merged: &Databases, live: &Databases, staged: &Databases, copy: &Path, plan: &swap::Plan) {
    let fixture = Fixture::at(live.dir()).unwrap();
    let server = fixture.open().unwrap();
    let options = merge::Options::default();
    let begun = Instant::now();
    let ahead = begin(merged, live, copy, staged, &options, &()).unwrap();
    let before = begun.elapsed();
    let household = scale::Household {
        views: 40,
        ratings: 10,
        playlists: 1,
        new_tracks: 0,
    };
    household.apply(&fixture).unwrap();
    drop(server);
    let processor = || -> f64 {
        let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
    };
    let (stood, cpu) = (Instant::now(), processor());
    let caught = ahead.end(live, staged, &options).unwrap();
    assert!(caught.lost.is_empty());
    let caught_up = stood.elapsed();
    swap::exchange(plan).unwrap();
    println!(
        "{:.3} {:.3} {:.3} {:.3} {}",
        stood.elapsed().as_secs_f64(),
        processor() - cpu,
        caught_up.as_secs_f64(),
        before.as_secs_f64(),
        if caught.is_narrow {
            "by the log"
        } else {
            "with everything"
        }
    );
}

fn fixture(arguments: &[String]) {
    let [kind, size, base, target] = arguments else {
        panic!("{arguments:?}")
    };
    let copy = || Fixture::at(Path::new(base)).unwrap().copy(Path::new(target)).unwrap();
    match kind.as_str() {
        "base" => drop(scale::sized(target, size.parse().unwrap()).build().unwrap()),
        "burst" => {
            let worker = copy();
            // As for every worker before its Plex starts.
            ids::keep_apart(&Databases::at(&worker.databases_dir), 1).unwrap();
            scale::Burst::REFERENCE.apply(&worker).unwrap();
        }
        // What it found before is in the library already.
        "again" => scale::Household {
            new_tracks: 0,
            ..scale::Household::REFERENCE
        }
        .apply(&copy())
        .unwrap(),
        _ => scale::Household::REFERENCE.apply(&copy()).unwrap(),
    }
}

/// Reads once, as fast as anything could.
fn read(file: &Path) {
    let mut file = std::fs::File::open(file).unwrap();
    let mut buffer = vec![0; 512 * 1024];
    while file.read(&mut buffer).unwrap() > 0 {}
}

fn backup(from: &Databases, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for which in Which::BOTH {
        let source = rusqlite::Connection::open(from.path(which)).unwrap();
        let mut target = rusqlite::Connection::open(Databases::at(to).path(which)).unwrap();
        let backup = rusqlite::backup::Backup::new(&source, &mut target).unwrap();
        backup.run_to_completion(1000, Duration::ZERO, None).unwrap();
    }
}

/// The changed pages and nothing else, through zstd -3.
fn floor(base: &Databases, result: &Databases, out: &Path) {
    const PAGE: usize = 1024;
    let mut encoder = zstd::Encoder::new(std::fs::File::create(out).unwrap(), 3).unwrap();
    let mut changed = 0;
    for which in Which::BOTH {
        let mut before = std::io::BufReader::with_capacity(1 << 19, std::fs::File::open(base.path(which)).unwrap());
        let mut after = std::io::BufReader::with_capacity(1 << 19, std::fs::File::open(result.path(which)).unwrap());
        let (mut old, mut new) = (vec![0; PAGE], vec![0; PAGE]);
        while after.read_exact(&mut new).is_ok() {
            if before.read_exact(&mut old).is_err() || old != new {
                encoder.write_all(&new).unwrap();
                changed += 1;
            }
        }
    }
    encoder.finish().unwrap();
    println!("{changed}");
}

/// A server with nothing to do: both databases open, something in the log.
fn idle(dir: &Path) {
    let pair = sim::store::open(dir).unwrap();
    let fixture = Fixture::at(dir).unwrap();
    for item in fixture.sections[0].leaves.iter().take(20) {
        edit::refresh_item(&pair, *item, "looked at", LATER).unwrap();
    }
    print!(".");
    std::io::stdout().flush().unwrap();
    _ = std::io::stdin().lines().count();
}

/// A server that writes without a pause; says how many commits it made in a second, its longest one, and how often it found
/// the database locked.
fn writer(dir: &Path) {
    static LOCKED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    fn count(_: i32) -> bool {
        LOCKED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1));
        true
    }
    let fixture = Fixture::at(dir).unwrap();
    let mut pair = fixture.open().unwrap();
    for connection in [&mut pair.library, &mut pair.blobs] {
        connection.busy_handler(Some(count)).unwrap();
    }
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = stop.clone();
    std::thread::spawn(move || {
        _ = std::io::stdin().lines().count();
        told.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let leaves = &fixture.sections[0].leaves;
    let begun = Instant::now();
    let (mut commits, mut longest) = (0_usize, Duration::ZERO);
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let item = leaves[commits * 7919 % leaves.len()];
        let before = Instant::now();
        edit::refresh_item(&pair, item, "written at full speed", LATER).unwrap();
        edit::analyse_track(&pair, item, LATER).unwrap();
        longest = longest.max(before.elapsed());
        commits += 1;
        if commits == 1 {
            print!(".");
            std::io::stdout().flush().unwrap();
        }
    }
    println!(
        "{:.0} items/s, longest {:.0} ms, locked out {} times",
        commits as f64 / begun.elapsed().as_secs_f64(),
        longest.as_secs_f64() * 1e3,
        LOCKED.load(std::sync::atomic::Ordering::Relaxed)
    );
}
