//! The sections of a library, and how many things of each kind are in them.

use std::collections::BTreeMap;
use std::ops::Add;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};

use super::health::Health;
use crate::error::{At, READ, Result};

/// One section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Its id, the `key` of Plex's API.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// In the words of Plex's API: `movie`, `show`, `artist`, `photo`; `type-N` for what is not known.
    #[serde(rename = "type")]
    pub kind: String,
    /// The agent that finds its metadata.
    pub agent: String,
    /// Its folders.
    pub roots: Vec<String>,
    /// What is in it, without what is in the trash.
    pub counts: Counts,
    /// Files in it, without those in the trash.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Items in the trash.
    pub trashed: u64,
    /// Tracks with a Sonic vector in the database of blobs; without that database, tracks that Plex has marked as analysed.
    pub sonic_analysed: u64,
    /// What its items and files have; filled by [`super::inspect`].
    #[serde(default)]
    pub health: Health,
}

/// How many things of each kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it, and are promised as they are")]
pub struct Counts {
    pub artists: u64,
    pub albums: u64,
    pub tracks: u64,
    pub movies: u64,
    pub shows: u64,
    pub seasons: u64,
    pub episodes: u64,
    pub photos: u64,
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            artists: self.artists + other.artists,
            albums: self.albums + other.albums,
            tracks: self.tracks + other.tracks,
            movies: self.movies + other.movies,
            shows: self.shows + other.shows,
            seasons: self.seasons + other.seasons,
            episodes: self.episodes + other.episodes,
            photos: self.photos + other.photos,
        }
    }
}

impl Counts {
    /// Numbers of `metadata_items.metadata_type` (facts §1.6); albums of photos, collections and extras are not counted.
    fn of_kind(&mut self, metadata_type: i64) -> Option<&mut u64> {
        Some(match metadata_type {
            1 => &mut self.movies,
            2 => &mut self.shows,
            3 => &mut self.seasons,
            4 => &mut self.episodes,
            8 => &mut self.artists,
            9 => &mut self.albums,
            10 => &mut self.tracks,
            13 => &mut self.photos,
            _ => return None,
        })
    }
}

/// The word of Plex's API for `library_sections.section_type`.
fn word(section_type: i64) -> String {
    match section_type {
        1 => "movie".into(),
        2 => "show".into(),
        8 => "artist".into(),
        13 => "photo".into(),
        other => format!("type-{other}"),
    }
}

pub(super) fn read(db: &Connection, path: &Path) -> Result<Vec<Section>> {
    let mut sections: BTreeMap<i64, Section> = BTreeMap::new();
    each(
        db,
        path,
        "SELECT id, name, section_type, agent FROM library_sections",
        |row| {
            let id = row.get(0)?;
            let section = Section {
                id,
                name: text(row, 1)?,
                kind: word(row.get::<_, Option<i64>>(2)?.unwrap_or(0)),
                agent: text(row, 3)?,
                roots: Vec::new(),
                counts: Counts::default(),
                files: 0,
                bytes: 0,
                trashed: 0,
                sonic_analysed: 0,
                health: Health::default(),
            };
            sections.insert(id, section);
            Ok(())
        },
    )?;
    each(
        db,
        path,
        "SELECT library_section_id, root_path FROM section_locations ORDER BY id",
        |row| {
            if let Some(section) = row.get::<_, Option<i64>>(0)?.and_then(|id| sections.get_mut(&id)) {
                section.roots.push(text(row, 1)?);
            }
            Ok(())
        },
    )?;
    // NOT INDEXED: SQLite might otherwise choose the index of a collation that is Plex's own (facts §1.4).
    let items = "SELECT library_section_id, metadata_type, deleted_at IS NOT NULL, count(*)
                 FROM metadata_items NOT INDEXED WHERE library_section_id IS NOT NULL GROUP BY 1, 2, 3";
    each(db, path, items, |row| {
        let (id, kind, is_trashed): (i64, Option<i64>, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let count = row.get::<_, i64>(3)?.unsigned_abs();
        if let Some(section) = sections.get_mut(&id) {
            if is_trashed {
                section.trashed += count;
            } else if let Some(counted) = section.counts.of_kind(kind.unwrap_or(0)) {
                *counted += count;
            }
        }
        Ok(())
    })?;
    let files = "SELECT m.library_section_id, count(*), sum(p.size) FROM media_parts p
                 JOIN media_items m ON m.id = p.media_item_id
                 WHERE p.file <> '' AND p.deleted_at IS NULL AND m.deleted_at IS NULL GROUP BY 1";
    each(db, path, files, |row| {
        if let Some(section) = row.get::<_, Option<i64>>(0)?.and_then(|id| sections.get_mut(&id)) {
            section.files = row.get::<_, i64>(1)?.unsigned_abs();
            section.bytes = row.get::<_, Option<i64>>(2)?.unwrap_or(0).unsigned_abs();
        }
        Ok(())
    })?;
    // The blob is keyed by the track's row id; the mark in extra_data is JSON since 2024 and URL-encoded before.
    let sonic = if has_vectors(db, path)? {
        "SELECT i.library_section_id, count(*) FROM blobs.blobs b JOIN metadata_items i NOT INDEXED ON i.id = b.linked_id
         WHERE b.blob_type = 7 AND b.linked_type = 'metadata_item' AND i.metadata_type = 10 AND i.deleted_at IS NULL
         GROUP BY 1"
    } else {
        "SELECT library_section_id, count(*) FROM metadata_items NOT INDEXED WHERE metadata_type = 10
         AND deleted_at IS NULL AND (extra_data LIKE '%ms:musicAnalysisVersion%'
                                     OR extra_data LIKE '%ms\\%3AmusicAnalysisVersion%' ESCAPE '\\') GROUP BY 1"
    };
    each(db, path, sonic, |row| {
        if let Some(section) = row.get::<_, Option<i64>>(0)?.and_then(|id| sections.get_mut(&id)) {
            section.sonic_analysed = row.get::<_, i64>(1)?.unsigned_abs();
        }
        Ok(())
    })?;
    Ok(sections.into_values().collect())
}

/// Whether there is a database of blobs that can hold vectors: those of 2020 have no kinds of blobs.
fn has_vectors(db: &Connection, path: &Path) -> Result<bool> {
    let sql = "SELECT count(*) FROM pragma_table_info('blobs', 'blobs') WHERE name = 'blob_type'";
    let is_attached = "SELECT count(*) FROM pragma_database_list WHERE name = 'blobs'";
    let number = |sql: &str| -> Result<i64> { db.query_row(sql, [], |row| row.get(0)).at(READ, path) };
    Ok(number(is_attached)? > 0 && number(sql)? > 0)
}

fn each(
    db: &Connection,
    path: &Path,
    sql: &str,
    mut each: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
) -> Result<()> {
    let mut statement = db.prepare(sql).at(READ, path)?;
    let mut rows = statement.query([]).at(READ, path)?;
    while let Some(row) = rows.next().at(READ, path)? {
        each(row).at(READ, path)?;
    }
    Ok(())
}

/// Text as it is meant to be shown; columns of old libraries hold all kinds of values.
fn text(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(at)? {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    })
}
