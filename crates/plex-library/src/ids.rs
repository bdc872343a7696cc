//! Keeping the ids of rows that a worker makes apart from those that home makes meanwhile.
//!
//! Every table of Plex counts its ids with AUTOINCREMENT, whose last value stands in `sqlite_sequence`. Before Plex
//! starts on a worker, each of these is moved up by a stride of its own, also for tables that never had a row. So rows
//! made there never have the ids of rows made at home, `local://` guids neither (they contain the id), and nothing has to
//! be renumbered. The merge asks [`check`] whether home really stayed below.
//!
//! The stride is 1,000,000 per worker and table: more than home can make while a burst lasts (a home that takes in
//! 100,000 new tracks makes some 400,000 taggings), and small enough that a burst a week does not leave the 31 bits that
//! clients of Plex are known to use for ids within 40 years.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use crate::error::{At, Error, READ, Result};
use crate::open;
use crate::paths::{Databases, Which};

/// Ids that are left free for home, per worker.
pub const STRIDE: i64 = 1_000_000;

/// The greatest id that is given out: ids are kept in 32-bit numbers by clients. A table that is beyond it already (none
/// was ever seen) may use all of SQLite's 63 bits.
const ROOMY: i64 = i32::MAX as i64;

/// By how much the ids of a worker's copy were moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stride {
    /// Number of the worker, from 1.
    pub worker: u32,
    /// Every sequence of both databases.
    pub tables: BTreeMap<Which, BTreeMap<String, Moved>>,
}

/// One table's sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The last id given out by the base.
    pub base: i64,
    /// The value from which the worker counts on; its first row has the id after it.
    pub from: i64,
}

/// A table in which home came too near.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crowded {
    /// Which database.
    pub database: Which,
    /// The table.
    pub table: String,
    /// The last id that home has given out.
    pub home: i64,
    /// The first worker's ids begin after this one.
    pub limit: i64,
}

/// Moves every sequence of a worker's copy up by `worker` strides (counted from 1) and says from where to where.
///
/// Doing it again to the same copy moves it again: the caller notes in its journal that it is done.
///
/// # Errors
/// [`Error::Refused`] if a table has no room left; [`Error::InUse`] if some process has the copy open; both databases are
/// then as they were, or the library alone was moved, which does no harm.
pub fn keep_apart(databases: &Databases, worker: u32) -> Result<Stride> {
    let mut tables = BTreeMap::new();
    for which in Which::BOTH {
        let path = databases.path(which);
        let mut connection = open::read_write(&path)?;
        tables.insert(which, move_up(&mut connection, &path, worker)?);
        // The change has to be in the file itself: what is staged has no log.
        connection
            .pragma_query(None, "wal_checkpoint", |_| Ok(()))
            .at("write", &path)?;
        connection.close().map_err(|(_, error)| error).at("close", &path)?;
    }
    Ok(Stride { worker, tables })
}

fn move_up(connection: &mut Connection, path: &Path, worker: u32) -> Result<BTreeMap<String, Moved>> {
    let change = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .at("write", path)?;
    let mut moved = BTreeMap::new();
    let mut full = Vec::new();
    for (table, base) in sequences(&change, path)? {
        match room(base, worker) {
            None => full.push(format!("{table} (last id {base})")),
            Some(from) => {
                let updated = change
                    .execute("UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1", (&table, from))
                    .at("write", path)?;
                if updated == 0 {
                    change
                        .execute("INSERT INTO sqlite_sequence(name, seq) VALUES(?1, ?2)", (&table, from))
                        .at("write", path)?;
                }
                moved.insert(table, Moved { base, from });
            }
        }
    }
    if !full.is_empty() {
        return Err(Error::Refused {
            what: format!("no ids are left for rows of a worker in {}", path.display()),
            items: full,
            hint: "index this library at home; its tables have come to the end of what Plex's clients can number"
                .into(),
        });
    }
    change.commit().at("write", path)?;
    Ok(moved)
}

fn room(base: i64, worker: u32) -> Option<i64> {
    let from = base.checked_add(STRIDE.checked_mul(worker.into())?)?;
    // Leave the worker a stride of its own as well.
    let last = from.checked_add(STRIDE)?;
    (last <= ROOMY || base > ROOMY).then_some(from)
}

/// The last id given out for every table that counts its ids, 0 for one that never had a row.
///
/// A row may have got a greater id than the sequence knows, if some tool inserted it by hand; the greater one counts.
///
/// # Errors
/// If the database cannot be read.
pub fn sequences(connection: &Connection, path: &Path) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%'
               AND name NOT LIKE 'sqlite_%'";
    let mut statement = connection.prepare(sql).at(READ, path)?;
    let tables: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .and_then(Iterator::collect)
        .at(READ, path)?;
    let mut found = BTreeMap::new();
    for table in tables {
        let sequence: Option<i64> = connection
            .query_row(
                "SELECT max(seq) FROM main.sqlite_sequence WHERE name = ?1",
                [&table],
                |row| row.get(0),
            )
            .optional()
            .at(READ, path)?
            .flatten();
        let quoted = table.replace('"', "\"\"");
        let greatest: Option<i64> = connection
            .query_row(&format!("SELECT max(rowid) FROM main.\"{quoted}\""), [], |row| {
                row.get(0)
            })
            .at(READ, path)?;
        found.insert(table, sequence.unwrap_or(0).max(greatest.unwrap_or(0)).max(0));
    }
    Ok(found)
}

/// The tables in which `home` has given out ids that a worker of this stride may have given out too. None is what a
/// merge needs.
///
/// # Errors
/// If home's databases cannot be read.
pub fn check(stride: &Stride, home: &Databases) -> Result<Vec<Crowded>> {
    let mut crowded = Vec::new();
    for (&database, tables) in &stride.tables {
        let path = home.path(database);
        let reader = open::read_only(&path)?;
        for (table, home) in sequences(&reader, &path)? {
            // A table that the base did not have is the schema check's business.
            let Some(moved) = tables.get(&table) else {
                continue;
            };
            let limit = moved.base.saturating_add(STRIDE);
            if home > limit {
                crowded.push(Crowded {
                    database,
                    table,
                    home,
                    limit,
                });
            }
        }
        reader.confirm()?;
    }
    Ok(crowded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_near_the_end_are_refused_and_not_wrapped() {
        assert_eq!(room(19_000_000, 1), Some(20_000_000));
        assert_eq!(room(0, 7), Some(7_000_000));
        assert_eq!(room(i64::from(i32::MAX) - 10, 1), None);
        assert_eq!(
            room(i64::from(i32::MAX) + 10, 1),
            Some(i64::from(i32::MAX) + 10 + STRIDE)
        );
        assert_eq!(room(i64::MAX - 10, 1), None);
        assert_eq!(room(0, u32::MAX), None);
    }
}
