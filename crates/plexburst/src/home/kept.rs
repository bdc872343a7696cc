//! The libraries that home had before: where each lies, what it is, and for how long it is kept.
//!
//! A library is kept in its burst's folder of the area, as `previous` with a note (`kept.json`) beside it. Nothing is
//! removed but by [`prune`], which is called when the next burst is committed, and never takes the youngest one unless
//! none are to be kept.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use plex_library::Databases;
use serde::{Deserialize, Serialize};

use super::discard;
use crate::config;
use crate::error::{Error, Result};

/// Format of the note.
const VERSION: u32 = 1;
const NOTE: &str = "kept.json";
/// Kept when nothing is said: the one before the burst, and the one before that.
const KEEP: usize = 2;

/// Why a library is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// A burst put its result in place of it.
    Sync,
    /// A rollback put an older one in place of it.
    Rollback,
    /// It was in place for a moment, and was taken back.
    TakenBack,
}

impl Why {
    /// For a table.
    pub fn words(self) -> &'static str {
        match self {
            Why::Sync => "home before a burst",
            Why::Rollback => "home before a rollback",
            Why::TakenBack => "a result taken back",
        }
    }
}

/// What is noted of a kept library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Format.
    pub v: u32,
    /// Since when it is not home's any more.
    pub at: Timestamp,
    /// Why it is kept.
    pub why: Why,
    /// The version of Plex that it was used by.
    pub plex_version: Option<String>,
}

impl Note {
    /// A library that is put aside now.
    pub fn new(why: Why, plex_version: Option<String>) -> Self {
        Self {
            v: VERSION,
            at: Timestamp::now(),
            why,
            plex_version,
        }
    }

    /// Writes it into the burst's folder of the area, unless one is there from an attempt before.
    pub(super) fn write(&self, burst: &Path) -> Result<()> {
        let path = burst.join(NOTE);
        if path.exists() {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::unexpected("cannot note what a kept library is").because(e))?;
        Ok(plex_library::publish::file(&path, &text)?)
    }
}

/// A library that can be rolled back to.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    /// The burst that put it aside.
    pub burst: String,
    /// The folder with the pair.
    pub path: PathBuf,
    /// Size of the pair.
    pub bytes: u64,
    /// What it is.
    #[serde(flatten)]
    pub note: Note,
    /// Whether it is known what the household began with afterwards, so that what it did since can be carried back.
    pub knows_since: bool,
}

impl Kept {
    /// The pair.
    pub fn databases(&self) -> Databases {
        Databases::at(&self.path)
    }

    /// What leads from this library to the one that was put in place of it.
    pub fn since(&self) -> PathBuf {
        self.path.with_file_name("since")
    }
}

/// All that are kept in the area `root`, youngest first.
///
/// # Errors
/// The area cannot be listed; a note cannot be understood.
pub fn all(root: &Path) -> Result<Vec<Kept>> {
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::failed(format!("cannot list {}", root.display())).because(e)),
    };
    let mut kept = Vec::new();
    for entry in entries.flatten() {
        let dir = entry.path();
        let (path, note) = (dir.join("previous"), dir.join(NOTE));
        let databases = Databases::at(&path);
        let Ok(text) = std::fs::read(&note) else { continue };
        if !databases.library().is_file() {
            continue;
        }
        let note: Note = serde_json::from_slice(&text)
            .map_err(|e| Error::unexpected(format!("cannot understand {}", note.display())).because(e))?;
        kept.push(Kept {
            burst: entry.file_name().to_string_lossy().into_owned(),
            bytes: size(&databases),
            knows_since: dir.join("since").is_dir(),
            path,
            note,
        });
    }
    kept.sort_by(|a, b| (b.note.at, &b.burst).cmp(&(a.note.at, &a.burst)));
    Ok(kept)
}

