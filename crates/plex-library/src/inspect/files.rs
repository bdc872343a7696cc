//! The files of a library: how big, what fills them, and what else lies beside them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::error::{At, OPEN, READ, Result};
use crate::paths::{Databases, Which, wal_of};

/// One of the two databases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFile {
    /// Its file name.
    pub file: String,
    /// Its size, without the log.
    pub bytes: u64,
    /// Bytes of a page.
    pub page_size: u32,
    /// Pages, free ones included.
    pub pages: u32,
    /// Pages that hold nothing.
    pub free_pages: u32,
    /// The write-ahead log, if there is one.
    pub log: Option<Log>,
    /// What fills it, biggest first: each table with its indices, but for those of no rows.
    pub tables: Vec<TableSize>,
}

/// A write-ahead log. Beside a server it is normal; without one it was left behind by a server that was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Its size.
    pub bytes: u64,
}

/// How much of a database a table takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    /// The table.
    pub table: String,
    /// Bytes of all pages of its rows.
    pub bytes: u64,
    /// Bytes of all pages of its indices.
    pub index_bytes: u64,
}

/// A file or folder beside the databases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherFile {
    /// Its name.
    pub name: String,
    /// Its size; of a folder, that of all files in it.
    pub bytes: u64,
}

pub(super) fn database(db: &Connection, databases: &Databases, which: Which) -> Result<DatabaseFile> {
    let path = databases.path(which);
    let schema = match which {
        Which::Library => "main",
        Which::Blobs => "blobs",
    };
    let pragma = |name: &str| {
        db.pragma_query_value(Some(schema), name, |row| row.get::<_, u32>(0))
            .at(READ, &path)
    };
    Ok(DatabaseFile {
        file: which.file_name().to_owned(),
        bytes: fs::metadata(&path).at(OPEN, &path)?.len(),
        page_size: pragma("page_size")?,
        pages: pragma("page_count")?,
        free_pages: pragma("freelist_count")?,
        log: fs::metadata(wal_of(&path))
            .ok()
            .filter(|log| log.len() > 0)
            .map(|log| Log { bytes: log.len() }),
        tables: tables(db, &path, schema)?,
    })
}

fn tables(db: &Connection, path: &Path, schema: &str) -> Result<Vec<TableSize>> {
    // `aggregate` makes dbstat add up the pages of a tree without showing each.
    let sql = format!(
        "SELECT s.tbl_name, s.type = 'table', d.pgsize, d.ncell
         FROM dbstat('{schema}', 1) d JOIN {schema}.sqlite_schema s ON s.name = d.name"
    );
    let mut sizes: BTreeMap<String, (TableSize, i64)> = BTreeMap::new();
    let mut statement = db.prepare(&sql).at(READ, path)?;
    let mut rows = statement.query([]).at(READ, path)?;
    while let Some(row) = rows.next().at(READ, path)? {
        let read = || -> rusqlite::Result<(String, bool, i64, i64)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        };
        let (table, is_table, bytes, cells) = read().at(READ, path)?;
        let empty = || {
            (
                TableSize {
                    table: table.clone(),
                    bytes: 0,
                    index_bytes: 0,
                },
                0,
            )
        };
        let (size, rows) = sizes.entry(table.clone()).or_insert_with(empty);
        let field = if is_table {
            &mut size.bytes
        } else {
            &mut size.index_bytes
        };
        *field += bytes.unsigned_abs();
        *rows += cells;
    }
    let mut sizes: Vec<TableSize> = sizes
        .into_values()
        .filter(|(_, cells)| *cells > 0)
        .map(|(size, _)| size)
        .collect();
    sizes.sort_by(|a, b| {
        (b.bytes + b.index_bytes)
            .cmp(&(a.bytes + a.index_bytes))
            .then(a.table.cmp(&b.table))
    });
    Ok(sizes)
}

/// What lies in the folder beside the pair and its logs: Plex's own dated backups, and the rest.
pub(crate) fn beside(databases: &Databases) -> Result<(Vec<OtherFile>, Vec<OtherFile>)> {
    let pair = databases.files();
    let (mut backups, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(databases.dir()).at(OPEN, databases.dir())? {
        let entry = entry.at(OPEN, databases.dir())?;
        if pair.contains(&entry.path()) {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_backup = is_dated(&name);
        let file = OtherFile {
            name,
            bytes: bytes_below(&entry.path()),
        };
        if is_backup {
            backups.push(file)
        } else {
            others.push(file)
        }
    }
    backups.sort_by(|a, b| a.name.cmp(&b.name));
    others.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((backups, others))
}

/// `com.plexapp.plugins.library.db-2024-01-03` and the like.
fn is_dated(name: &str) -> bool {
    Which::BOTH.into_iter().any(|which| {
        name.strip_prefix(which.file_name())
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|date| date.parse::<jiff::civil::Date>().is_ok())
    })
}

/// A folder that cannot be read counts as empty: this is for information only.
fn bytes_below(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !meta.is_dir() {
        return meta.len();
    }
    fs::read_dir(path).map_or(0, |entries| {
        entries.flatten().map(|entry| bytes_below(&entry.path())).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::is_dated;

    #[test]
    fn only_real_dates_make_a_backup() {
        assert!(is_dated("com.plexapp.plugins.library.db-2024-01-03"));
        assert!(is_dated("com.plexapp.plugins.library.blobs.db-2024-02-29"));
        assert!(!is_dated("com.plexapp.plugins.library.db-2023-02-29"));
        assert!(!is_dated("com.plexapp.plugins.library.db-BACKUP-1"));
        assert!(!is_dated("com.plexapp.plugins.library.db-wal"));
        assert!(!is_dated("com.plexapp.dlna.db"));
    }
}
