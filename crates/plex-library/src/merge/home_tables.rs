//! Tables that are home's as a whole: accounts, devices, playlists' contents, play queues, chosen streams, statistics,
//! server settings. The result gets exactly home's rows.
//!
//! What the worker wrote there goes: it served nobody, and its rows are about itself (a device that claimed it, the
//! bandwidth of its own scans). Home's rows refer to home's ids, which the result has as well; where it has another one
//! instead (an item that the worker merged into another), the table `follow` says which. A row that refers to something
//! that had to be kept aside is kept aside with it.

use std::collections::BTreeMap;

use super::values::Value;
use rusqlite::types::ValueRef;

use super::context::Context;
use super::fail::Step;
use super::report::KeptAside;
use super::schema::{Table, quote};
use super::session::{MINE, Three};
use super::tables::{COUNTERS, REFERENCES, Reference, Rule, rule};
use super::{diff, narrow, text};

/// Tables that others of home's refer to come first, so that what is kept aside is known when their rows are met.
const FIRST: &[&str] = &["accounts", "devices", "play_queue_generators", "play_queues"];

/// Makes every table of home's equal to home's, in one of the two databases.
pub(super) fn carry(context: &mut Context<'_>, three: Three, tables: &[Table]) -> Step<()> {
    let (first, rest): (Vec<&Table>, Vec<&Table>) = tables
        .iter()
        .filter(|table| rule(&table.name) == Some(Rule::Home))
        .partition(|table| FIRST.contains(&table.name.as_str()));
    for table in first.into_iter().chain(rest) {
        if table.keyed {
            keyed(context, three, table)?;
        } else {
            unkeyed(context, three, table)?;
        }
    }
    Ok(())
}

/// References of a table's columns to tables of which some rows are elsewhere in the result.
fn moved<'r>(context: &Context<'_>, three: Three, table: &'r Table, which: &str) -> Step<Vec<&'r Reference>> {
    if three.mine != MINE {
        return Ok(Vec::new());
    }
    let mut statement = context
        .conn
        .prepare_cached(&format!("SELECT 1 FROM temp.{which} WHERE target = ?1 LIMIT 1"))?;
    let mut found = Vec::new();
    for reference in REFERENCES {
        if reference.table == table.name && table.has(reference.column) && statement.exists([reference.target])? {
            found.push(reference);
        }
    }
    Ok(found)
}

