//! `metadata_item_views`: what was watched, when and by whom. The union of both sides; dates never change.

use super::values::Value;
use rusqlite::OptionalExtension;

use super::context::Context;
use super::fail::Step;
use super::rows::{self, Row, value};
use super::schema::Table;
use super::session::{BASE, LIBRARY, MAIN, MINE};
use super::{diff, guids};

const NAME: &str = "metadata_item_views";

/// Carries home's history, with home's ids.
pub(super) fn carry(context: &mut Context<'_>) -> Step<()> {
    let Some(table) = context.table(NAME) else {
        return Ok(());
    };
    for id in diff::removed(context.conn, NAME, LIBRARY, context.touched())? {
        let conn = context.conn;
        let (was, is) = (rows::get(conn, BASE, &table, id)?, rows::get(conn, MAIN, &table, id)?);
        // Only if it is that entry, and not one of the worker's that happens to have the number.
        if let (Some(was), Some(is)) = (was, is)
            && when(&table, &was) == when(&table, &is)
        {
            rows::delete(conn, MAIN, NAME, id)?;
            context.report.carried(NAME).deleted += 1;
        }
    }
    for id in guids::differing(context, &table)? {
        carry_one(context, &table, id)?;
    }
    Ok(())
}

fn carry_one(context: &mut Context<'_>, table: &Table, id: i64) -> Step<()> {
    let conn = context.conn;
    let Some(mut mine) = rows::get(conn, MINE, table, id)? else {
        return Ok(());
    };
    guids::translate(conn, table, &mut mine)?;
    match rows::get(conn, MAIN, table, id)? {
        Some(theirs) if when(table, &theirs) == when(table, &mine) || rows::exists(conn, BASE, NAME, id)? => {
            if rows::update(conn, MAIN, table, id, &theirs, &mine)? {
                context.report.carried(NAME).updated += 1;
            }
            return Ok(());
        }
        Some(_) => {
            context.renumber(LIBRARY, NAME, id)?;
        }
        None => {
            if let Some(other) = same_view(context, table, &mine)? {
                rows::delete(conn, MAIN, NAME, other)?;
                context.count_renumbered(NAME);
            }
        }
    }
    rows::insert(conn, MAIN, table, &mine)?;
    context.report.carried(NAME).inserted += 1;
    Ok(())
}

/// An entry that the worker made was made with a device of its own, which home does not get to know.
pub(super) fn devices(context: &mut Context<'_>) -> Step<()> {
    let known = context.table(NAME).is_some_and(|table| table.has("device_id"));
    if !known || context.table("devices").is_none() {
        return Ok(());
    }
    if context.is_narrow() && diff::removed(context.conn, "devices", LIBRARY, context.touched())?.is_empty() {
        // The merge before has seen to the worker's entries.
        return Ok(());
    }
    let forgotten = context.conn.execute(
        &format!(
            "UPDATE {MAIN}.{NAME} SET device_id = NULL WHERE device_id IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM {MAIN}.devices d WHERE d.id = {NAME}.device_id)
             AND NOT EXISTS (SELECT 1 FROM {MINE}.{NAME} m WHERE m.id = {NAME}.id)"
        ),
        [],
    )?;
    context.report.carried(NAME).updated += forgotten as u64;
    Ok(())
}

/// What makes an entry the same one: who saw when.
fn when(table: &Table, row: &Row) -> [Value; 3] {
    ["account_id", "viewed_at", "metadata_type"].map(|name| value(table, row, name))
}

/// The same entry with a number of the worker's, from a merge before ids were kept apart.
fn same_view(context: &Context<'_>, table: &Table, mine: &Row) -> Step<Option<i64>> {
    let [account, viewed, _] = when(table, mine);
    let mut statement = context.conn.prepare_cached(&format!(
        "SELECT t.id FROM {MAIN}.{NAME} t WHERE t.guid = ?1 AND t.account_id IS ?2 AND t.viewed_at IS ?3
         AND t.device_id IS ?4 AND NOT EXISTS (SELECT 1 FROM {MINE}.{NAME} m WHERE m.id = t.id) LIMIT 1"
    ))?;
    Ok(statement
        .query_row(
            [
                value(table, mine, "guid"),
                account,
                viewed,
                value(table, mine, "device_id"),
            ],
            |row| row.get(0),
        )
        .optional()?)
}
