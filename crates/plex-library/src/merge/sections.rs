//! `library_sections` and `section_locations`: home's configuration, whichever side scanned last.
//!
//! A section that only the worker has (`plexburst scan` makes them there) stays. One that home deleted during the burst goes
//! with everything that the worker found in it.

use super::values::Value;

use super::context::Context;
use super::diff::Changes;
use super::fail::Step;
use super::moves::Moved;
use super::policy;
use super::rows::{self, Row, int, text};
use super::schema::Table;
use super::session::{BASE, LIBRARY, MAIN, MINE};
use super::tables::COUNTERS;

const TABLES: [&str; 2] = ["library_sections", "section_locations"];

/// Carries both tables. Rows of the worker's that had to give up their id, or that are home's by another id, are in the
/// second value; the first are the sections that home deleted.
pub(super) fn carry(context: &mut Context<'_>) -> Step<(Vec<i64>, Moved)> {
    let mut moved = Moved::default();
    let mut gone = Vec::new();
    for name in TABLES {
        let Some(table) = context.table(name) else { continue };
        let changes = Changes::since_base(context.conn, &table, LIBRARY, COUNTERS, context.touched())?;
        for &id in &changes.added {
            let Some(mine) = rows::get(context.conn, MINE, &table, id)? else {
                continue;
            };
            make_room(context, &table, &mine, id, &mut moved)?;
            match rows::get(context.conn, MAIN, &table, id)? {
                Some(theirs) => write(context, &table, id, &theirs, policy::adopt(&table, &mine, &theirs))?,
                None => {
                    let mut row = mine;
                    context.count_up(&table, &mut row);
                    rows::insert(context.conn, MAIN, &table, &row)?;
                    context.report.carried(name).inserted += 1;
                }
            }
        }
        for &id in &changes.changed {
            let (base, mine) = (
                rows::get(context.conn, BASE, &table, id)?,
                rows::get(context.conn, MINE, &table, id)?,
            );
            let (Some(base), Some(mine)) = (base, mine) else {
                continue;
            };
            match rows::get(context.conn, MAIN, &table, id)? {
                Some(theirs) => {
                    let (merged, _) = policy::merge(&table, &base, &mine, &theirs);
                    write(context, &table, id, &theirs, merged)?;
                }
                None => {
                    rows::insert(context.conn, MAIN, &table, &mine)?;
                    context.report.carried(name).inserted += 1;
                }
            }
        }
        for &id in &changes.removed {
            if rows::delete(context.conn, MAIN, name, id)? {
                context.report.carried(name).deleted += 1;
            }
            if name == TABLES[0] {
                gone.push(id);
            }
        }
    }
    Ok((gone, moved))
}

fn write(context: &mut Context<'_>, table: &Table, id: i64, theirs: &Row, mut merged: Row) -> Step<()> {
    if merged != *theirs {
        context.count_up(table, &mut merged);
    }
    if rows::update(context.conn, MAIN, table, id, theirs, &merged)? {
        context.report.carried(&table.name).updated += 1;
    }
    Ok(())
}

/// Sees to it that the result has under `id` either nothing, or the worker's idea of the same thing.
fn make_room(context: &mut Context<'_>, table: &Table, mine: &Row, id: i64, moved: &mut Moved) -> Step<()> {
    if let Some(theirs) = rows::get(context.conn, MAIN, table, id)? {
        if key(table, &theirs) == key(table, mine) {
            return Ok(());
        }
        let fresh = context.renumber(LIBRARY, &table.name, id)?;
        moved.add(&table.name, id, fresh);
    }
    let (column, value) = key(table, mine);
    for other in rows::ids_where(context.conn, MAIN, &table.name, column, &value)? {
        let Some(theirs) = rows::get(context.conn, MAIN, table, other)? else {
            continue;
        };
        let same_section = table.name == TABLES[0]
            || int(table, &theirs, "library_section_id") == int(table, mine, "library_section_id");
        if same_section && !rows::exists(context.conn, MINE, &table.name, other)? {
            context.conn.execute(
                &format!("UPDATE {MAIN}.{} SET id = ?2 WHERE id = ?1", table.name),
                [other, id],
            )?;
            context.count_renumbered(&table.name);
            moved.add(&table.name, other, id);
            // What refers to it has to be right before the next table of these two is compared.
            if table.name == TABLES[0] {
                context.conn.execute(
                    &format!(
                        "UPDATE {MAIN}.{} SET library_section_id = ?2 WHERE library_section_id = ?1",
                        TABLES[1]
                    ),
                    [other, id],
                )?;
            }
            return Ok(());
        }
    }
    Ok(())
}

/// What makes it the same thing on both sides.
fn key(table: &Table, row: &Row) -> (&'static str, Value) {
    let column = if table.name == TABLES[0] { "uuid" } else { "root_path" };
    let value = text(table, row, column).map_or(Value::Null, |text| Value::Text(text.to_owned()));
    (column, value)
}
