//! The journal of one side of a burst: append-only lines of JSON, flushed to the disk before the program goes on.
//!
//! The journal is the truth. What the screen shows and what `resume` does is derived from it and from looking at the
//! world; nothing else is remembered. A line that a crash cut short is dropped when the journal is opened to go on;
//! damage anywhere else is an error.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::phase::Phase;

/// Format of the lines written here; lines of a newer format are refused.
pub const VERSION: u32 = 1;

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("cannot {op} journal {path}")]
    Io {
        /// What was being done.
        op: &'static str,
        /// The journal.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A line before the last is no entry.
    #[error("journal {path} is damaged at line {line}")]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The cause.
        source: serde_json::Error,
    },
    /// Written by a newer program.
    #[error("journal {path} has format {found}, this program knows {VERSION}")]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// An event that cannot follow what the journal holds.
    #[error("phase {phase} cannot be {event} now: {why}")]
    Illegal {
        /// The phase.
        phase: Phase,
        /// The event.
        event: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// What a phase noted is not what this program expects of it.
    #[error("the journal's facts of phase {phase} do not fit this program")]
    Facts {
        /// The phase.
        phase: Phase,
        /// The cause.
        source: serde_json::Error,
    },
}

/// What happened to a phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// About to act.
    Started,
    /// Acted and verified; what later phases need to know.
    Done {
        /// The phase's own facts.
        #[serde(default)]
        facts: Value,
    },
    /// Given up; the burst may go on here later.
    Failed {
        /// Message and causes.
        error: String,
        /// What the user can do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        /// The exit code of the failure.
        #[serde(default)]
        exit: u8,
    },
    /// Its effect was taken back.
    Undone,
    /// Something worth keeping that is no transition (a decision with its evidence, a warning).
    Note {
        /// Free text for a person.
        text: String,
    },
    /// A thing at a cloud provider: about to be made, known by its id, confirmed gone. No transition.
    Resource(ResourceEvent),
}

/// What is known of a thing that costs money while it exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "resource", rename_all = "snake_case")]
pub enum ResourceEvent {
    /// Something of this kind is about to be made in this zone.
    Intended {
        /// What.
        kind: crate::cloud::Kind,
        /// Where.
        zone: String,
        /// What was settled for a server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        taken: Option<Box<crate::cloud::provider::Taken>>,
    },
    /// It was refused: nothing of it exists.
    Refused {
        /// What.
        kind: crate::cloud::Kind,
        /// Where.
        zone: String,
    },
    /// It exists.
    Known(crate::cloud::Resource),
    /// The provider answered that it does not.
    Gone(crate::cloud::Resource),
}

impl Event {
    /// Whether it changes where its phase stands.
    #[must_use]
    pub fn is_transition(&self) -> bool {
        !matches!(self, Event::Note { .. } | Event::Resource(_))
    }

