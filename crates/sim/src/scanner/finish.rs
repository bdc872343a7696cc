//! The end of a scan: the trash, the folders that are no more, and what the section's row says.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::media::Known;
use super::walk::{Outcome, Request, Scan};
use super::{ScanError, trash};
use crate::process::Process;
use crate::store::{clock, counter};

impl Scan {
    /// Trash, and what a scan leaves on the section's row.
    pub(super) fn finish(&mut self, process: &mut Process, request: &Request) -> Result<(), ScanError> {
        let mut missing: Vec<Known> = self
            .known
            .iter()
            .filter(|(file, known)| {
                // Files of a location that the section has no more are left alone.
                !known.is_deleted
                    && !self.seen.contains(&known.part)
                    && self
                        .section
                        .locations
                        .iter()
                        .any(|location| location.relative(file.as_ref()).is_some())
            })
            .map(|(_, known)| known.clone())
            .collect();
        missing.sort_by_key(|known| known.part);
        self.outcome.missing = missing.len();
        trash::mark(&mut process.db.library, &missing)?;
        self.forget_folders(&process.db.library)?;
        if process.place.empties_trash() {
            self.outcome.removed = trash::empty(&mut process.db.library, self.section.id)?;
        }
        let now = clock::now();
        let library = &process.db.library;
        library.execute(
            "UPDATE library_sections SET scanned_at = ?2 WHERE id = ?1",
            (self.section.id, now),
        )?;
        let Outcome {
            added,
            moved,
            changed,
            missing,
            removed,
            ..
        } = self.outcome;
        if added + moved + changed + missing + removed > 0 {
            library.execute(
                "UPDATE library_sections SET content_changed_at = ?2 WHERE id = ?1",
                (self.section.id, counter::next(library)?),
            )?;
        }
        if request.force {
            self.refresh(process, request)?;
        }
        Ok(())
    }

    /// Marks the folders that are no more, when the location they belong to can be listed.
    fn forget_folders(&self, library: &Connection) -> Result<(), ScanError> {
        for location in &self.section.locations {
            if fs::read_dir(&location.root).is_err() {
                continue;
            }
            for (id, path) in self.directories.all_of(location.id) {
                if !path.is_empty() && !location.root.join(path).exists() {
                    library.execute(
                        "UPDATE directories SET deleted_at = ?2 WHERE id = ?1 AND deleted_at IS NULL",
                        params![id, clock::now()],
                    )?;
                }
            }
        }
        Ok(())
    }

    /// Asks the (stand-in) agents again about every item that was looked at, as a forced scan does.
    fn refresh(&self, process: &mut Process, request: &Request) -> Result<(), ScanError> {
        let is_asked = |file: &str| {
            request
                .directory
                .as_ref()
                .is_none_or(|directory| Path::new(file).starts_with(directory))
        };
        let mut items: Vec<i64> = self
            .known
            .iter()
            .filter(|(file, _)| is_asked(file))
            .map(|(_, known)| known.item)
            .collect();
        items.sort_unstable();
        items.dedup();
        let mut refreshed = HashSet::new();
        for (done, item) in items.iter().enumerate() {
            if process.is_cancelled() {
                return Ok(());
            }
            let mut title = String::new();
            let mut next = Some(*item);
            // The item and what it is part of: a track's album and artist are asked about as well, once.
            while let Some(id) = next.filter(|id| refreshed.insert(*id)) {
                let library = &process.db.library;
                let row = library
                    .prepare_cached(
                        "UPDATE metadata_items SET refreshed_at = ?2, changed_at = ?3 WHERE id = ?1
                         RETURNING coalesce(title, ''), parent_id",
                    )?
                    .query_row((id, clock::now(), counter::next(library)?), |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                    .optional()?;
                let Some((name, parent)) = row else { break };
                title = name;
                next = parent;
            }
            process.progress.step(done, items.len(), *item, &title);
        }
        Ok(())
    }
}
