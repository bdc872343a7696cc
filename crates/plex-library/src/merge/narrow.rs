//! What a catch-up looks at: the rows that home wrote since the merge before, and what they bear on.
//!
//! A merge makes whole tables of the result equal to home's, and asks of all of home's user state what became of its goals.
//! After a merge that has been done, so that only what happened since is to be put on it, most rows of these tables can have
//! no other answer than then: home has not written them, and what they refer to is what it was. This says which can.
//!
//! [`begin`] fills `temp.stirred` with the things that home's changes are about, and `temp.names` with what those are
//! called; [`look`] fills `temp.looked` with the rows of one table that have to be looked at. Both do nothing in a merge of
//! another kind, or where it is not known what home wrote: then everything is looked at.

use super::context::Context;
use super::fail::Step;
use super::matching::AllChanges;
use super::schema::{Table, quote};
use super::session::{BASE, MAIN, MINE};
use super::tables::REFERENCES;
use super::text;

/// The tables of user state that is kept by the name of an item, and their columns with names.
const NAMED: [(&str, &[&str]); 2] = [
    ("metadata_item_settings", &["guid"]),
    ("metadata_item_views", &["guid", "grandparent_guid"]),
];

/// Finds what home's changes are about. Has to run before anything is written.
pub(super) fn begin(context: &Context<'_>, changes: &AllChanges) -> Step<()> {
    let conn = context.conn;
    conn.execute_batch(
        "CREATE TEMP TABLE stirred(target TEXT, id INTEGER, PRIMARY KEY(target, id)) WITHOUT ROWID;
         CREATE TEMP TABLE names(guid TEXT PRIMARY KEY) WITHOUT ROWID;
         CREATE TEMP TABLE all_names(guid TEXT PRIMARY KEY) WITHOUT ROWID;
         CREATE TEMP TABLE looked(id INTEGER PRIMARY KEY);",
    )?;
    if !context.is_narrow() {
        return Ok(());
    }
    for (name, changes) in changes {
        for &id in changes.added.iter().chain(&changes.changed).chain(&changes.removed) {
            context.stir(name, id)?;
        }
    }
    for name in ["library_sections", "section_locations"] {
        for &id in context
            .touched()
            .and_then(|touched| touched.rows(name))
            .into_iter()
            .flatten()
        {
            context.stir(name, id)?;
        }
    }
    // Items of which home's new state speaks, and which the result does not have: what became of them matters to more than
    // that state.
    for (name, columns) in NAMED {
        if let Some(table) = context.table(name)
            && touched(context, name, true)?
        {
            for column in columns.iter().filter(|column| table.has(column)) {
                conn.execute(
                    &format!(
                        "INSERT OR IGNORE INTO temp.stirred SELECT 'metadata_items', i.id FROM temp.looked l
                         CROSS JOIN {MINE}.{name} m ON m.id = l.id CROSS JOIN {MINE}.metadata_items i ON i.guid = m.{column}
                         WHERE NOT EXISTS (SELECT 1 FROM {MAIN}.metadata_items x NOT INDEXED WHERE x.id = i.id)"
                    ),
                    [],
                )?;
            }
        }
    }
    names(context)
}

/// Notes what the things are called that have been stirred, on every side; once more after they have been written.
pub(super) fn names(context: &Context<'_>) -> Step<()> {
    if !context.is_narrow() || context.schema.get("metadata_items").is_none() {
        return Ok(());
    }
    for side in [BASE, MINE, MAIN] {
        context.conn.execute(
            &format!(
                "INSERT OR IGNORE INTO temp.names SELECT i.guid FROM temp.stirred s
                 CROSS JOIN {side}.metadata_items i NOT INDEXED ON i.id = s.id
                 WHERE s.target = 'metadata_items' AND i.guid IS NOT NULL"
            ),
            [],
        )?;
    }
    for (name, columns) in NAMED {
        let Some(table) = context.table(name) else { continue };
        if !touched(context, name, true)? {
            continue;
        }
        for column in columns.iter().filter(|column| table.has(column)) {
            context.conn.execute(
                &format!(
                    "INSERT OR IGNORE INTO temp.names SELECT m.{column} FROM temp.looked l
                     CROSS JOIN {MINE}.{name} m ON m.id = l.id WHERE m.{column} IS NOT NULL"
                ),
                [],
            )?;
        }
    }
    Ok(())
}

