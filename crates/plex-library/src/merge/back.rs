//! The way back: what the household did since a swap, put onto the library that was there before it.
//!
//! Here the base is the pair that was swapped in and the result the older one. What the base has and the older library has
//! not came with the burst; it has no place there. What the household attached to it is listed: rows that need it are kept
//! aside, rows that only name its guid (ratings, history) are written and wait for it, as Plex itself keeps them for items
//! that come back (facts §2).

use super::content::describe;
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

/// Remembers what only the newer library has, so that home's rows about it are kept aside; what another item has the
/// media or the children of now is that item's.
pub(super) fn without_place(context: &mut Context<'_>) -> Step<()> {
    for name in PLACED {
        if context.schema.get(name).is_none() {
            continue;
        }
        let table = quote(name);
        let newer: Vec<i64> = context
            .conn
            .prepare(&format!(
                "SELECT m.id FROM {MINE}.{table} m NOT INDEXED
                 WHERE NOT EXISTS (SELECT 1 FROM {MAIN}.{table} t NOT INDEXED WHERE t.id = m.id)
                   AND EXISTS (SELECT 1 FROM {BASE}.{table} b NOT INDEXED WHERE b.id = m.id)
                   AND NOT EXISTS (SELECT 1 FROM temp.follow f WHERE f.target = '{name}' AND f.old = m.id)"
            ))?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for id in newer {
            let heir = match name {
                "metadata_items" => missing::heir(context, id)?,
                _ => None,
            };
            match heir {
                Some(heir) => {
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
