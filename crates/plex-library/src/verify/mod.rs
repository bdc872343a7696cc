//! Whether a library is whole: judged from the files alone, without Plex's tokenizers and collations.
//!
//! Damage and drift are told apart. *Problems* are what no healthy server writes: broken pages, a log that SQLite would
//! cut off, rows that an index lacks, two databases that are not a pair. *Drift* is what healthy servers have: search
//! tables that differ from the titles, blobs and settings whose owners are gone, a few loose ends; and values that are odd
//! without being impossible: text that is no UTF-8, days before there was a Plex. `ok` speaks of problems
//! only. What could not be judged is said in `unchecked`, never passed over.
//!
//! [`Level::Quick`] visits every page: header, log, freelist, every tree and overflow chain, each page used once and filled
//! without gaps. [`Level::Full`] also takes every record apart, compares every row with every index, follows the references
//! and unpacks every blob. [`against`] compares a sealed copy with its manifest, where every changed byte shows.
//!
//! Must not: write anything, or panic on anything that a file may hold.

mod blobs;
mod file;
mod layout;
mod manifest;
mod pair;
mod references;
mod search;
mod sequence;
mod tables;
mod titles;
mod tree;
mod values;
mod words;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::open;
use crate::paths::{self, Databases, Which};
use crate::source::Source;

pub use manifest::against;

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The structure of the files.
    Quick,
    /// What is in them as well.
    Full,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Whether there are no problems.
    pub ok: bool,
    /// How thoroughly was looked.
    pub level: Level,
    /// The folder of the databases.
    pub databases: PathBuf,
    /// What is broken.
    pub problems: Vec<Finding>,
    /// What differs without being broken.
    pub drift: Vec<Finding>,
    /// What could not be judged, and why.
    pub unchecked: Vec<Finding>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which database.
    pub database: Which,
    /// The page, table, index or row that it is about.
    pub object: String,
    /// What kind of thing it is.
    pub kind: FindingKind,
    /// What is the matter, in words.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} database, {}: {}",
            self.database.word(),
            self.object,
            self.message
        )
    }
}

/// What kind of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A database is not there.
    Missing,
    /// A file is no SQLite database, or its header cannot be right.
    Header,
    /// A file is shorter than its database.
    Truncated,
    /// The write-ahead log is broken.
    Log,
    /// Pages, trees, overflow chains or the freelist are broken.
    Structure,
    /// Not the tables of a Plex library.
    Schema,
    /// Rows and indices do not agree, or a row breaks its table's rules.
    Content,
    /// An index is not in the order of its collation.
    Order,
    /// Rows refer to rows that are not there.
    Reference,
    /// The two databases do not belong together.
    Pair,
    /// A blob cannot be unpacked.
    Blob,
    /// Search tables and titles.
    Search,
    /// Values that Plex hardly meant.
    Value,
    /// The last ids given out.
    Sequence,
    /// Bytes that nothing uses.
    Unused,
    /// Not the file that was sealed with a manifest.
    Sealed,
}

/// Findings of one kind are counted beyond so many, not listed: a file of zeros would give millions.
const LISTED: usize = 100;

/// Gathers what is found.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<Finding>,
    drift: Vec<Finding>,
    unchecked: Vec<Finding>,
}

impl Findings {
    fn problem(&mut self, database: Which, kind: FindingKind, object: impl Into<String>, message: impl Into<String>) {
        push(
            &mut self.problems,
            Finding {
                database,
                object: object.into(),
                kind,
                message: message.into(),
            },
        );
    }

    fn drift(&mut self, database: Which, kind: FindingKind, object: impl Into<String>, message: impl Into<String>) {
        push(
            &mut self.drift,
            Finding {
                database,
                object: object.into(),
                kind,
                message: message.into(),
            },
        );
    }

    fn unchecked(&mut self, database: Which, kind: FindingKind, object: impl Into<String>, message: impl Into<String>) {
        push(
            &mut self.unchecked,
            Finding {
                database,
                object: object.into(),
                kind,
                message: message.into(),
            },
        );
    }

    fn has_problem_in(&self, which: Which) -> bool {
        self.problems.iter().any(|finding| finding.database == which)
    }
}

fn push(list: &mut Vec<Finding>, finding: Finding) {
    let alike = |other: &&Finding| other.kind == finding.kind && other.database == finding.database;
    match list.iter().filter(alike).count() {
        ..LISTED => list.push(finding),
        LISTED => list.push(Finding {
            object: "…".into(),
            message: "and more of the same kind, which are not listed".into(),
            ..finding
        }),
        _ => {}
    }
}

/// Verifies the library that `path` names (see [`paths::locate`]).
///
/// # Errors
/// [`Error::NotALibrary`] if nothing of the kind is there, and failures to read that say nothing about the library
/// (permissions, a private copy that does not fit). Everything that is wrong with the files is in the result.
pub fn verify(path: &Path, level: Level) -> Result<Verification> {
    let databases = paths::locate(path)?.databases;
    let findings = match once(&databases, level) {
        // A server started or stopped meanwhile; what was seen may be a mixture.
        Err(Error::Changed { .. }) => once(&databases, level)?,
        done => done?,
    };
    let Findings {
        problems,
        drift,
        unchecked,
    } = findings;
    let ok = problems.is_empty();
    Ok(Verification {
        ok,
        level,
        databases: databases.dir().to_owned(),
        problems,
        drift,
        unchecked,
    })
}

fn once(databases: &Databases, level: Level) -> Result<Findings> {
    let mut found = Findings::default();
    for which in Which::BOTH {
        if databases.path(which).exists() {
            one(databases, which, level, &mut found)?;
        } else {
            let message = "it is missing; a library is a pair, and blobs are keyed by rows of the library";
            found.problem(which, FindingKind::Missing, which.file_name(), message);
        }
    }
    // What reads both at once would only repeat what is broken already.
    if !found.has_problem_in(Which::Library) && !found.has_problem_in(Which::Blobs) {
        let reader = open::pair(databases)?;
        let outcome = pair::check(&reader, databases, level, &mut found);
        reader.confirm()?;
        match outcome {
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::NotALibrary) => {
                file::explain(error, Which::Library, &mut found)?;
            }
            outcome => outcome?,
        }
    }
    Ok(found)
}

fn one(databases: &Databases, which: Which, level: Level, found: &mut Findings) -> Result<()> {
    let path = databases.path(which);
    let source = match Source::open(&path) {
        Ok(source) => source,
        Err(error) => return file::explain(error, which, found),
    };
    file::check_log(&source, which, found)?;
    let reader = match open::read_only(&path) {
        Ok(reader) => reader,
        Err(error) => return file::explain(error, which, found),
    };
    let outcome = contents(&source, &reader, which, level, found);
    source.confirm()?;
    reader.confirm()?;
    match outcome {
        // SQLite stumbled over the damage itself.
        Err(error) if matches!(error.kind(), Kind::Damaged | Kind::NotALibrary) => file::explain(error, which, found),
        outcome => outcome,
    }
}

fn contents(source: &Source, reader: &open::Reader, which: Which, level: Level, found: &mut Findings) -> Result<()> {
    tree::check(source, reader, which, level, found)?;
    tables::check_schema(reader, which, found)?;
    if level == Level::Quick || found.has_problem_in(which) {
        return Ok(());
    }
    tables::check(reader, which, found)?;
    titles::check(reader, which, found)?;
    search::check(reader, which, found)?;
    sequence::check(reader, which, found)?;
    match which {
        Which::Library => references::check(reader, found),
        Which::Blobs => blobs::check(reader, found),
    }
}
