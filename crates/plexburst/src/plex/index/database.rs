//! [`Counters`] on the worker's own library, read beside its running server.
//!
//! The library is opened anew for each look and closed again: a connection that stays open keeps Plex from putting its
//! write-ahead log away when it stops.

use plex_library::{Databases, open};
use rusqlite::{Connection, params};

use super::counters::{CountError, Counters, Counts, Marks, Sonic};

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
                    count(*), total(updated_at), total(changed_at & 4294967295), total(refreshed_at), coalesce(max(id), 0)
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
                // Sums are floats and only compared; of changed_at, near 2^63 on some servers, a float would lose the
                // very digits that change, so only its low half is summed.
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

    fn marks(&self, id: i64) -> Result<Marks, CountError> {
        // A mark stands in extra_data as JSON, in the old form percent-encoded.
        let mark = |prefix: &str, name: &str| {
            format!("(extra_data LIKE '%{prefix}:{name}%' OR extra_data LIKE '%{prefix}\\%3A{name}%' ESCAPE '\\')")
        };
        let (loudness, sonic) = (
            mark("ln", "loudnessAnalysisVersion"),
            mark("ms", "musicAnalysisVersion"),
        );
        let items = format!(
            "SELECT count(*) FILTER (WHERE is_top),
                    count(*) FILTER (WHERE is_top AND guid <> '' AND guid NOT LIKE 'local://%'),
                    count(*) FILTER (WHERE is_top AND refreshed_at IS NOT NULL),
                    count(*) FILTER (WHERE is_top AND user_thumb_url <> ''),
                    count(*) FILTER (WHERE metadata_type = 10 AND {loudness}),
                    count(*) FILTER (WHERE metadata_type = 10 AND {sonic})
             FROM (SELECT *, metadata_type IN (1, 2, 8, 13) AS is_top FROM metadata_items NOT INDEXED
                   WHERE library_section_id = ?1 AND deleted_at IS NULL)"
        );
        let streams = "SELECT count(*) FROM media_items mi JOIN media_parts mp ON mp.media_item_id = mi.id
             WHERE mi.library_section_id = ?1 AND mi.deleted_at IS NULL AND mp.deleted_at IS NULL AND mp.file <> ''
               AND EXISTS (SELECT 1 FROM media_streams ms WHERE ms.media_item_id = mi.id)";
        self.read(|db| {
            let mut marks = db.query_row(&items, [id], |row| {
                Ok(Marks {
                    tops: unsigned(row, 0)?,
                    matched: unsigned(row, 1)?,
                    refreshed: unsigned(row, 2)?,
                    pictures: unsigned(row, 3)?,
                    streams: 0,
                    loudness: unsigned(row, 4)?,
                    sonic: unsigned(row, 5)?,
                })
            })?;
            marks.streams = db.query_row(streams, [id], |row| unsigned(row, 0))?;
            Ok(marks)
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

    fn lacking(&self, section: i64, files: &[String]) -> Result<Vec<String>, CountError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM media_parts mp JOIN media_items mi ON mi.id = mp.media_item_id
                   WHERE mp.file = ?1 AND mp.deleted_at IS NULL AND mi.deleted_at IS NULL AND mi.library_section_id = ?2)";
        self.read(|db| {
            let mut statement = db.prepare(sql)?;
            let mut lacking = Vec::new();
            for file in files {
                if !statement.query_row(params![file, section], |row| row.get::<_, bool>(0))? {
                    lacking.push(file.clone());
                }
            }
            Ok(lacking)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The columns that are looked at, and a few rows: two sections of music, one track analysed, one in the trash.
    const LIBRARY: &str = "
        CREATE TABLE metadata_items (id INTEGER PRIMARY KEY, library_section_id INTEGER, metadata_type INTEGER,
            updated_at INTEGER, changed_at INTEGER, refreshed_at INTEGER, deleted_at INTEGER, guid TEXT, user_thumb_url TEXT,
            extra_data TEXT);
        CREATE TABLE media_items (id INTEGER PRIMARY KEY, library_section_id INTEGER, metadata_item_id INTEGER,
            media_analysis_version INTEGER, deleted_at INTEGER);
        CREATE TABLE media_parts (id INTEGER PRIMARY KEY, media_item_id INTEGER, file TEXT, deleted_at INTEGER);
        CREATE TABLE media_streams (id INTEGER PRIMARY KEY, media_item_id INTEGER, stream_type_id INTEGER, extra_data TEXT);
        CREATE TABLE blobs (id INTEGER PRIMARY KEY, linked_type TEXT, linked_id INTEGER, blob_type INTEGER);
        INSERT INTO metadata_items (id, library_section_id, metadata_type, updated_at, changed_at, refreshed_at, deleted_at)
            VALUES (1, 3, 8, 5, 1, NULL, NULL), (2, 3, 9, 5, 1, NULL, NULL),
            (10, 3, 10, 5, 9223372036854775000, NULL, NULL), (11, 3, 10, 5, 9223372036854775000, NULL, NULL),
            (12, 3, 10, 5, 1, NULL, 99), (20, 4, 10, 5, 1, NULL, NULL), (30, NULL, 12, 5, 1, NULL, NULL);
        UPDATE metadata_items SET guid = 'plex://artist/1', user_thumb_url = 'metadata://posters/x' WHERE id = 1;
        UPDATE metadata_items SET extra_data = '{\"ms:musicAnalysisVersion\":\"1\"}' WHERE id IN (10, 12);
        UPDATE metadata_items SET extra_data = 'ln%3AloudnessAnalysisVersion=2' WHERE id = 11;
        INSERT INTO media_items VALUES (110, 3, 10, 7, NULL), (111, 3, 11, 0, NULL), (112, 3, 12, 7, 99), (120, 4, 20, 7, NULL);
        INSERT INTO media_parts VALUES (210, 110, '/m/a.flac', NULL), (211, 111, '/m/b.flac', NULL),
            (212, 112, '/m/c.flac', 99), (220, 120, '/n/d.flac', NULL);
        INSERT INTO media_streams VALUES (1, 110, 2, '{\"ld:loudness\":\"-9\"}'), (2, 111, 2, 'x=1'), (3, 120, 2, 'ld%3Aloudness=-9');";
    const BLOBS: &str = "
        CREATE TABLE blobs (id INTEGER PRIMARY KEY, linked_type TEXT, linked_id INTEGER, blob_type INTEGER);
        INSERT INTO blobs VALUES (1, 'metadata_item', 10, 7), (2, 'media_part', 11, 7), (3, 'metadata_item', 11, 3),
            (4, 'metadata_item', 999, 7);";

    fn library(blobs: bool) -> (tempfile::TempDir, DatabaseCounters) {
        let dir = tempfile::tempdir().unwrap();
        let databases = Databases::at(dir.path());
        Connection::open(databases.library())
            .unwrap()
            .execute_batch(LIBRARY)
            .unwrap();
        if blobs {
            Connection::open(databases.blobs())
                .unwrap()
                .execute_batch(BLOBS)
                .unwrap();
        }
        (dir, DatabaseCounters::new(databases))
    }

    #[test]
    fn a_section_is_counted_without_its_trash_and_its_neighbours() {
        let (_dir, counters) = library(true);
        let counts = counters.section(3).unwrap();
        let seen = [
            counts.items,
            counts.files,
            counts.trashed,
            counts.analysed,
            counts.loudness,
            counts.sonic,
        ];
        assert_eq!(seen, [2, 2, 1, 1, 1, 1]);
        assert_eq!(counters.section(4).unwrap().loudness, 1);
        let marks = counters.marks(3).unwrap();
        let seen = [
            marks.tops,
            marks.matched,
            marks.refreshed,
            marks.pictures,
            marks.streams,
            marks.loudness,
            marks.sonic,
        ];
        assert_eq!(seen, [1, 1, 0, 1, 2, 1, 1]);
        assert_eq!(counters.section(99).unwrap().files, 0);
        assert_eq!(counters.sonic().unwrap(), Sonic { done: 1, all: 3 });
        assert_eq!(counters.without_sonic(3, 10).unwrap(), ["/m/b.flac"]);
        assert!(counters.without_sonic(3, 0).unwrap().is_empty());
        // One that is there, one in the trash, one of another section, one of none.
        let files = ["/m/a.flac", "/m/c.flac", "/n/d.flac", "/m/e.flac"].map(str::to_owned);
        assert_eq!(counters.lacking(3, &files).unwrap(), files[1..]);
    }

    #[test]
    fn any_change_of_an_item_is_another_fingerprint() {
        let (dir, counters) = library(true);
        let mut last = counters.section(3).unwrap().fingerprint;
        assert_eq!(counters.section(3).unwrap().fingerprint, last);
        let db = Connection::open(Databases::at(dir.path()).library()).unwrap();
        for change in [
            "updated_at = 6 WHERE id = 1",
            "refreshed_at = 7 WHERE id = 2",
            "changed_at = 2 WHERE id = 1",
        ] {
            db.execute(&format!("UPDATE metadata_items SET {change}"), []).unwrap();
            let now = counters.section(3).unwrap().fingerprint;
            assert_ne!(now, last, "{change}");
            last = now;
        }
    }

    #[test]
    fn without_blobs_nothing_is_analysed_and_without_a_library_nothing_is_known() {
        let (_dir, counters) = library(false);
        assert_eq!(counters.section(3).unwrap().sonic, 0);
        assert_eq!(counters.sonic().unwrap().left(), 3);
        assert_eq!(counters.without_sonic(3, 10).unwrap().len(), 2);
        let nowhere = DatabaseCounters::new(Databases::at("/no/such/folder"));
        assert!(nowhere.section(3).is_err() && nowhere.sonic().is_err());
    }
}
