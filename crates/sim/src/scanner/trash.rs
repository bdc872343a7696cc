//! What a scan could not find: marked as deleted, and removed for good when the server is set to do that.
//!
//! Settings and views stay in any case; a server keeps them for when the file comes back (facts/plex.md §2.2).

use rusqlite::{Connection, TransactionBehavior};

use super::media::Known;
use crate::store::{clock, counter};

/// Files marked in one transaction.
const BATCH: usize = 100;

/// Marks the files, and the items of which nothing is left, as deleted.
pub(super) fn mark(library: &mut Connection, missing: &[Known]) -> rusqlite::Result<()> {
    for batch in missing.chunks(BATCH) {
        let transaction = library.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for known in batch {
            mark_one(&transaction, known)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

fn mark_one(library: &Connection, known: &Known) -> rusqlite::Result<()> {
    let now = clock::now();
    library
        .prepare_cached("UPDATE media_parts SET deleted_at = ?2 WHERE id = ?1")?
        .execute((known.part, now))?;
    library
        .prepare_cached(
            "UPDATE media_items SET deleted_at = ?2 WHERE id = ?1
             AND NOT EXISTS (SELECT 1 FROM media_parts WHERE media_item_id = ?1 AND deleted_at IS NULL)",
        )?
        .execute((known.media_item, now))?;
    let changed = counter::next(library)?;
    let is_gone = library
        .prepare_cached(
            "UPDATE metadata_items SET deleted_at = ?2, changed_at = ?3 WHERE id = ?1 AND deleted_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM media_items WHERE metadata_item_id = ?1 AND deleted_at IS NULL)",
        )?
        .execute((known.item, now, changed))?;
    let mut child = (is_gone > 0).then_some(known.item);
    while let Some(id) = child {
        let parent: Option<i64> = library
            .prepare_cached("SELECT parent_id FROM metadata_items WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let Some(parent) = parent else { break };
        let is_empty = library
            .prepare_cached(
                "UPDATE metadata_items SET deleted_at = ?2, changed_at = ?3 WHERE id = ?1 AND deleted_at IS NULL
                 AND NOT EXISTS (SELECT 1 FROM metadata_items WHERE parent_id = ?1 AND deleted_at IS NULL)",
            )?
            .execute((parent, now, changed))?;
        child = (is_empty > 0).then_some(parent);
    }
    Ok(())
}

/// Removes for good what the section has in the trash; returns how many files.
pub(crate) fn empty(library: &mut Connection, section: i64) -> rusqlite::Result<usize> {
    let transaction = library.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(
        "DELETE FROM media_streams WHERE media_part_id IN (SELECT p.id FROM media_parts p
             JOIN media_items m ON m.id = p.media_item_id WHERE m.library_section_id = ?1 AND p.deleted_at IS NOT NULL)",
        [section],
    )?;
    let files = transaction.execute(
        "DELETE FROM media_parts WHERE deleted_at IS NOT NULL
             AND media_item_id IN (SELECT id FROM media_items WHERE library_section_id = ?1)",
        [section],
    )?;
    transaction.execute(
        "DELETE FROM media_items WHERE library_section_id = ?1 AND deleted_at IS NOT NULL",
        [section],
    )?;
    transaction.execute(
        "UPDATE metadata_items SET media_item_count =
             (SELECT count(*) FROM media_items WHERE metadata_item_id = metadata_items.id)
         WHERE library_section_id = ?1 AND metadata_type IN (1, 4, 10, 13) AND deleted_at IS NULL
             AND media_item_count <> (SELECT count(*) FROM media_items WHERE metadata_item_id = metadata_items.id)",
        [section],
    )?;
    transaction.execute(
        "DELETE FROM taggings WHERE metadata_item_id IN
             (SELECT id FROM metadata_items WHERE library_section_id = ?1 AND deleted_at IS NOT NULL)",
        [section],
    )?;
    transaction.execute(
        "DELETE FROM metadata_items WHERE library_section_id = ?1 AND deleted_at IS NOT NULL",
        [section],
    )?;
    // Folders in which nothing is left, from the deepest up.
    while transaction.execute(
        "DELETE FROM directories WHERE library_section_id = ?1 AND deleted_at IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM directories below WHERE below.parent_directory_id = directories.id)
             AND NOT EXISTS (SELECT 1 FROM media_parts WHERE directory_id = directories.id)",
        [section],
    )? > 0
    {}
    transaction.commit()?;
    Ok(files)
}
