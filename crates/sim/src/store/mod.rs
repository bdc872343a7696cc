//! Connections to the two databases of a library, as Plex opens them.
//!
//! Guarantees: whatever SQL runs on a connection of this module finds the tokenizer and the collation that the schema
//! names, foreign keys are off, a commit is in the write-ahead log with synchronous NORMAL, and a locked database is
//! waited for (facts/plex.md §1.1, §1.4).
//!
//! Must not be used on a library that a real server wrote, other than on a copy for reading: the stand-in tokenizer splits
//! words in another way than Plex does, so writes would leave wrong terms in the search index.

pub mod clock;
pub mod counter;
pub mod extra;
mod stand_ins;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use thiserror::Error;

pub use stand_ins::{ORDER, Order, register};

/// File name of the library database.
pub const LIBRARY_DB: &str = "com.plexapp.plugins.library.db";
/// File name of the database that keeps the large binary values.
pub const BLOBS_DB: &str = "com.plexapp.plugins.library.blobs.db";

/// How long a writer waits for another one. A real server waits far longer than a person would.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Prepared statements kept per connection: more than any handler, scanner or builder of this package has.
const CACHED_STATEMENTS: usize = 128;

/// What can go wrong with a database.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no file with that name.
    #[error("there is no database {}", .0.display())]
    Missing(PathBuf),
    /// The file cannot be opened as a database.
    #[error("could not open the database {}", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A statement failed.
    #[error("a statement on the library failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Both databases of one library.
#[derive(Debug)]
pub struct Pair {
    /// com.plexapp.plugins.library.db
    pub library: Connection,
    /// com.plexapp.plugins.library.blobs.db
    pub blobs: Connection,
}

/// Opens both databases in that folder.
///
/// # Errors
/// [`StoreError::Missing`] when one of the files is not there, [`StoreError::Open`] when one is no database.
pub fn open(databases_dir: &Path) -> Result<Pair, StoreError> {
    Ok(Pair {
        library: open_library(databases_dir)?,
        blobs: open_blobs(databases_dir)?,
    })
}

/// Opens the library database alone.
///
/// # Errors
/// As [`open`].
pub fn open_library(databases_dir: &Path) -> Result<Connection, StoreError> {
    connect(&databases_dir.join(LIBRARY_DB))
}

/// Opens the blobs database alone.
///
/// # Errors
/// As [`open`].
pub fn open_blobs(databases_dir: &Path) -> Result<Connection, StoreError> {
    connect(&databases_dir.join(BLOBS_DB))
}

/// Opens one database that is there, whatever its name.
///
/// # Errors
/// As [`open`].
pub fn connect(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing(path.to_owned()));
    }
    let opened = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    );
    opened
        .and_then(|connection| set_up(&connection).map(|()| connection))
        .map_err(|source| StoreError::Open {
            path: path.to_owned(),
            source,
        })
}

/// Brings a connection into the state that the module promises. The journal mode is a property of the file.
pub(crate) fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // The bundled SQLite has them on unless told otherwise; Plex has them off and so keeps dangling rows.
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", 4096)?;
    register(connection)
}

/// Refreshes the planner's statistics as Plex does: into sqlite_stat1 alone.
///
/// # Errors
/// What SQLite says.
pub fn analyse(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("ANALYZE")?;
    // The bundled SQLite is built with STAT4, the one of Plex is not; the table would be one that Plex never has.
    connection.execute_batch("DROP TABLE IF EXISTS sqlite_stat4")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_database_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = open(dir.path()).unwrap_err();
        assert!(
            matches!(&error, StoreError::Missing(path) if path.ends_with(LIBRARY_DB)),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join(LIBRARY_DB),
            b"this is no database, whatever its name says: it is text",
        )
        .unwrap();
        let error = open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Open { .. }), "{error}");
    }
}
