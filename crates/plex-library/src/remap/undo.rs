//! Taking a remap back, exactly, whatever came to the library since.

use std::path::Path;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params_from_iter};
use serde::{Deserialize, Serialize};

use super::apply::{each_batch, feed, settle};
use super::inverse::{Inverse, Moved, Removed, Rewritten, Stored};
use super::mapping::{Mappings, follow};
use super::places;
use crate::error::{At, Error, READ, Result};
use crate::open;
use crate::paths::Databases;

const WRITE: &str = "write";

/// What was taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// It was taken back before: nothing was done.
    pub already: bool,
    /// Rows that have their own path again.
    pub restored: u64,
    /// Rows that came or were changed since, and were mapped back.
    pub mapped: u64,
    /// Rows that are gone since, or were given a path elsewhere.
    pub gone: u64,
    /// Roots that are two again.
    pub roots: u64,
}

/// Whether a library is as it was before the remap.
///
/// # Errors
/// A library that cannot be read.
pub fn is_undone(databases: &Databases, inverse: &Inverse) -> Result<bool> {
    let path = databases.library();
    let reader = open::read_only(&path)?;
    let is_undone = !inverse.rewritten.is_empty() && state(&reader, &path, inverse)? == State::Before;
    reader.confirm()?;
    Ok(is_undone)
}

/// In which state a library is, as an inverse sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Before,
    After,
    Neither,
}

/// Takes a remap back.
///
/// # Errors
/// [`Error::InUse`], [`Error::Refused`] if rows are in the way that have ids of removed ones; the disk. The library is
/// then what it was.
pub fn undo(databases: &Databases, inverse: &Inverse) -> Result<Undone> {
    let path = databases.library();
    let mut connection = open::read_write(&path)?;
    let change = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .at(WRITE, &path)?;
    let mut done = Undone::default();
    if !inverse.rewritten.is_empty() && state(&change, &path, inverse)? == State::Before {
        done.already = true;
        return Ok(done);
    }
    // First, since they were rewritten before they went.
    for removed in &inverse.removed {
        put_back(&change, &path, removed)?;
        done.roots += 1;
    }
    let reversed = Mappings::new(&inverse.mappings)?.reversed();
    for place in places::present(&change, &path)? {
        let mut groups: Vec<Cursor<'_>> = inverse
            .rewritten
            .iter()
            .filter(|group| group.table == place.table && group.column == place.column)
            .map(Cursor::new)
            .collect();
        let last = inverse.last_ids.get(place.table).copied().unwrap_or(i64::MAX);
        let (mut restored, mut mapped, mut left) = (0, 0, 0);
        each_batch(&change, &path, place, |id, value| {
            let group = groups.iter_mut().find_map(|cursor| cursor.has(id));
            if let Some(group) = group
                && let Some(rest) = value.strip_prefix(group.to.as_ref())
            {
                restored += 1;
                return Some(follow(group.to.as_ref(), group.from.as_ref(), rest));
            }
            // Rows that were there and were not rewritten have been under the new root all along.
            if group.is_none() && id <= last {
                return None;
            }
            match reversed.rewrite(value) {
                Some(rewrite) => {
                    mapped += 1;
                    Some(rewrite.apply(value))
                }
                None => {
                    left += u64::from(group.is_some());
                    None
                }
            }
        })?;
        let noted: u64 = groups.iter().map(|cursor| count(&cursor.group.ids)).sum();
        let found: u64 = groups.iter().map(|cursor| cursor.found).sum();
        done.restored += restored;
        done.mapped += mapped;
        done.gone += left + (noted - found);
    }
    for moved in &inverse.moved {
        move_back(&change, &path, moved)?;
    }
    change.commit().at(WRITE, &path)?;
    settle(connection, &path)?;
    Ok(done)
}

