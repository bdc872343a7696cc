//! Which files home's library knew and the result does not: guard 5 of a burst.
//!
//! Files are counted, not rows: a refresh may merge two artists, and the file is still there. A file is lost if no part
//! of the result has its path any more, or only parts that are in the trash, themselves or by their medium, item,
//! album or section. What home had in its trash already was lost before and is not counted, and neither are rows without
//! a file or without a section (extras, playlists).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Rows;
use serde::{Deserialize, Serialize};

use crate::error::{At, READ, Result};
use crate::open;
use crate::paths::Databases;

/// A file that the result would make home forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Its path, as home has it.
    pub file: String,
    /// Name of its section.
    pub section: String,
    /// Title of its item.
    pub title: String,
    /// In which way it was lost.
    pub how: How,
}

/// In which way a file was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// No row has it any more.
    Gone,
    /// It is in the trash: Plex did not find it in a scan.
    Trashed,
}

/// Every part with a file in a section, in the order of its path; `is_live` is false if it is in the trash in any way.
///
/// The parents are at most two levels up: track, album, artist.
const PARTS: &str = "
    SELECT p.file, coalesce(s.name, ''), coalesce(i.title, ''),
           p.deleted_at IS NULL AND m.deleted_at IS NULL AND i.deleted_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM metadata_items u NOT INDEXED
                           WHERE u.id = i.parent_id AND u.deleted_at IS NOT NULL)
           AND NOT EXISTS (SELECT 1 FROM metadata_items u NOT INDEXED JOIN metadata_items g NOT INDEXED
                           WHERE u.id = i.parent_id AND g.id = u.parent_id AND g.deleted_at IS NOT NULL) AS is_live
    FROM media_parts p
    JOIN media_items m ON m.id = p.media_item_id
    JOIN metadata_items i NOT INDEXED ON i.id = m.metadata_item_id
    JOIN library_sections s ON s.id = coalesce(i.library_section_id, m.library_section_id)
    WHERE p.file <> ''
    ORDER BY p.file COLLATE BINARY";

/// The files that `base` knows and `result` does not, by path.
///
/// Both are read in step, in the order of their paths: memory does not grow with the library.
///
/// # Errors
/// If one of the libraries cannot be read.
pub fn of(base: &Databases, result: &Databases) -> Result<Vec<Lost>> {
    let (before_path, after_path) = (base.library(), result.library());
    let (before_db, after_db) = (open::read_only(&before_path)?, open::read_only(&after_path)?);
    let mut before_rows = before_db.prepare(PARTS).at(READ, &before_path)?;
    let mut after_rows = after_db.prepare(PARTS).at(READ, &after_path)?;
    let mut before = Files::new(before_rows.query([]).at(READ, &before_path)?, &before_path);
    let mut after = Files::new(after_rows.query([]).at(READ, &after_path)?, &after_path);

    let mut lost = Vec::new();
    let mut there = after.next()?;
    while let Some(file) = before.next()? {
        while let Some(other) = &there
            && other.path.cmp(&file.path) == Ordering::Less
        {
            there = after.next()?;
        }
        if let Some(how) = how_lost(&file, there.as_ref()) {
            lost.push(file.lost(how));
        }
    }
    before_db.confirm()?;
    after_db.confirm()?;
    Ok(lost)
}

/// Rows and files of which it has to be asked anew whether they are lost.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    rows: BTreeMap<&'static str, BTreeSet<i64>>,
    pub(crate) files: BTreeSet<Vec<u8>>,
}

impl Doubts {
    pub(crate) fn add(&mut self, table: &str, id: i64) {
        if let Some((name, _)) = BELOW.iter().find(|(name, _)| *name == table) {
            self.rows.entry(name).or_default().insert(id);
        }
    }
}

/// The files that hang on a row of a table.
const BELOW: [(&str, &str); 4] = [
    ("media_parts", "SELECT file FROM media_parts WHERE id = ?1 AND file <> ''"),
    ("media_items", "SELECT file FROM media_parts WHERE media_item_id = ?1 AND file <> ''"),
    (
        "metadata_items",
        "SELECT p.file FROM media_items m CROSS JOIN media_parts p ON p.media_item_id = m.id
         WHERE m.metadata_item_id IN (
           SELECT ?1 UNION ALL SELECT c.id FROM metadata_items c WHERE c.parent_id = ?1
           UNION ALL SELECT g.id FROM metadata_items c CROSS JOIN metadata_items g ON g.parent_id = c.id WHERE c.parent_id = ?1)
         AND p.file <> ''",
    ),
    ("library_sections", ""),
];

