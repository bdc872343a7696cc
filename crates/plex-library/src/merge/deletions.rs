//! What home deleted stays deleted, with everything that the worker attached to it.
//!
//! Unless the worker found something below it that home never knew: a new file in an album whose old files home had
//! deleted keeps the album.

use std::collections::BTreeSet;

use super::values::Value;

use super::context::Context;
use super::fail::Step;
use super::matching::AllChanges;
use super::report::Decided;
use super::rows::{self, set};
use super::session::{MAIN, MINE};
use super::writer::Writer;

/// Carries home's deletions. `sections` are the sections that home deleted as a whole.
pub(super) fn carry(
    context: &mut Context<'_>,
    writer: &mut Writer,
    changes: &AllChanges,
    sections: &[i64],
) -> Step<()> {
    let removed = |name: &str| {
        changes
            .get(name)
            .map(|changes| changes.removed.clone())
            .unwrap_or_default()
    };
    for id in removed("media_parts") {
        part(context, id)?;
    }
    for id in removed("media_items") {
        if !any(
            context,
            "SELECT 1 FROM main.media_parts p WHERE p.media_item_id = ?1 AND NOT EXISTS (SELECT 1 FROM base.media_parts b WHERE b.id = p.id)",
            id,
        )? {
            media(context, id)?;
        }
    }
    items(context, writer, removed("metadata_items"))?;
    for &section in sections {
        whole_section(context, writer, section)?;
    }
    for id in removed("directories") {
        let used = any(context, "SELECT 1 FROM main.media_parts WHERE directory_id = ?1", id)?
            || any(
                context,
                "SELECT 1 FROM main.directories WHERE parent_directory_id = ?1",
                id,
            )?;
        if !used && rows::delete(context.conn, MAIN, "directories", id)? {
            context.report.carried("directories").deleted += 1;
        }
    }
    Ok(())
}

/// Tags that home deleted; after the taggings, since the worker may use one for something new.
pub(super) fn tags(context: &mut Context<'_>, writer: &mut Writer, changes: &AllChanges) -> Step<()> {
    let (Some(table), Some(changes)) = (context.table("tags"), changes.get("tags")) else {
        return Ok(());
    };
    if changes.removed.is_empty() || writer.obstacle(context.conn, "tags")?.is_some() {
        // A tag that nothing uses does no harm, and Plex removes it by itself.
        return Ok(());
    }
    for &id in &changes.removed {
        if !any(context, "SELECT 1 FROM main.taggings WHERE tag_id = ?1", id)?
            && writer.delete(context.conn, &table, id)?
        {
            context.report.carried("tags").deleted += 1;
        }
    }
    Ok(())
}

fn any(context: &Context<'_>, sql: &str, id: i64) -> Step<bool> {
    Ok(context.conn.prepare_cached(sql)?.exists([id])?)
}

