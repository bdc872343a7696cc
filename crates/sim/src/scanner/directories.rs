//! Rows of `directories`: the folders that a scan has looked into, and how old they were then.
//!
//! A row's path is relative to the root of its location; the root's own row has the path ''. No column says which location
//! a root belongs to; the files below it do.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::media::Known;
use super::section::Location;
use crate::store::clock;

#[derive(Debug, Clone)]
pub(super) struct Directory {
    pub(super) id: i64,
    parent: Option<i64>,
    path: String,
    /// Modification time when it was last looked into.
    pub(super) modified: i64,
    pub(super) is_deleted: bool,
}

/// All of a section.
#[derive(Debug, Default)]
pub(super) struct Directories {
    section: i64,
    rows: HashMap<i64, Directory>,
    /// By the row of their root and their path.
    by_path: HashMap<(i64, String), i64>,
    /// By location.
    roots: HashMap<i64, i64>,
}

impl Directories {
    /// Reads them and finds out which root belongs to which location.
    pub(super) fn load(
        library: &Connection,
        section: i64,
        locations: &[Location],
        known: &HashMap<String, Known>,
    ) -> rusqlite::Result<Self> {
        let mut statement = library.prepare(
            "SELECT id, parent_directory_id, coalesce(path, ''), coalesce(updated_at, 0), deleted_at IS NOT NULL
             FROM directories WHERE library_section_id = ?1 ORDER BY id",
        )?;
        let rows = statement.query_map([section], |row| {
            Ok(Directory {
                id: row.get(0)?,
                parent: row.get(1)?,
                path: row.get(2)?,
                modified: row.get(3)?,
                is_deleted: row.get(4)?,
            })
        })?;
        let rows: Vec<Directory> = rows.collect::<rusqlite::Result<_>>()?;
        let mut all = Self {
            section,
            ..Self::default()
        };
        let root_rows: Vec<i64> = rows
            .iter()
            .filter(|row| row.parent.is_none())
            .map(|row| row.id)
            .collect();
        all.rows = rows.into_iter().map(|row| (row.id, row)).collect();
        for (file, known) in known {
            let Some(root) = known.directory.and_then(|directory| all.root_of(directory)) else {
                continue;
            };
            if let Some(location) = locations
                .iter()
                .find(|location| location.relative(file.as_ref()).is_some())
            {
                all.roots.entry(location.id).or_insert(root);
            }
        }
        for root in root_rows {
            let is_taken = all.roots.values().any(|taken| *taken == root);
            if !is_taken && let Some(location) = locations.iter().find(|location| !all.roots.contains_key(&location.id))
            {
                all.roots.insert(location.id, root);
            }
        }
        let paths: Vec<_> = all
            .rows
            .values()
            .filter_map(|row| Some(((all.root_of(row.id)?, row.path.clone()), row.id)))
            .collect();
        all.by_path = paths.into_iter().collect();
        Ok(all)
    }

    /// The folder with that path below a location.
    pub(super) fn find(&self, location: i64, path: &str) -> Option<&Directory> {
        let root = *self.roots.get(&location)?;
        self.rows.get(self.by_path.get(&(root, path.to_owned()))?)
    }

    /// Paths of the folders right below one.
    pub(super) fn below(&self, id: i64) -> Vec<String> {
        let mut paths: Vec<String> = self
            .rows
            .values()
            .filter(|row| row.parent == Some(id) && !row.is_deleted)
            .map(|row| row.path.clone())
            .collect();
        paths.sort();
        paths
    }

    /// Id and path of every folder of a location that is not known to be gone.
    pub(super) fn all_of(&self, location: i64) -> Vec<(i64, &str)> {
        let Some(root) = self.roots.get(&location) else {
            return Vec::new();
        };
        let mut all: Vec<(i64, &str)> = self
            .by_path
            .iter()
            .filter(|((of, _), id)| of == root && self.rows.get(id).is_some_and(|row| !row.is_deleted))
            .map(|((_, path), id)| (*id, path.as_str()))
            .collect();
        all.sort_unstable();
        all
    }

    /// Writes down how old a folder is, making its row and those above it where they are missing; returns its id.
    pub(super) fn put(
        &mut self,
        library: &Connection,
        location: i64,
        path: &str,
        modified: Option<i64>,
    ) -> rusqlite::Result<i64> {
        if let Some(row) = self.find(location, path) {
            let id = row.id;
            if let Some(modified) = modified.filter(|modified| row.is_deleted || *modified != row.modified) {
                library
                    .prepare_cached("UPDATE directories SET updated_at = ?2, deleted_at = NULL WHERE id = ?1")?
                    .execute((id, modified))?;
                if let Some(row) = self.rows.get_mut(&id) {
                    row.modified = modified;
                    row.is_deleted = false;
                }
            }
            return Ok(id);
        }
        let parent = match path.rsplit_once('/') {
            Some((parent, _)) => Some(self.put(library, location, parent, None)?),
            None if path.is_empty() => None,
            None => Some(self.put(library, location, "", None)?),
        };
        let modified = modified.unwrap_or(0);
        library
            .prepare_cached(
                "INSERT INTO directories (library_section_id, parent_directory_id, path, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![self.section, parent, path, clock::now(), modified])?;
        let id = library.last_insert_rowid();
        let root = *self.roots.entry(location).or_insert(id);
        self.by_path.insert((root, path.to_owned()), id);
        self.rows.insert(
            id,
            Directory {
                id,
                parent,
                path: path.to_owned(),
                modified,
                is_deleted: false,
            },
        );
        Ok(id)
    }

    fn root_of(&self, id: i64) -> Option<i64> {
        let mut row = self.rows.get(&id)?;
        // No deeper than there are rows, should the parents ever go in a circle.
        for _ in 0..self.rows.len() {
            match row.parent {
                Some(parent) => row = self.rows.get(&parent)?,
                None => return Some(row.id),
            }
        }
        None
    }
}