/// Whether the rewritten rows are as they were before, or as they were left.
pub(super) fn state(db: &Connection, path: &Path, inverse: &Inverse) -> Result<State> {
    let (mut is_before, mut is_after) = (true, true);
    for group in &inverse.rewritten {
        let mut hasher = blake3::Hasher::new();
        let sql = format!(
            "SELECT id, \"{0}\" FROM \"{1}\" WHERE id BETWEEN ?1 AND ?2 AND typeof(\"{0}\") = 'text' ORDER BY id",
            group.column.replace('"', ""),
            group.table.replace('"', "")
        );
        let mut statement = db.prepare(&sql).at(READ, path)?;
        for &(first, last) in &group.ids {
            let mut rows = statement.query([first, last]).at(READ, path)?;
            while let Some(row) = rows.next().at(READ, path)? {
                if let ValueRef::Text(value) = row.get_ref(1).at(READ, path)? {
                    feed(&mut hasher, row.get(0).at(READ, path)?, value);
                }
            }
        }
        let found = hasher.finalize().to_string();
        // A root that was merged away was rewritten before it was removed: it is not there afterwards.
        let is_shortened = group.table == places::ROOTS.table && !inverse.removed.is_empty();
        is_before &= found == group.before;
        is_after &= found == group.after || is_shortened && found != group.before;
    }
    Ok(match (is_before, is_after) {
        (true, _) => State::Before,
        (false, true) => State::After,
        (false, false) => State::Neither,
    })
}

/// Goes through the ids of a group in step with rows that come in the order of their ids.
struct Cursor<'a> {
    group: &'a Rewritten,
    at: usize,
    found: u64,
}

impl<'a> Cursor<'a> {
    fn new(group: &'a Rewritten) -> Self {
        Self { group, at: 0, found: 0 }
    }

    fn has(&mut self, id: i64) -> Option<&'a Rewritten> {
        let ids = &self.group.ids;
        while ids.get(self.at).is_some_and(|&(_, last)| last < id) {
            self.at += 1;
        }
        let is_in = ids.get(self.at).is_some_and(|&(first, _)| first <= id);
        self.found += u64::from(is_in);
        is_in.then_some(self.group)
    }
}

fn count(ids: &[(i64, i64)]) -> u64 {
    ids.iter().map(|(first, last)| last.abs_diff(*first) + 1).sum()
}

fn put_back(change: &Connection, path: &Path, removed: &Removed) -> Result<()> {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let table = quote(&removed.table);
    let id = removed.values.get("id").map_or(Value::Null, value);
    let is_taken = change
        .query_row(&format!("SELECT 1 FROM {table} WHERE id = ?1"), [&id], |_| Ok(()))
        .optional()
        .at(READ, path)?
        .is_some();
    if is_taken {
        return Err(Error::Refused {
            what: format!(
                "a removed row of {} cannot come back: its id was given again",
                removed.table
            ),
            items: vec![format!("{id:?}")],
            hint: "put the backup back that the remap made".into(),
        });
    }
    let columns: Vec<String> = removed.values.keys().map(|name| quote(name)).collect();
    let marks: Vec<String> = removed
        .values
        .values()
        .enumerate()
        .map(|(at, stored)| match stored {
            Stored::Text(_) => format!("CAST(?{} AS TEXT)", at + 1),
            _ => format!("?{}", at + 1),
        })
        .collect();
    let sql = format!(
        "INSERT INTO {table} ({}) VALUES ({})",
        columns.join(","),
        marks.join(",")
    );
    change
        .execute(&sql, params_from_iter(removed.values.values().map(value)))
        .at(WRITE, path)?;
    Ok(())
}

fn value(stored: &Stored) -> Value {
    match stored {
        Stored::Null => Value::Null,
        Stored::Integer(number) => Value::Integer(*number),
        Stored::Real(number) => Value::Real(*number),
        Stored::Text(bytes) | Stored::Blob(bytes) => Value::Blob(bytes.as_ref().to_vec()),
    }
}

fn move_back(change: &Connection, path: &Path, moved: &Moved) -> Result<()> {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let (table, column) = (quote(&moved.table), quote(&moved.column));
    let sql = format!("UPDATE {table} SET {column} = ?1 WHERE {column} = ?2 AND id BETWEEN ?3 AND ?4");
    let mut statement = change.prepare(&sql).at(WRITE, path)?;
    for &(first, last) in &moved.ids {
        statement.execute((moved.from, moved.to, first, last)).at(WRITE, path)?;
    }
    Ok(())
}
