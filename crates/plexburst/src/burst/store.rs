//! The bursts that this machine knows: a folder each under the state folder.

use std::path::{Path, PathBuf};

use super::journal::{self, Entry, Event, Journal};
use super::phase::Phase;
use super::request::Request;
use crate::error::{Error, Result};

/// Where a burst stands, derived from its journal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Ended with the result at home (or packed).
    Committed,
    /// Ended with home as it was.
    RolledBack,
    /// Not ended; `resume` goes on.
    Resumable {
        /// The last phase that the journal names.
        phase: String,
        /// The failure it stopped at, if it was one.
        error: Option<String>,
    },
}

impl Standing {
    /// One word for a table.
    pub fn word(&self) -> &'static str {
        match self {
            Standing::Committed => "committed",
            Standing::RolledBack => "rolled-back",
            Standing::Resumable { .. } => "resumable",
        }
    }
}

/// One known burst.
#[derive(Debug)]
pub struct Known {
    /// Its folder.
    pub dir: PathBuf,
    /// What was asked for.
    pub request: Request,
    /// Where it stands.
    pub standing: Standing,
}

/// All bursts, newest first (ULIDs sort by time).
///
/// # Errors
/// A folder that cannot be read; a burst that cannot be understood is left out of the list with its error.
pub fn all(state_dir: &Path) -> Result<(Vec<Known>, Vec<Error>)> {
    let dir = state_dir.join("bursts");
    let mut names: Vec<PathBuf> = match std::fs::read_dir(&dir) {
        Ok(entries) => entries.filter_map(|e| e.ok().map(|e| e.path())).collect(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::unexpected(format!("cannot list {}", dir.display())).because(e)),
    };
    names.sort();
    names.reverse();
    let mut known = Vec::new();
    let mut errors = Vec::new();
    for dir in names {
        match one(&dir) {
            Ok(burst) => known.push(burst),
            Err(error) => errors.push(error),
        }
    }
    Ok((known, errors))
}

/// The burst `id` (or any unambiguous beginning or end of it), or the newest when `id` is `None`.
///
/// # Errors
/// None, or more than one, that fits.
pub fn find(state_dir: &Path, id: Option<&str>) -> Result<Known> {
    let hint = "`plexburst runs` lists the bursts that this machine knows";
    let (known, errors) = all(state_dir)?;
    let Some(id) = id else {
        return known.into_iter().next().ok_or_else(|| {
            errors
                .into_iter()
                .next()
                .unwrap_or_else(|| Error::usage("there is no burst yet").hint("`plexburst sync` begins one"))
        });
    };
    let wanted = id.to_uppercase();
    let mut fits: Vec<Known> = known
        .into_iter()
        .filter(|k| k.request.id.starts_with(&wanted) || k.request.id.ends_with(&wanted))
        .collect();
    match (fits.pop(), fits.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Error::usage(format!("more than one burst fits {id:?}")).hint(hint)),
        (None, _) => Err(Error::usage(format!("no burst fits {id:?}")).hint(hint)),
    }
}

fn one(dir: &Path) -> Result<Known> {
    let request = Request::load(dir)?;
    let path = journal_path(dir);
    let entries = if path.exists() {
        Journal::read(&path).map_err(|e| Error::unexpected("cannot read a burst's journal").because(e))?
    } else {
        Vec::new()
    };
    let standing = standing(&entries);
    Ok(Known {
        dir: dir.to_path_buf(),
        request,
        standing,
    })
}

/// Where a burst with this journal stands.
pub fn standing(entries: &[Entry]) -> Standing {
    if journal::done(entries, Phase::Commit).is_some() {
        Standing::Committed
    } else if journal::done(entries, Phase::Rollback).is_some() {
        Standing::RolledBack
    } else {
        let last = entries.iter().rev().find(|e| e.event.is_transition());
        Standing::Resumable {
            phase: last.map_or_else(|| "begin".to_owned(), |e| e.phase.to_string()),
            error: match last.map(|e| &e.event) {
                Some(Event::Failed { error, .. }) => Some(error.clone()),
                _ => None,
            },
        }
    }
}

/// The state folder that a burst's folder is in.
pub fn state_dir(burst_dir: &Path) -> PathBuf {
    let above = burst_dir.parent().and_then(Path::parent);
    above.unwrap_or(burst_dir).to_path_buf()
}

/// The controller's journal in a burst's folder.
pub fn journal_path(dir: &Path) -> PathBuf {
    dir.join("journal.jsonl")
}
