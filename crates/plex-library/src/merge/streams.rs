//! `media_streams`, part by part.
//!
//! An analysis deletes the streams of a part and makes new ones. The worker's are matched with home's by type, index,
//! codec and language and get home's ids back where home changed something or attached something: a chosen language, a
//! downloaded subtitle. What has no partner any more and carries such a thing stays.

use std::collections::BTreeSet;

use rusqlite::OptionalExtension;

use super::values::Value;

use super::blobs;
use super::content::{localise, set_aside};
use super::context::Context;
use super::fail::Step;
use super::matching::AllChanges;
use super::policy;
use super::rows::{self, Row, value};
use super::schema::Table;
use super::session::{BASE, LIBRARY, MAIN, MINE};
use super::writer::Writer;

const NAME: &str = "media_streams";

/// What makes two streams of one part the same, from the surest to the least.
const KEYS: [&[&str]; 4] = [
    &["stream_type_id", "index", "codec", "language", "url"],
    &["stream_type_id", "index", "codec", "url"],
    &["stream_type_id", "codec", "language", "url"],
    &["stream_type_id", "index", "url"],
];

/// Carries home's streams, and home's ids for those that the worker made anew.
pub(super) fn carry(context: &mut Context<'_>, writer: &mut Writer, changes: &AllChanges) -> Step<()> {
    let Some(table) = context.table(NAME) else {
        return Ok(());
    };
    let mut parts = BTreeSet::new();
    if let Some(changes) = changes.get(NAME) {
        for (ids, side) in [
            (&changes.added, MINE),
            (&changes.changed, MINE),
            (&changes.removed, BASE),
        ] {
            for &id in ids {
                if let Some(row) = rows::get(context.conn, side, &table, id)? {
                    parts.extend(rows::int(&table, &row, "media_part_id"));
                }
            }
        }
    }
    parts.extend(bereft(context)?);
    for part in parts {
        one_part(context, writer, &table, part)?;
    }
    Ok(())
}

/// SQL: ids of streams that home chose or attached something to.
fn attached(context: &Context<'_>) -> String {
    let mut all = vec![
        "SELECT selected_audio_stream_id AS id FROM mine.media_part_settings WHERE selected_audio_stream_id IS NOT NULL".to_owned(),
        "SELECT selected_subtitle_stream_id FROM mine.media_part_settings WHERE selected_subtitle_stream_id IS NOT NULL".to_owned(),
    ];
    if let Some(blobs) = context.schema.get("blobs") {
        all.push(format!(
            "SELECT b.linked_id FROM mine_blobs.blobs b WHERE {}",
            blobs::is_subtitle(blobs, "b")
        ));
    }
    if context.schema.get("media_stream_settings").is_some() {
        all.push("SELECT media_stream_id FROM mine.media_stream_settings".to_owned());
    }
    all.join(" UNION ")
}

/// Parts of which the worker replaced a stream that home has attached something to.
fn bereft(context: &Context<'_>) -> Step<Vec<i64>> {
    if context.is_narrow() {
        return newly_bereft(context);
    }
    let mut statement = context.conn.prepare(&format!(
        "SELECT DISTINCT s.media_part_id FROM ({}) a JOIN mine.{NAME} s ON s.id = a.id
         WHERE s.media_part_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.{NAME} t WHERE t.id = s.id)",
        attached(context)
    ))?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The same of what home attached since an earlier merge, which has seen to the rest.
fn newly_bereft(context: &Context<'_>) -> Step<Vec<i64>> {
    let mut attached = BTreeSet::new();
    for (name, columns) in [
        (
            "media_part_settings",
            &["selected_audio_stream_id", "selected_subtitle_stream_id"][..],
        ),
        ("media_stream_settings", &["media_stream_id"]),
    ] {
        let Some(table) = context.table(name) else { continue };
        for &id in context
            .touched()
            .and_then(|touched| touched.rows(name))
            .into_iter()
            .flatten()
        {
            if let Some(row) = rows::get(context.conn, MINE, &table, id)? {
                attached.extend(columns.iter().filter_map(|column| rows::int(&table, &row, column)));
            }
        }
    }
    let blobs = context.touched_blobs.as_ref().and_then(|touched| touched.rows("blobs"));
    for id in blobs.into_iter().flatten() {
        let stream: Option<i64> = context
            .conn
            .prepare_cached("SELECT linked_id FROM mine_blobs.blobs WHERE id = ?1 AND linked_type = 'media_stream'")?
            .query_row([id], |row| row.get(0))
            .optional()?
            .flatten();
        attached.extend(stream);
    }
    let mut parts = BTreeSet::new();
    for stream in attached {
        let part: Option<i64> = context
            .conn
            .prepare_cached(&format!(
                "SELECT s.media_part_id FROM mine.{NAME} s WHERE s.id = ?1
                 AND NOT EXISTS (SELECT 1 FROM main.{NAME} t WHERE t.id = s.id)"
            ))?
            .query_row([stream], |row| row.get(0))
            .optional()?
            .flatten();
        parts.extend(part);
    }
    Ok(parts.into_iter().collect())
}

fn is_attached(context: &Context<'_>, id: i64) -> Step<bool> {
    Ok(context
        .conn
        .prepare_cached(&format!("SELECT 1 FROM ({}) WHERE id = ?1", attached(context)))?
        .exists([id])?)
}