    fn name(&self) -> &'static str {
        match self {
            Event::Started => "started",
            Event::Done { .. } => "done",
            Event::Failed { .. } => "failed",
            Event::Undone => "undone",
            Event::Note { .. } => "noted",
            Event::Resource(_) => "a resource",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Format of the line.
    pub v: u32,
    /// When, by this side's clock.
    pub at: jiff::Timestamp,
    /// How many times this side was started before, from 1: an older writer is fenced out.
    pub epoch: u64,
    /// The phase.
    pub phase: Phase,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    epoch: u64,
    entries: Vec<Entry>,
}

impl Journal {
    /// Opens `path` to go on (or to begin), as the next epoch. The caller holds the lock of this side.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let io = |op, source| JournalError::Io {
            op,
            path: path.to_path_buf(),
            source,
        };
        let is_new = !path.exists();
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .map_err(|e| io("open", e))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|e| io("read", e))?;
        let (entries, good) = parse(path, &bytes)?;
        if good < bytes.len() {
            file.set_len(good as u64).map_err(|e| io("repair", e))?;
            file.sync_all().map_err(|e| io("repair", e))?;
        }
        if is_new && let Some(dir) = path.parent() {
            File::open(dir)
                .and_then(|d| d.sync_all())
                .map_err(|e| io("publish", e))?;
        }
        let epoch = entries.iter().map(|e| e.epoch).max().unwrap_or(0) + 1;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            epoch,
            entries,
        })
    }

    /// Reads what is there, changing nothing; a line cut short is left out.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn read(path: &Path) -> Result<Vec<Entry>, JournalError> {
        let bytes = std::fs::read(path).map_err(|source| JournalError::Io {
            op: "read",
            path: path.to_path_buf(),
            source,
        })?;
        Ok(parse(path, &bytes)?.0)
    }

    /// Appends and flushes one event; returns only when it is on the disk.
    ///
    /// # Errors
    /// An illegal transition, or the disk.
    pub fn write(&mut self, phase: Phase, event: Event) -> Result<(), JournalError> {
        self.check(phase, &event)?;
        let entry = Entry {
            v: VERSION,
            at: jiff::Timestamp::now(),
            epoch: self.epoch,
            phase,
            event,
        };
        let io = |source| JournalError::Io {
            op: "append to",
            path: self.path.clone(),
            source,
        };
        let mut line = serde_json::to_vec(&entry).map_err(|source| JournalError::Facts { phase, source })?;
        line.push(b'\n');
        let before = self.file.metadata().map_err(io)?.len();
        if let Err(source) = self.file.write_all(&line).and_then(|()| self.file.sync_all()) {
            // Half a line (a full disk) must not stand before what is appended once there is room again. When even
            // this fails the next opening drops the half line.
            self.file.set_len(before).ok();
            return Err(JournalError::Io {
                op: "append to",
                path: self.path.clone(),
                source,
            });
        }
        self.entries.push(entry);
        Ok(())
    }

    fn check(&self, phase: Phase, event: &Event) -> Result<(), JournalError> {
        let illegal = |why| {
            Err(JournalError::Illegal {
                phase,
                event: event.name(),
                why,
            })
        };
        let last = last_transition(&self.entries, phase);
        match event {
            Event::Done { .. } | Event::Failed { .. } if !matches!(last, Some(Event::Started)) => {
                illegal("it was not started")
            }
            Event::Undone if last.is_none() => illegal("it was never started"),
            Event::Started if self.is_ended() && phase != Phase::Commit && phase != Phase::Rollback => {
                illegal("the burst has ended")
            }
            _ => Ok(()),
        }
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many times this side has been started, this time included.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What `phase` noted when it was last done, unless it was undone or begun anew since.
    pub fn done(&self, phase: Phase) -> Option<&Value> {
        done(&self.entries, phase)
    }

    /// The same as a type.
    ///
    /// # Errors
    /// Facts of another shape.
    pub fn facts<T: DeserializeOwned>(&self, phase: Phase) -> Result<Option<T>, JournalError> {
        facts(&self.entries, phase)
    }

    /// Whether the burst was committed or rolled back.
    pub fn is_ended(&self) -> bool {
        self.done(Phase::Commit).is_some() || self.done(Phase::Rollback).is_some()
    }
}

/// The last transition of `phase` (notes are none).
pub fn last_transition(entries: &[Entry], phase: Phase) -> Option<&Event> {
    entries
        .iter()
        .rev()
        .filter(|e| e.phase == phase)
        .map(|e| &e.event)
        .find(|e| e.is_transition())
}

/// What `phase` noted when it was done.
pub fn done(entries: &[Entry], phase: Phase) -> Option<&Value> {
    match last_transition(entries, phase) {
        Some(Event::Done { facts }) => Some(facts),
        _ => None,
    }
}

/// What `phase` noted when it was done, as a type.
///
/// # Errors
/// Facts of another shape.
pub fn facts<T: DeserializeOwned>(entries: &[Entry], phase: Phase) -> Result<Option<T>, JournalError> {
    done(entries, phase)
        .map(|value| T::deserialize(value).map_err(|source| JournalError::Facts { phase, source }))
        .transpose()
}