/// What is lost now, where `before` was lost when only what is in `doubts` was still to come: of nothing else it is asked.
///
/// # Errors
/// If one of the libraries cannot be read.
pub(crate) fn again(before: Vec<Lost>, base: &Databases, result: &Databases, doubts: &Doubts) -> Result<Vec<Lost>> {
    let (before_path, after_path) = (base.library(), result.library());
    let (before_db, after_db) = (open::read_only(&before_path)?, open::read_only(&after_path)?);
    let sides = [(&before_db, &before_path), (&after_db, &after_path)];
    if doubts.rows.contains_key("library_sections") && sections(sides[0])? != sections(sides[1])? {
        return of(base, result);
    }
    let mut files = doubts.files.clone();
    for (table, ids) in &doubts.rows {
        let Some((_, sql)) = BELOW.iter().find(|(name, sql)| name == table && !sql.is_empty()) else {
            continue;
        };
        for (db, path) in sides {
            let mut statement = db.prepare(sql).at(READ, path)?;
            for &id in ids {
                let mut rows = statement.query([id]).at(READ, path)?;
                while let Some(row) = rows.next().at(READ, path)? {
                    if let rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) =
                        row.get_ref(0).at(READ, path)?
                    {
                        files.insert(bytes.to_vec());
                    }
                }
            }
        }
    }
    let mut lost: Vec<Lost> = before
        .into_iter()
        .filter(|lost| !files.contains(lost.file.as_bytes()))
        .collect();
    let one = PARTS.replace("p.file <> ''", "p.file = CAST(?1 AS TEXT) COLLATE BINARY");
    let mut before_one = before_db.prepare(&one).at(READ, &before_path)?;
    let mut after_one = after_db.prepare(&one).at(READ, &after_path)?;
    for file in &files {
        let was = Files::new(before_one.query([file]).at(READ, &before_path)?, &before_path).next()?;
        let is = Files::new(after_one.query([file]).at(READ, &after_path)?, &after_path).next()?;
        if let Some(was) = was
            && let Some(how) = how_lost(&was, is.as_ref())
        {
            lost.push(was.lost(how));
        }
    }
    lost.sort_by(|a, b| a.file.as_bytes().cmp(b.file.as_bytes()));
    before_db.confirm()?;
    after_db.confirm()?;
    Ok(lost)
}

fn sections((db, path): (&open::Reader, &std::path::PathBuf)) -> Result<BTreeSet<i64>> {
    let mut statement = db.prepare("SELECT id FROM library_sections").at(READ, path)?;
    let ids = statement.query_map([], |row| row.get(0)).at(READ, path)?;
    ids.collect::<rusqlite::Result<_>>().at(READ, path)
}

/// In which way home's file is lost, if it is; `other` is the result's.
fn how_lost(file: &File, other: Option<&File>) -> Option<How> {
    let how = match other {
        Some(other) if other.path == file.path => (!other.is_live).then_some(How::Trashed),
        _ => Some(How::Gone),
    };
    how.filter(|_| file.is_live)
}

/// One file; live if any of its parts is (an episode file may hold several episodes).
struct File {
    path: Vec<u8>,
    section: String,
    title: String,
    is_live: bool,
}

impl File {
    fn lost(self, how: How) -> Lost {
        Lost {
            file: String::from_utf8_lossy(&self.path).into_owned(),
            section: self.section,
            title: self.title,
            how,
        }
    }
}

/// Parts, gathered by file.
struct Files<'a> {
    rows: Rows<'a>,
    database: &'a Path,
    ahead: Option<File>,
}

impl<'a> Files<'a> {
    fn new(rows: Rows<'a>, database: &'a Path) -> Self {
        Self {
            rows,
            database,
            ahead: None,
        }
    }

    fn next(&mut self) -> Result<Option<File>> {
        let first = match self.ahead.take() {
            Some(file) => Some(file),
            None => self.part()?,
        };
        let Some(mut file) = first else {
            return Ok(None);
        };
        while let Some(part) = self.part()? {
            if part.path != file.path {
                self.ahead = Some(part);
                break;
            }
            if part.is_live && !file.is_live {
                file = part;
            }
        }
        Ok(Some(file))
    }

    fn part(&mut self) -> Result<Option<File>> {
        let database = self.database;
        let Some(row) = self.rows.next().at(READ, database)? else {
            return Ok(None);
        };
        let text = |at: usize| -> rusqlite::Result<String> {
            // Titles of old libraries are not always text, and need not be UTF-8.
            Ok(match row.get_ref(at)? {
                rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => {
                    String::from_utf8_lossy(bytes).into_owned()
                }
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Real(number) => number.to_string(),
                rusqlite::types::ValueRef::Null => String::new(),
            })
        };
        let read = || -> rusqlite::Result<File> {
            let path = match row.get_ref(0)? {
                rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => bytes.to_vec(),
                _ => text(0)?.into_bytes(),
            };
            Ok(File {
                path,
                section: text(1)?,
                title: text(2)?,
                is_live: row.get(3)?,
            })
        };
        read().map(Some).at(READ, database)
    }
}