/// Fills `temp.all_names` with every name in the rows of user state that will be looked at.
pub(super) fn all_names(context: &Context<'_>) -> Step<()> {
    names(context)?;
    let conn = context.conn;
    conn.execute_batch("INSERT OR IGNORE INTO temp.all_names SELECT guid FROM temp.names")?;
    for (name, columns) in NAMED {
        let Some(table) = context.table(name) else { continue };
        look(context, &table, true)?;
        for column in columns.iter().filter(|column| table.has(column)) {
            conn.execute(
                &format!(
                    "INSERT OR IGNORE INTO temp.all_names SELECT m.{column} FROM temp.looked l
                     CROSS JOIN {MINE}.{name} m ON m.id = l.id WHERE m.{column} IS NOT NULL"
                ),
                [],
            )?;
        }
    }
    Ok(())
}

/// Fills `temp.looked` with the rows of a table that have to be looked at, in home's numbers. False if there are none.
pub(super) fn look(context: &Context<'_>, table: &Table, is_library: bool) -> Step<bool> {
    touched(context, &table.name, is_library)?;
    if is_library {
        by_reference(context, table)?;
        by_name(context, table)?;
    }
    Ok(context
        .conn
        .prepare_cached("SELECT 1 FROM temp.looked LIMIT 1")?
        .exists([])?)
}

/// Only those that home wrote.
fn touched(context: &Context<'_>, name: &str, is_library: bool) -> Step<bool> {
    let conn = context.conn;
    conn.execute("DELETE FROM temp.looked", [])?;
    let touched = match is_library {
        true => context.touched(),
        false => context.touched_blobs.as_ref(),
    };
    let ids = touched.and_then(|touched| touched.rows(name));
    let mut insert = conn.prepare_cached("INSERT OR IGNORE INTO temp.looked VALUES (?1)")?;
    for id in ids.into_iter().flatten() {
        insert.execute([id])?;
    }
    Ok(ids.is_some_and(|ids| !ids.is_empty()))
}

/// Those that refer to something stirred, or to something that has another number in the result, or none.
fn by_reference(context: &Context<'_>, table: &Table) -> Step<()> {
    let conn = context.conn;
    let name = quote(&table.name);
    for (goals, id) in [("stirred", "id"), ("follow", "old"), ("aside", "id")] {
        for reference in REFERENCES.iter().filter(|reference| reference.table == table.name) {
            if !table.has(reference.column) {
                continue;
            }
            let any = conn
                .prepare_cached(&format!("SELECT 1 FROM temp.{goals} WHERE target = ?1 LIMIT 1"))?
                .exists([reference.target])?;
            if any {
                conn.execute(
                    &format!(
                        "INSERT OR IGNORE INTO temp.looked SELECT m.id FROM {MINE}.{name} m
                         WHERE m.{} IN (SELECT {id} FROM temp.{goals} WHERE target = ?1)",
                        quote(reference.column)
                    ),
                    [reference.target],
                )?;
            }
        }
    }
    Ok(())
}

/// Those that speak of something stirred by its name.
fn by_name(context: &Context<'_>, table: &Table) -> Step<()> {
    let Some((name, columns)) = NAMED.iter().find(|(name, _)| *name == table.name) else {
        return Ok(());
    };
    for column in columns.iter().filter(|column| table.has(column)) {
        context.conn.execute(
            &format!(
                "INSERT OR IGNORE INTO temp.looked SELECT m.id FROM temp.names n CROSS JOIN {MINE}.{name} m ON m.{column} = n.guid"
            ),
            [],
        )?;
    }
    Ok(())
}

/// Adds the rows of a table whose text names something that has another number in the result: where something has.
pub(super) fn by_text(context: &Context<'_>, table: &Table) -> Step<()> {
    let conn = context.conn;
    if !conn.prepare_cached("SELECT 1 FROM temp.follow LIMIT 1")?.exists([])? {
        return Ok(());
    }
    for column in table
        .columns
        .iter()
        .filter(|column| text::holds_references(&table.name, column))
    {
        conn.execute(
            &format!(
                "INSERT OR IGNORE INTO temp.looked SELECT m.id FROM {MINE}.{} m
                 WHERE follow_text(m.{column}) COLLATE BINARY IS NOT m.{column}",
                quote(&table.name),
                column = quote(column)
            ),
            [],
        )?;
    }
    Ok(())
}
