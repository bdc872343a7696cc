//! Guard 4: the media are proved by reading real bytes of real files, in a process of its own.
//!
//! A mount that lists folders may be unable to read files, and a read on a dead one may never come back, not even when
//! killed. So the reading is done by `plexburst probe`, which is abandoned when its time is up; whatever it has not
//! reported by then counts as dead. Bytes at a random place are read, so that a cache is unlikely to have them.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::error::{Error, io_error};
use super::sample;

/// Bytes that are read of each file, at its start and at a random place.
const PIECE: usize = 16 * 1024;
/// Files that are read at the same time: a slow remote answers several as fast as one.
const AT_ONCE: usize = 4;
/// The probe's own start and end come on top of its limit.
const GRACE: Duration = Duration::from_secs(1);

/// `plexburst probe`: not for people.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// End after this many milliseconds, whatever hangs.
    #[arg(long, default_value_t = 30_000)]
    pub limit_ms: u64,
    /// Makes the random places.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Files to read; of a folder one file below it is read.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Real bytes came.
    Read {
        /// How many.
        bytes: u64,
    },
    /// There is no such file.
    Missing,
    /// It is there and cannot be read.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// Nothing came in time.
    TimedOut,
}

/// One file's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// What was asked for.
    pub file: PathBuf,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took.
    pub millis: u64,
}

/// The verdict over all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Each file, in the order that it was asked for.
    pub files: Vec<Probed>,
}

impl Proof {
    /// Whether every file showed real bytes, and there was one at all.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.files.is_empty() && self.failed().next().is_none()
    }

    /// The files that did not.
    pub fn failed(&self) -> impl Iterator<Item = &Probed> {
        self.files
            .iter()
            .filter(|probed| !matches!(probed.outcome, Outcome::Read { .. }))
    }

    /// Whether nothing at all could be read: a dead mount, not a missing file.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.failed().count() == self.files.len()
    }

    /// The slowest answer.
    #[must_use]
    pub fn slowest(&self) -> Duration {
        Duration::from_millis(self.files.iter().map(|probed| probed.millis).max().unwrap_or(0))
    }
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (all, failed) = (self.files.len(), self.failed().count());
        write!(
            f,
            "{} of {all} files read, the slowest in {} ms",
            all - failed,
            self.slowest().as_millis()
        )?;
        for probed in self.failed().take(3) {
            let why = match &probed.outcome {
                Outcome::Read { .. } => continue,
                Outcome::Missing => "missing",
                Outcome::Unreadable { reason } => reason,
                Outcome::TimedOut => "no answer",
            };
            write!(f, "; {}: {why}", probed.file.display())?;
        }
        Ok(())
    }
}

/// Reads real bytes of `files` (of a folder: of one file below it) in a probe process; comes back within `limit` and a
/// second, whatever hangs. `program` is the plexburst binary.
///
/// # Errors
/// The probe cannot be run. What it finds is not an error but the [`Proof`].
pub async fn prove(program: &Path, files: &[PathBuf], limit: Duration) -> Result<Proof, Error> {
    if files.is_empty() {
        return Ok(Proof::default());
    }
    let begun = Instant::now();
    let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let mut child = tokio::process::Command::new(program)
        .args([
            "probe",
            "--limit-ms",
            &millis.to_string(),
            "--seed",
            &sample::seed().to_string(),
            "--",
        ])
        .args(files)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(io_error(format!("run {} probe", program.display())))?;
    let mut found = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        let reading = async {
            while let Ok(Some(line)) = lines.next_line().await {
                found.extend(serde_json::from_str::<Probed>(&line).ok());
                if found.len() == files.len() {
                    break;
                }
            }
        };
        // Past the limit it is left to itself: it may be beyond any signal.
        let _ = tokio::time::timeout(limit + GRACE, reading).await;
    }
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let silent = |file: &PathBuf| Probed {
        file: file.clone(),
        outcome: Outcome::TimedOut,
        millis,
    };
    let verdict = |file: &PathBuf| found.iter().find(|probed| probed.file == *file).cloned();
    Ok(Proof {
        files: files
            .iter()
            .map(|file| verdict(file).unwrap_or_else(|| silent(file)))
            .collect(),
    })
}

