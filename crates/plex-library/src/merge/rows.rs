//! Single rows, by id, as lists of values in the order of the table's columns.

use super::values::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::fail::Step;
use super::schema::{Table, quote};

/// A row.
pub(super) type Row = Vec<Value>;

/// Reads a row from the database attached as `side`.
pub(super) fn get(conn: &Connection, side: &str, table: &Table, id: i64) -> Step<Option<Row>> {
    let width = table.columns.len();
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {} FROM {side}.{} WHERE id = ?1",
        table.column_list(),
        quote(&table.name)
    ))?;
    Ok(statement
        .query_row([id], |row| (0..width).map(|n| row.get(n)).collect())
        .optional()?)
}

/// Whether a row is there.
pub(super) fn exists(conn: &Connection, side: &str, table: &str, id: i64) -> Step<bool> {
    let mut statement = conn.prepare_cached(&format!("SELECT 1 FROM {side}.{} WHERE id = ?1", quote(table)))?;
    Ok(statement.exists([id])?)
}

/// Ids of the rows of `table` whose `column` has `value`.
pub(super) fn ids_where(conn: &Connection, side: &str, table: &str, column: &str, value: &Value) -> Step<Vec<i64>> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT id FROM {side}.{} WHERE {} = ?1 ORDER BY id",
        quote(table),
        quote(column)
    ))?;
    Ok(statement
        .query_map([value], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

/// Writes a row that is not there yet.
pub(super) fn insert(conn: &Connection, side: &str, table: &Table, row: &Row) -> Step<()> {
    let marks: Vec<String> = (1..=table.columns.len()).map(|n| format!("?{n}")).collect();
    conn.prepare_cached(&format!(
        "INSERT INTO {side}.{} ({}) VALUES ({})",
        quote(&table.name),
        table.column_list(),
        marks.join(",")
    ))?
    .execute(params_from_iter(row))?;
    Ok(())
}

/// Writes the columns in which `new` differs from `old`; both have the id `id`. Says whether there were any.
pub(super) fn update(conn: &Connection, side: &str, table: &Table, id: i64, old: &Row, new: &Row) -> Step<bool> {
    let differing: Vec<usize> = (0..table.columns.len()).filter(|&n| old[n] != new[n]).collect();
    if differing.is_empty() {
        return Ok(false);
    }
    let set: Vec<String> = differing
        .iter()
        .enumerate()
        .map(|(n, &column)| format!("{}=?{}", quote(&table.columns[column]), n + 2))
        .collect();
    let mut values = vec![Value::Integer(id)];
    values.extend(differing.iter().map(|&n| new[n].clone()));
    conn.prepare_cached(&format!(
        "UPDATE {side}.{} SET {} WHERE id = ?1",
        quote(&table.name),
        set.join(",")
    ))?
    .execute(params_from_iter(values))?;
    Ok(true)
}

/// Removes a row; says whether it was there.
pub(super) fn delete(conn: &Connection, side: &str, table: &str, id: i64) -> Step<bool> {
    let mut statement = conn.prepare_cached(&format!("DELETE FROM {side}.{} WHERE id = ?1", quote(table)))?;
    Ok(statement.execute([id])? > 0)
}

/// The value of a column as a whole number.
pub(super) fn int(table: &Table, row: &Row, column: &str) -> Option<i64> {
    match row.get(table.at(column)?)? {
        Value::Integer(n) => Some(*n),
        _ => None,
    }
}

/// The value of a column as text.
pub(super) fn text<'r>(table: &Table, row: &'r Row, column: &str) -> Option<&'r str> {
    match row.get(table.at(column)?)? {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// The value of a column; null if the table does not have it.
pub(super) fn value(table: &Table, row: &Row, column: &str) -> Value {
    table
        .at(column)
        .and_then(|n| row.get(n).cloned())
        .unwrap_or(Value::Null)
}

/// Sets a column, if the table has it.
pub(super) fn set(table: &Table, row: &mut Row, column: &str, value: impl Into<Value>) {
    if let Some(n) = table.at(column) {
        row[n] = value.into();
    }
}
