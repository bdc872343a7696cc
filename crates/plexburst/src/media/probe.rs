//! `plexburst probe`: reads real bytes of files and says what came, a line for each. It is a process of its own because a
//! read on a dead mount may never come back; its parent abandons it then.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::by_name;
use super::cached::Held;
use super::control::CachePlaces;
use super::proof::{Cache, Outcome, Probed};
use super::sample::{self, Random};

/// Bytes that are read of each file, where no cache has them and at its start.
const PIECE: usize = 16 * 1024;
/// Bytes at either end: what Plex hashes of a file, and where tags lie (facts/plex.md §2.3).
const END: u64 = 64 * 1024;
/// Files that are read at the same time: a slow remote answers several as fast as one.
const AT_ONCE: usize = 4;
/// The same where many are warmed.
pub(super) const MANY: usize = 16;

/// `plexburst probe`: not for people.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// End after this many milliseconds, whatever hangs.
    #[arg(long, default_value_t = 30_000)]
    pub limit_ms: u64,
    /// Makes the random places.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// The mount that the files are on.
    #[arg(long)]
    pub mount: Option<PathBuf>,
    /// Where its cache keeps what it holds.
    #[arg(long, requires = "mount")]
    pub data: Option<PathBuf>,
    /// Where its cache notes what it holds.
    #[arg(long, requires = "data")]
    pub notes: Option<PathBuf>,
    /// It has a cache that does not show what it holds.
    #[arg(long, conflicts_with = "mount")]
    pub unseen: bool,
    /// Read head and tail of each file instead.
    #[arg(long)]
    pub ends: bool,
    /// Files that are read at the same time.
    #[arg(long, default_value_t = AT_ONCE)]
    pub at_once: usize,
    /// Files to read; of a folder one file below it is read.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

/// The probe itself: a line of JSON for each file on stdout, as soon as it is known, between an empty line when it begins
/// and one when its time is up. Gives an exit code: 0 when every file was read.
///
/// Ends the process when its time is up, since a hung read cannot be ended.
#[must_use]
pub fn run(args: Args) -> u8 {
    let cache = match (args.mount, args.data, args.notes) {
        (Some(mount), Some(data), Some(notes)) => Cache::Seen(Held {
            mount,
            places: CachePlaces { data, notes },
        }),
        _ if args.unseen => Cache::Unseen,
        _ => Cache::None,
    };
    if say("").is_err() {
        return 1;
    }
    let deadline = Instant::now() + Duration::from_millis(args.limit_ms);
    let (report, verdicts) = mpsc::channel();
    let count = args.files.len();
    let queue = std::sync::Arc::new(std::sync::Mutex::new(args.files.into_iter()));
    let ends = args.ends;
    for number in 0..args.at_once.min(count) {
        let (report, queue, cache) = (report.clone(), queue.clone(), cache.clone());
        let seed = args.seed.wrapping_add(number as u64);
        std::thread::spawn(move || {
            let mut random = Random::new(seed);
            let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
            while let Some(file) = next() {
                let begun = Instant::now();
                let read = if ends {
                    read_ends(&file)
                } else {
                    read_some(&file, &cache, &mut random)
                };
                if report.send(probed(file, read, begun)).is_err() {
                    return;
                }
            }
        });
    }
    let mut all_read = true;
    for _ in 0..count {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(probed) = verdicts.recv_timeout(left) else {
            // The end of this process may hang as long as the read does.
            let _ = say("");
            return 1;
        };
        all_read &= matches!(probed.outcome, Outcome::Read { .. });
        if serde_json::to_string(&probed).map_or(true, |line| say(&line).is_err()) {
            return 1;
        }
    }
    u8::from(!all_read)
}

fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(format!("{line}\n").as_bytes())?;
    stdout.flush()
}

/// What was read of a file.
struct Seen {
    bytes: u64,
    /// Some of them came from where no cache had them.
    fresh: bool,
    changed_at: Option<i64>,
}

fn probed(file: PathBuf, read: io::Result<Seen>, begun: Instant) -> Probed {
    let changed_at = read.as_ref().ok().and_then(|seen| seen.changed_at);
    let outcome = match read {
        Ok(Seen { bytes, fresh, .. }) => Outcome::Read { bytes, fresh },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Outcome::Missing,
        Err(error) => Outcome::Unreadable {
            reason: error.to_string(),
        },
    };
    Probed {
        file,
        outcome,
        millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        changed_at,
    }
}

fn time_of(metadata: &Metadata) -> Option<i64> {
    metadata.modified().ok().map(by_name::seconds)
}

