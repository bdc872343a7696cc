//! Guard 4: the media are proved by reading real bytes of real files, in a process of its own.
//!
//! A mount that lists folders may be unable to read files, and a read on a dead one may never come back, not even when
//! killed. So the reading is done by `plexburst probe`, which is abandoned when its time is up; whatever it has not
//! reported by then counts as dead. Bytes are read from where the mount's cache has none ([`Held`]); what comes from a cache
//! proves nothing about the store.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::cached::Held;
use super::error::{Error, io_error};
use super::sample;

/// How long a probe may take to begin: on a machine that is busy a new process waits for its turn, and that says nothing
/// about the media.
const BEGIN: Duration = Duration::from_secs(60);
/// The same for its last words, which it says at its limit whatever hangs.
const GRACE: Duration = Duration::from_secs(20);

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Real bytes came.
    Read {
        /// How many.
        bytes: u64,
        /// Some of them came from where no cache had them.
        #[serde(default)]
        fresh: bool,
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
    /// When it was changed last, as it is shown here, in seconds; none of a folder, or when it was not read.
    #[serde(default)]
    pub changed_at: Option<i64>,
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

    /// How many showed bytes that no cache had.
    #[must_use]
    pub fn fresh(&self) -> usize {
        let is_fresh = |probed: &&Probed| matches!(probed.outcome, Outcome::Read { fresh: true, .. });
        self.files.iter().filter(is_fresh).count()
    }

    /// What was read came from a cache, and the store does not give it: why.
    pub(super) fn disprove(&mut self, why: &str) {
        for probed in &mut self.files {
            if matches!(probed.outcome, Outcome::Read { .. }) {
                probed.outcome = Outcome::Unreadable {
                    reason: format!("it is read from the cache alone, and the store does not give it: {why}"),
                };
            }
        }
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

/// What stands between a reader and the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cache {
    /// No cache but the kernel's.
    None,
    /// One that shows what it holds.
    Seen(Held),
    /// One that does not: nothing that is read is known to come from the store.
    Unseen,
}

/// Reads real bytes of `files` (of a folder: of one file below it) in a probe process; comes back `limit` after that has
/// begun, whatever hangs. `program` is the plexburst binary.
///
/// # Errors
/// The probe cannot be run. What it finds is not an error but the [`Proof`].
pub async fn prove(program: &Path, files: &[PathBuf], limit: Duration) -> Result<Proof, Error> {
    prove_past_cache(program, files, limit, Cache::None).await
}

/// As [`prove`], where the cache of a mount has nothing.
pub(super) async fn prove_past_cache(
    program: &Path,
    files: &[PathBuf],
    limit: Duration,
    cache: Cache,
) -> Result<Proof, Error> {
    run(program, files, limit, &Reading::Fresh(cache)).await
}

/// What of each file is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// Where no cache has it, and its start.
    Fresh(Cache),
    /// Its head and its tail, wherever they come from.
    Ends {
        /// So many files at the same time.
        at_once: usize,
    },
}

/// Runs the probe.
pub(super) async fn run(program: &Path, files: &[PathBuf], limit: Duration, reading: &Reading) -> Result<Proof, Error> {
    if files.is_empty() {
        return Ok(Proof::default());
    }
    let mut begun = Instant::now();
    let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let mut command = tokio::process::Command::new(program);
    command.args([
        "probe",
        "--limit-ms",
        &millis.to_string(),
        "--seed",
        &sample::seed().to_string(),
    ]);
    match reading {
        Reading::Fresh(Cache::None) => {}
        Reading::Fresh(Cache::Seen(held)) => {
            command.arg("--mount").arg(&held.mount);
            command.arg("--data").arg(&held.places.data);
            command.arg("--notes").arg(&held.places.notes);
        }
        Reading::Fresh(Cache::Unseen) => {
            command.arg("--unseen");
        }
        Reading::Ends { at_once } => {
            command.args(["--ends", "--at-once", &at_once.to_string()]);
        }
    }
    let mut child = command
        .arg("--")
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
        let _ = tokio::time::timeout(BEGIN, lines.next_line()).await;
        begun = Instant::now();
        let reading = async {
            while let Ok(Some(line)) = lines.next_line().await {
                // At its limit it says that there is no more to come.
                if line.is_empty() {
                    break;
                }
                found.extend(serde_json::from_str::<Probed>(&line).ok());
                if found.len() == files.len() {
                    break;
                }
            }
        };
        // Then it is left to itself: it may be beyond any signal.
        let _ = tokio::time::timeout(limit + GRACE, reading).await;
    }
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let silent = |file: &PathBuf| Probed {
        file: file.clone(),
        outcome: Outcome::TimedOut,
        millis,
        changed_at: None,
    };
    let verdict = |file: &PathBuf| found.iter().find(|probed| probed.file == *file).cloned();
    Ok(Proof {
        files: files
            .iter()
            .map(|file| verdict(file).unwrap_or_else(|| silent(file)))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_over_several() {
        let read = Probed {
            file: "/a".into(),
            outcome: Outcome::Read { bytes: 1, fresh: true },
            millis: 3,
            changed_at: Some(7),
        };
        let dead = Probed {
            file: "/b".into(),
            outcome: Outcome::TimedOut,
            millis: 900,
            changed_at: None,
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
