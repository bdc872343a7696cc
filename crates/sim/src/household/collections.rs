//! Collections: a row of metadata_items (type 18, in a section), a tag of type 2 that belongs to it, and a tagging on each
//! member.

use rusqlite::{Connection, OptionalExtension, params};

use super::playlists::insert_item;
use super::{extra, now};
use crate::store::counter;

/// The type of collections in metadata_items.
pub(crate) const COLLECTION: i64 = 18;
/// The type of collections in tags.
const TAG: i64 = 2;

/// Makes a collection of these items. `subtype` is the metadata type of its members. Returns its id.
pub(crate) fn create(
    db: &Connection,
    section: i64,
    uuid: &str,
    subtype: i64,
    title: &str,
    items: &[i64],
) -> rusqlite::Result<i64> {
    let extra_data = extra::with(None, &[("pv:subtype", Some(subtype.to_string()))]);
    let id = insert_item(
        db,
        COLLECTION,
        Some(section),
        &format!("collection://{uuid}"),
        title,
        &extra_data,
    )?;
    db.execute(
        "INSERT INTO tags (metadata_item_id, tag, tag_type, created_at, updated_at, extra_data)
         VALUES (?1, ?2, ?3, ?4, ?4, '{\"url\":\"\"}')",
        params![id, title, TAG, now()],
    )?;
    add(db, id, items)?;
    Ok(id)
}

fn tag_of(db: &Connection, collection: i64) -> rusqlite::Result<Option<(i64, String)>> {
    db.query_row(
        "SELECT id, coalesce(tag, '') FROM tags WHERE metadata_item_id = ?1 AND tag_type = ?2 ORDER BY id LIMIT 1",
        params![collection, TAG],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
    .optional()
}

/// Adds members; those that are in it already stay once.
pub(crate) fn add(db: &Connection, collection: i64, items: &[i64]) -> rusqlite::Result<()> {
    let Some((tag, _)) = tag_of(db, collection)? else {
        return Ok(());
    };
    for item in items {
        let known: i64 = db.query_row(
            "SELECT count(*) FROM taggings WHERE metadata_item_id = ?1 AND tag_id = ?2",
            params![item, tag],
            |row| row.get(0),
        )?;
        if known == 0 {
            db.execute(
                "INSERT INTO taggings (metadata_item_id, tag_id, \"index\", text, created_at, extra_data)
                 VALUES (?1, ?2, 0, '', ?3, '{\"url\":\"\"}')",
                params![item, tag, now()],
            )?;
            name_on(db, *item)?;
        }
    }
    touch(db, collection)
}

/// Takes a member out. False when it is not in it.
pub(crate) fn remove(db: &Connection, collection: i64, item: i64) -> rusqlite::Result<bool> {
    let Some((tag, _)) = tag_of(db, collection)? else {
        return Ok(false);
    };
    let removed = db.execute(
        "DELETE FROM taggings WHERE metadata_item_id = ?1 AND tag_id = ?2",
        params![item, tag],
    )?;
    name_on(db, item)?;
    touch(db, collection)?;
    Ok(removed > 0)
}

/// Deletes the collection, its tag and its taggings; the members stay.
pub(crate) fn delete(db: &Connection, collection: i64) -> rusqlite::Result<()> {
    let items = members(db, collection)?;
    if let Some((tag, _)) = tag_of(db, collection)? {
        db.execute("DELETE FROM taggings WHERE tag_id = ?1", [tag])?;
        db.execute("DELETE FROM tags WHERE id = ?1", [tag])?;
    }
    for item in items {
        name_on(db, item)?;
    }
    db.execute("DELETE FROM metadata_items WHERE id = ?1", [collection])
        .map(drop)
}

/// The members' ids.
pub(crate) fn members(db: &Connection, collection: i64) -> rusqlite::Result<Vec<i64>> {
    let mut statement = db.prepare_cached(
        "SELECT g.metadata_item_id FROM taggings g JOIN tags t ON t.id = g.tag_id
             JOIN metadata_items i ON i.id = g.metadata_item_id
         WHERE t.metadata_item_id = ?1 AND t.tag_type = ?2 ORDER BY g.id",
    )?;
    statement
        .query_map(params![collection, TAG], |row| row.get(0))?
        .collect()
}

/// Repeats the names of an item's collections on its row, joined by '|' as Plex keeps tag names there.
fn name_on(db: &Connection, item: i64) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "SELECT t.tag FROM taggings g JOIN tags t ON t.id = g.tag_id
         WHERE g.metadata_item_id = ?1 AND t.tag_type = ?2 ORDER BY g.id",
    )?;
    let names: Vec<String> = statement
        .query_map(params![item, TAG], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    db.execute(
        "UPDATE metadata_items SET tags_collection = ?2, updated_at = ?3, changed_at = ?4 WHERE id = ?1",
        params![item, names.join("|"), now(), counter::next(db)?],
    )
    .map(drop)
}

fn touch(db: &Connection, collection: i64) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE metadata_items SET updated_at = ?2, changed_at = ?3,
             media_item_count = (SELECT count(*) FROM taggings g JOIN tags t ON t.id = g.tag_id
                 WHERE t.metadata_item_id = ?1 AND t.tag_type = ?4)
         WHERE id = ?1",
        params![collection, now(), counter::next(db)?, TAG],
    )
    .map(drop)
}