fn read_ends(path: &Path) -> io::Result<Seen> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let length = metadata.len();
    let mut piece = vec![0; usize::try_from(END.min(length)).unwrap_or(0)];
    file.read_exact_at(&mut piece, 0)?;
    file.read_exact_at(&mut piece, length - END.min(length))?;
    Ok(Seen {
        bytes: 2 * piece.len() as u64,
        fresh: false,
        changed_at: time_of(&metadata),
    })
}

/// A piece from where no cache has it, and its start; of a folder a file below it, whose time says nothing of the folder.
fn read_some(path: &Path, cache: &Cache, random: &mut Random) -> io::Result<Seen> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        let inner = sample::first_file(path)?.ok_or_else(|| io::Error::other("no file in this folder"))?;
        return read_some(&inner, cache, random).map(|seen| Seen {
            changed_at: None,
            ..seen
        });
    }
    // A file of the library never is empty: a mount that shows it so has lost its size.
    let length = metadata.len();
    if length == 0 {
        return Err(io::Error::other("the file is empty"));
    }
    // What the kernel holds already proves nothing.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    let uncached = match cache {
        Cache::Seen(held) => held.uncached(path, length).somewhere(random),
        Cache::None | Cache::Unseen => Some(random.below(length)),
    };
    let mut piece = vec![0; PIECE];
    let mut bytes = 0;
    for offset in [uncached, Some(0)].into_iter().flatten() {
        let read = file.read_at(&mut piece, offset)?;
        if read == 0 {
            return Err(io::Error::other(format!("no bytes at {offset} of {length}")));
        }
        bytes += read as u64;
    }
    Ok(Seen {
        bytes,
        fresh: uncached.is_some() && *cache != Cache::Unseen,
        changed_at: time_of(&metadata),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(path: &Path, cache: &Cache) -> Probed {
        probed(path.into(), read_some(path, cache, &mut Random::new(1)), Instant::now())
    }

    fn outcome(path: &Path) -> Outcome {
        probe(path, &Cache::None).outcome
    }

    #[test]
    fn real_bytes_or_the_reason_why_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/b/track.flac");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, vec![7; 100_000]).unwrap();
        assert!(matches!(
            outcome(&file),
            Outcome::Read {
                bytes: 16_385..,
                fresh: true
            }
        ));
        assert!(matches!(outcome(dir.path()), Outcome::Read { .. }));
        let at = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567_900);
        File::options()
            .append(true)
            .open(&file)
            .unwrap()
            .set_modified(at)
            .unwrap();
        assert_eq!(probe(&file, &Cache::None).changed_at, Some(1_234_567));
        assert_eq!(probe(dir.path(), &Cache::None).changed_at, None);
        assert_eq!(outcome(&dir.path().join("none")), Outcome::Missing);
        let empty = dir.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        assert!(matches!(outcome(&empty), Outcome::Unreadable { .. }));
        std::fs::write(empty.join("zero"), "").unwrap();
        assert!(matches!(outcome(&empty.join("zero")), Outcome::Unreadable { .. }));
        std::fs::write(empty.join("one"), "1").unwrap();
        assert_eq!(outcome(&empty.join("one")), Outcome::Read { bytes: 2, fresh: true });
    }

    #[test]
    fn what_a_cache_holds_is_not_fresh() {
        let dir = tempfile::tempdir().unwrap();
        let (mount, places) = (
            dir.path().join("mount"),
            CachePlaces {
                data: dir.path().join("data"),
                notes: dir.path().join("notes"),
            },
        );
        for folder in [&mount, &places.data, &places.notes] {
            std::fs::create_dir(folder).unwrap();
        }
        let file = mount.join("1.flac");
        std::fs::write(&file, vec![1; 100]).unwrap();
        let fresh = |cache: &Cache| match probe(&file, cache).outcome {
            Outcome::Read { fresh, .. } => fresh,
            other => panic!("{other:?}"),
        };
        let (data, note) = (places.data.join("1.flac"), places.notes.join("1.flac"));
        let seen = Cache::Seen(Held { mount, places });
        assert!(fresh(&seen) && fresh(&Cache::None) && !fresh(&Cache::Unseen));
        std::fs::write(&note, r#"{"Rs": [{"Pos": 0, "Size": 100}]}"#).unwrap();
        assert!(!fresh(&seen));
        // While rclone has it open its note is an old one; its file is not.
        std::fs::write(&note, r#"{"Rs": null}"#).unwrap();
        assert!(fresh(&seen));
        std::fs::write(&data, vec![1; 100]).unwrap();
        assert!(!fresh(&seen));
    }
}
