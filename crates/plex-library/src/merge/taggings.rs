//! `taggings`, item by item: genres, labels, collections, actors, chapters, markers.
//!
//! A refresh deletes an item's taggings and makes new ones, so rows are compared by what they say (tag, text, place in
//! time) and home's ids are kept for those that say the same.

use std::collections::BTreeSet;

use super::values::Value;

use super::back;
use super::content::{localise, set_aside};
use super::context::Context;
use super::fail::Step;
use super::matching::AllChanges;
use super::policy;
use super::rows::{self, Row, int, value};
use super::schema::Table;
use super::session::{BASE, LIBRARY, MAIN, MINE};

const NAME: &str = "taggings";

/// Chapters and markers: measured, so the worker's if it measured anew (facts §1.6).
const MEASURED: [i64; 2] = [9, 12];
/// Collections and labels: only a person, or an agent on the person's behalf, gives them.
const PERSONAL: [i64; 3] = [2, 11, 303];

/// What a tagging says.
const SAYS: [&str; 4] = ["tag_id", "text", "time_offset", "end_time_offset"];

/// Carries home's taggings.
pub(super) fn carry(context: &mut Context<'_>, changes: &AllChanges) -> Step<()> {
    let (Some(table), Some(items)) = (context.table(NAME), context.table("metadata_items")) else {
        return Ok(());
    };
    let mut affected = BTreeSet::new();
    if let Some(changes) = changes.get(NAME) {
        for (ids, side) in [
            (&changes.added, MINE),
            (&changes.changed, MINE),
            (&changes.removed, BASE),
        ] {
            for &id in ids {
                if let Some(row) = rows::get(context.conn, side, &table, id)? {
                    affected.extend(int(&table, &row, "metadata_item_id"));
                }
            }
        }
    }
    let mut locked = context.matched_anew.clone();
    affected.extend(&locked);
    for &id in changes
        .get("metadata_items")
        .map_or(&[][..], |changes| &changes.changed)
    {
        let (base, mine) = (
            rows::get(context.conn, BASE, &items, id)?,
            rows::get(context.conn, MINE, &items, id)?,
        );
        if let (Some(base), Some(mine)) = (base, mine) {
            let fields = value(&items, &mine, "user_fields");
            if fields != value(&items, &base, "user_fields") && policy::has_locks(&fields) {
                affected.insert(id);
                locked.insert(id);
            }
        }
    }
    for item in affected {
        one_item(context, &table, item, locked.contains(&item))?;
    }
    Ok(())
}

fn of(context: &Context<'_>, side: &str, table: &Table, item: i64) -> Step<Vec<(i64, Row)>> {
    let mut found = Vec::new();
    for id in rows::ids_where(context.conn, side, NAME, "metadata_item_id", &Value::Integer(item))? {
        if let Some(row) = rows::get(context.conn, side, table, id)? {
            found.push((id, row));
        }
    }
    Ok(found)
}

fn says(table: &Table, row: &Row) -> [Value; 4] {
    SAYS.map(|column| value(table, row, column))
}

fn one_item(context: &mut Context<'_>, table: &Table, item: i64, locked: bool) -> Step<()> {
    let mut mine = of(context, MINE, table, item)?;
    let here = super::content::followed(context, "metadata_items", item)?.unwrap_or(item);
    if !rows::exists(context.conn, MAIN, "metadata_items", here)? {
        for (id, row) in mine {
            without_place(context, table, id, &row)?;
        }
        return Ok(());
    }
    let mut carried = Vec::new();
    for (id, mut row) in std::mem::take(&mut mine) {
        if localise(context, table, &mut row)? && tag_has_place(context, table, &row)? {
            carried.push((id, row));
        } else {
            without_place(context, table, id, &row)?;
        }
    }
    let base = of(context, BASE, table, item)?;
    let mut theirs = of(context, MAIN, table, here)?;
    let known = rows::exists(context.conn, BASE, "metadata_items", item)?;
    let measured_anew = {
        let of_kind = |rows: &[(i64, Row)]| -> Step<Vec<[Value; 4]>> {
            let mut all = Vec::new();
            for (_, row) in rows {
                if MEASURED.contains(&kind(context, table, row)?) {
                    all.push(says(table, row));
                }
            }
            Ok(all)
        };
        of_kind(&theirs)? != of_kind(&base)?
    };
    // What both say: home's id, the worker's row where it measured.
    for (id, row) in std::mem::take(&mut carried) {
        let wanted = says(table, &row);
        let by_id = theirs
            .iter()
            .position(|(other, found)| *other == id && says(table, found) == wanted);
        match by_id.or_else(|| theirs.iter().position(|(_, found)| says(table, found) == wanted)) {
            Some(n) => {
                let (other, found) = theirs.remove(n);
                keep(context, table, &base, (id, &row), (other, &found), &mut theirs)?;
            }
            None => mine.push((id, row)),
        }
    }
    let mut types_there = BTreeSet::new();
    for (_, row) in &of(context, MAIN, table, here)? {
        types_there.insert(kind(context, table, row)?);
    }
    for (id, row) in mine {
        let kind = kind(context, table, &row)?;
        let was = base.iter().any(|(_, before)| says(table, before) == says(table, &row));
        let wanted = if MEASURED.contains(&kind) {
            !was && !measured_anew
        } else if locked || (PERSONAL.contains(&kind) && (!context.mode.is_back() || !was)) {
            true
        } else if was {
            false
        } else {
            known || !types_there.contains(&kind)
        };
        if wanted {
            insert(context, table, id, &row, &mut theirs)?;
        }
    }
    for (id, row) in theirs {
        let kind = kind(context, table, &row)?;
        let was = base.iter().any(|(_, before)| says(table, before) == says(table, &row));
        let goes = if MEASURED.contains(&kind) {
            was && !measured_anew
        } else {
            was || locked
        };
        if goes && rows::delete(context.conn, MAIN, NAME, id)? {
            context.report.carried(NAME).deleted += 1;
        }
    }
    Ok(())
}

