//! The way back: what the household did since a swap, put onto the library that was there before it.
//!
//! Here the base is the pair that was swapped in and the result the older one. What the base has and the older library has
//! not came with the burst; it has no place there. What the household attached to it is listed: rows that need it are kept
//! aside, rows that only name its guid (ratings, history) are written and wait for it, as Plex itself keeps them for items
//! that come back (facts §2).

use rusqlite::Connection;

use super::content::{describe, followed};
use super::context::Context;
use super::diff::Changes;
use super::fail::Step;
use super::home_tables::as_json;
use super::missing;
use super::report::KeptAside;
use super::rows::{self, Row, text};
use super::schema::{Table, quote};
use super::session::{BASE, LIBRARY, MAIN, MINE};
use super::tables::COUNTERS;

/// What may exist only in the newer library, what is above first.
const PLACED: [&str; 7] = [
    "library_sections",
    "section_locations",
    "directories",
    "metadata_items",
    "media_items",
    "media_parts",
    "metadata_item_clusters",
];

const WHY: &str = "it belongs to something that only the newer library has";
const REMEDY: &str = "it can be done again once Plex has found that anew; the newer library still has it";

/// What a carrying back found to be only in the newer library, so that the next one need not look for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Placeless {
    /// Ids by table, what is above first.
    ids: Vec<(&'static str, Vec<i64>)>,
    /// Items of them whose media or children another item has.
    with_heirs: Vec<i64>,
}

/// SQL: ids of a table that home's library has and the older one has not.
fn only_at_home(table: &str) -> String {
    format!(
        "SELECT m.id FROM {MINE}.{table} m NOT INDEXED
         WHERE NOT EXISTS (SELECT 1 FROM {MAIN}.{table} t NOT INDEXED WHERE t.id = m.id)",
        table = quote(table)
    )
}

