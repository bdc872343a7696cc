//! `blobs`: Sonic vectors, fingerprints, voice activity, and subtitles that somebody downloaded. Keyed by what they belong
//! to and of what type they are; ids mean nothing.
//!
//! Downloaded subtitles (type 3) are home's. Everything else was measured: the worker's if it measured anew, else home's.

use super::values::Value;
use rusqlite::{OptionalExtension, params_from_iter};

use super::back;
use super::content::followed;
use super::context::{self, Context};
use super::diff;
use super::fail::Step;
use super::mode::Mode;
use super::narrow;
use super::rows::{self, Row, int, text, value};
use super::schema::{Schema, Table, quote};
use super::session::{BLOBS, LIBRARY, Three};
use super::touched::Touched;

const NAME: &str = "blobs";

/// `blob_type` of a subtitle that was downloaded on demand (facts §1.5).
const SUBTITLE: i64 = 3;

/// SQL: whether the blob under the alias is a downloaded subtitle. Servers until about 2020 have no types; what belonged to
/// a stream was a subtitle.
pub(super) fn is_subtitle(table: &Table, alias: &str) -> String {
    if table.has("blob_type") {
        format!("({alias}.blob_type = {SUBTITLE} AND {alias}.linked_type = 'media_stream')")
    } else {
        format!("({alias}.linked_type = 'media_stream')")
    }
}

/// The same about a row.
fn holds_subtitle(table: &Table, row: &Row) -> bool {
    text(table, row, "linked_type") == Some("media_stream")
        && (!table.has("blob_type") || int(table, row, "blob_type") == Some(SUBTITLE))
}

/// Carries the blobs of both databases; the library's own table is unused by every server seen so far.
pub(super) fn carry(context: &mut Context<'_>, blobs: &Schema) -> Step<()> {
    for (three, table) in [(LIBRARY, context.table(NAME)), (BLOBS, blobs.get(NAME).cloned())] {
        if let Some(table) = table {
            one_database(context, three, &table)?;
        }
    }
    Ok(())
}

fn one_database(context: &mut Context<'_>, three: Three, table: &Table) -> Step<()> {
    for id in differing(context, three, table)? {
        let Some(mut mine) = rows::get(context.conn, three.mine, table, id)? else {
            continue;
        };
        if !localise(context, table, &mut mine)? {
            continue;
        }
        let base = rows::get(context.conn, three.base, table, id)?;
        put(context, three, table, base.as_ref(), &mine)?;
    }
    for id in diff::removed(context.conn, NAME, three, touched(context, three))? {
        let Some(base) = rows::get(context.conn, three.base, table, id)? else {
            continue;
        };
        let Some(now) = same_key(context, three, table, &base)? else {
            continue;
        };
        let replaced = same_key_at_home(context, three, table, &base)?;
        // What belongs to nothing any more goes; what the worker measured anew belongs to something.
        if !replaced && (!has_owner(context, table, &now)? || holds_subtitle(table, &base)) {
            let gone = int(table, &now, "id").unwrap_or_default();
            rows::delete(context.conn, three.theirs, NAME, gone)?;
            context.report.carried(NAME).deleted += 1;
        }
    }
    subtitles(context, three, table)
}

/// Rows that home may have touched, if that is known.
fn touched<'t>(context: &'t Context<'_>, three: Three) -> Option<&'t Touched> {
    if three.theirs == LIBRARY.theirs {
        context.touched()
    } else {
        context.touched_blobs.as_ref()
    }
}

/// Home's blobs that are new or changed since the base. Contents of one length are compared only for subtitles, which a
/// person may exchange for others; they are few, and reading all vectors and fingerprints would take minutes.
fn differing(context: &Context<'_>, three: Three, table: &Table) -> Step<Vec<i64>> {
    let Some(from) = diff::source(context.conn, NAME, three.mine, touched(context, three))? else {
        return Ok(Vec::new());
    };
    if context.mode == Mode::TwoWay {
        // What was measured is the result's wherever it has it; contents need not be read to know that.
        let same: Vec<String> = ["linked_type", "linked_id", "linked_guid", "blob_type"]
            .iter()
            .filter(|column| table.has(column))
            .map(|column| format!("t.{c} IS n.{c}", c = quote(column)))
            .collect();
        let mut statement = context.conn.prepare(&format!(
            "SELECT n.id FROM {from} WHERE {} OR NOT EXISTS (SELECT 1 FROM {theirs}.{NAME} t WHERE {})",
            is_subtitle(table, "n"),
            same.join(" AND "),
            theirs = three.theirs,
        ))?;
        return Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?);
    }
    let mut statement = context.conn.prepare(&format!(
        "SELECT n.id FROM {from} LEFT JOIN {base}.{NAME} b NOT INDEXED ON b.id = n.id
         WHERE b.id IS NULL OR {light} OR length(n.blob) IS NOT length(b.blob)
            OR ({subtitle} AND n.blob IS NOT b.blob)",
        base = three.base,
        light = table.differ("n", "b", &["blob"]),
        subtitle = is_subtitle(table, "n"),
    ))?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The columns that make a blob the same one, and their values.
fn key(table: &Table, row: &Row) -> Vec<(&'static str, Value)> {
    let by = if value(table, row, "linked_id") == Value::Null {
        "linked_guid"
    } else {
        "linked_id"
    };
    ["linked_type", by, "blob_type"]
        .into_iter()
        .filter(|column| table.has(column))
        .map(|column| (column, value(table, row, column)))
        .collect()
}

