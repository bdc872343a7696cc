//! `library_sections` and `section_locations`: home's configuration, whichever side scanned last.
//!
//! A section that only the worker has (`plexburst scan` makes them there) stays. One that home deleted during the burst goes
//! with everything that the worker found in it.

use std::collections::BTreeMap;

use super::values::Value;

use super::context::Context;
use super::diff::Changes;
use super::fail::Step;
use super::mode::Mode;
use super::moves;
use super::policy;
use super::rows::{self, Row, int, text, value};
use super::schema::Table;
use super::session::{BASE, LIBRARY, MAIN, MINE};
use super::tables::COUNTERS;
use super::writer::Writer;

const TABLES: [&str; 2] = ["library_sections", "section_locations"];

/// What became of sections.
#[derive(Debug, Default)]
pub(super) struct Sections {
    /// Those that home deleted.
    pub(super) gone: Vec<i64>,
    /// Those of the worker's that have another id now.
    pub(super) moved: BTreeMap<i64, i64>,
}

/// Carries both tables, with what refers to rows of the worker's that had to give up their id or that are home's by another
/// one.
pub(super) fn carry(context: &mut Context<'_>, writer: &mut Writer) -> Step<Sections> {
    let mut sections = Sections::default();
    for name in TABLES {
        let Some(table) = context.table(name) else { continue };
        let changes = Changes::since_base(context.conn, &table, LIBRARY, COUNTERS, context.touched())?;
        // Before any row of home's is written, so that nothing of home's is taken for the worker's.
        let mut moved = BTreeMap::new();
        make_room(context, &table, &changes.added, &mut moved)?;
        moves::references(context, writer, name, &moved)?;
        if name == TABLES[0] {
            sections.moved.clone_from(&moved);
        }
        for &id in &changes.added {
            let Some(mine) = rows::get(context.conn, MINE, &table, id)? else {
                continue;
            };
            match rows::get(context.conn, MAIN, &table, id)? {
                Some(theirs) => write(context, &table, id, &theirs, policy::adopt(&table, &mine, &theirs))?,
                None => insert(context, &table, mine)?,
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
                // On the way back a section that the older library does not have stays away with what is in it.
                None if context.mode.is_back() => {}
                None => insert(context, &table, mine)?,
            }
        }
        for &id in &changes.removed {
            if rows::delete(context.conn, MAIN, name, id)? {
                context.report.carried(name).deleted += 1;
            }
            if name == TABLES[0] {
                sections.gone.push(id);
            }
        }
    }
    Ok(sections)
}

