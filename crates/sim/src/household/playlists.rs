//! Playlists: a row of metadata_items (type 15, no section), its owner in metadata_item_accounts, and one
//! play_queue_generators row per entry.

use rusqlite::{Connection, OptionalExtension, params};
use sha1::{Digest, Sha1};

use super::{extra, now};
use crate::store::counter;

/// The type of playlists in metadata_items.
pub(crate) const PLAYLIST: i64 = 15;
/// Entries lie this far apart in `order`, so that one can be put between two others.
const ORDER_STEP: f64 = 1000.0;

/// What is played: the word that the API uses.
pub(crate) fn kind_of(metadata_type: i64) -> &'static str {
    match metadata_type {
        8..=10 => "audio",
        13 | 14 => "photo",
        _ => "video",
    }
}

/// A new row of metadata_items that people made: a playlist or a collection. Returns its id.
pub(crate) fn insert_item(
    db: &Connection,
    kind: i64,
    section: Option<i64>,
    guid: &str,
    title: &str,
    extra_data: &str,
) -> rusqlite::Result<i64> {
    let hash: String = Sha1::digest(guid).iter().map(|byte| format!("{byte:02x}")).collect();
    db.execute(
        "INSERT INTO metadata_items (library_section_id, metadata_type, guid, media_item_count, title, title_sort,
             \"index\", hash, extra_data, added_at, created_at, updated_at, changed_at, resources_changed_at)
         VALUES (?1, ?2, ?3, 0, ?4, ?4, 0, ?5, ?6, ?7, ?7, ?7, ?8, ?8)",
        params![section, kind, guid, title, hash, extra_data, now(), counter::next(db)?],
    )?;
    Ok(db.last_insert_rowid())
}

/// Makes a playlist of these items. Returns its id.
pub(crate) fn create(
    db: &Connection,
    account: i64,
    uuid: &str,
    kind: &str,
    title: &str,
    items: &[i64],
) -> rusqlite::Result<i64> {
    let extra_data = extra::with(
        None,
        &[
            ("pv:owner", Some(account.to_string())),
            ("pv:playlistType", Some(kind.to_owned())),
        ],
    );
    let guid = format!("com.plexapp.agents.none://{uuid}");
    let id = insert_item(db, PLAYLIST, None, &guid, title, &extra_data)?;
    db.execute(
        "INSERT INTO metadata_item_accounts (account_id, metadata_item_id) VALUES (?1, ?2)",
        params![account, id],
    )?;
    add(db, id, items)?;
    Ok(id)
}

/// Puts items at the end.
pub(crate) fn add(db: &Connection, playlist: i64, items: &[i64]) -> rusqlite::Result<()> {
    let last: Option<f64> = db.query_row(
        "SELECT max(\"order\") FROM play_queue_generators WHERE playlist_id = ?1",
        [playlist],
        |row| row.get(0),
    )?;
    let mut order = last.unwrap_or(0.0);
    for item in items {
        order += ORDER_STEP;
        db.execute(
            "INSERT INTO play_queue_generators (playlist_id, metadata_item_id, uri, continuous, \"order\", created_at,
                 updated_at, changed_at, recursive)
             VALUES (?1, ?2, '', 0, ?3, ?4, ?4, ?5, 0)",
            params![playlist, item, order, now(), counter::next(db)?],
        )?;
    }
    touch(db, playlist)
}

/// Takes one entry out. False when it is not there.
pub(crate) fn remove(db: &Connection, playlist: i64, entry: i64) -> rusqlite::Result<bool> {
    let removed = db.execute(
        "DELETE FROM play_queue_generators WHERE id = ?1 AND playlist_id = ?2",
        params![entry, playlist],
    )?;
    touch(db, playlist)?;
    Ok(removed > 0)
}

/// Moves an entry behind another (or to the front). False when one of them is not there.
pub(crate) fn move_after(db: &Connection, playlist: i64, entry: i64, after: Option<i64>) -> rusqlite::Result<bool> {
    let order_of = |id: i64| -> rusqlite::Result<Option<f64>> {
        db.query_row(
            "SELECT \"order\" FROM play_queue_generators WHERE id = ?1 AND playlist_id = ?2",
            params![id, playlist],
            |row| row.get(0),
        )
        .optional()
    };
    let low = match after {
        Some(after) => order_of(after)?,
        None => Some(0.0),
    };
    let (Some(low), Some(_)) = (low, order_of(entry)?) else {
        return Ok(false);
    };
    let high: Option<f64> = db.query_row(
        "SELECT min(\"order\") FROM play_queue_generators WHERE playlist_id = ?1 AND \"order\" > ?2 AND id <> ?3",
        params![playlist, low, entry],
        |row| row.get(0),
    )?;
    let order = high.map_or(low + ORDER_STEP, |high| f64::midpoint(low, high));
    db.execute(
        "UPDATE play_queue_generators SET \"order\" = ?2, updated_at = ?3, changed_at = ?4 WHERE id = ?1",
        params![entry, order, now(), counter::next(db)?],
    )?;
    touch(db, playlist)?;
    Ok(true)
}

/// Deletes the playlist with its entries and its ownership.
pub(crate) fn delete(db: &Connection, playlist: i64) -> rusqlite::Result<()> {
    db.execute("DELETE FROM play_queue_generators WHERE playlist_id = ?1", [playlist])?;
    db.execute(
        "DELETE FROM metadata_item_accounts WHERE metadata_item_id = ?1",
        [playlist],
    )?;
    db.execute("DELETE FROM metadata_items WHERE id = ?1", [playlist])
        .map(drop)
}

/// The entries: (id of the entry, id of the item), in their order. Items that are gone are left out, their rows stay.
pub(crate) fn entries(db: &Connection, playlist: i64) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut statement = db.prepare_cached(
        "SELECT g.id, g.metadata_item_id FROM play_queue_generators g JOIN metadata_items i ON i.id = g.metadata_item_id
         WHERE g.playlist_id = ?1 ORDER BY g.\"order\", g.id",
    )?;
    statement
        .query_map([playlist], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Brings the playlist's own row up to date with its entries.
fn touch(db: &Connection, playlist: i64) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE metadata_items SET updated_at = ?2, changed_at = ?3,
             media_item_count = (SELECT count(*) FROM play_queue_generators WHERE playlist_id = ?1),
             duration = (SELECT coalesce(sum(i.duration), 0) FROM play_queue_generators g
                 JOIN metadata_items i ON i.id = g.metadata_item_id WHERE g.playlist_id = ?1)
         WHERE id = ?1",
        params![playlist, now(), counter::next(db)?],
    )
    .map(drop)
}
