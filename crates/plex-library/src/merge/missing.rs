//! Home's rows that refer to something the worker threw away.
//!
//! A refresh may merge two artists, or two versions of a film into one item. What home's playlists and settings say about
//! the one that is gone is then about the one that has its media or its children now. If nothing has, home's row comes
//! back: a reference that led somewhere at home leads somewhere in the result.

use std::collections::BTreeSet;

use rusqlite::OptionalExtension;

use super::content::{followed, insert, keep_aside, localise};
use super::context::Context;
use super::fail::Step;
use super::matching::AllChanges;
use super::narrow;
use super::report::Decided;
use super::rows::{self, int};
use super::schema::quote;
use super::session::{LIBRARY, MAIN, MINE};
use super::streams;
use super::tables::{REFERENCES, Reference, Rule, rule};
use super::writer::Writer;

/// What may have to come back, what is above first.
const TARGETS: [&str; 5] = [
    "library_sections",
    "tags",
    "metadata_items",
    "media_items",
    "media_parts",
];

/// Finds and mends the references of home's rows.
pub(super) fn mend(context: &mut Context<'_>, writer: &mut Writer, changes: &AllChanges) -> Step<()> {
    // What comes back refers to things itself; a chain is as long as track, album, artist, section.
    for _ in 0..6 {
        let lost = lost(context, changes)?;
        if lost.is_empty() {
            break;
        }
        for (target, id) in lost {
            one(context, writer, target, id)?;
        }
    }
    Ok(())
}

/// Rows that home has and refers to, and that the result has not.
fn lost(context: &Context<'_>, changes: &AllChanges) -> Step<BTreeSet<(&'static str, i64)>> {
    let mut lost = BTreeSet::new();
    for reference in REFERENCES {
        let Some(target) = TARGETS.into_iter().find(|target| *target == reference.target) else {
            continue;
        };
        let known = context
            .schema
            .get(reference.table)
            .is_some_and(|table| table.has(reference.column));
        if !known || context.schema.get(target).is_none() {
            continue;
        }
        match rule(reference.table) {
            Some(Rule::Home) => lost.extend(of_home_table(context, reference, target)?),
            Some(Rule::Content) => {
                let changed = changes
                    .get(reference.table)
                    .into_iter()
                    .flat_map(|changes| changes.added.iter().chain(&changes.changed));
                let unchanged = context.unchanged.iter().filter(|(table, _)| *table == reference.table);
                for &id in changed.chain(unchanged.map(|(_, id)| id)) {
                    lost.extend(of_row(context, reference, target, id)?);
                }
            }
            _ => {}
        }
    }
    Ok(lost)
}

fn of_home_table(context: &Context<'_>, reference: &Reference, target: &'static str) -> Step<Vec<(&'static str, i64)>> {
    let (table, column, goal) = (quote(reference.table), quote(reference.column), quote(target));
    let from = match context.schema.get(reference.table) {
        Some(described) if context.is_narrow() && described.keyed => {
            if !narrow::look(context, described, true)? {
                return Ok(Vec::new());
            }
            format!("temp.looked l CROSS JOIN {MINE}.{table} m NOT INDEXED ON m.id = l.id")
        }
        _ => format!("{MINE}.{table} m"),
    };
    let mut statement = context.conn.prepare(&format!(
        "SELECT DISTINCT m.{column} FROM {from} WHERE m.{column} IS NOT NULL
         AND EXISTS (SELECT 1 FROM {MINE}.{goal} t NOT INDEXED WHERE t.id = m.{column})
         AND NOT EXISTS (SELECT 1 FROM {MAIN}.{goal} x NOT INDEXED WHERE x.id = m.{column})
         AND NOT EXISTS (SELECT 1 FROM temp.follow f WHERE f.target = '{target}' AND f.old = m.{column})
         AND NOT EXISTS (SELECT 1 FROM temp.aside a WHERE a.target = '{target}' AND a.id = m.{column})"
    ))?;
    Ok(statement
        .query_map([], |row| Ok((target, row.get(0)?)))?
        .collect::<Result<_, _>>()?)
}

/// The same about one row that the merge has written.
fn of_row(
    context: &Context<'_>,
    reference: &Reference,
    target: &'static str,
    id: i64,
) -> Step<Option<(&'static str, i64)>> {
    let (table, column) = (quote(reference.table), quote(reference.column));
    let goal: Option<Option<i64>> = context
        .conn
        .prepare_cached(&format!("SELECT {column} FROM {MAIN}.{table} WHERE id = ?1"))?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let Some(Some(goal)) = goal else { return Ok(None) };
    if rows::exists(context.conn, MAIN, target, goal)? || !rows::exists(context.conn, MINE, target, goal)? {
        return Ok(None);
    }
    let aside = context
        .conn
        .prepare_cached("SELECT 1 FROM temp.aside WHERE target = ?1 AND id = ?2")?
        .exists((target, goal))?;
    Ok((!aside && followed(context, target, goal)?.is_none()).then_some((target, goal)))
}

fn one(context: &mut Context<'_>, writer: &mut Writer, target: &'static str, id: i64) -> Step<()> {
    if rows::exists(context.conn, MAIN, target, id)? || followed(context, target, id)?.is_some() {
        return Ok(());
    }
    if target == "metadata_items"
        && let Some(heir) = heir(context, id)?
    {
        return follow(context, id, heir);
    }
    bring_back(context, writer, target, id)
}

