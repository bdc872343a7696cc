//! Guids in home's user state, and what the same items are called in the result.
//!
//! Ratings and history are keyed by the text of a guid. When the worker matched an item that home had not (`local://5`
//! became `plex://…`), or when the same new file got a guid on both sides, what home attached to the old guid has to
//! follow, or it would belong to nothing. The temporary table `guids` says what became what; it is filled by
//! [`collect`] once the items of the result are in place.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::fail::Step;
use super::rows::Row;
use super::schema::{Table, quote};
use super::session::{MAIN, MINE};
use super::tables::COUNTERS;

/// Columns that hold guids of items.
const COLUMNS: [&str; 2] = ["guid", "grandparent_guid"];

/// An SQL expression for a column of home's row `m`, with guids as the result has them.
fn source(table: &Table, column: &str) -> String {
    let plain = format!("m.{}", quote(column));
    debug_assert!(table.has(column));
    if COLUMNS.contains(&column) {
        format!("coalesce((SELECT g.new FROM temp.guids g WHERE g.old = {plain}), {plain})")
    } else {
        plain
    }
}

/// Ids of home's rows that the result does not have in the very same form.
pub(super) fn differing(conn: &Connection, table: &Table) -> Step<Vec<i64>> {
    let name = quote(&table.name);
    let terms: Vec<String> = table
        .columns
        .iter()
        .filter(|column| !COUNTERS.contains(&column.as_str()))
        .map(|column| {
            format!(
                "{} COLLATE BINARY IS NOT x.{}",
                source(table, column),
                quote(column)
            )
        })
        .collect();
    let mut statement = conn.prepare(&format!(
        "SELECT m.id FROM {MINE}.{name} m NOT INDEXED LEFT JOIN {MAIN}.{name} x NOT INDEXED ON x.id = m.id
         WHERE x.id IS NULL OR {} ORDER BY m.id",
        terms.join(" OR ")
    ))?;
    Ok(statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

/// Puts the result's guids into a row of home's.
pub(super) fn translate(conn: &Connection, table: &Table, row: &mut Row) -> Step<()> {
    for column in COLUMNS {
        let Some(n) = table.at(column) else { continue };
        if let Value::Text(old) = &row[n] {
            let new: Option<String> = conn
                .prepare_cached("SELECT new FROM temp.guids WHERE old = ?1")?
                .query_row([old], |row| row.get(0))
                .optional()?;
            if let Some(new) = new {
                row[n] = Value::Text(new);
            }
        }
    }
    Ok(())
}

/// Finds the guids of home's user state whose items are called differently in the result.
///
/// A guid is not unique (facts §2): it is followed only if all of home's items that had it are now called the same, and
/// nothing in the result is called by the old name any more.
pub(super) fn collect(conn: &Connection) -> Step<()> {
    conn.execute(
        &format!(
            "WITH kept(guid) AS (
               SELECT guid FROM {MINE}.metadata_item_settings WHERE guid IS NOT NULL
               UNION SELECT guid FROM {MINE}.metadata_item_views WHERE guid IS NOT NULL
               UNION SELECT grandparent_guid FROM {MINE}.metadata_item_views WHERE grandparent_guid IS NOT NULL)
             INSERT OR IGNORE INTO temp.guids(old, new)
             SELECT k.guid, min(t.guid) FROM kept k
             JOIN {MINE}.metadata_items m ON m.guid = k.guid JOIN {MAIN}.metadata_items t ON t.id = m.id
             GROUP BY k.guid
             HAVING count(DISTINCT t.guid) = 1 AND min(t.guid) IS NOT k.guid
                AND NOT EXISTS (SELECT 1 FROM {MAIN}.metadata_items o WHERE o.guid = k.guid)"
        ),
        [],
    )?;
    Ok(())
}
