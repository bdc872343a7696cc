//! Play queues: what a player is going to play. One per player, account and kind; a new one replaces the old.

use rusqlite::{Connection, params};

use super::now;
use crate::store::counter;

/// A queue as it was just made.
#[derive(Debug)]
pub(crate) struct PlayQueue {
    /// Its row.
    pub(crate) id: i64,
    /// (id of the entry, id of the item).
    pub(crate) entries: Vec<(i64, i64)>,
}

/// Makes the queue of a player.
pub(crate) fn create(
    db: &Connection,
    account: i64,
    client: &str,
    kind: i64,
    uri: &str,
    items: &[i64],
) -> rusqlite::Result<PlayQueue> {
    let key = params![client, account, kind];
    db.execute(
        "DELETE FROM play_queue_items WHERE play_queue_id IN (SELECT id FROM play_queues
             WHERE client_identifier = ?1 AND account_id = ?2 AND metadata_type = ?3)",
        key,
    )?;
    db.execute(
        "DELETE FROM play_queues WHERE client_identifier = ?1 AND account_id = ?2 AND metadata_type = ?3",
        key,
    )?;
    db.execute(
        "INSERT INTO play_queue_generators (uri, continuous, \"order\", created_at, updated_at, changed_at, recursive)
         VALUES (?1, 1, 0.0, ?2, ?2, ?3, 1)",
        params![uri, now(), counter::next(db)?],
    )?;
    let generator = db.last_insert_rowid();
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    db.execute(
        "INSERT INTO play_queues (client_identifier, account_id, play_queue_generator_id, generator_start_index,
             generator_end_index, generator_items_count, version, created_at, updated_at, metadata_type,
             total_items_count, extra_data)
         VALUES (?1, ?2, ?3, 0, ?4, ?5, 1, ?6, ?6, ?7, ?5, '{\"url\":\"\"}')",
        params![client, account, generator, (count - 1).max(0), count, now(), kind],
    )?;
    let id = db.last_insert_rowid();
    let mut entries = Vec::new();
    let mut order = 0.0;
    for item in items {
        order += 1000.0;
        db.execute(
            "INSERT INTO play_queue_items (play_queue_id, metadata_item_id, \"order\", play_queue_generator_id)
             VALUES (?1, ?2, ?3, ?4)",
            params![id, item, order, generator],
        )?;
        entries.push((db.last_insert_rowid(), *item));
    }
    db.execute(
        "UPDATE play_queues SET current_play_queue_item_id = ?2 WHERE id = ?1",
        params![id, entries.first().map(|(entry, _)| entry)],
    )?;
    Ok(PlayQueue { id, entries })
}

/// A queue that was made before; `None` when there is none of that id.
pub(crate) fn read(db: &Connection, id: i64) -> rusqlite::Result<Option<PlayQueue>> {
    let known: i64 = db.query_row("SELECT count(*) FROM play_queues WHERE id = ?1", [id], |row| row.get(0))?;
    if known == 0 {
        return Ok(None);
    }
    let mut statement = db.prepare_cached(
        "SELECT q.id, q.metadata_item_id FROM play_queue_items q JOIN metadata_items i ON i.id = q.metadata_item_id
         WHERE q.play_queue_id = ?1 ORDER BY q.\"order\"",
    )?;
    let entries = statement
        .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(Some(PlayQueue { id, entries }))
}
