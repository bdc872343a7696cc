//! One scan of a section: what is new, what has changed, what has moved, what is gone.
//!
//! A folder whose modification time is the one written down is not listed again, so what is new in it is not found. Every
//! known file is opened all the same: one that cannot be read "didn't exist" and goes to the trash. Only a root that
//! cannot be listed protects what is below it (facts/plex.md §8.1: a mount that went bad takes the library with it).
//!
//! Every folder is one short transaction, so a scan may be ended at any file.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::ScanError;
use super::directories::Directories;
use super::files;
use super::media::{self, Known, NewFile};
use super::section::{Kind, Location, Section};
use crate::process::{Process, log};
use crate::store::clock;

/// What a scan did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Files that were not there before.
    pub(crate) added: usize,
    /// Files known elsewhere by their content.
    pub(crate) moved: usize,
    /// Files with another content or time, or back from the trash.
    pub(crate) changed: usize,
    /// Files put into the trash.
    pub(crate) missing: usize,
    /// Files removed for good.
    pub(crate) removed: usize,
    /// It was ended before its end.
    pub(crate) is_cancelled: bool,
}

/// How a scan is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// `library_sections.id`
    pub(crate) section: i64,
    /// Look into every folder, whatever its time.
    pub(crate) force: bool,
    /// Only this folder and what is below it.
    pub(crate) directory: Option<PathBuf>,
}

/// Scans.
pub(crate) fn scan(process: &mut Process, request: &Request) -> Result<Outcome, ScanError> {
    let section = Section::load(&process.db.library, request.section)?.ok_or(ScanError::NoSection(request.section))?;
    let known = media::known(&process.db.library, section.id)?;
    let directories = Directories::load(&process.db.library, section.id, &section.locations, &known)?;
    let mut by_hash: HashMap<String, Vec<String>> = HashMap::new();
    let mut by_directory: HashMap<i64, Vec<String>> = HashMap::new();
    for (file, known) in &known {
        by_hash.entry(known.hash.clone()).or_default().push(file.clone());
        if let Some(directory) = known.directory.filter(|_| !known.is_deleted) {
            by_directory.entry(directory).or_default().push(file.clone());
        }
    }
    let (seen, outcome) = (HashSet::new(), Outcome::default());
    let mut scan = Scan {
        section,
        known,
        by_hash,
        by_directory,
        directories,
        seen,
        outcome,
    };
    for location in scan.section.locations.clone() {
        scan.location(process, request, &location)?;
        if process.is_cancelled() {
            scan.outcome.is_cancelled = true;
            // What has not been looked at is not missing.
            return Ok(scan.outcome);
        }
    }
    scan.finish(process, request)?;
    Ok(scan.outcome)
}

/// The requests that look again at the files of these items, and of what is below them: their folders, by force.
pub(super) fn of_items(library: &Connection, items: &[i64]) -> rusqlite::Result<Vec<Request>> {
    let mut statement = library.prepare(
        "WITH RECURSIVE below(id) AS (
             SELECT ?1 UNION SELECT i.id FROM metadata_items i JOIN below ON i.parent_id = below.id)
         SELECT m.library_section_id, p.file FROM below JOIN media_items m ON m.metadata_item_id = below.id
             JOIN media_parts p ON p.media_item_id = m.id
         WHERE m.library_section_id IS NOT NULL AND p.file <> ''",
    )?;
    let mut folders = BTreeSet::new();
    for item in items {
        let mut rows = statement.query([item])?;
        while let Some(row) = rows.next()? {
            let (section, file): (i64, String) = (row.get(0)?, row.get(1)?);
            if let Some(folder) = Path::new(&file).parent() {
                folders.insert((section, folder.to_owned()));
            }
        }
    }
    let request = |(section, folder)| Request {
        section,
        force: true,
        directory: Some(folder),
    };
    Ok(folders.into_iter().map(request).collect())
}

/// A scan at work.
pub(super) struct Scan {
    pub(super) section: Section,
    pub(super) known: HashMap<String, Known>,
    pub(super) by_hash: HashMap<String, Vec<String>>,
    /// Files that were in a folder when the scan began.
    pub(super) by_directory: HashMap<i64, Vec<String>>,
    pub(super) directories: Directories,
    /// Parts that are there, or must not be doubted.
    pub(super) seen: HashSet<i64>,
    pub(super) outcome: Outcome,
}

/// One folder as it was found.
struct Listing {
    modified: i64,
    is_unchanged: bool,
    folders: Vec<String>,
    files: Vec<String>,
}

impl Scan {
    fn location(&mut self, process: &mut Process, request: &Request, location: &Location) -> Result<(), ScanError> {
        let start = match &request.directory {
            None => Some(String::new()),
            Some(directory) => location.relative(directory).map(str::to_owned),
        };
        let is_available = fs::read_dir(&location.root).is_ok();
        set_available(&process.db.library, location.id, is_available)?;
        let Some(start) = start.filter(|_| is_available) else {
            if !is_available {
                log(format_args!(
                    "Location {} is not available; what it holds is kept",
                    location.root.display()
                ));
            }
            self.protect(location, None);
            return Ok(());
        };
        if !start.is_empty() {
            self.protect(location, Some(&start));
        }
        let mut waiting = vec![start];
        while let Some(path) = waiting.pop() {
            if process.is_cancelled() {
                return Ok(());
            }
            self.folder(process, request, location, &path, &mut waiting)?;
        }
        process.db.library.execute(
            "UPDATE section_locations SET scanned_at = ?2 WHERE id = ?1",
            (location.id, clock::now()),
        )?;
        Ok(())
    }

