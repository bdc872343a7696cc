//! What both sides of a burst share: a journal under a lock, and the one way to run a phase.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::journal::{Event, Journal, JournalError};
use super::phase::Phase;
use super::version;
use crate::error::{Error, Result};
use crate::term::Printer;

/// Called with the whole journal.
type OnWrite = Box<dyn Fn(&[super::journal::Entry]) -> Result<()> + Send + Sync>;

/// One side of a burst in this process.
pub struct Side {
    journal: Mutex<Journal>,
    /// Where things are said.
    pub printer: Printer,
    /// Called after each line of the journal (the worker seals its journal into the depot).
    on_write: OnceLock<OnWrite>,
    _lock: File,
}

impl Side {
    /// Takes the lock of this side in `dir` and opens its journal.
    ///
    /// # Errors
    /// Another process is this side; the journal is damaged.
    pub fn open(dir: &Path, printer: Printer) -> Result<Self> {
        let lock = patient_lock(&dir.join("lock"))?.ok_or_else(|| {
            Error::usage(format!(
                "the burst in {} is already being run by another process{}",
                dir.display(),
                version::unlike(program_of(&dir.join("lock")).as_deref())
            ))
            .hint("`plexburst status` and `plexburst attach` show where it stands; Ctrl-C there or SIGTERM ends that process")
        })?;
        let journal = Journal::open(&super::store::journal_path(dir))?;
        Ok(Self {
            journal: Mutex::new(journal),
            printer,
            on_write: OnceLock::new(),
            _lock: lock,
        })
    }

    /// From now on `f` is called with the whole journal after each line; said once.
    pub fn on_write(&self, f: impl Fn(&[super::journal::Entry]) -> Result<()> + Send + Sync + 'static) {
        self.on_write.set(Box::new(f)).ok();
    }

    /// The journal.
    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        // Every change of the journal is complete before it is visible, so a panic elsewhere leaves it usable.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends one event.
    ///
    /// # Errors
    /// An illegal transition, or the disk.
    pub fn write(&self, phase: Phase, event: Event) -> Result<()> {
        let mut journal = self.journal();
        journal.write(phase, event)?;
        if let Some(f) = self.on_write.get() {
            f(journal.entries())?;
        }
        Ok(())
    }

    /// Notes something that is no transition.
    ///
    /// # Errors
    /// The disk.
    pub fn note(&self, phase: Phase, text: impl Into<String>) -> Result<()> {
        self.write(phase, Event::Note { text: text.into() })
    }

    /// Runs `phase` unless the journal has it done: started is written before, done with the phase's facts after.
    /// `act` probes what an earlier attempt left, acts, and verifies; it must stand being run again after kill -9 at
    /// any instant.
    ///
    /// # Errors
    /// Whatever `act` gives up with, noted in the journal as failed.
    pub async fn phase<T: Serialize + DeserializeOwned>(
        &self,
        phase: Phase,
        text: &str,
        act: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<T> {
        if let Some(facts) = self.journal().facts(phase)? {
            return Ok(facts);
        }
        self.again(phase, text, act).await
    }

    /// Runs `phase` even when the journal has it done: for what does not outlive the process that did it (a mount, a
    /// running server).
    ///
    /// # Errors
    /// As [`Side::phase`].
    pub async fn again<T: Serialize + DeserializeOwned>(
        &self,
        phase: Phase,
        text: &str,
        act: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<T> {
        self.write(phase, Event::Started)?;
        self.printer.phase(&phase.to_string(), text);
        match act().await {
            Ok(facts) => {
                let value: Value = serde_json::to_value(&facts)
                    .map_err(|source| Error::from(JournalError::Facts { phase, source }))?;
                self.write(phase, Event::Done { facts: value })?;
                Ok(facts)
            }
            Err(error) => {
                // A full disk may be what failed the phase; the failure itself matters more than its line.
                let failed = Event::Failed {
                    error: error.chain(),
                    hint: error.hint_text().map(str::to_owned),
                    exit: error.exit(),
                };
                self.write(phase, failed).ok();
                Err(error)
            }
        }
    }

    /// Facts of a phase that must have been done.
    ///
    /// # Errors
    /// It was not.
    pub fn facts<T: DeserializeOwned>(&self, phase: Phase) -> Result<T> {
        self.journal()
            .facts(phase)?
            .ok_or_else(|| Error::unexpected(format!("phase {phase} should have been done before this one")))
    }

    /// Whether the journal has `phase` done.
    pub fn is_done(&self, phase: Phase) -> bool {
        self.journal().done(phase).is_some()
    }

    /// How often `phase` was started.
    pub fn attempts(&self, phase: Phase) -> usize {
        self.journal()
            .entries()
            .iter()
            .filter(|e| e.phase == phase && e.event == Event::Started)
            .count()
    }
}

/// Takes an exclusive lock on `path` (created if missing) that ends with the process; `None`: somebody else has it.
///
/// # Errors
/// The file cannot be made or locked.
pub fn lock(path: &Path) -> Result<Option<File>> {
    let failed = |e: std::io::Error| Error::failed(format!("cannot lock {}", path.display())).because(e);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(failed)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            // Who it is, for whoever has to end this process; only meaningful while the lock is held.
            file.set_len(0).map_err(failed)?;
            (&file)
                .write_all(format!("{}\n{}\n", std::process::id(), version::PROGRAM).as_bytes())
                .map_err(failed)?;
            Ok(Some(file))
        }
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(failed(e.into())),
    }
}

/// As [`lock`], but not put off by somebody who only looks whether it is held.
///
/// # Errors
/// See [`lock`].
pub fn patient_lock(path: &Path) -> Result<Option<File>> {
    for _ in 0..50 {
        if let Some(lock) = lock(path)? {
            return Ok(Some(lock));
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    lock(path)
}

/// The process that holds the lock on `path`; `None` when nobody does.
///
/// # Errors
/// The file cannot be looked at.
pub fn holder(path: &Path) -> Result<Option<u32>> {
    if !is_held(path)? {
        return Ok(None);
    }
    // Zero is nobody's: a process that has the lock and has not written its number yet.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    Ok(Some(
        text.lines().next().and_then(|pid| pid.trim().parse().ok()).unwrap_or(0),
    ))
}

/// The version of the program that took the lock on `path` last.
fn program_of(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()?.lines().nth(1).map(str::to_owned)
}

/// Whether somebody holds a lock on the file `path`, which is not touched.
///
/// # Errors
/// The file cannot be looked at.
pub fn is_held(path: &Path) -> Result<bool> {
    let Ok(file) = File::options().read(true).write(true).open(path) else {
        return Ok(false);
    };
    Ok(rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err())
}

impl From<JournalError> for Error {
    fn from(e: JournalError) -> Self {
        match &e {
            JournalError::Newer { .. } => {
                Error::usage(e.to_string()).hint("go on with the version of plexburst that wrote it")
            }
            JournalError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Error::failed(e.to_string())
                    .hint("free some space, then `plexburst resume`")
                    .because(e)
            }
            _ => Error::unexpected(e.to_string()).because(e),
        }
    }
}
