//! Reading two sorted results in step.

use std::cmp::Ordering;

use rusqlite::Rows;
use rusqlite::types::ValueRef;

use crate::error::{At, READ, Result};
use crate::open::Reader;

/// One of the two libraries.
pub(super) struct Side<'a> {
    pub(super) db: &'a Reader,
}

impl<'a> Side<'a> {
    pub(super) fn new(db: &'a Reader) -> Self {
        Self { db }
    }
}

/// A value of a row. Text need not be UTF-8: paths of files are any bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl From<ValueRef<'_>> for Cell {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(text.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }
}

/// A row; its first values are the key that the statement sorts by.
pub(super) type Row = Vec<Cell>;

/// What both sides have under one key; at least one of them has something.
pub(super) struct Pair {
    pub(super) before: Option<Row>,
    pub(super) after: Option<Row>,
}

/// Statements, with how many of their first columns are the key. They have to sort by just these, in binary order.
pub(super) struct Query<'a> {
    pub(super) sql: &'a str,
    pub(super) key: usize,
}

/// Pairs the rows of both sides by their keys. Several rows of one key are paired in their order.
pub(super) fn join(
    sides: &[Side<'_>; 2],
    queries: [&Query<'_>; 2],
    mut each: impl FnMut(&Pair) -> Result<()>,
) -> Result<()> {
    let [before, after] = [0, 1].map(|side| (sides[side].db, queries[side].sql));
    let mut before_statement = before.0.prepare(before.1).at(READ, before.0.path())?;
    let mut after_statement = after.0.prepare(after.1).at(READ, after.0.path())?;
    let key = queries[0].key;
    let mut before_rows = before_statement.query([]).at(READ, before.0.path())?;
    let mut after_rows = after_statement.query([]).at(READ, after.0.path())?;
    let mut left = next(&mut before_rows, before.0)?;
    let mut right = next(&mut after_rows, after.0)?;
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => compare_keys(&left[..key], &right[..key]),
        };
        let mut pair = Pair {
            before: None,
            after: None,
        };
        if order != Ordering::Greater {
            pair.before = std::mem::replace(&mut left, next(&mut before_rows, before.0)?);
        }
        if order != Ordering::Less {
            pair.after = std::mem::replace(&mut right, next(&mut after_rows, after.0)?);
        }
        each(&pair)?;
    }
}

fn next(rows: &mut Rows<'_>, db: &Reader) -> Result<Option<Row>> {
    let Some(row) = rows.next().at(READ, db.path())? else {
        return Ok(None);
    };
    let columns = row.as_ref().column_count();
    (0..columns)
        .map(|at| row.get_ref(at).map(Cell::from))
        .collect::<rusqlite::Result<Row>>()
        .map(Some)
        .at(READ, db.path())
}

fn compare_keys(left: &[Cell], right: &[Cell]) -> Ordering {
    left.iter()
        .zip(right)
        .map(|(left, right)| compare(left, right))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// SQLite's own order of values: nothing, numbers, text, blobs.
fn compare(left: &Cell, right: &Cell) -> Ordering {
    fn class(value: &Cell) -> u8 {
        match value {
            Cell::Null => 0,
            Cell::Integer(_) | Cell::Real(_) => 1,
            Cell::Text(_) => 2,
            Cell::Blob(_) => 3,
        }
    }
    match (left, right) {
        (Cell::Integer(left), Cell::Integer(right)) => left.cmp(right),
        (Cell::Real(left), Cell::Real(right)) => left.total_cmp(right),
        #[expect(clippy::cast_precision_loss, reason = "keys are ids and times; neither is near 2^53")]
        (Cell::Integer(left), Cell::Real(right)) => (*left as f64).total_cmp(right),
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        (Cell::Real(left), Cell::Integer(right)) => left.total_cmp(&(*right as f64)),
        (Cell::Text(left), Cell::Text(right)) | (Cell::Blob(left), Cell::Blob(right)) => left.cmp(right),
        _ => class(left).cmp(&class(right)),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn values_are_ordered_as_sqlite_orders_them() {
        let db = Connection::open_in_memory().unwrap();
        let sql =
            "SELECT v FROM (VALUES('b'), (2), (x'00'), (NULL), (1.5), ('a'), (-3), (1), (CAST(x'ff' AS TEXT))) AS t(v)";
        let sql = sql.replace("AS t(v)", "").replace("SELECT v", "SELECT column1");
        let values = |sql: &str| -> Vec<Cell> {
            db.prepare(sql)
                .unwrap()
                .query_map([], |row| row.get_ref(0).map(Cell::from))
                .unwrap()
                .map(Result::unwrap)
                .collect()
        };
        let sorted = values(&format!("{sql} ORDER BY 1"));
        let mut ours = values(&sql);
        ours.sort_by(compare);
        assert_eq!(ours, sorted);
    }
}