    /// Takes everything below the location for there, but for what is below `except`.
    fn protect(&mut self, location: &Location, except: Option<&str>) {
        let except = except.map(|path| location.root.join(path));
        for (file, known) in &self.known {
            let path = Path::new(file);
            let is_here = path.starts_with(&location.root);
            if is_here && !except.as_ref().is_some_and(|except| path.starts_with(except)) {
                self.seen.insert(known.part);
            }
        }
    }

    fn folder(
        &mut self,
        process: &mut Process,
        request: &Request,
        location: &Location,
        path: &str,
        waiting: &mut Vec<String>,
    ) -> Result<(), ScanError> {
        let folder = location.root.join(path);
        let listing = fs::metadata(&folder)
            .and_then(|metadata| metadata.modified())
            .map(clock::seconds);
        let modified = match listing {
            Ok(modified) => modified,
            Err(error) => {
                log(format_args!("Directory {} cannot be read: {error}", folder.display()));
                return Ok(());
            }
        };
        let listing = match self.listed(request, location, path, modified) {
            Some(listing) => listing,
            None => match list(&folder, modified, self.section.kind) {
                Ok(listing) => listing,
                Err(error) => {
                    log(format_args!("Directory {} cannot be read: {error}", folder.display()));
                    return Ok(());
                }
            },
        };
        let below = |name: &String| {
            if path.is_empty() {
                name.clone()
            } else {
                format!("{path}/{name}")
            }
        };
        waiting.extend(listing.folders.iter().rev().map(below));
        let is_looked_into = !listing.is_unchanged;
        let mut found = Vec::new();
        for name in &listing.files {
            if process.is_cancelled() {
                return Ok(());
            }
            found.extend(self.file(&folder.join(name), below(name)));
        }
        if is_looked_into || !found.is_empty() {
            self.write(process, location, path, listing.modified, found)?;
        }
        let title = if path.is_empty() {
            self.section.name.as_str()
        } else {
            path
        };
        process.progress.step(0, 0, 0, &format!("Scanning {title}"));
        Ok(())
    }

    /// What is known to be in a folder that has not changed since it was last looked into; `None` when it may have.
    fn listed(&self, request: &Request, location: &Location, path: &str, modified: i64) -> Option<Listing> {
        let row = self.directories.find(location.id, path)?;
        // A folder that changed in the very second of the last scan may have changed again after it.
        let is_settled = modified < location.scanned_at - 1;
        if request.force || row.is_deleted || row.modified != modified || !is_settled {
            return None;
        }
        let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let files = self.by_directory.get(&row.id).into_iter().flatten();
        Some(Listing {
            modified,
            is_unchanged: true,
            folders: self.directories.below(row.id).iter().map(|path| name(path)).collect(),
            files: files.map(|file| name(file)).collect(),
        })
    }

    /// Looks at one file; returns it when there is something to write down.
    fn file(&mut self, path: &Path, relative: String) -> Option<NewFile> {
        let file = path.to_str()?.to_owned();
        let known = self.known.get(&file);
        if let Some(known) = known {
            match files::probe(path) {
                Ok(stat) if stat == known.stat && !known.is_deleted => {
                    self.seen.insert(known.part);
                    return None;
                }
                Ok(_) => {}
                Err(error) => {
                    log(format_args!("File {file} didn't exist: {error}"));
                    return None;
                }
            }
        }
        match files::hash(path) {
            Ok((stat, hash)) => Some(NewFile {
                file,
                relative,
                stat,
                hash,
            }),
            Err(error) => {
                log(format_args!("File {file} didn't exist: {error}"));
                None
            }
        }
    }
}

fn list(folder: &Path, modified: i64, kind: Kind) -> std::io::Result<Listing> {
    let mut listing = Listing {
        modified,
        is_unchanged: false,
        folders: Vec::new(),
        files: Vec::new(),
    };
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // The databases hold text; a name that is none cannot be written down.
        let Ok(name) = entry.file_name().into_string() else {
            log(format_args!(
                "{} is skipped: its name is not UTF-8",
                entry.path().display()
            ));
            continue;
        };
        if name.starts_with('.') || name.starts_with('@') {
            continue;
        }
        let kind_of = entry.file_type()?;
        let is_folder = kind_of.is_dir() || (kind_of.is_symlink() && entry.path().is_dir());
        if is_folder {
            listing.folders.push(name);
        } else if files::is_media(kind, &name) {
            listing.files.push(name);
        }
    }
    listing.folders.sort();
    listing.files.sort();
    Ok(listing)
}

fn set_available(library: &Connection, location: i64, is_available: bool) -> rusqlite::Result<()> {
    library
        .execute(
            "UPDATE section_locations SET available = ?2 WHERE id = ?1 AND available IS NOT ?2",
            (location, is_available),
        )
        .map(drop)
}