/// Its item or its tag has no place in the result: what the household gave since the swap is said to be lost by that.
fn without_place(context: &mut Context<'_>, table: &Table, id: i64, row: &Row) -> Step<()> {
    set_aside(context, table, id)?;
    if context.mode.is_back()
        && PERSONAL.contains(&kind(context, table, row)?)
        && !rows::exists(context.conn, BASE, NAME, id)?
    {
        back::list(context, table, id, row)?;
    }
    Ok(())
}

/// Whether the tag is in the result, or can come there: that of a collection which has no place there has none either.
fn tag_has_place(context: &Context<'_>, table: &Table, row: &Row) -> Step<bool> {
    let (Some(id), Some(tags)) = (int(table, row, "tag_id"), context.table("tags")) else {
        return Ok(true);
    };
    if rows::exists(context.conn, MAIN, &tags.name, id)? {
        return Ok(true);
    }
    match rows::get(context.conn, MINE, &tags, id)? {
        Some(mut tag) => localise(context, &tags, &mut tag),
        None => Ok(true),
    }
}

/// The type of the tag.
fn kind(context: &Context<'_>, table: &Table, row: &Row) -> Step<i64> {
    let Some(tag) = int(table, row, "tag_id") else {
        return Ok(-1);
    };
    use rusqlite::OptionalExtension as _;
    for side in [MAIN, MINE, BASE] {
        let found: Option<Option<i64>> = context
            .conn
            .prepare_cached(&format!("SELECT tag_type FROM {side}.tags WHERE id = ?1"))?
            .query_row([tag], |row| row.get(0))
            .optional()?;
        if let Some(kind) = found {
            return Ok(kind.unwrap_or(-1));
        }
    }
    Ok(-1)
}

fn keep(
    context: &mut Context<'_>,
    table: &Table,
    base: &[(i64, Row)],
    mine: (i64, &Row),
    theirs: (i64, &Row),
    others: &mut [(i64, Row)],
) -> Step<()> {
    let (id, row) = mine;
    if theirs.0 != id {
        rows::delete(context.conn, MAIN, NAME, theirs.0)?;
        let mut merged = policy::adopt(table, row, theirs.1);
        rows::set(table, &mut merged, "id", id);
        context.count_renumbered(NAME);
        make_room(context, id, others)?;
        return rows::insert(context.conn, MAIN, table, &merged);
    }
    let before = base.iter().find(|(before, _)| *before == id);
    let merged = match before {
        Some((_, before)) => policy::merge(table, before, row, theirs.1).0,
        None => policy::adopt(table, row, theirs.1),
    };
    if rows::update(context.conn, MAIN, table, id, theirs.1, &merged)? {
        context.report.carried(NAME).updated += 1;
    }
    Ok(())
}

fn insert(context: &mut Context<'_>, table: &Table, id: i64, row: &Row, others: &mut [(i64, Row)]) -> Step<()> {
    make_room(context, id, others)?;
    rows::insert(context.conn, MAIN, table, row)?;
    // Its tag may not be there.
    context.unchanged.push((NAME, id));
    context.report.carried(NAME).inserted += 1;
    Ok(())
}

/// Another tagging has the id that is needed: only when ids were not kept apart. Nothing refers to taggings, but the one that
/// gives way may be one of this item's that are still to be dealt with.
fn make_room(context: &mut Context<'_>, id: i64, others: &mut [(i64, Row)]) -> Step<()> {
    if rows::exists(context.conn, MAIN, NAME, id)? {
        let fresh = context.renumber(LIBRARY, NAME, id)?;
        for (other, _) in others.iter_mut().filter(|(other, _)| *other == id) {
            *other = fresh;
        }
    }
    Ok(())
}
