//! Giving rows of the worker's other ids, with everything that refers to them.
//!
//! Needed where home and the worker both found the same new thing (home's id it is), and, when ids were not kept apart
//! beforehand, where they gave the same id to different things (the worker's row yields).

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::values::Value;

use super::context::Context;
use super::fail::Step;
use super::guids;
use super::mode::Mode;
use super::playlists;
use super::report::BundleMove;
use super::rows::{self, set};
use super::schema::quote;
use super::session::{BLOBS, LIBRARY, MAIN, MINE};
use super::tables::{Rule, references_to, rule};
use super::text;
use super::writer::{SEARCHED, Writer};

/// Tables that have an index with an id in it that allows each once (facts §1.3).
const UNIQUE: [&str; 2] = ["blobs", "locatables"];

/// Old id → new id of rows of the worker's, per table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Moved {
    tables: BTreeMap<&'static str, BTreeMap<i64, i64>>,
}

impl Moved {
    pub(super) fn add(&mut self, table: &str, old: i64, new: i64) {
        if let Some(table) = name(table) {
            self.tables.entry(table).or_default().insert(old, new);
        }
    }

    pub(super) fn get(&self, table: &str, old: i64) -> Option<i64> {
        self.tables.get(table)?.get(&old).copied()
    }

    pub(super) fn of(&self, table: &str) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.tables
            .get(table)
            .into_iter()
            .flatten()
            .map(|(&old, &new)| (old, new))
    }

    /// Takes out all rows of a table.
    pub(super) fn take(&mut self, table: &str) -> BTreeMap<i64, i64> {
        self.tables.remove(table).unwrap_or_default()
    }
}

/// The tables whose rows are ever moved: those to whose rows others refer.
pub(super) const TABLES: [&str; 6] = [
    "directories",
    "metadata_items",
    "media_items",
    "media_parts",
    "media_streams",
    "tags",
];

fn name(table: &str) -> Option<&'static str> {
    TABLES.into_iter().find(|known| *known == table)
}

/// Renumbers the rows and all references to them in the result.
///
/// `sections` have moved before, with what refers to them; only their numbers in text are left.
pub(super) fn apply(
    context: &mut Context<'_>,
    writer: &mut Writer,
    moved: &Moved,
    sections: &BTreeMap<i64, i64>,
) -> Step<()> {
    for (table, ids) in &moved.tables {
        rows_of(context, writer, table, ids)?;
        references(context, writer, table, ids)?;
    }
    texts(context, writer, moved, sections)
}

/// Renumbers rows; one whose new id is still in use waits until its user has gone, by way of an id that nobody uses.
fn rows_of(context: &mut Context<'_>, writer: &mut Writer, name: &str, ids: &BTreeMap<i64, i64>) -> Step<()> {
    let Some(table) = context.table(name) else {
        return Ok(());
    };
    let mut waiting = Vec::new();
    for (&old, &new) in ids {
        if rows::exists(context.conn, MAIN, name, new)? {
            let between = context.fresh_id(LIBRARY, name)?;
            writer.renumber(context.conn, &table, old, between)?;
            waiting.push((between, new));
        } else {
            writer.renumber(context.conn, &table, old, new)?;
        }
        context.count_renumbered(name);
    }
    for (between, new) in waiting {
        writer.renumber(context.conn, &table, between, new)?;
    }
    Ok(())
}

/// Puts old and new ids into `temp.moved`, in place of what was there.
pub(super) fn list(conn: &Connection, ids: impl Iterator<Item = (i64, i64)>) -> Step<()> {
    conn.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS moved(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);
         DELETE FROM temp.moved;",
    )?;
    let mut statement = conn.prepare_cached("INSERT INTO temp.moved VALUES (?1, ?2)")?;
    for pair in ids {
        statement.execute(pair)?;
    }
    Ok(())
}