fn ids(context: &Context<'_>, sql: &str, id: i64) -> Step<Vec<i64>> {
    Ok(context
        .conn
        .prepare_cached(sql)?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

/// What was measured about something that goes. What home has kept about it stays: Plex collects it when it pleases.
fn blobs(context: &mut Context<'_>, kind: &str, id: i64) -> Step<()> {
    let deleted = context
        .conn
        .prepare_cached(
            "DELETE FROM their_blobs.blobs WHERE linked_type = ?1 AND linked_id = ?2
             AND NOT EXISTS (SELECT 1 FROM mine_blobs.blobs m WHERE m.linked_type = ?1 AND m.linked_id = ?2)",
        )?
        .execute((kind, id))?;
    context.report.carried("blobs").deleted += deleted as u64;
    Ok(())
}

fn part(context: &mut Context<'_>, id: i64) -> Step<()> {
    if rows::exists(context.conn, MINE, "media_parts", id)? {
        return Ok(());
    }
    for stream in ids(
        context,
        "SELECT id FROM main.media_streams WHERE media_part_id = ?1",
        id,
    )? {
        blobs(context, "media_stream", stream)?;
    }
    blobs(context, "media_part", id)?;
    let streams = context
        .conn
        .execute("DELETE FROM main.media_streams WHERE media_part_id = ?1", [id])?;
    context.report.carried("media_streams").deleted += streams as u64;
    if rows::delete(context.conn, MAIN, "media_parts", id)? {
        context.report.carried("media_parts").deleted += 1;
    }
    Ok(())
}

fn media(context: &mut Context<'_>, id: i64) -> Step<()> {
    for below in ids(context, "SELECT id FROM main.media_parts WHERE media_item_id = ?1", id)? {
        part(context, below)?;
    }
    blobs(context, "media_item", id)?;
    if !rows::exists(context.conn, MINE, "media_items", id)? && rows::delete(context.conn, MAIN, "media_items", id)? {
        context.report.carried("media_items").deleted += 1;
    }
    Ok(())
}

/// Deletes items from the bottom up, keeping those below which the worker found something new.
fn items(context: &mut Context<'_>, writer: &mut Writer, removed: Vec<i64>) -> Step<()> {
    let mut gone: BTreeSet<i64> = BTreeSet::new();
    for id in removed {
        if rows::exists(context.conn, MAIN, "metadata_items", id)? {
            gone.insert(id);
        }
    }
    // Each round keeps what holds something that stays; a kept album keeps its artist in the next.
    loop {
        let mut kept = Vec::new();
        for &id in &gone {
            let children = ids(context, "SELECT id FROM main.metadata_items WHERE parent_id = ?1", id)?;
            let holds_media = any(
                context,
                "SELECT 1 FROM main.media_items i WHERE i.metadata_item_id = ?1
                 AND EXISTS (SELECT 1 FROM main.media_parts p WHERE p.media_item_id = i.id)
                 AND NOT EXISTS (SELECT 1 FROM base.media_items b WHERE b.id = i.id AND b.metadata_item_id = ?1)",
                id,
            )?;
            if holds_media || children.iter().any(|child| !gone.contains(child)) {
                kept.push(id);
            }
        }
        if kept.is_empty() {
            break;
        }
        for id in kept {
            gone.remove(&id);
            context.report.decided.push(Decided {
                table: "metadata_items".into(),
                id,
                about: "deleted at home, and the worker found new files below it".into(),
                taken: "it stays".into(),
            });
        }
    }
    for id in gone {
        item(context, writer, id)?;
    }
    Ok(())
}

/// Deletes one item and what hangs on it.
fn item(context: &mut Context<'_>, writer: &mut Writer, id: i64) -> Step<()> {
    let Some(table) = context.table("metadata_items") else {
        return Ok(());
    };
    for below in ids(
        context,
        "SELECT id FROM main.media_items WHERE metadata_item_id = ?1",
        id,
    )? {
        media(context, below)?;
    }
    for (name, column) in [
        ("taggings", "metadata_item_id"),
        ("metadata_relations", "metadata_item_id"),
        ("metadata_relations", "related_metadata_item_id"),
        ("metadata_item_clusterings", "metadata_item_id"),
    ] {
        if context.schema.get(name).is_none() {
            continue;
        }
        // A tie that home itself left behind when it deleted the item stays, as Plex does not mind it.
        let homes = match name {
            "taggings" => "",
            _ => " AND NOT EXISTS (SELECT 1 FROM mine.{name} m WHERE m.id = main.{name}.id)",
        };
        let homes = homes.replace("{name}", name);
        let deleted = context
            .conn
            .prepare_cached(&format!("DELETE FROM main.{name} WHERE {column} = ?1{homes}"))?
            .execute([id])?;
        context.report.carried(name).deleted += deleted as u64;
    }
    blobs(context, "metadata_item", id)?;
    if writer.obstacle(context.conn, "metadata_items")?.is_none() {
        if writer.delete(context.conn, &table, id)? {
            context.report.carried("metadata_items").deleted += 1;
        }
        return Ok(());
    }
    // It cannot be taken out of its index; in the trash it is out of sight, and Plex takes it out itself.
    let Some(old) = rows::get(context.conn, MAIN, &table, id)? else {
        return Ok(());
    };
    if rows::value(&table, &old, "deleted_at") == Value::Null {
        let now = rows::value(&table, &old, "updated_at");
        let mut new = old.clone();
        set(
            &table,
            &mut new,
            "deleted_at",
            if now == Value::Null { Value::Integer(1) } else { now },
        );
        context.count_up(&table, &mut new);
        writer.update(context.conn, &table, id, &old, &new)?;
        context.report.decided.push(Decided {
            table: "metadata_items".into(),
            id,
            about: "deleted at home, and cannot be taken out of the index of titles here".into(),
            taken: "it is in the trash, which Plex empties".into(),
        });
    }
    Ok(())
}

/// Everything in a section that home deleted.
fn whole_section(context: &mut Context<'_>, writer: &mut Writer, section: i64) -> Step<()> {
    for id in ids(
        context,
        "SELECT id FROM main.metadata_items WHERE library_section_id = ?1",
        section,
    )? {
        item(context, writer, id)?;
    }
    for id in ids(
        context,
        "SELECT id FROM main.media_items WHERE library_section_id = ?1",
        section,
    )? {
        media(context, id)?;
    }
    for name in ["directories", "section_locations", "metadata_item_clusters"] {
        if context.schema.get(name).is_none() {
            continue;
        }
        let deleted = context.conn.execute(
            &format!("DELETE FROM main.{name} WHERE library_section_id = ?1"),
            [section],
        )?;
        context.report.carried(name).deleted += deleted as u64;
    }
    Ok(())
}
