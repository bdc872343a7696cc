//! Indices in an order of Plex's own: `index_title_sort_icu`, and its predecessor of 2020.
//!
//! Each is read as it is stored. That it holds the very rows of its table, no more and no fewer, needs no knowledge of
//! its order. The order itself is judged with ICU's, if the index is in it at all but for a few places; an index in
//! quite another order was written by another collation, and then nothing is said about it.

use std::collections::BTreeSet;

use rusqlite::types::Value;

use super::{FindingKind, Findings};
use crate::collation::{self, ForeignIndex, ICU_ROOT};
use crate::error::{At, READ, Result};
use crate::open::Reader;
use crate::paths::Which;

/// One place out of order in so many neighbours is damage; more is another collation.
const PAIRS_PER_FAULT: usize = 100;

pub(super) fn check(reader: &Reader, which: Which, found: &mut Findings) -> Result<()> {
    let indices: BTreeSet<ForeignIndex> = collation::foreign(reader, reader.path())?;
    indices
        .iter()
        .try_for_each(|index| check_one(reader, which, index, found))
}

fn check_one(reader: &Reader, which: Which, index: &ForeignIndex, found: &mut Findings) -> Result<()> {
    let ForeignIndex {
        index: name,
        table,
        collation: order,
    } = index;
    let Some(column) = only_column(reader, name)? else {
        found.unchecked(
            which,
            FindingKind::Order,
            name.as_str(),
            "an index of several columns in an order of Plex's own",
        );
        return Ok(());
    };
    let (column, table, quoted) = (quote(&column), quote(table), quote(name));
    let sql = format!(
        "SELECT rowid, {column} FROM {table} INDEXED BY {quoted} ORDER BY {column} COLLATE {}",
        quote(order)
    );
    let mut entries = reader.prepare(&sql).at(READ, reader.path())?;
    let mut rows = entries.query([]).at(READ, reader.path())?;
    let mut in_table = reader
        .prepare(&format!("SELECT {column} FROM {table} NOT INDEXED WHERE rowid = ?1"))
        .at(READ, reader.path())?;

    let collator = collation::root().filter(|_| order == ICU_ROOT);
    let (mut pairs, mut faults) = (0_usize, Vec::new());
    let mut before: Option<(String, i64)> = None;
    let mut seen = 0_i64;
    while let Some(row) = rows.next().at(READ, reader.path())? {
        let (id, entry): (i64, Value) = (row.get(0).at(READ, reader.path())?, row.get(1).at(READ, reader.path())?);
        seen += 1;
        let mut there = in_table.query([id]).at(READ, reader.path())?;
        match there.next().at(READ, reader.path())? {
            None => {
                found.problem(
                    which,
                    FindingKind::Content,
                    name.as_str(),
                    format!("it has row {id}, which is not there"),
                );
            }
            Some(row) => {
                let value: Value = row.get(0).at(READ, reader.path())?;
                if value != entry {
                    found.problem(
                        which,
                        FindingKind::Content,
                        name.as_str(),
                        format!("it has another title for row {id}"),
                    );
                }
            }
        }
        if let (Some(collator), Value::Text(title)) = (&collator, entry) {
            if let Some((last, last_id)) = &before {
                pairs += 1;
                if !collation::is_ordered(collator, (last, *last_id), (&title, id)) {
                    faults.push(format!("{title:?} (row {id}) comes after {last:?} (row {last_id})"));
                }
            }
            before = Some((title, id));
        }
    }
    let rows: i64 = reader
        .query_row(&format!("SELECT count(*) FROM {table} NOT INDEXED"), [], |row| {
            row.get(0)
        })
        .at(READ, reader.path())?;
    if rows != seen {
        found.problem(
            which,
            FindingKind::Content,
            name.as_str(),
            format!("it has {seen} entries for {rows} rows"),
        );
    }
    if collator.is_none() && seen > 0 {
        let message = format!("the order of {order} is not known here; that it has the right rows was checked");
        found.unchecked(which, FindingKind::Order, name.as_str(), message);
    } else if faults.len() * PAIRS_PER_FAULT > pairs {
        let message = format!(
            "{} of {pairs} neighbours are not in ICU's order: it was written by another collation, or is damaged",
            faults.len()
        );
        found.unchecked(which, FindingKind::Order, name.as_str(), message);
    } else {
        for fault in faults {
            found.problem(which, FindingKind::Order, name.as_str(), fault);
        }
    }
    Ok(())
}

fn only_column(reader: &Reader, index: &str) -> Result<Option<String>> {
    let mut statement = reader
        .prepare("SELECT name FROM pragma_index_info(?1)")
        .at(READ, reader.path())?;
    let columns: Vec<Option<String>> = statement
        .query_map([index], |row| row.get(0))
        .and_then(Iterator::collect)
        .at(READ, reader.path())?;
    Ok(match columns.as_slice() {
        [Some(column)] => Some(column.clone()),
        _ => None,
    })
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
