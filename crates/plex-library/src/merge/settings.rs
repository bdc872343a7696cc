//! `metadata_item_settings`: ratings, resume offsets, play counts, per account and guid.
//!
//! Guarantees: every row of home's is in the result with home's id; a rating or an offset that home set is the result's;
//! a play counted on either side is counted; nothing is unwatched unless home unwatched it; merging the same three
//! again changes nothing. The key is (account_id, guid), without an index that says so (facts §1.3).
//!
//! Counts add up only where it is sure that the plays are different ones: home has entries in its history that the
//! result has not yet. Otherwise the higher count is right, and counting twice would be wrong.

use super::values::Value;
use rusqlite::OptionalExtension;

use super::context::Context;
use super::fail::Step;
use super::mode::Mode;
use super::rows::{self, Row, int, set, text, value};
use super::schema::Table;
use super::session::{BASE, LIBRARY, MAIN, MINE};
use super::tables::COUNTERS;
use super::values::{later, three_way};
use super::{diff, guids};

const NAME: &str = "metadata_item_settings";

/// Columns whose value means "at least this much happened".
const COUNTS: [&str; 2] = ["view_count", "skip_count"];
/// When a row was made.
const BIRTH: &str = "created_at";
/// Columns that only move forward, unless home took the play back.
const TIMES: [&str; 3] = ["last_viewed_at", "last_skipped_at", "updated_at"];