/// Changes what refers to rows that have other ids now. Home's own tables are not touched: they become home's anyway.
pub(super) fn references(
    context: &Context<'_>,
    writer: &mut Writer,
    target: &str,
    ids: &BTreeMap<i64, i64>,
) -> Step<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let conn = context.conn;
    list(conn, ids.iter().map(|(&old, &new)| (old, new)))?;
    for reference in references_to(target) {
        let sides: &[&str] = match rule(reference.table) {
            Some(Rule::Blobs) => &[LIBRARY.theirs, BLOBS.theirs],
            Some(Rule::Content | Rule::Sections) => &[LIBRARY.theirs],
            // The worker's own views; home's rows name home's sections already.
            Some(Rule::Views) => &[LIBRARY.theirs],
            // Without a base, playlists that only the result has are kept.
            Some(Rule::Home) if context.mode == Mode::TwoWay && playlists::TABLES.contains(&reference.table) => {
                &[LIBRARY.theirs]
            }
            _ => continue,
        };
        if context
            .schema
            .get(reference.table)
            .is_none_or(|table| !table.has(reference.column))
        {
            continue;
        }
        if SEARCHED.contains(&reference.table) {
            writer.take_off(conn, reference.table)?;
        }
        let (table, column) = (quote(reference.table), quote(reference.column));
        let only = reference
            .only
            .map(|(by, word)| format!(" AND {} = '{word}'", quote(by)))
            .unwrap_or_default();
        let but_home = match rule(reference.table) {
            Some(Rule::Views) => format!(" AND id NOT IN (SELECT id FROM {MINE}.{table})"),
            _ => String::new(),
        };
        for side in sides {
            if UNIQUE.contains(&reference.table) {
                // By way of negative numbers, which are nobody's: what moves to 7 must not meet what is still to leave it.
                // Of two rows that say the same of one thing, the one that moves here is the newer.
                conn.execute(
                    &format!(
                        "UPDATE {side}.{table} SET {column} = -(SELECT new FROM temp.moved WHERE old = {column})
                         WHERE {column} IN (SELECT old FROM temp.moved){only}"
                    ),
                    [],
                )?;
                conn.execute(
                    &format!("UPDATE OR REPLACE {side}.{table} SET {column} = -{column} WHERE {column} < 0{only}"),
                    [],
                )?;
                continue;
            }
            // Nothing is unique here, and OR REPLACE would want the collations of all indices.
            conn.execute(
                &format!(
                    "UPDATE {side}.{table} SET {column} = (SELECT new FROM temp.moved WHERE old = {column})
                     WHERE {column} IN (SELECT old FROM temp.moved){only}{but_home}"
                ),
                [],
            )?;
        }
    }
    Ok(())
}

/// The columns whose text may hold ids.
const TEXTS: &[(&str, &[&str])] = &[
    (
        "metadata_items",
        &[
            "extra_data",
            "user_thumb_url",
            "user_art_url",
            "user_banner_url",
            "user_music_url",
            "user_clear_logo_url",
            "user_square_art_url",
        ],
    ),
    (
        "tags",
        &["extra_data", "user_thumb_url", "user_art_url", "user_music_url"],
    ),
    ("media_items", &["extra_data"]),
    ("media_parts", &["extra_data"]),
    ("media_streams", &["extra_data"]),
    ("play_queue_generators", &["uri", "extra_data"]),
];

/// Rows of the result whose text holds ids, per table. Finding them reads all text there is.
pub(super) type Naming = BTreeMap<&'static str, Vec<i64>>;

/// Finds them, for a merge that has no time for it ([`super::catch_up`]).
pub(super) fn naming(context: &Context<'_>) -> Step<Naming> {
    let mut found = Naming::new();
    for (name, columns) in TEXTS {
        found.insert(name, naming_rows(context, name, columns)?);
    }
    Ok(found)
}