/// The item that has the media or the children of one that is gone.
pub(super) fn heir(context: &Context<'_>, id: i64) -> Step<Option<i64>> {
    for sql in [
        "SELECT t.metadata_item_id FROM mine.media_items m JOIN main.media_items t ON t.id = m.id
         JOIN main.metadata_items i ON i.id = t.metadata_item_id
         WHERE m.metadata_item_id = ?1 GROUP BY t.metadata_item_id ORDER BY count(*) DESC, t.metadata_item_id LIMIT 1",
        "SELECT t.parent_id FROM mine.metadata_items m JOIN main.metadata_items t ON t.id = m.id
         JOIN main.metadata_items i ON i.id = t.parent_id
         WHERE m.parent_id = ?1 GROUP BY t.parent_id ORDER BY count(*) DESC, t.parent_id LIMIT 1",
    ] {
        let heir = context
            .conn
            .prepare_cached(sql)?
            .query_row([id], |row| row.get(0))
            .optional()?;
        if heir.is_some() {
            return Ok(heir);
        }
    }
    Ok(None)
}

/// The item that an item of home's was merged into by the worker, if it was.
pub(super) fn heir_if_gone(context: &Context<'_>, id: i64) -> Step<Option<i64>> {
    if rows::exists(context.conn, MAIN, "metadata_items", id)?
        || !rows::exists(context.conn, MINE, "metadata_items", id)?
    {
        return Ok(None);
    }
    heir(context, id)
}

/// What home says about an item is about another one from here on.
pub(super) fn follow(context: &mut Context<'_>, id: i64, heir: i64) -> Step<()> {
    context.conn.execute(
        "INSERT OR REPLACE INTO temp.follow(target, old, new) VALUES ('metadata_items', ?1, ?2)",
        (id, heir),
    )?;
    context.report.decided.push(Decided {
        table: "metadata_items".into(),
        id,
        about: "the worker merged it into another item".into(),
        taken: format!("what home says about it is about {heir} now"),
    });
    Ok(())
}

/// Puts home's row back, with its media if their files are nowhere else.
fn bring_back(context: &mut Context<'_>, writer: &mut Writer, target: &str, id: i64) -> Step<()> {
    let Some(table) = context.table(target) else {
        return Ok(());
    };
    let Some(mut row) = rows::get(context.conn, MINE, &table, id)? else {
        return Ok(());
    };
    if !localise(context, &table, &mut row)? {
        return super::content::set_aside(context, &table, id);
    }
    if let Some(why) = writer.obstacle(context.conn, target)? {
        return keep_aside(context, &table, id, &row, why);
    }
    insert(context, writer, &table, row)?;
    context.stir(target, id)?;
    context.report.decided.push(Decided {
        table: target.into(),
        id,
        about: "the worker threw it away, and home refers to it".into(),
        taken: "it is back".into(),
    });
    let below: &[(&str, &str)] = match target {
        "metadata_items" => &[("media_items", "metadata_item_id"), ("taggings", "metadata_item_id")],
        "media_items" => &[("media_parts", "media_item_id")],
        "media_parts" => &[("media_streams", "media_part_id")],
        _ => &[],
    };
    for (name, column) in below {
        for child in rows::ids_where(context.conn, MINE, name, column, &id.into())? {
            if *name == "taggings" {
                tagging(context, child)?;
                continue;
            }
            if is_there(context, name, column, child, id)? || is_elsewhere(context, name, child)? {
                continue;
            }
            if *name == "media_streams" && rows::exists(context.conn, MAIN, name, child)? {
                streams::give_way(context, writer, child)?;
            }
            bring_back(context, writer, name, child)?;
        }
    }
    Ok(())
}

/// Whether the result has a row by home's number, of the same thing: of ids that were not kept apart a stream of another part
/// may have it.
fn is_there(context: &Context<'_>, table: &str, column: &str, id: i64, of: i64) -> Step<bool> {
    if table != "media_streams" {
        return rows::exists(context.conn, MAIN, table, id);
    }
    Ok(context
        .conn
        .prepare_cached(&format!("SELECT 1 FROM {MAIN}.{table} WHERE id = ?1 AND {column} = ?2"))?
        .exists([id, of])?)
}

fn tagging(context: &mut Context<'_>, id: i64) -> Step<()> {
    let Some(table) = context.table("taggings") else {
        return Ok(());
    };
    let Some(mut row) = rows::get(context.conn, MINE, &table, id)? else {
        return Ok(());
    };
    let tag_is_there = match int(&table, &row, "tag_id") {
        Some(tag) => rows::exists(context.conn, MAIN, "tags", tag)?,
        None => false,
    };
    if tag_is_there && localise(context, &table, &mut row)? {
        if let Some(there) = rows::get(context.conn, MAIN, &table, id)? {
            if int(&table, &there, "metadata_item_id") == int(&table, &row, "metadata_item_id") {
                return Ok(());
            }
            // When ids were not kept apart, the worker's tagging of something else may have the number.
            context.renumber(LIBRARY, "taggings", id)?;
        }
        rows::insert(context.conn, MAIN, &table, &row)?;
        context.report.carried("taggings").inserted += 1;
    }
    Ok(())
}

/// Whether the files of home's media are in the result under another item.
fn is_elsewhere(context: &Context<'_>, table: &str, id: i64) -> Step<bool> {
    let sql = match table {
        "media_items" => {
            "SELECT 1 FROM mine.media_parts m JOIN main.media_parts t ON t.file = m.file WHERE m.media_item_id = ?1"
        }
        "media_parts" => "SELECT 1 FROM mine.media_parts m JOIN main.media_parts t ON t.file = m.file WHERE m.id = ?1",
        _ => return Ok(false),
    };
    Ok(context.conn.prepare_cached(sql)?.exists([id])?)
}