fn streams(context: &Context<'_>, side: &str, table: &Table, part: i64) -> Step<Vec<(i64, Row)>> {
    let mut found = Vec::new();
    for id in rows::ids_where(context.conn, side, NAME, "media_part_id", &Value::Integer(part))? {
        if let Some(row) = rows::get(context.conn, side, table, id)? {
            found.push((id, row));
        }
    }
    Ok(found)
}

fn one_part(context: &mut Context<'_>, writer: &mut Writer, table: &Table, part: i64) -> Step<()> {
    let mut mine = streams(context, MINE, table, part)?;
    if !rows::exists(context.conn, MAIN, "media_parts", part)? {
        for (id, _) in mine {
            set_aside(context, table, id)?;
        }
        return Ok(());
    }
    let mut theirs = streams(context, MAIN, table, part)?;
    // The worker analysed the part anew if it has a stream that the base has not.
    let mut analysed = false;
    for (id, _) in &theirs {
        analysed |= !rows::exists(context.conn, BASE, NAME, *id)?;
    }
    let new_part = !rows::exists(context.conn, BASE, "media_parts", part)?;
    // The same ids first: untouched streams, and those of an earlier merge.
    for (id, row) in std::mem::take(&mut mine) {
        match theirs
            .iter()
            .position(|(other, other_row)| *other == id && same(table, &row, other_row, KEYS[3]))
        {
            Some(n) => {
                let (_, found) = theirs.remove(n);
                both(context, table, id, &row, &found)?;
            }
            None => mine.push((id, row)),
        }
    }
    for key in KEYS {
        for (id, row) in std::mem::take(&mut mine) {
            match theirs.iter().position(|(_, other)| same(table, &row, other, key)) {
                Some(n) => {
                    let (other, found) = theirs.remove(n);
                    rename(context, writer, other, id, &mut theirs)?;
                    both(context, table, id, &row, &found)?;
                }
                None => mine.push((id, row)),
            }
        }
    }
    for (id, mut row) in mine {
        let known = rows::exists(context.conn, BASE, NAME, id)?;
        let outside =
            value(table, &row, "url") != Value::Null && value(table, &row, "url") != Value::Text(String::new());
        let wanted = if is_attached(context, id)? {
            true
        } else if known {
            false
        } else {
            outside || !analysed || new_part && theirs.is_empty()
        };
        if wanted && localise(context, table, &mut row)? {
            make_room(context, writer, id, &mut theirs)?;
            rows::insert(context.conn, MAIN, table, &row)?;
            context.stir(NAME, id)?;
            context.report.carried(NAME).inserted += 1;
        }
    }
    for (id, _) in theirs {
        // Home had it and has it no more; what only the worker has stays.
        if rows::exists(context.conn, BASE, NAME, id)? && rows::delete(context.conn, MAIN, NAME, id)? {
            context.report.carried(NAME).deleted += 1;
        }
    }
    Ok(())
}

fn same(table: &Table, one: &Row, other: &Row, key: &[&str]) -> bool {
    key.iter().all(|column| {
        let (a, b) = (value(table, one, column), value(table, other, column));
        let empty = |value: &Value| *value == Value::Null || *value == Value::Text(String::new());
        a == b || (empty(&a) && empty(&b))
    })
}

/// A stream that both sides have by one id.
fn both(context: &mut Context<'_>, table: &Table, id: i64, mine: &Row, theirs: &Row) -> Step<()> {
    let mut mine = mine.clone();
    if !localise(context, table, &mut mine)? {
        return Ok(());
    }
    let Some(now) = rows::get(context.conn, MAIN, table, id)? else {
        return Ok(());
    };
    debug_assert_eq!(now.len(), theirs.len());
    let merged = match rows::get(context.conn, BASE, table, id)? {
        Some(base) => policy::merge(table, &base, &mine, &now).0,
        None => policy::adopt(table, &mine, &now),
    };
    if rows::update(context.conn, MAIN, table, id, &now, &merged)? {
        context.report.carried(NAME).updated += 1;
    }
    Ok(())
}

/// The worker's stream gets home's id.
fn rename(context: &mut Context<'_>, writer: &mut Writer, old: i64, new: i64, others: &mut [(i64, Row)]) -> Step<()> {
    if old == new {
        return Ok(());
    }
    make_room(context, writer, new, others)?;
    move_stream(context, writer, old, new)
}

/// Whatever has the id gives way; it may be one of this part's that are still to be dealt with.
fn make_room(context: &mut Context<'_>, writer: &mut Writer, id: i64, others: &mut [(i64, Row)]) -> Step<()> {
    if rows::exists(context.conn, MAIN, NAME, id)? {
        let fresh = give_way(context, writer, id)?;
        for (other, _) in others.iter_mut().filter(|(other, _)| *other == id) {
            *other = fresh;
        }
    }
    Ok(())
}

/// Another stream has the id that is needed: only when ids were not kept apart. Returns the one it has from here on.
pub(super) fn give_way(context: &mut Context<'_>, writer: &mut Writer, id: i64) -> Step<i64> {
    let fresh = context.fresh_id(LIBRARY, NAME)?;
    move_stream(context, writer, id, fresh)?;
    Ok(fresh)
}

fn move_stream(context: &mut Context<'_>, writer: &mut Writer, old: i64, new: i64) -> Step<()> {
    context
        .conn
        .prepare_cached(&format!("UPDATE {MAIN}.{NAME} SET id = ?2 WHERE id = ?1"))?
        .execute([old, new])?;
    context.count_renumbered(NAME);
    super::moves::references(context, writer, NAME, &std::collections::BTreeMap::from([(old, new)]))
}