fn naming_rows(context: &Context<'_>, name: &str, columns: &[&str]) -> Step<Vec<i64>> {
    let Some(table) = context.table(name) else {
        return Ok(Vec::new());
    };
    text::register_holds_id(context.conn)?;
    let may: Vec<String> = columns
        .iter()
        .filter(|column| table.has(column))
        .map(|column| {
            // LIKE is by far the faster of the two, and rules out nearly all.
            format!(
                "(({c} LIKE '%library%' OR {c} LIKE '%local%' OR {c} LIKE '%playlists%') AND holds_id({c}))",
                c = quote(column)
            )
        })
        .collect();
    if may.is_empty() {
        return Ok(Vec::new());
    }
    Ok(context
        .conn
        .prepare(&format!(
            "SELECT id FROM {MAIN}.{name} NOT INDEXED WHERE {}",
            may.join(" OR ")
        ))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

/// Rewrites guids that are made of ids, and ids inside other text, in rows of the worker's.
fn texts(context: &mut Context<'_>, writer: &mut Writer, moved: &Moved, sections: &BTreeMap<i64, i64>) -> Step<()> {
    let mut all: text::Moves = sections
        .iter()
        .map(|(&old, &new)| (("library_sections", old), new))
        .collect();
    for (table, ids) in &moved.tables {
        all.extend(ids.iter().map(|(&old, &new)| ((*table, old), new)));
    }
    if all.is_empty() {
        return Ok(());
    }
    for (name, columns) in TEXTS {
        if *name == "play_queue_generators" && context.mode != Mode::TwoWay {
            continue;
        }
        let Some(table) = context.table(name) else { continue };
        let ids = match &context.naming {
            Some(known) => known.get(name).cloned().unwrap_or_default(),
            None => naming_rows(context, name, columns)?,
        };
        for id in ids {
            let Some(old) = rows::get(context.conn, MAIN, &table, id)? else {
                continue;
            };
            let mut new = old.clone();
            for column in columns.iter().filter(|column| table.has(column)) {
                if let Some(rewritten) = rows::text(&table, &old, column).and_then(|text| text::rewrite(text, &all)) {
                    set(&table, &mut new, column, rewritten);
                }
            }
            writer.update(context.conn, &table, id, &old, &new)?;
        }
    }
    numbered_guids(context, writer, moved)
}

/// Guids that are made of a row's number follow the row, also those of its seasons and episodes, and so does the worker's
/// own user state. Where home has the same item, home's guid is put over it later.
fn numbered_guids(context: &mut Context<'_>, writer: &mut Writer, moved: &Moved) -> Step<()> {
    let Some(table) = context.table("metadata_items") else {
        return Ok(());
    };
    let mut renamed = Vec::new();
    let mut numbers: Vec<(i64, i64)> = moved.of("metadata_items").collect();
    numbers.sort_unstable();
    let mut affected = Vec::new();
    for (old, new) in &numbers {
        for scheme in ["local://", "com.plexapp.agents.none://"] {
            let prefix = format!("{scheme}{old}");
            // From "…107" up to and including "…107/…" and "…107?…": all sort below the prefix followed by '@'.
            let ids: Vec<(i64, String)> = context
                .conn
                .prepare_cached(&format!(
                    "SELECT id, guid FROM {MAIN}.metadata_items WHERE guid >= ?1 AND guid < ?1 || '@'"
                ))?
                .query_map([&prefix], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            for (id, guid) in ids {
                // A row that home has too keeps its name, unless it is the very row that moved.
                let is_worker = id == *new || !rows::exists(context.conn, MINE, "metadata_items", id)?;
                if let Some((number, range)) = guids::number(&guid)
                    && number == *old
                    && is_worker
                {
                    let renumbered = format!("{}{new}{}", &guid[..range.start], &guid[range.end..]);
                    affected.push((id, guid, renumbered));
                }
            }
        }
    }
    for (id, guid, renumbered) in affected {
        let Some(old) = rows::get(context.conn, MAIN, &table, id)? else {
            continue;
        };
        let mut row = old.clone();
        set(&table, &mut row, "guid", renumbered.clone());
        let to = guids::hash(&renumbered);
        if let Some(from) = rows::text(&table, &old, "hash") {
            context.report.bundles.push(BundleMove {
                from: from.to_owned(),
                to: to.clone(),
            });
            set(&table, &mut row, "hash", to);
        }
        writer.update(context.conn, &table, id, &old, &row)?;
        renamed.push((guid, renumbered));
    }
    for state in ["metadata_item_settings", "metadata_item_views"] {
        for (old, new) in &renamed {
            context.conn.execute(
                &format!(
                    "UPDATE {MAIN}.{state} SET guid = ?2 WHERE guid = ?1 AND id NOT IN (SELECT id FROM {MINE}.{state})"
                ),
                [Value::Text(old.clone()), Value::Text(new.clone())],
            )?;
        }
    }
    Ok(())
}
