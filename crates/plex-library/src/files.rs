//! The files that a library knows, straight from its rows.

use std::collections::BTreeMap;

use crate::error::{At, READ, Result};
use crate::open;
use crate::paths::Databases;

/// Paths of all files that are not in the trash, by section; sorted, each once. Rows without a file or without a
/// section (extras from the web) are none of it.
///
/// # Errors
/// The library cannot be read.
pub fn known(databases: &Databases) -> Result<BTreeMap<i64, Vec<String>>> {
    const SQL: &str = "SELECT DISTINCT media_items.library_section_id, media_parts.file
        FROM media_parts JOIN media_items ON media_items.id = media_parts.media_item_id
        WHERE media_parts.file <> '' AND media_parts.deleted_at IS NULL AND media_items.library_section_id > 0
        ORDER BY 1, 2";
    let path = databases.library();
    let reader = open::read_only(&path)?;
    let mut statement = reader.prepare(SQL).at(READ, &path)?;
    let mut rows = statement.query([]).at(READ, &path)?;
    let mut known: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    while let Some(row) = rows.next().at(READ, &path)? {
        let section = row.get(0).at(READ, &path)?;
        known.entry(section).or_default().push(row.get(1).at(READ, &path)?);
    }
    Ok(known)
}

/// A file that a library knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its bytes when it was last scanned; none when the library does not say.
    pub size: Option<u64>,
    /// Its time when it was last scanned, in seconds: by this Plex tells that a file has not changed.
    pub changed_at: Option<i64>,
}

/// Shows every file of one section that is not in the trash to `visit`, in the order of the paths: memory does not grow
/// with the library. A path that is no UTF-8 is shown as far as it is.
///
/// # Errors
/// The library cannot be read.
pub fn of_section(databases: &Databases, section: i64, visit: &mut dyn FnMut(Known<'_>)) -> Result<()> {
    const SQL: &str = "SELECT media_parts.file, max(media_parts.size), max(media_parts.updated_at)
        FROM media_parts JOIN media_items ON media_items.id = media_parts.media_item_id
        WHERE media_parts.file <> '' AND media_parts.deleted_at IS NULL AND media_items.library_section_id = ?1
        GROUP BY media_parts.file ORDER BY media_parts.file COLLATE BINARY";
    let path = databases.library();
    let reader = open::read_only(&path)?;
    let mut statement = reader.prepare(SQL).at(READ, &path)?;
    let mut rows = statement.query([section]).at(READ, &path)?;
    while let Some(row) = rows.next().at(READ, &path)? {
        let file = match row.get_ref(0).at(READ, &path)? {
            rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => {
                String::from_utf8_lossy(bytes)
            }
            _ => continue,
        };
        // Old rows have times as text, and some no number at all.
        let number = |at: usize| row.get_ref(at).ok().and_then(|value| value.as_i64().ok());
        visit(Known {
            path: &file,
            size: number(1)
                .and_then(|size| u64::try_from(size).ok())
                .filter(|size| *size > 0),
            changed_at: number(2).filter(|at| *at > 0),
        });
    }
    drop(rows);
    drop(statement);
    reader.confirm()
}