/// Carries home's rows. Has to run before the history is carried, which it takes as evidence.
pub(super) fn carry(context: &mut Context<'_>) -> Step<()> {
    let Some(table) = context.table(NAME) else {
        return Ok(());
    };
    for id in diff::removed(context.conn, NAME, LIBRARY, context.touched())? {
        if rows::delete(context.conn, MAIN, NAME, id)? {
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
    let Some(original) = rows::get(conn, MINE, table, id)? else {
        return Ok(());
    };
    let base = rows::get(conn, BASE, table, id)?;
    let mut mine = original.clone();
    guids::translate(conn, table, &mut mine)?;
    let mut theirs = rows::get(conn, MAIN, table, id)?;
    if let Some(found) = &theirs
        && base.is_none()
        && key(table, found) != key(table, &mine)
    {
        // The worker gave the same number to another row.
        context.renumber(LIBRARY, NAME, id)?;
        theirs = None;
    }
    if let Some(theirs) = theirs {
        let merged = merge_rows(context, table, base.as_ref(), &original, &mine, &theirs)?;
        if rows::update(conn, MAIN, table, id, &theirs, &merged)? {
            context.report.carried(NAME).updated += 1;
        }
        return Ok(());
    }
    let merged = match same_key(context, table, &mine)? {
        None => {
            context.count_up(table, &mut mine);
            mine
        }
        Some(other) => {
            let theirs = rows::get(conn, MAIN, table, other)?.unwrap_or_else(|| mine.clone());
            let mut merged = merge_rows(context, table, base.as_ref(), &original, &mine, &theirs)?;
            rows::delete(conn, MAIN, NAME, other)?;
            set(table, &mut merged, "id", id);
            context.count_up(table, &mut merged);
            context.count_renumbered(NAME);
            merged
        }
    };
    rows::insert(conn, MAIN, table, &merged)?;
    context.report.carried(NAME).inserted += 1;
    Ok(())
}

fn key(table: &Table, row: &Row) -> (Value, Value) {
    (value(table, row, "account_id"), value(table, row, "guid"))
}

/// A row that the worker made for the same account and guid.
fn same_key(context: &Context<'_>, table: &Table, mine: &Row) -> Step<Option<i64>> {
    let (account, guid) = key(table, mine);
    let mut statement = context.conn.prepare_cached(&format!(
        "SELECT t.id FROM {MAIN}.{NAME} t WHERE t.account_id IS ?1 AND t.guid = ?2
         AND NOT EXISTS (SELECT 1 FROM {MINE}.{NAME} m WHERE m.id = t.id) ORDER BY t.id LIMIT 1"
    ))?;
    Ok(statement.query_row([account, guid], |row| row.get(0)).optional()?)
}

/// The row of the result. `original` is home's row with the guid as home has it, `mine` with the result's.
fn merge_rows(
    context: &Context<'_>,
    table: &Table,
    base: Option<&Row>,
    original: &Row,
    mine: &Row,
    theirs: &Row,
) -> Step<Row> {
    let column = |row: &Row, name: &str| value(table, row, name);
    let mut merged = theirs.clone();
    // On the way back the base grew out of the older library: where those differ it was no doing of the household's, and what
    // it has seen and gone on with is home's row.
    let is_homes = context.mode.is_back() && base != Some(original);
    for name in &table.columns {
        let name = name.as_str();
        if name == "id" || COUNTERS.contains(&name) || COUNTS.contains(&name) || TIMES.contains(&name) {
            continue;
        }
        let (m, t) = (column(mine, name), column(theirs, name));
        let chosen = match base {
            _ if is_homes => m,
            // What the worker emptied stays what it was: it serves nobody who could have wanted that.
            Some(base) => match three_way(&column(base, name), &column(original, name), &t) {
                Some(_) if t == Value::Null || column(base, name) != column(original, name) => m,
                Some(_) => t,
                None => m,
            },
            None if name == BIRTH && context.mode == Mode::TwoWay => birth(table, mine, theirs),
            None if m == Value::Null => t,
            None => m,
        };
        set(table, &mut merged, name, chosen);
    }
    let taken_back = base.is_some_and(|base| count(table, original, "view_count") < count(table, base, "view_count"));
    for name in COUNTS.into_iter().filter(|name| table.has(name)) {
        let before = base.map_or(0, |base| count(table, base, name));
        let (m, t) = (count(table, original, name), count(table, theirs, name));
        let total = if is_homes || m < before {
            m
        } else if m == before {
            m.max(t)
        } else if t > before && apart(context, table, original, mine, theirs, name)? {
            m.saturating_add(t - before)
        } else {
            m.max(t)
        };
        if total != t || total != m {
            let total = if total == m {
                column(original, name)
            } else {
                total.into()
            };
            set(table, &mut merged, name, total);
        }
    }
    for name in TIMES.into_iter().filter(|name| table.has(name)) {
        let (m, t) = (column(original, name), column(theirs, name));
        let time = if taken_back && name == "last_viewed_at" {
            m
        } else {
            later(m, t)
        };
        set(table, &mut merged, name, time);
    }
    if merged != *theirs {
        context.count_up(table, &mut merged);
    }
    Ok(merged)
}

/// What a row bears as its birth in which two are put together that each side has made of one thing.
///
/// By its number and its birth a row is known as one from before the two parted, of which home has the last word
/// ([`super::two_way`]). What was put together must not be taken for such a one when it is merged again: so its birth is the
/// other side's, and where that has none (servers of 2024 and later leave it empty), the time when it was last written there.
fn birth(table: &Table, mine: &Row, theirs: &Row) -> Value {
    let known = [BIRTH, "updated_at"].map(|name| value(table, theirs, name));
    known
        .into_iter()
        .find(|time| *time != Value::Null)
        .unwrap_or_else(|| value(table, mine, BIRTH))
}

fn count(table: &Table, row: &Row, name: &str) -> i64 {
    int(table, row, name).unwrap_or(0)
}

/// Whether it is sure that home's counts and the result's are of different plays.
fn apart(context: &Context<'_>, table: &Table, original: &Row, mine: &Row, theirs: &Row, name: &str) -> Step<bool> {
    if name == "skip_count" {
        // Skips have no history. A later skip at home is one that the result cannot know.
        let (m, t) = (
            value(table, original, "last_skipped_at"),
            value(table, theirs, "last_skipped_at"),
        );
        return Ok(m != t && later(m.clone(), t) == m);
    }
    let (account, guid) = key(table, original);
    let mut statement = context.conn.prepare_cached(&format!(
        "SELECT count(*), coalesce(sum(EXISTS (
             SELECT 1 FROM {MAIN}.metadata_item_views t
             WHERE t.guid = ?3 AND t.account_id IS m.account_id AND t.viewed_at IS m.viewed_at)), 0)
         FROM {MINE}.metadata_item_views m WHERE m.guid = ?2 AND m.account_id IS ?1
         AND NOT EXISTS (SELECT 1 FROM {BASE}.metadata_item_views b WHERE b.id = m.id)"
    ))?;
    let translated = text(table, mine, "guid").unwrap_or_default();
    let (new, known): (i64, i64) =
        statement.query_row((account, guid, translated), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(new > 0 && known == 0)
}