fn find(context: &Context<'_>, side: &str, table: &Table, like: &Row) -> Step<Option<i64>> {
    let key = key(table, like);
    let terms: Vec<String> = key
        .iter()
        .zip(1..)
        .map(|((column, _), n)| format!("{} IS ?{n}", quote(column)))
        .collect();
    Ok(context
        .conn
        .prepare_cached(&format!("SELECT id FROM {side}.{NAME} WHERE {}", terms.join(" AND ")))?
        .query_row(params_from_iter(key.iter().map(|(_, value)| value)), |row| row.get(0))
        .optional()?)
}

fn same_key(context: &Context<'_>, three: Three, table: &Table, like: &Row) -> Step<Option<Row>> {
    match find(context, three.theirs, table, like)? {
        Some(id) => rows::get(context.conn, three.theirs, table, id),
        None => Ok(None),
    }
}

fn same_key_at_home(context: &Context<'_>, three: Three, table: &Table, like: &Row) -> Step<bool> {
    Ok(find(context, three.mine, table, like)?.is_some())
}

fn put(context: &mut Context<'_>, three: Three, table: &Table, base: Option<&Row>, mine: &Row) -> Step<()> {
    let Some(theirs) = same_key(context, three, table, mine)? else {
        return insert(context, three, table, mine);
    };
    let content = |row: &Row| value(table, row, "blob");
    let is_homes = holds_subtitle(table, mine) || base.is_some_and(|base| content(base) == content(&theirs));
    if !is_homes || content(mine) == content(&theirs) {
        return Ok(());
    }
    let id = int(table, &theirs, "id").unwrap_or_default();
    let mut merged = mine.clone();
    rows::set(table, &mut merged, "id", id);
    if rows::update(context.conn, three.theirs, table, id, &theirs, &merged)? {
        context.report.carried(NAME).updated += 1;
    }
    Ok(())
}

fn insert(context: &mut Context<'_>, three: Three, table: &Table, row: &Row) -> Step<()> {
    let mut row = row.clone();
    let id = int(table, &row, "id").unwrap_or_default();
    if rows::exists(context.conn, three.theirs, NAME, id)? {
        let fresh = context.fresh_id(three, NAME)?;
        rows::set(table, &mut row, "id", fresh);
    }
    rows::insert(context.conn, three.theirs, table, &row)?;
    context.report.carried(NAME).inserted += 1;
    Ok(())
}

/// Subtitles that home has and the worker's housekeeping threw away when it made the streams anew.
fn subtitles(context: &mut Context<'_>, three: Three, table: &Table) -> Step<()> {
    let from = match context.is_narrow() {
        true => {
            // New ones, and those of streams that this merge has written.
            narrow::look(context, table, three.mine == LIBRARY.mine)?;
            context.conn.execute(
                &format!(
                    "INSERT OR IGNORE INTO temp.looked SELECT m.id FROM temp.stirred s
                     CROSS JOIN {mine}.{NAME} m ON m.linked_type = 'media_stream' AND m.linked_id = s.id
                     WHERE s.target = 'media_streams'",
                    mine = three.mine
                ),
                [],
            )?;
            format!("temp.looked l CROSS JOIN {}.{NAME} m ON m.id = l.id", three.mine)
        }
        false => format!("{}.{NAME} m", three.mine),
    };
    let ids: Vec<i64> = context
        .conn
        .prepare(&format!(
            "SELECT m.id FROM {from} WHERE {subtitle}
             AND NOT EXISTS (SELECT 1 FROM {theirs}.{NAME} t WHERE t.linked_id = m.linked_id AND {same})",
            subtitle = is_subtitle(table, "m"),
            same = is_subtitle(table, "t"),
            theirs = three.theirs
        ))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in ids {
        let Some(mut mine) = rows::get(context.conn, three.mine, table, id)? else {
            continue;
        };
        if localise(context, table, &mut mine)? {
            insert(context, three, table, &mine)?;
        } else if context.mode.is_back() && !rows::exists(context.conn, three.base, NAME, id)? {
            back::list(context, table, id, &mine)?;
        }
    }
    Ok(())
}

/// The table that a blob's `linked_type` means.
fn owner(table: &Table, row: &Row) -> Option<&'static str> {
    match text(table, row, "linked_type")? {
        "metadata_item" => Some("metadata_items"),
        "media_item" => Some("media_items"),
        "media_part" => Some("media_parts"),
        "media_stream" => Some("media_streams"),
        _ => None,
    }
}

fn has_owner(context: &Context<'_>, table: &Table, row: &Row) -> Step<bool> {
    match (owner(table, row), int(table, row, "linked_id")) {
        (Some(owner), Some(id)) => rows::exists(context.conn, LIBRARY.theirs, owner, id),
        _ => Ok(true),
    }
}

/// Makes a blob of home's belong to what the result has; false if that is not there.
fn localise(context: &Context<'_>, table: &Table, row: &mut Row) -> Step<bool> {
    let (Some(owner), Some(id)) = (owner(table, row), int(table, row, "linked_id")) else {
        return Ok(true);
    };
    if let Some(instead) = followed(context, owner, id)? {
        rows::set(table, row, "linked_id", instead);
        return Ok(true);
    }
    // Blobs whose owner is gone at home as well are normal; Plex collects them when it pleases.
    Ok(rows::exists(context.conn, LIBRARY.theirs, owner, id)? || !rows::exists(context.conn, LIBRARY.mine, owner, id)?)
}

/// Raises the numbering of blobs.db.
pub(super) fn finish(context: &Context<'_>) -> Step<()> {
    context::raise_sequences(context.conn, BLOBS)
}