fn ids(conn: &Connection, sql: &str) -> Step<Vec<i64>> {
    Ok(conn
        .prepare(sql)?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

/// What has no place once all has been carried back.
pub(super) fn placeless(context: &Context<'_>) -> Step<Placeless> {
    let mut found = Placeless::default();
    for name in PLACED.into_iter().filter(|name| context.schema.get(name).is_some()) {
        found.ids.push((name, ids(context.conn, &only_at_home(name))?));
    }
    found.with_heirs = ids(
        context.conn,
        &format!(
            "SELECT f.old FROM temp.follow f WHERE f.target = 'metadata_items'
             AND NOT EXISTS (SELECT 1 FROM {MAIN}.metadata_items t NOT INDEXED WHERE t.id = f.old)"
        ),
    )?;
    Ok(found)
}

/// What of it is in the newer library: home's additions since then are not.
fn newer(context: &mut Context<'_>) -> Step<Vec<(&'static str, Vec<i64>)>> {
    let mut all = Vec::new();
    let Some(known) = context.placeless.take() else {
        for name in PLACED.into_iter().filter(|name| context.schema.get(name).is_some()) {
            let sql = format!(
                "{} AND EXISTS (SELECT 1 FROM {BASE}.{} b NOT INDEXED WHERE b.id = m.id)",
                only_at_home(name),
                quote(name)
            );
            all.push((name, ids(context.conn, &sql)?));
        }
        return Ok(all);
    };
    // Whoever had an heir may have another one now, or none.
    for id in known.with_heirs {
        context.stir("metadata_items", id)?;
    }
    for (name, ids) in known.ids {
        let mut still = Vec::new();
        for id in ids {
            if rows::exists(context.conn, MINE, name, id)?
                && !rows::exists(context.conn, MAIN, name, id)?
                && rows::exists(context.conn, BASE, name, id)?
            {
                still.push(id);
            }
        }
        all.push((name, still));
    }
    Ok(all)
}

/// Remembers what only the newer library has, so that home's rows about it are kept aside; what another item has the
/// media or the children of now is that item's.
pub(super) fn without_place(context: &mut Context<'_>) -> Step<()> {
    for (name, newer) in newer(context)? {
        for id in newer {
            if followed(context, name, id)?.is_some() {
                continue;
            }
            let heir = match name {
                "metadata_items" => missing::heir(context, id)?,
                _ => None,
            };
            match heir {
                Some(heir) => {
                    context.stir(name, id)?;
                    context
                        .conn
                        .prepare_cached("INSERT OR REPLACE INTO temp.follow(target, old, new) VALUES (?1, ?2, ?3)")?
                        .execute((name, id, heir))?;
                }
                None => {
                    context
                        .conn
                        .prepare_cached("INSERT OR IGNORE INTO temp.aside(target, id) VALUES (?1, ?2)")?
                        .execute((name, id))?;
                }
            }
        }
    }
    Ok(())
}

/// Lists something that home did to a row, and that has no place in the older library. Media, files and streams are not
/// listed by themselves: they are their item's.
pub(super) fn list(context: &mut Context<'_>, table: &Table, id: i64, row: &Row) -> Step<()> {
    let what = match table.name.as_str() {
        "metadata_items" | "tags" => describe(table, row),
        "taggings" => {
            let tag: Option<String> = match rows::int(table, row, "tag_id") {
                Some(tag) => name_of(context, tag)?,
                None => None,
            };
            format!("the tag \"{}\"", tag.unwrap_or_default())
        }
        "blobs" => "a downloaded subtitle".into(),
        _ => return Ok(()),
    };
    context.report.kept_aside.push(KeptAside {
        table: table.name.clone(),
        id,
        what,
        why: WHY.into(),
        remedy: REMEDY.into(),
        row: as_json(table, row),
    });
    Ok(())
}

fn name_of(context: &Context<'_>, tag: i64) -> Step<Option<String>> {
    let Some(tags) = context.table("tags") else {
        return Ok(None);
    };
    let row = rows::get(context.conn, MINE, &tags, tag)?;
    Ok(row.and_then(|row| text(&tags, &row, "tag").map(str::to_owned)))
}

/// Lists ratings, offsets and views that the household made since the swap of items that the older library does not have.
/// They are in the result all the same.
pub(super) fn waiting(context: &mut Context<'_>) -> Step<()> {
    for (name, what) in [
        ("metadata_item_settings", "a rating, an offset or a count"),
        ("metadata_item_views", "an entry of the history"),
    ] {
        let Some(table) = context.table(name) else { continue };
        let changes = Changes::since_base(context.conn, &table, LIBRARY, COUNTERS, context.touched())?;
        for &id in changes.added.iter().chain(&changes.changed) {
            let unknown = context
                .conn
                .prepare_cached(&format!(
                    "SELECT 1 FROM {MAIN}.{name} r JOIN {MINE}.{name} m ON m.id = r.id
                     WHERE r.id = ?1 AND EXISTS (SELECT 1 FROM {MINE}.metadata_items i WHERE i.guid = m.guid)
                       AND NOT EXISTS (SELECT 1 FROM {MAIN}.metadata_items i WHERE i.guid = r.guid)"
                ))?
                .exists([id])?;
            if !unknown {
                continue;
            }
            let Some(row) = rows::get(context.conn, MAIN, &table, id)? else {
                continue;
            };
            let guid = text(&table, &row, "guid").unwrap_or_default();
            context.report.waiting.push(KeptAside {
                table: name.into(),
                id,
                what: format!(
                    "{what} of {}",
                    title_of(context, guid)?.unwrap_or_else(|| guid.to_owned())
                ),
                why: "only the newer library has the item".into(),
                remedy: "it counts again as soon as Plex has found the item anew".into(),
                row: as_json(&table, &row),
            });
        }
    }
    Ok(())
}

fn title_of(context: &Context<'_>, guid: &str) -> Step<Option<String>> {
    let Some(items) = context.table("metadata_items") else {
        return Ok(None);
    };
    let found = rows::ids_where(
        context.conn,
        MINE,
        "metadata_items",
        "guid",
        &super::values::Value::Text(guid.to_owned()),
    )?;
    match found.first() {
        Some(&id) => Ok(rows::get(context.conn, MINE, &items, id)?.map(|row| describe(&items, &row))),
        None => Ok(None),
    }
}
