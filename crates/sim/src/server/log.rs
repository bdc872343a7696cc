//! "Plex Media Server.log": one line per event in Plex's form, rotated as Plex rotates it.
//!
//! Rotation: when a line would take the file over the limit, `.4.log` becomes `.5.log` and so on down to the plain name,
//! so that there are never more than five old files (10 MB each unless the tempo file says otherwise).
//! A log that cannot be written must not stop the server: such errors are swallowed here and nowhere else.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Size at which Plex starts a new file.
pub(crate) const PLEX_LOG_BYTES: u64 = 10 * 1024 * 1024;
/// How many old files Plex keeps.
const OLD_FILES: u32 = 5;

/// One rotated log.
#[derive(Debug)]
pub(crate) struct Log {
    folder: PathBuf,
    stem: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: Option<File>,
    bytes: u64,
    limit: u64,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Level {
    /// What every request and child leaves.
    Debug,
    /// What an administrator would want to read.
    Info,
    /// Something went wrong, the server goes on.
    Warn,
    /// Something was lost or refused.
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        }
    }
}

impl Log {
    /// Appends to `<folder>/<stem>.log`, starting a new file when it would exceed `limit` bytes.
    pub(crate) fn open(folder: &Path, stem: &str, limit: u64) -> Self {
        let (file, bytes) = append(&folder.join(format!("{stem}.log")));
        Self {
            folder: folder.to_owned(),
            stem: stem.to_owned(),
            state: Mutex::new(State { file, bytes, limit }),
        }
    }

    /// Changes the size at which a new file is started.
    pub(crate) fn set_limit(&self, limit: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).limit = limit;
    }

    /// Writes one line: `Nov 24, 2026 02:01:33.123 [0x7] DEBUG - text`.
    pub(crate) fn line(&self, level: Level, text: impl Display) {
        let now = jiff::ZonedDateTime::now();
        let thread = format!("{:?}", std::thread::current().id());
        let thread = thread.trim_start_matches("ThreadId(").trim_end_matches(')').to_owned();
        let stamp = now.strftime("%b %d, %Y %H:%M:%S%.3f");
        let line = format!("{stamp} [{thread}] {} - {text}\n", level.word());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.bytes > 0 && state.bytes + line.len() as u64 > state.limit {
            state.file = None;
            self.rotate();
            let (file, bytes) = append(&self.path(0));
            state.file = file;
            state.bytes = bytes;
        }
        if let Some(file) = state.file.as_mut()
            && file.write_all(line.as_bytes()).is_ok()
        {
            state.bytes += line.len() as u64;
        }
    }

    /// What every request and child leaves.
    pub(crate) fn debug(&self, text: impl Display) {
        self.line(Level::Debug, text);
    }

    /// What an administrator would want to read.
    pub(crate) fn info(&self, text: impl Display) {
        self.line(Level::Info, text);
    }

    /// Something went wrong, the server goes on.
    pub(crate) fn warn(&self, text: impl Display) {
        self.line(Level::Warn, text);
    }

    /// Something was lost or refused.
    pub(crate) fn error(&self, text: impl Display) {
        self.line(Level::Error, text);
    }

    fn path(&self, age: u32) -> PathBuf {
        match age {
            0 => self.folder.join(format!("{}.log", self.stem)),
            n => self.folder.join(format!("{}.{n}.log", self.stem)),
        }
    }

    fn rotate(&self) {
        for age in (0..OLD_FILES).rev() {
            // A file that is not there yet, or a full disk: the newest lines matter more than the oldest.
            let _ = fs::rename(self.path(age), self.path(age + 1));
        }
    }
}

fn append(path: &Path) -> (Option<File>, u64) {
    let file = OpenOptions::new().create(true).append(true).open(path).ok();
    let bytes = file.as_ref().and_then(|f| f.metadata().ok()).map_or(0, |m| m.len());
    (file, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_five_old_files_of_the_given_size() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), "Plex Media Server", 2000);
        for n in 0..400 {
            log.debug(format_args!("line {n}"));
        }
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let expected: Vec<String> = (1..=5)
            .map(|n| format!("Plex Media Server.{n}.log"))
            .chain(["Plex Media Server.log".into()])
            .collect();
        assert_eq!(names, expected);
        assert!(fs::metadata(dir.path().join("Plex Media Server.1.log")).unwrap().len() <= 2000);
        let newest = fs::read_to_string(dir.path().join("Plex Media Server.log")).unwrap();
        assert!(newest.lines().last().unwrap().ends_with("DEBUG - line 399"), "{newest}");
    }

    #[test]
    fn goes_on_in_the_file_of_the_last_run() {
        let dir = tempfile::tempdir().unwrap();
        Log::open(dir.path(), "Plex Media Server", PLEX_LOG_BYTES).info("first");
        Log::open(dir.path(), "Plex Media Server", PLEX_LOG_BYTES).info("second");
        let text = fs::read_to_string(dir.path().join("Plex Media Server.log")).unwrap();
        assert_eq!(text.lines().count(), 2);
    }
}