/// The entries, and how many bytes of the file they fill.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<Entry>, usize), JournalError> {
    let mut entries = Vec::new();
    let mut good = 0;
    for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let is_last = good + line.len() == bytes.len();
        // A line of a newer program may be one that this one does not understand.
        if let Some(found) = super::version::newer(line, VERSION) {
            let path = path.to_path_buf();
            return Err(JournalError::Newer { path, found });
        }
        match serde_json::from_slice::<Entry>(line) {
            Ok(entry) if line.ends_with(b"\n") => {
                entries.push(entry);
                good += line.len();
            }
            _ if is_last => break,
            Ok(_) => break,
            Err(source) => {
                return Err(JournalError::Damaged {
                    path: path.to_path_buf(),
                    line: index + 1,
                    source,
                });
            }
        }
    }
    Ok((entries, good))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut j = Journal::open(&path).unwrap();
        j.write(Phase::Prepare, Event::Started).unwrap();
        j.write(
            Phase::Prepare,
            Event::Done {
                facts: serde_json::json!({"a": 1}),
            },
        )
        .unwrap();
        j.write(Phase::Index { section: 3 }, Event::Started).unwrap();
        (dir, path)
    }

    #[test]
    fn cut_at_every_byte_loses_at_most_the_last_line() {
        let (_dir, path) = full();
        let bytes = std::fs::read(&path).unwrap();
        let all = Journal::read(&path).unwrap();
        let ends: Vec<usize> = bytes
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'\n')
            .map(|(i, _)| i + 1)
            .collect();
        for cut in 0..=bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let whole = ends.iter().filter(|e| **e <= cut).count();
            let mut j = Journal::open(&path).unwrap();
            assert_eq!(j.entries(), &all[..whole], "cut at {cut}");
            j.write(Phase::Snapshot, Event::Started).unwrap();
            assert_eq!(Journal::read(&path).unwrap().len(), whole + 1, "cut at {cut}");
        }
    }

    #[test]
    fn damage_before_the_last_line_is_an_error() {
        let (_dir, path) = full();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[3] = b'#';
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(
            Journal::open(&path),
            Err(JournalError::Damaged { line: 1, .. })
        ));
    }

    #[test]
    fn a_newer_format_is_refused() {
        let (_dir, path) = full();
        let text = std::fs::read_to_string(&path)
            .unwrap()
            .replacen("\"v\":1", "\"v\":2", 1);
        std::fs::write(&path, text).unwrap();
        assert!(matches!(
            Journal::open(&path),
            Err(JournalError::Newer { found: 2, .. })
        ));
    }

    #[test]
    fn illegal_transitions_are_typed() {
        let (_dir, path) = full();
        let mut j = Journal::open(&path).unwrap();
        assert_eq!(j.epoch(), 2);
        assert!(matches!(
            j.write(Phase::Snapshot, Event::Done { facts: Value::Null }),
            Err(JournalError::Illegal { .. })
        ));
        assert!(matches!(
            j.write(Phase::Swap, Event::Undone),
            Err(JournalError::Illegal { .. })
        ));
        j.write(Phase::Commit, Event::Started).unwrap();
        j.write(Phase::Commit, Event::Done { facts: Value::Null }).unwrap();
        assert!(matches!(
            j.write(Phase::Swap, Event::Started),
            Err(JournalError::Illegal { .. })
        ));
    }

    #[test]
    fn done_is_forgotten_when_begun_anew_or_undone() {
        let (_dir, path) = full();
        let mut j = Journal::open(&path).unwrap();
        assert_eq!(j.done(Phase::Prepare).unwrap()["a"], 1);
        j.write(Phase::Prepare, Event::Started).unwrap();
        assert!(j.done(Phase::Prepare).is_none());
    }
}
