//! The tables of a Plex database, and SQLite's own check of each.
//!
//! The check of a whole database stops at the first search table, whose tokenizer is Plex's. Table by table it says all
//! that it would have said about ordinary ones, the shadow tables of the search included (facts §1.4, measured).

use std::collections::BTreeSet;

use super::{FindingKind, Findings};
use crate::collation::{self, ForeignIndex};
use crate::error::{At, READ, Result};
use crate::open::Reader;
use crate::paths::Which;
use crate::schema;

/// Tables without which nothing here is a library of Plex, of any version.
const NEEDED: [&str; 6] = [
    "library_sections",
    "section_locations",
    "metadata_items",
    "media_items",
    "media_parts",
    "metadata_item_settings",
];

pub(super) fn check_schema(reader: &Reader, which: Which, found: &mut Findings) -> Result<()> {
    if let Err(error) = schema::migrations(reader, reader.path()) {
        return super::file::explain(error, which, found);
    }
    if which == Which::Library {
        let names = names(reader)?;
        for table in NEEDED.iter().filter(|&&table| !names.iter().any(|name| name == table)) {
            found.problem(which, FindingKind::Schema, *table, "the table is missing");
        }
    }
    Ok(())
}

/// Ordinary tables, sqlite's own included.
fn names(reader: &Reader) -> Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name";
    let mut statement = reader.prepare(sql).at(READ, reader.path())?;
    statement
        .query_map([], |row| row.get(0))
        .and_then(Iterator::collect)
        .at(READ, reader.path())
}

pub(super) fn check(reader: &Reader, which: Which, found: &mut Findings) -> Result<()> {
    let foreign = collation::foreign(reader, reader.path())?;
    collation::register_for_reading(reader, reader.path(), &foreign)?;
    for table in names(reader)? {
        let quoted = table.replace('"', "\"\"");
        let sql = format!("PRAGMA integrity_check(\"{quoted}\")");
        let mut statement = reader.prepare(&sql).at(READ, reader.path())?;
        let mut rows = statement.query([]).at(READ, reader.path())?;
        while let Some(row) = rows.next().at(READ, reader.path())? {
            let message: String = row.get(0).at(READ, reader.path())?;
            if message != "ok" && !depends_on_order(&message, &foreign) {
                found.problem(which, FindingKind::Content, table.as_str(), message);
            }
        }
    }
    Ok(())
}

/// SQLite looks a row up in an index by the order of its collation; in the order of another it does not find it, although
/// it is there. What such an index holds is compared entry by entry instead (see [`super::titles`]).
fn depends_on_order(message: &str, foreign: &BTreeSet<ForeignIndex>) -> bool {
    message
        .strip_prefix("row ")
        .and_then(|rest| rest.split_once(" missing from index "))
        .is_some_and(|(_, index)| foreign.iter().any(|foreign| foreign.index == index))
}
