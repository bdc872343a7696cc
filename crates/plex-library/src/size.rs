//! What a library will cost to copy, told before it is copied and without reading it: a few looks at headers and ends of
//! tables. [`crate::inspect`] knows it exactly, and reads everything for it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{At, READ, Result};
use crate::inspect;
use crate::open::{self, Mode};
use crate::paths::{Databases, Which};

/// Bytes that a row of statistics takes with its indices (measured on tables of the defect of Plex 1.41.7).
const STATISTICS_ROW: u64 = 50;

/// Tables of statistics, of which no merge and no worker needs anything.
const STATISTICS: [&str; 3] = ["statistics_bandwidth", "statistics_media", "statistics_resources"];

/// What a copy would carry, and what lies beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Size {
    /// Bytes of library.db.
    pub library: u64,
    /// Bytes of blobs.db.
    pub blobs: u64,
    /// Bytes in both that hold nothing.
    pub free: u64,
    /// Bytes of statistics in library.db, estimated by the numbers of their first and last rows.
    pub statistics: u64,
    /// Plex's own dated backups, which are left out.
    pub backups: u64,
}

impl Size {
    /// Bytes of both databases.
    #[must_use]
    pub fn databases(&self) -> u64 {
        self.library + self.blobs
    }

    /// Whether statistics are so much of the library that somebody should know (a defect of Plex 1.41.7 filled databases with
    /// them; later versions clean up).
    #[must_use]
    pub fn is_bloated(&self) -> bool {
        self.statistics > self.library / 4 && self.statistics > 64 << 20
    }
}

/// Looks at a library that may be in use.
///
/// # Errors
/// If a database cannot be opened, or the folder not be listed.
pub fn of(databases: &Databases) -> Result<Size> {
    let mut size = Size::default();
    for which in open::present(databases) {
        let path = databases.path(which);
        if open::probe(&path)? == Mode::PrivateCopy {
            // SQLite would have to recover the log first, on a copy of all of it.
            let bytes = std::fs::metadata(&path).at(READ, &path)?.len();
            match which {
                Which::Library => size.library = bytes,
                Which::Blobs => size.blobs = bytes,
            }
            continue;
        }
        let reader = open::read_only(&path)?;
        let pragma = |name| {
            reader
                .pragma_query_value(None, name, |row| row.get::<_, u32>(0))
                .at(READ, &path)
        };
        let page_size = u64::from(pragma("page_size")?);
        let bytes = u64::from(pragma("page_count")?) * page_size;
        size.free += u64::from(pragma("freelist_count")?) * page_size;
        match which {
            Which::Library => (size.library, size.statistics) = (bytes, statistics(&reader, &path)?.min(bytes)),
            Which::Blobs => size.blobs = bytes,
        }
    }
    let (backups, _) = inspect::beside(databases)?;
    size.backups = backups.iter().map(|file| file.bytes).sum();
    Ok(size)
}

fn statistics(reader: &rusqlite::Connection, path: &Path) -> Result<u64> {
    let mut rows = 0;
    for table in STATISTICS {
        let known = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        if !reader
            .prepare(known)
            .and_then(|mut known| known.exists([table]))
            .at(READ, path)?
        {
            continue;
        }
        // Both ends of the tree, each found without a scan; one query for both would read all of it.
        let sql = format!("SELECT (SELECT max(rowid) FROM {table}) - (SELECT min(rowid) FROM {table}) + 1");
        let count: Option<i64> = reader.query_row(&sql, [], |row| row.get(0)).at(READ, path)?;
        rows += count.unwrap_or(0).unsigned_abs();
    }
    Ok(rows.saturating_mul(STATISTICS_ROW))
}