fn insert(context: &mut Context<'_>, table: &Table, mut row: Row) -> Step<()> {
    context.count_up(table, &mut row);
    rows::insert(context.conn, MAIN, table, &row)?;
    context.report.carried(&table.name).inserted += 1;
    Ok(())
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

/// Sees to it that the result has under each of home's new ids either nothing, or the worker's idea of the same thing.
fn make_room(context: &mut Context<'_>, table: &Table, added: &[i64], moved: &mut BTreeMap<i64, i64>) -> Step<()> {
    let mut free = Vec::new();
    for &id in added {
        let Some(mine) = rows::get(context.conn, MINE, table, id)? else {
            continue;
        };
        if let Some(theirs) = rows::get(context.conn, MAIN, table, id)? {
            if is_same(context, table, &mine, &theirs, moved)? {
                continue;
            }
            let fresh = context.renumber(LIBRARY, &table.name, id)?;
            note(moved, id, fresh);
        }
        free.push((id, mine));
    }
    for (id, mine) in free {
        let Some(other) = twin(context, table, &mine, moved)? else {
            continue;
        };
        context.conn.execute(
            &format!("UPDATE {MAIN}.{} SET id = ?2 WHERE id = ?1", table.name),
            [other, id],
        )?;
        context.count_renumbered(&table.name);
        note(moved, other, id);
    }
    Ok(())
}

/// A row may move twice: out of the way first, then to where it belongs.
fn note(moved: &mut BTreeMap<i64, i64>, from: i64, to: i64) {
    moved.insert(origin(moved, from), to);
}

/// The id that the worker had given to a row; what refers to it still says that.
fn origin(moved: &BTreeMap<i64, i64>, now: i64) -> i64 {
    moved.iter().find(|(_, to)| **to == now).map_or(now, |(from, _)| *from)
}

fn is_same(context: &Context<'_>, table: &Table, mine: &Row, theirs: &Row, moved: &BTreeMap<i64, i64>) -> Step<bool> {
    if table.name != TABLES[0] {
        return Ok(["library_section_id", "root_path"]
            .iter()
            .all(|column| value(table, mine, column) == value(table, theirs, column)));
    }
    if uuid(table, mine) == uuid(table, theirs) {
        return Ok(true);
    }
    Ok(context.mode == Mode::TwoWay && roots_meet(context, table, mine, theirs, moved)?)
}

fn uuid(table: &Table, row: &Row) -> Value {
    text(table, row, "uuid").map_or(Value::Null, |text| Value::Text(text.to_owned()))
}

/// Whether two sections that were made independently of each other are about the same folders. One whose uuid home knows
/// as another section's is that one.
fn roots_meet(
    context: &Context<'_>,
    table: &Table,
    mine: &Row,
    theirs: &Row,
    moved: &BTreeMap<i64, i64>,
) -> Step<bool> {
    let (Some(home), Some(worker)) = (int(table, mine, "id"), int(table, theirs, "id")) else {
        return Ok(false);
    };
    if value(table, mine, "section_type") != value(table, theirs, "section_type") {
        return Ok(false);
    }
    Ok(context
        .conn
        .prepare_cached(&format!(
            "SELECT 1 FROM {MINE}.section_locations m JOIN {MAIN}.section_locations t ON t.root_path = m.root_path
             WHERE m.library_section_id = ?1 AND t.library_section_id = ?2
               AND NOT EXISTS (SELECT 1 FROM {MINE}.library_sections o WHERE o.uuid = ?3)"
        ))?
        .exists((home, origin(moved, worker), uuid(table, theirs)))?)
}

/// The row of the worker's, under another id, that is the same thing as home's.
fn twin(context: &Context<'_>, table: &Table, mine: &Row, moved: &BTreeMap<i64, i64>) -> Step<Option<i64>> {
    let others: Vec<i64> = context
        .conn
        .prepare_cached(&format!(
            "SELECT t.id FROM {MAIN}.{name} t WHERE NOT EXISTS (SELECT 1 FROM {MINE}.{name} m WHERE m.id = t.id) ORDER BY t.id",
            name = table.name
        ))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut found = None;
    for other in others {
        let Some(theirs) = rows::get(context.conn, MAIN, table, other)? else {
            continue;
        };
        if table.name == TABLES[0] && uuid(table, mine) == uuid(table, &theirs) && uuid(table, mine) != Value::Null {
            return Ok(Some(other));
        }
        if found.is_none() && is_same(context, table, mine, &theirs, moved)? {
            found = Some(other);
        }
    }
    Ok(found)
}

/// Sections that are the same on both sides and have no folder and no file in common: by name, with a folder of each. Has
/// to be asked before anything is carried.
pub(super) fn strangers(context: &Context<'_>) -> Step<Vec<String>> {
    let mut statement = context.conn.prepare(&format!(
        "SELECT s.id, t.id, coalesce(s.name, ''),
                coalesce((SELECT min(root_path) FROM {MINE}.section_locations WHERE library_section_id = s.id), ''),
                coalesce((SELECT min(root_path) FROM {MAIN}.section_locations WHERE library_section_id = t.id), '')
         FROM {MINE}.library_sections s JOIN {MAIN}.library_sections t ON t.uuid = s.uuid
         WHERE NOT EXISTS (SELECT 1 FROM {MINE}.section_locations m JOIN {MAIN}.section_locations w
                             ON w.root_path = m.root_path
                           WHERE m.library_section_id = s.id AND w.library_section_id = t.id)
         ORDER BY s.id"
    ))?;
    let suspects: Vec<(i64, i64, String, String, String)> = statement
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?
        .collect::<Result<_, _>>()?;
    let files = |side: &str| {
        format!(
            "SELECT 1 FROM {side}.media_parts p JOIN {side}.media_items i ON i.id = p.media_item_id
             WHERE i.library_section_id = ?1 AND p.file <> ''"
        )
    };
    let ask = |sql: String, id: i64| -> Step<bool> { Ok(context.conn.prepare(&sql)?.exists([id])?) };
    let mut found = Vec::new();
    for (home, worker, name, here, there) in suspects {
        let common = format!(
            "{} AND EXISTS (SELECT 1 FROM {MAIN}.media_parts t WHERE t.file = p.file)",
            files(MINE)
        );
        if ask(files(MINE), home)? && ask(files(MAIN), worker)? && !ask(common, home)? {
            found.push(format!("{name} ({here} at home, {there} in the result)"));
        }
    }
    Ok(found)
}
