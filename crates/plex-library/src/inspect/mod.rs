//! What a library is: its sections and what is in them, how big its files are and what fills them.
//!
//! Works on every schema, old or new, with or without the database of blobs, beside a running server or on files at rest,
//! and leaves no trace. The keys of the JSON form are promised to users: `sections[]` with `name`, `type`, `counts` and
//! `sonic_analysed`.

mod bundles;
mod files;
mod health;
mod sections;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::open;
use crate::paths::{self, Databases, Which};
use crate::schema;

pub use bundles::Bundles;
pub(crate) use files::beside;
pub use files::{DatabaseFile, Log, OtherFile, TableSize};
pub use health::{Health, Share, Verdict};
pub use sections::{Counts, Section};

/// A library as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// The folder of its databases.
    pub databases: PathBuf,
    /// Plex's data directory, if the databases lie in one.
    pub data_dir: Option<PathBuf>,
    /// Its sections, by id.
    pub sections: Vec<Section>,
    /// Sum over all sections.
    pub totals: Counts,
    /// Migrations of the library's database.
    pub schema_migrations: u64,
    /// The newest of them that is a date, as Plex writes it (`202601121053`): stands for the version of Plex.
    pub schema_newest: Option<String>,
    /// The main database.
    pub library: DatabaseFile,
    /// The database of blobs; none in libraries of before 2020, and in incomplete copies.
    pub blobs: Option<DatabaseFile>,
    /// Bytes of the two databases, without their logs.
    pub bytes: u64,
    /// Bytes of statistics among them: rows and indices of the tables `statistics_*`, which can be most of a library.
    pub statistics_bytes: u64,
    /// The bundles in the data directory; `None` where there are no bundle trees.
    pub bundles: Option<Bundles>,
    /// Backups that Plex made of the databases, by name.
    pub backups: Vec<OtherFile>,
    /// Whatever else lies in the folder, by name.
    pub others: Vec<OtherFile>,
}

/// Inspects the library that `path` names (see [`paths::locate`]).
///
/// # Errors
/// [`Error::NotALibrary`], [`Error::Damaged`]; [`Error::Changed`] if a server started or stopped twice meanwhile.
pub fn inspect(path: &Path) -> Result<Inspection> {
    let located = paths::locate(path)?;
    match once(&located.databases, located.data_dir.clone()) {
        Err(Error::Changed { .. }) => once(&located.databases, located.data_dir),
        done => done,
    }
}

/// The sections of an open library, whose blobs are attached if there are any.
pub(crate) fn sections_of(db: &rusqlite::Connection, path: &Path) -> Result<Vec<Section>> {
    sections::read(db, path)
}

fn once(databases: &Databases, data_dir: Option<PathBuf>) -> Result<Inspection> {
    let path = databases.library();
    let reader = open::pair(databases)?;
    let migrations = schema::migrations(&reader, &path)?;
    let has_blobs = databases.blobs().exists();
    let mut sections = sections::read(&reader, &path)?;
    let present = match &data_dir {
        Some(dir) => bundles::Present::of(dir)?,
        None => None,
    };
    health::read(&reader, &path, present.as_ref(), &mut sections)?;
    let totals = sections
        .iter()
        .fold(Counts::default(), |sum, section| sum + section.counts);
    let library = files::database(&reader, databases, Which::Library)?;
    let blobs = has_blobs
        .then(|| files::database(&reader, databases, Which::Blobs))
        .transpose()?;
    reader.confirm()?;
    let (backups, others) = files::beside(databases)?;
    let both = || std::iter::once(&library).chain(blobs.as_ref());
    let bytes = both().map(|file| file.bytes).sum();
    let is_statistics = |size: &&TableSize| size.table.starts_with("statistics_");
    let statistics_bytes = both()
        .flat_map(|file| file.tables.iter().filter(is_statistics))
        .map(|size| size.bytes + size.index_bytes)
        .sum();
    // Dates have 12 digits at most (YYYYMMDDHHMM); greater "versions" are special rows.
    let is_date = |version: &&String| version.len() >= 8 && version.len() <= 16 && version.starts_with("20");
    Ok(Inspection {
        databases: databases.dir().to_owned(),
        data_dir,
        sections,
        totals,
        schema_migrations: migrations.len() as u64,
        schema_newest: migrations
            .iter()
            .filter(is_date)
            .max_by_key(|version| normal(version))
            .cloned(),
        bytes,
        statistics_bytes,
        bundles: present.as_ref().map(bundles::Present::count),
        library,
        blobs,
        backups,
        others,
    })
}

/// Older migrations are numbered to the second, newer ones to the minute: only the common part is compared.
fn normal(version: &str) -> String {
    version.chars().take_while(char::is_ascii_digit).take(12).collect()
}
