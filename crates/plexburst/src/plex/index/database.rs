//! [`Counters`] on the worker's own library, read beside its running server.
//!
//! The library is opened anew for each look and closed again: a connection that stays open keeps Plex from putting its
//! write-ahead log away when it stops.

use plex_library::{Databases, open};
use rusqlite::{Connection, params};

use super::counters::{CountError, Counters, Counts, Sonic};

/// Counts in the library of a `Databases` folder.
#[derive(Debug, Clone)]
pub struct DatabaseCounters {
    databases: Databases,
}

impl DatabaseCounters {
    /// Of this library. Nothing is opened yet.
    #[must_use]
    pub fn new(databases: Databases) -> Self {
        Self { databases }
    }

    fn read<T>(&self, look: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, CountError> {
        let reader = open::pair(&self.databases)?;
        let found = look(&reader)?;
        reader.confirm()?;
        Ok(found)
    }
}

/// Items that have files of their own: tracks, episodes, movies, photos.
const LEAVES: &str = "(1, 4, 10, 13)";
/// A Sonic vector: 50 floats, by the row id of its track.
const VECTOR: &str = "b.linked_type = 'metadata_item' AND b.blob_type = 7";

impl Counters for DatabaseCounters {
    fn section(&self, id: i64) -> Result<Counts, CountError> {
        let items = format!(
            "SELECT count(*) FILTER (WHERE metadata_type IN {LEAVES} AND deleted_at IS NULL),
                    count(*) FILTER (WHERE metadata_type IN {LEAVES} AND deleted_at IS NOT NULL),
                    count(*), total(updated_at), total(changed_at), total(refreshed_at), coalesce(max(id), 0)
             FROM metadata_items WHERE library_section_id = ?1"
        );
        // Loudness stands in an audio stream's extra_data, in the old form percent-encoded.
        let loudness =
            "SELECT count(DISTINCT mi.id) FROM media_items mi JOIN media_streams ms ON ms.media_item_id = mi.id
             WHERE mi.library_section_id = ?1 AND mi.deleted_at IS NULL AND ms.stream_type_id = 2
               AND (ms.extra_data LIKE '%ld:loudness%' OR ms.extra_data LIKE '%ld\\%3Aloudness%' ESCAPE '\\')";
        let sonic = format!(
            "SELECT count(*) FROM blobs.blobs b JOIN main.metadata_items m ON m.id = b.linked_id
             WHERE {VECTOR} AND m.library_section_id = ?1 AND m.deleted_at IS NULL"
        );
        self.read(|db| {
            let mut counts = db.query_row(&items, [id], |row| {
                let number = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
                // Counters of Plex are near the limit of 64 bits: sums are floats, and only compared.
                let moved = [2, 3, 4, 5, 6].map(|at| row.get::<_, f64>(at).map(f64::to_bits));
                let mut fingerprint = 0_u64;
                for bits in moved {
                    fingerprint = fingerprint.rotate_left(13) ^ bits?;
                }
                Ok(Counts {
                    items: number(0)?,
                    trashed: number(1)?,
                    fingerprint: i64::from_ne_bytes(fingerprint.to_ne_bytes()),
                    ..Counts::default()
                })
            })?;
            let media = "SELECT count(*), count(*) FILTER (WHERE mi.media_analysis_version > 0)
                 FROM media_items mi JOIN media_parts mp ON mp.media_item_id = mi.id
                 WHERE mi.library_section_id = ?1 AND mi.deleted_at IS NULL AND mp.deleted_at IS NULL AND mp.file <> ''";
            (counts.files, counts.analysed) =
                db.query_row(media, [id], |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?)))?;
            counts.loudness = db.query_row(loudness, [id], |row| unsigned(row, 0))?;
            if has_blobs(db)? {
                counts.sonic = db.query_row(&sonic, [id], |row| unsigned(row, 0))?;
            }
            Ok(counts)
        })
    }

    fn sonic(&self) -> Result<Sonic, CountError> {
        self.read(|db| {
            let tracks = "SELECT count(*) FROM metadata_items m WHERE m.metadata_type = 10 AND m.deleted_at IS NULL
                 AND m.library_section_id IS NOT NULL";
            let all = db.query_row(tracks, [], |row| unsigned(row, 0))?;
            if !has_blobs(db)? {
                return Ok(Sonic { done: 0, all });
            }
            let vectors = format!(
                "SELECT count(*) FROM blobs.blobs b JOIN main.metadata_items m ON m.id = b.linked_id
                 WHERE {VECTOR} AND m.metadata_type = 10 AND m.deleted_at IS NULL AND m.library_section_id IS NOT NULL"
            );
            Ok(Sonic {
                done: db.query_row(&vectors, [], |row| unsigned(row, 0))?,
                all,
            })
        })
    }

    fn without_sonic(&self, section: i64, limit: u64) -> Result<Vec<String>, CountError> {
        self.read(|db| {
            let blobs = if has_blobs(db)? { "blobs.blobs" } else { "main.blobs" };
            let sql = format!(
                "SELECT mp.file FROM main.metadata_items m
                 JOIN main.media_items mi ON mi.metadata_item_id = m.id JOIN main.media_parts mp ON mp.media_item_id = mi.id
                 WHERE m.library_section_id = ?1 AND m.metadata_type = 10 AND m.deleted_at IS NULL
                   AND NOT EXISTS (SELECT 1 FROM {blobs} b WHERE {VECTOR} AND b.linked_id = m.id)
                 ORDER BY mp.file LIMIT ?2"
            );
            let mut statement = db.prepare(&sql)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            statement.query_map(params![section, limit], |row| row.get(0))?.collect()
        })
    }
}

fn unsigned(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::unsigned_abs)
}

/// Libraries of before 2020 have no database of blobs beside them.
fn has_blobs(db: &Connection) -> rusqlite::Result<bool> {
    let attached = "SELECT count(*) FROM pragma_database_list WHERE name = 'blobs'";
    db.query_row(attached, [], |row| row.get::<_, i64>(0))
        .map(|count| count > 0)
}
