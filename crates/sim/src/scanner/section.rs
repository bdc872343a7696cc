//! The section that a scan works on, as its rows say.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

/// What a section holds; `library_sections.section_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 1
    Movie,
    /// 2
    Show,
    /// 8
    Artist,
    /// 13
    Photo,
}

/// Where its files are; one row of `section_locations`.
#[derive(Debug, Clone)]
pub(super) struct Location {
    pub(super) id: i64,
    pub(super) root: PathBuf,
    /// When the last scan looked at it, 0 when none did.
    pub(super) scanned_at: i64,
}

/// One row of `library_sections` and its locations.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Which agent finds out what the files are; decides the form of the guids.
    pub(super) agent: String,
    pub(super) language: String,
    pub(super) locations: Vec<Location>,
}

impl Section {
    /// Reads it. `None` when there is no such section or its kind has no scanner.
    pub(super) fn load(library: &Connection, id: i64) -> rusqlite::Result<Option<Self>> {
        let row = library
            .query_row(
                "SELECT coalesce(name, ''), section_type, coalesce(agent, ''), coalesce(language, '')
                 FROM library_sections WHERE id = ?1",
                [id],
                |row| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get(2)?, row.get(3)?)),
            )
            .optional()?;
        let Some((name, number, agent, language)) = row else {
            return Ok(None);
        };
        let kind = match number {
            1 => Kind::Movie,
            2 => Kind::Show,
            8 => Kind::Artist,
            13 => Kind::Photo,
            _ => return Ok(None),
        };
        let mut locations = library.prepare(
            "SELECT id, root_path, coalesce(scanned_at, 0) FROM section_locations
             WHERE library_section_id = ?1 AND root_path IS NOT NULL ORDER BY id",
        )?;
        let locations = locations
            .query_map([id], |row| {
                let root: String = row.get(1)?;
                let trimmed = if root.len() > 1 {
                    root.trim_end_matches('/')
                } else {
                    &root
                };
                Ok(Location {
                    id: row.get(0)?,
                    root: PathBuf::from(trimmed),
                    scanned_at: row.get(2)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Some(Self {
            id,
            name,
            kind,
            agent,
            language,
            locations,
        }))
    }

    /// Whether the agent asks nobody (personal media), so that items are known by their row or file only.
    pub(super) fn is_personal(&self) -> bool {
        self.agent.ends_with(".none")
    }
}

impl Location {
    /// The path below the root, '' for the root itself; `None` when it lies elsewhere.
    pub(super) fn relative<'a>(&self, path: &'a Path) -> Option<&'a str> {
        path.strip_prefix(&self.root).ok().and_then(Path::to_str)
    }
}