fn keyed(context: &mut Context<'_>, three: Three, table: &Table) -> Step<()> {
    let Three { theirs, mine, .. } = three;
    let name = quote(&table.name);
    let is_library = three.mine == MINE;
    if context.is_narrow() {
        let any = narrow::look(context, table, is_library)?;
        if is_library {
            narrow::by_text(context, table)?;
        }
        let any = any
            || context
                .conn
                .prepare_cached("SELECT 1 FROM temp.looked LIMIT 1")?
                .exists([])?;
        if !any {
            return Ok(());
        }
    }
    // Where it is known what has to be looked at, nothing else is.
    let looked = |alias: &str, side: &str| match context.is_narrow() {
        true => format!("temp.looked l CROSS JOIN {side}.{name} {alias} NOT INDEXED ON {alias}.id = l.id"),
        false => format!("{side}.{name} {alias} NOT INDEXED"),
    };
    let (homes, results) = (looked("m", mine), looked("x", theirs));
    let follow = moved(context, three, table, "follow")?;
    let follows: bool = three.mine == MINE
        && context
            .conn
            .prepare_cached("SELECT 1 FROM temp.follow LIMIT 1")?
            .exists([])?;
    let source = |column: &str| -> String {
        let plain = format!("m.{}", quote(column));
        if let Some(reference) = follow.iter().find(|reference| reference.column == column) {
            return format!(
                "coalesce((SELECT f.new FROM temp.follow f WHERE f.target = '{}' AND f.old = {plain}), {plain})",
                reference.target
            );
        }
        if follows && text::holds_references(&table.name, column) {
            return format!("follow_text({plain})");
        }
        plain
    };
    let differ: Vec<String> = table
        .columns
        .iter()
        .filter(|column| !COUNTERS.contains(&column.as_str()))
        .map(|column| format!("{} COLLATE BINARY IS NOT x.{}", source(column), quote(column)))
        .collect();
    let held_back: Vec<String> = moved(context, three, table, "aside")?
        .iter()
        .map(|reference| {
            format!(
                "EXISTS (SELECT 1 FROM temp.aside a WHERE a.target = '{}' AND a.id = m.{})",
                reference.target,
                quote(reference.column)
            )
        })
        .collect();
    let held_back = if held_back.is_empty() {
        "0".to_owned()
    } else {
        format!("({})", held_back.join(" OR "))
    };
    let conn = context.conn;
    conn.execute("DELETE FROM temp.touched", [])?;
    conn.execute(
        &format!(
            "INSERT INTO temp.touched SELECT m.id FROM {homes}
             LEFT JOIN {theirs}.{name} x NOT INDEXED ON x.id = m.id WHERE x.id IS NULL OR {}",
            differ.join(" OR ")
        ),
        [],
    )?;
    conn.execute(
        &format!(
            "INSERT OR IGNORE INTO temp.touched SELECT x.id FROM {results}
             WHERE NOT EXISTS (SELECT 1 FROM {mine}.{name} m NOT INDEXED WHERE m.id = x.id)
               AND NOT EXISTS (SELECT 1 FROM temp.kept k WHERE k.target = '{}' AND k.id = x.id)",
            if three.mine == MINE { table.name.as_str() } else { "" }
        ),
        [],
    )?;
    if held_back != "0" {
        keep_aside(context, three, table, &held_back)?;
    }
    let count = |sql: String| conn.query_row(&sql, [], |row| row.get::<_, i64>(0));
    let before = count(format!("SELECT count(*) FROM {theirs}.{name} WHERE id IN temp.touched"))?;
    let both = count(format!(
        "SELECT count(*) FROM {theirs}.{name} WHERE id IN temp.touched
         AND id IN (SELECT m.id FROM {mine}.{name} m WHERE NOT {held_back})"
    ))?;
    conn.execute(&format!("DELETE FROM {theirs}.{name} WHERE id IN temp.touched"), [])?;
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            if COUNTERS.contains(&column.as_str()) {
                let plain = format!("m.{}", quote(column));
                format!("iif({plain} IS NULL, NULL, {})", context.tick)
            } else {
                source(column)
            }
        })
        .collect();
    let written = conn.execute(
        &format!(
            "INSERT INTO {theirs}.{name} ({}) SELECT {} FROM {mine}.{name} m
             WHERE m.id IN temp.touched AND NOT {held_back} ORDER BY m.id",
            table.column_list(),
            columns.join(",")
        ),
        [],
    )?;
    let (before, both, written) = (unsigned(before), unsigned(both), written as u64);
    let carried = context.report.carried(&table.name);
    carried.updated += both;
    carried.inserted += written - both;
    carried.deleted += before - both;
    Ok(())
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Lists the rows that cannot follow, and remembers them for the tables that refer to them.
fn keep_aside(context: &mut Context<'_>, three: Three, table: &Table, held_back: &str) -> Step<()> {
    let mut statement = context.conn.prepare(&format!(
        "SELECT {} FROM {}.{} m WHERE {held_back} ORDER BY m.id",
        table.column_list(),
        three.mine,
        quote(&table.name)
    ))?;
    let mut found = statement.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let values: Vec<Value> = (0..table.columns.len()).map(|n| row.get(n)).collect::<Result<_, _>>()?;
        rows.push(values);
    }
    drop(found);
    drop(statement);
    for row in rows {
        let id = super::rows::int(table, &row, "id").unwrap_or_default();
        context.conn.execute(
            "INSERT OR IGNORE INTO temp.aside(target, id) VALUES (?1, ?2)",
            (&table.name, id),
        )?;
        context.report.kept_aside.push(KeptAside {
            table: table.name.clone(),
            id,
            what: format!("a row of {}", table.name),
            why: "it belongs to something that could not be written".into(),
            remedy: "it is made together with what it belongs to".into(),
            row: as_json(table, &row),
        });
    }
    Ok(())
}

/// A row by column names, for a report; bytes are counted, not shown.
pub(super) fn as_json(table: &Table, row: &[Value]) -> BTreeMap<String, serde_json::Value> {
    table
        .columns
        .iter()
        .zip(row)
        .filter(|(_, value)| **value != Value::Null)
        .map(|(column, value)| {
            let value = match value.borrow() {
                ValueRef::Null => serde_json::Value::Null,
                ValueRef::Integer(n) => n.into(),
                ValueRef::Real(n) => n.into(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
                ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()).into(),
            };
            (column.clone(), value)
        })
        .collect()
}

/// Small tables without an id: all of home's rows, or nothing to do.
fn unkeyed(context: &mut Context<'_>, three: Three, table: &Table) -> Step<()> {
    let Three { theirs, mine, .. } = three;
    if context.is_narrow() && !narrow::look(context, table, three.mine == MINE)? {
        return Ok(());
    }
    if diff::same(context.conn, table, mine, theirs)? {
        return Ok(());
    }
    let (name, columns) = (quote(&table.name), table.column_list());
    let deleted = context.conn.execute(&format!("DELETE FROM {theirs}.{name}"), [])?;
    let inserted = context.conn.execute(
        &format!("INSERT INTO {theirs}.{name} ({columns}) SELECT {columns} FROM {mine}.{name} ORDER BY rowid"),
        [],
    )?;
    let carried = context.report.carried(&table.name);
    carried.deleted += deleted as u64;
    carried.inserted += inserted as u64;
    Ok(())
}