/// The probe itself: a line of JSON for each file on stdout, as soon as it is known. Gives an exit code: 0 when every
/// file was read.
///
/// Ends the process when its time is up, since a hung read cannot be ended.
#[must_use]
pub fn run(args: Args) -> u8 {
    let deadline = Instant::now() + Duration::from_millis(args.limit_ms);
    let (report, verdicts) = mpsc::channel();
    let count = args.files.len();
    let queue = std::sync::Arc::new(std::sync::Mutex::new(args.files.into_iter()));
    for number in 0..AT_ONCE.min(count) {
        let (report, queue) = (report.clone(), queue.clone());
        let seed = args.seed.wrapping_add(number as u64);
        std::thread::spawn(move || {
            let mut random = sample::Random::new(seed);
            let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
            while let Some(file) = next() {
                let begun = Instant::now();
                let outcome = probe(&file, &mut random);
                let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                if report.send(Probed { file, outcome, millis }).is_err() {
                    return;
                }
            }
        });
    }
    let mut all_read = true;
    for _ in 0..count {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(probed) = verdicts.recv_timeout(left) else {
            return 1;
        };
        all_read &= matches!(probed.outcome, Outcome::Read { .. });
        if say(&probed).is_err() {
            return 1;
        }
    }
    u8::from(!all_read)
}

fn say(probed: &Probed) -> io::Result<()> {
    let mut line = serde_json::to_string(probed).map_err(io::Error::other)?;
    line.push('\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()
}

fn probe(path: &Path, random: &mut sample::Random) -> Outcome {
    match read_some(path, random) {
        Ok(bytes) => Outcome::Read { bytes },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Outcome::Missing,
        Err(error) => Outcome::Unreadable {
            reason: error.to_string(),
        },
    }
}

fn read_some(path: &Path, random: &mut sample::Random) -> io::Result<u64> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        let inner = sample::first_file(path)?.ok_or_else(|| io::Error::other("no file in this folder"))?;
        return read_some(&inner, random);
    }
    // A file of the library never is empty: a mount that shows it so has lost its size.
    let length = metadata.len();
    if length == 0 {
        return Err(io::Error::other("the file is empty"));
    }
    // What the kernel holds already proves nothing.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    let mut piece = vec![0; PIECE];
    let offset = random.below(length.saturating_sub(PIECE as u64).max(1));
    let mut bytes = 0;
    for offset in [0, offset] {
        let read = file.read_at(&mut piece, offset)?;
        if read == 0 {
            return Err(io::Error::other(format!("no bytes at {offset} of {length}")));
        }
        bytes += read as u64;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(path: &Path) -> Outcome {
        probe(path, &mut sample::Random::new(1))
    }

    #[test]
    fn real_bytes_or_the_reason_why_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/b/track.flac");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, vec![7; 100_000]).unwrap();
        assert_eq!(outcome(&file), Outcome::Read { bytes: 32 * 1024 });
        assert!(matches!(outcome(dir.path()), Outcome::Read { .. }));
        assert_eq!(outcome(&dir.path().join("none")), Outcome::Missing);
        let empty = dir.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        assert!(matches!(outcome(&empty), Outcome::Unreadable { .. }));
        std::fs::write(empty.join("zero"), "").unwrap();
        assert!(matches!(outcome(&empty.join("zero")), Outcome::Unreadable { .. }));
        std::fs::write(empty.join("one"), "1").unwrap();
        assert_eq!(outcome(&empty.join("one")), Outcome::Read { bytes: 2 });
    }

    #[test]
    fn the_verdict_over_several() {
        let read = Probed {
            file: "/a".into(),
            outcome: Outcome::Read { bytes: 1 },
            millis: 3,
        };
        let dead = Probed {
            file: "/b".into(),
            outcome: Outcome::TimedOut,
            millis: 900,
        };
        assert!(!Proof::default().holds());
        assert!(
            Proof {
                files: vec![read.clone()]
            }
            .holds()
        );
        let mixed = Proof {
            files: vec![read, dead.clone()],
        };
        assert!(!mixed.holds() && !mixed.is_dead());
        assert!(Proof { files: vec![dead] }.is_dead());
        assert_eq!(
            mixed.to_string(),
            "1 of 2 files read, the slowest in 900 ms; /b: no answer"
        );
        let line = serde_json::to_string(&mixed).unwrap();
        assert_eq!(serde_json::from_str::<Proof>(&line).unwrap(), mixed);
    }
}
