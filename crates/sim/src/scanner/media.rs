//! Rows of `media_items`, `media_parts` and `media_streams`: the files behind the items.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::files::Stat;
use crate::store::clock;
use crate::store::extra::{Extra, escape};

/// A file that the library knows.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) part: i64,
    pub(super) media_item: i64,
    pub(super) item: i64,
    pub(super) directory: Option<i64>,
    pub(super) stat: Stat,
    pub(super) hash: String,
    pub(super) is_deleted: bool,
}

/// A file that has just been found.
#[derive(Debug, Clone)]
pub(super) struct NewFile {
    /// Absolute.
    pub(super) file: String,
    /// Relative to the root of its location.
    pub(super) relative: String,
    pub(super) stat: Stat,
    pub(super) hash: String,
}

/// What is known of a file's content before it is analysed.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    pub(super) container: &'static str,
    pub(super) audio_codec: &'static str,
    /// Milliseconds.
    pub(super) duration: Option<i64>,
    /// Bits per second.
    pub(super) bitrate: Option<i64>,
    pub(super) channels: Option<i64>,
    /// What the name said: `media_items.hints`.
    pub(super) hints: Vec<(&'static str, String)>,
}

/// Every file of the section, by its path.
pub(super) fn known(library: &Connection, section: i64) -> rusqlite::Result<HashMap<String, Known>> {
    let mut statement = library.prepare(
        "SELECT p.file, p.id, m.id, m.metadata_item_id, p.directory_id, coalesce(p.size, 0), coalesce(p.updated_at, 0),
             coalesce(p.hash, ''), p.deleted_at IS NOT NULL
         FROM media_items m JOIN media_parts p ON p.media_item_id = m.id
         WHERE m.library_section_id = ?1 AND p.file <> '' AND m.metadata_item_id IS NOT NULL",
    )?;
    let rows = statement.query_map([section], |row| {
        let known = Known {
            part: row.get(1)?,
            media_item: row.get(2)?,
            item: row.get(3)?,
            directory: row.get(4)?,
            stat: Stat {
                size: row.get(5)?,
                modified: row.get(6)?,
            },
            hash: row.get(7)?,
            is_deleted: row.get(8)?,
        };
        Ok((row.get(0)?, known))
    })?;
    rows.collect()
}

/// Makes the media item and the part of a new file, and a first stream of an audio file; returns the part.
pub(super) fn insert(
    library: &Connection,
    (section, location, directory): (i64, i64, i64),
    item: i64,
    file: &NewFile,
    look: &Look,
) -> rusqlite::Result<Known> {
    let now = clock::now();
    let hints: Vec<String> = look
        .hints
        .iter()
        .map(|(name, value)| format!("{name}={}", escape(value)))
        .collect();
    library
        .prepare_cached(
            "INSERT INTO media_items (library_section_id, section_location_id, metadata_item_id, size, duration, bitrate,
                 container, audio_codec, audio_channels, hints, display_offset, created_at, updated_at,
                 media_analysis_version, extra_data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, ?11, ?12, 0, '{\"url\":\"\"}')",
        )?
        .execute(params![
            section,
            location,
            item,
            file.stat.size,
            look.duration,
            look.bitrate,
            look.container,
            look.audio_codec,
            look.channels,
            hints.join("&"),
            now,
            file.stat.modified,
        ])?;
    let media_item = library.last_insert_rowid();
    library
        .prepare_cached(
            "INSERT INTO media_parts (media_item_id, directory_id, hash, file, size, duration, created_at, updated_at,
                 extra_data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '{\"url\":\"\"}')",
        )?
        .execute(params![
            media_item,
            directory,
            file.hash,
            file.file,
            file.stat.size,
            look.duration,
            now,
            file.stat.modified,
        ])?;
    let part = library.last_insert_rowid();
    if !look.audio_codec.is_empty() {
        let stream = Stream {
            kind: 2,
            codec: look.audio_codec.to_owned(),
            channels: look.channels,
            ..Stream::default()
        };
        insert_stream(library, media_item, part, &stream)?;
    }
    library
        .prepare_cached(
            "UPDATE metadata_items SET media_item_count =
                 (SELECT count(*) FROM media_items WHERE metadata_item_id = ?1) WHERE id = ?1",
        )?
        .execute([item])?;
    Ok(Known {
        part,
        media_item,
        item,
        directory: Some(directory),
        stat: file.stat,
        hash: file.hash.clone(),
        is_deleted: false,
    })
}

/// Writes down that a known file is elsewhere, or has another content or time. A changed content or time has to be
/// analysed again.
pub(super) fn update(
    library: &Connection,
    known: &Known,
    file: &NewFile,
    (location, directory): (i64, i64),
) -> rusqlite::Result<()> {
    library
        .prepare_cached(
            "UPDATE media_parts SET file = ?2, directory_id = ?3, size = ?4, hash = ?5, updated_at = ?6, deleted_at = NULL
             WHERE id = ?1",
        )?
        .execute(params![known.part, file.file, directory, file.stat.size, file.hash, file.stat.modified])?;
    let is_changed = known.stat != file.stat || known.hash != file.hash;
    library
        .prepare_cached(
            "UPDATE media_items SET section_location_id = ?2, size = ?3, updated_at = ?4, deleted_at = NULL,
                 media_analysis_version = iif(?5, 0, media_analysis_version) WHERE id = ?1",
        )?
        .execute(params![
            known.media_item,
            location,
            file.stat.size,
            file.stat.modified,
            is_changed
        ])?;
    if known.hash != file.hash {
        let extra: Option<String> = library.query_row(
            "SELECT extra_data FROM metadata_items WHERE id = ?1",
            [known.item],
            |row| row.get(0),
        )?;
        let mut extra = Extra::parse(extra.as_deref());
        if extra.get("ms:musicAnalysisVersion").is_some() {
            let extra = extra.remove("ms:musicAnalysisVersion").to_json();
            library.execute(
                "UPDATE metadata_items SET extra_data = ?2 WHERE id = ?1",
                params![known.item, extra],
            )?;
        }
    }
    super::items::touch(library, known.item)
}

/// One stream of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stream {
    /// 1 video, 2 audio, 3 subtitles, 4 lyrics.
    pub(crate) kind: i64,
    pub(crate) codec: String,
    pub(crate) language: Option<String>,
    pub(crate) index: Option<i64>,
    pub(crate) channels: Option<i64>,
    /// Bits per second.
    pub(crate) bitrate: Option<i64>,
    pub(crate) is_default: bool,
    pub(crate) is_forced: bool,
    pub(crate) url: Option<String>,
    pub(crate) extra: Extra,
}

/// Makes the row of a stream.
pub(crate) fn insert_stream(
    library: &Connection,
    media_item: i64,
    part: i64,
    stream: &Stream,
) -> rusqlite::Result<i64> {
    library
        .prepare_cached(
            "INSERT INTO media_streams (stream_type_id, media_item_id, url, codec, language, created_at, updated_at,
                 \"index\", media_part_id, channels, bitrate, \"default\", forced, extra_data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            stream.kind,
            media_item,
            stream.url.as_deref().unwrap_or_default(),
            stream.codec,
            stream.language.as_deref().unwrap_or_default(),
            clock::now(),
            stream.index.unwrap_or(0),
            part,
            stream.channels,
            stream.bitrate,
            stream.is_default,
            stream.is_forced,
            stream.extra.to_json(),
        ])?;
    Ok(library.last_insert_rowid())
}
