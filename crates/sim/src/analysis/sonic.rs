//! The Sonic analysis: a vector for every track of every section that wants one.
//!
//! A track is done when its vector lies in blobs.db *and* its row says so; the vector is written first, so one that was
//! being analysed when the process was killed is done again. Albums and artists say so when all below them do.

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::Outcome;
use super::decode::{self, DecodeError};
use super::pace::Pace;
use super::vector::{DIMENSIONS, Listener};
use crate::process::{Process, log};
use crate::scanner::items::kind;
use crate::store::extra::Extra;
use crate::store::{StoreError, clock, counter};

/// `blobs.blob_type` of a vector, and what it is linked to (facts/plex.md §1.5).
const BLOB_TYPE: i64 = 7;
const LINKED: &str = "metadata_item";
/// What the row of an analysed item says (facts/plex.md §3).
pub(super) const MARK: &str = "ms:musicAnalysisVersion";
const VERSION: &str = "1";

struct Track {
    id: i64,
    title: String,
    file: String,
}

/// Analyses every track that is not done, in every section that has not switched it off.
pub(crate) fn run(process: &mut Process) -> Result<Outcome, StoreError> {
    let tracks = backlog(process)?;
    let pace = Pace::of(process);
    let mut outcome = Outcome::default();
    for (number, track) in tracks.iter().enumerate() {
        if process.is_cancelled() {
            break;
        }
        match listen(Path::new(&track.file)) {
            Ok(vector) => {
                put(&process.db.blobs, track.id, &vector)?;
                mark(&mut process.db.library, track.id)?;
                outcome.done += 1;
            }
            Err(error) => {
                log(format_args!("{} has no Sonic analysis: {error}", track.file));
                outcome.skipped += 1;
            }
        }
        process.progress.step(number + 1, tracks.len(), track.id, &track.title);
        pace.keep(process);
    }
    Ok(outcome)
}

fn backlog(process: &Process) -> rusqlite::Result<Vec<Track>> {
    let mut statement = process
        .db
        .blobs
        .prepare("SELECT linked_id FROM blobs WHERE linked_type = ?1 AND blob_type = ?2")?;
    let vectors = statement
        .query_map(params![LINKED, BLOB_TYPE], |row| row.get(0))?
        .collect::<rusqlite::Result<HashSet<i64>>>()?;
    let unwanted = unwanted(&process.db.library)?;
    let mut statement = process.db.library.prepare(
        "SELECT t.id, coalesce(t.title, ''), t.extra_data, min(p.file), t.library_section_id
         FROM metadata_items t
         JOIN media_items m ON m.metadata_item_id = t.id
         JOIN media_parts p ON p.media_item_id = m.id
         WHERE t.metadata_type = ?1 AND t.deleted_at IS NULL AND m.deleted_at IS NULL AND p.deleted_at IS NULL
             AND p.file <> ''
         GROUP BY t.id ORDER BY t.id",
    )?;
    let mut rows = statement.query([kind::TRACK])?;
    let mut tracks = Vec::new();
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        let extra: Option<String> = row.get(2)?;
        let is_done = vectors.contains(&id) && Extra::parse(extra.as_deref()).get(MARK).is_some();
        let section: Option<i64> = row.get(4)?;
        if !is_done && section.is_none_or(|section| !unwanted.contains(&section)) {
            tracks.push(Track {
                id,
                title: row.get(1)?,
                file: row.get(3)?,
            });
        }
    }
    Ok(tracks)
}

/// The sections whose settings switch it off.
fn unwanted(library: &Connection) -> rusqlite::Result<HashSet<i64>> {
    let mut statement = library.prepare("SELECT id, user_fields FROM library_sections")?;
    let mut rows = statement.query([])?;
    let mut sections = HashSet::new();
    while let Some(row) = rows.next()? {
        let fields: Option<String> = row.get(1)?;
        if matches!(
            Extra::parse(fields.as_deref()).get("pr:musicAnalysis"),
            Some("0" | "false")
        ) {
            sections.insert(row.get(0)?);
        }
    }
    Ok(sections)
}

fn listen(file: &Path) -> Result<[f64; DIMENSIONS], DecodeError> {
    let mut listener = None;
    decode::listen(file, |samples, channels, rate| {
        listener
            .get_or_insert_with(|| Listener::new(rate))
            .hear(samples, channels);
    })?;
    listener.map(Listener::finish).ok_or(DecodeError::Silent)
}

fn put(blobs: &Connection, track: i64, vector: &[f64]) -> Result<(), StoreError> {
    let blob = pack(vector).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    blobs
        .prepare_cached(
            "INSERT INTO blobs (blob, linked_type, linked_id, created_at, blob_type) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (linked_type, linked_id, blob_type)
             DO UPDATE SET blob = excluded.blob, created_at = excluded.created_at",
        )?
        .execute(params![blob, LINKED, track, clock::now(), BLOB_TYPE])?;
    Ok(())
}

/// Numbers as text, with as many digits as are the same on every machine.
fn pack(vector: &[f64]) -> io::Result<Vec<u8>> {
    let text: Vec<String> = vector.iter().map(|number| format!("{number:.6}")).collect();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.join(",").as_bytes())?;
    encoder.finish()
}

/// Says so in the row of the track, and in those above it that are complete now.
fn mark(library: &mut Connection, track: i64) -> rusqlite::Result<()> {
    let transaction = library.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let changed = counter::next(&transaction)?;
    let mut next = Some(track);
    while let Some(id) = next {
        let row: Option<(Option<String>, Option<i64>)> = transaction
            .prepare_cached("SELECT extra_data, parent_id FROM metadata_items WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        // Removed while it was listened to.
        let Some((extra, parent)) = row else { break };
        let mut extra = Extra::parse(extra.as_deref());
        if extra.get(MARK) != Some(VERSION) {
            extra.set(MARK, VERSION);
            transaction
                .prepare_cached("UPDATE metadata_items SET extra_data = ?2, changed_at = ?3 WHERE id = ?1")?
                .execute(params![id, extra.to_json(), changed])?;
        }
        next = match parent {
            Some(parent) if is_complete(&transaction, parent)? => Some(parent),
            _ => None,
        };
    }
    transaction.commit()
}

fn is_complete(library: &Connection, parent: i64) -> rusqlite::Result<bool> {
    let mut statement =
        library.prepare_cached("SELECT extra_data FROM metadata_items WHERE parent_id = ?1 AND deleted_at IS NULL")?;
    let mut rows = statement.query([parent])?;
    while let Some(row) = rows.next()? {
        let extra: Option<String> = row.get(0)?;
        if Extra::parse(extra.as_deref()).get(MARK).is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
