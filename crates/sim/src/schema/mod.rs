//! Fresh databases with the very schema that Plex makes.
//!
//! Guarantees: every table, index, trigger and virtual table has the text that a real server's sqlite_schema has, so what
//! stock SQLite can and cannot do with a real library, and the words it says, are the same here (facts/plex.md §1.4).
//! Both databases have the whole schema; only their rows differ (§1.5). For 2020 the texts are written from a description;
//! columns, indices, triggers and virtual tables are the same.

mod migrations;
mod seed;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use thiserror::Error;

use crate::store::{self, BLOBS_DB, LIBRARY_DB};

/// The page size that a fresh server uses.
pub const PAGE_SIZE: u32 = 1024;

const PLEX_2026: &str = include_str!("plex-2026.sql");
const PLEX_2020: &str = include_str!("plex-2020.sql");
/// Tables that only Plex's SQLite can make: their rows are put into sqlite_schema by hand. The tables behind them are
/// ordinary ones.
const SPELLFIX: [&str; 2] = ["spellfix_metadata_titles", "spellfix_tag_titles"];

/// Which server made the databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 1.43, early 2026: dates are seconds, the search index has ICU's tokenizer.
    Plex2026,
    /// 1.18, February 2020: dates are text, the search index has the plain tokenizer.
    Plex2020,
}

/// Why the databases could not be made.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// There is one already; it stays as it is.
    #[error("there is a database already: {}", .0.display())]
    Exists(PathBuf),
    /// The folder could not be made.
    #[error("could not make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("could not make the database {}: {source}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// Makes both databases in that folder, with the page size of a fresh server. The folder is made if need be.
///
/// # Errors
/// See [`SchemaError`].
pub fn create(databases_dir: &Path, version: Version) -> Result<(), SchemaError> {
    create_sized(databases_dir, version, PAGE_SIZE)
}

/// Makes both databases with that page size (a power of two from 512 to 65536).
///
/// # Errors
/// See [`SchemaError`].
pub fn create_sized(databases_dir: &Path, version: Version, page_size: u32) -> Result<(), SchemaError> {
    std::fs::create_dir_all(databases_dir).map_err(|source| SchemaError::Folder {
        path: databases_dir.to_owned(),
        source,
    })?;
    for name in [LIBRARY_DB, BLOBS_DB] {
        let path = databases_dir.join(name);
        if path.exists() {
            return Err(SchemaError::Exists(path));
        }
        create_one(&path, version, page_size, name == LIBRARY_DB)
            .map_err(|source| SchemaError::Sqlite { path, source })?;
    }
    Ok(())
}

fn create_one(path: &Path, version: Version, page_size: u32, library: bool) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "page_size", page_size)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    store::set_up(&connection)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(statements(version))?;
    migrations::fill(&transaction, version)?;
    if library {
        seed::library(&transaction, version)?;
    } else {
        seed::blobs(&transaction, version)?;
    }
    store::analyse(&transaction)?;
    spellfix(&transaction)?;
    transaction.commit()
}

fn statements(version: Version) -> &'static str {
    match version {
        Version::Plex2026 => PLEX_2026,
        Version::Plex2020 => PLEX_2020,
    }
}

fn spellfix(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "writable_schema", true)?;
    for name in SPELLFIX {
        connection.execute(
            "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES ('table', ?1, ?1, 0, ?2)",
            [name, &format!("CREATE VIRTUAL TABLE {name} USING spellfix1")],
        )?;
    }
    connection.pragma_update(None, "writable_schema", "RESET")
}

#[cfg(test)]
mod tests;
