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