/// Databases that should be kept in the area `root` and that somebody took away: what was noted of them is there still.
pub fn gone(root: &Path) -> Vec<PathBuf> {
    let mut gone: Vec<PathBuf> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join(NOTE).is_file())
        .map(|entry| Databases::at(entry.path().join("previous")).library())
        .filter(|library| !library.is_file())
        .collect();
    gone.sort();
    gone
}

/// Bytes of a pair with its logs.
pub fn size(databases: &Databases) -> u64 {
    databases
        .files()
        .iter()
        .filter_map(|path| std::fs::metadata(path).ok())
        .map(|meta| meta.len())
        .sum()
}

/// For how long previous libraries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    count: usize,
    days: Option<u32>,
}

impl Retention {
    /// As configured.
    pub fn of(home: &config::Home) -> Self {
        Self {
            count: home.keep_previous.unwrap_or(KEEP),
            days: home.keep_previous_days,
        }
    }

    /// Which of `kept` (youngest first) are not to be kept any longer at `now`.
    fn surplus(self, kept: Vec<Kept>, now: Timestamp) -> Vec<Kept> {
        let is_old = |kept: &Kept| {
            self.days
                .is_some_and(|days| now.as_second() - kept.note.at.as_second() > i64::from(days) * 24 * 3600)
        };
        kept.into_iter()
            .enumerate()
            .filter(|(at, kept)| *at >= self.count || is_old(kept))
            .map(|(_, kept)| kept)
            .collect()
    }
}

/// Removes what is not to be kept any longer, and says what was removed.
///
/// # Errors
/// The disk.
pub fn prune(root: &Path, retention: Retention) -> Result<Vec<Kept>> {
    let surplus = retention.surplus(all(root)?, Timestamp::now());
    for kept in &surplus {
        // The note goes first: a folder without one is nothing that could be rolled back to.
        if let Some(dir) = kept.path.parent() {
            let note = dir.join(NOTE);
            std::fs::remove_file(&note)
                .map_err(|e| Error::failed(format!("cannot remove {}", note.display())).because(e))?;
            discard(dir)?;
        }
    }
    Ok(surplus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(root: &Path, burst: &str, at: i64) {
        let dir = root.join(burst);
        std::fs::create_dir_all(dir.join("previous")).unwrap();
        std::fs::write(dir.join("previous").join(plex_library::LIBRARY_DB), "12345").unwrap();
        let mut note = Note::new(Why::Sync, None);
        note.at = Timestamp::from_second(at).unwrap();
        note.write(&dir).unwrap();
        Note::new(Why::Rollback, None).write(&dir).unwrap();
    }

    fn bursts(kept: &[Kept]) -> Vec<&str> {
        kept.iter().map(|k| k.burst.as_str()).collect()
    }

    #[test]
    fn youngest_first_and_only_what_is_surplus_goes() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path();
        assert!(all(&root.join("none")).unwrap().is_empty());
        let now = Timestamp::now().as_second();
        let day = 24 * 3600;
        for (burst, age) in [("A", 9), ("B", 1), ("C", 30), ("D", 2)] {
            keep(root, burst, now - age * day);
        }
        // A burst that runs has no note, and a burst that ended may have left nothing.
        std::fs::create_dir_all(root.join("E/previous")).unwrap();
        std::fs::create_dir_all(root.join("F/staged")).unwrap();
        let kept = all(root).unwrap();
        assert_eq!(bursts(&kept), ["B", "D", "A", "C"]);
        assert_eq!((kept[0].bytes, kept[0].note.why), (5, Why::Sync));
        let three = Retention { count: 3, days: None };
        assert_eq!(bursts(&prune(root, three).unwrap()), ["C"]);
        let week = Retention {
            count: 3,
            days: Some(7),
        };
        assert_eq!(bursts(&prune(root, week).unwrap()), ["A"]);
        assert_eq!(bursts(&all(root).unwrap()), ["B", "D"]);
        assert!(root.join("E").is_dir() && root.join("F").is_dir() && !root.join("A").exists());
        let none = Retention { count: 0, days: None };
        prune(root, none).unwrap();
        assert!(all(root).unwrap().is_empty());
    }
}
