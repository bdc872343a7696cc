//! One scan of a section: what is new, what has changed, what has moved, what is gone.
//!
//! A folder whose modification time is the one written down is not looked into, and its files count as there. In the
//! others every file is opened: one that is listed but cannot be read "didn't exist" and goes to the trash. Only a root
//! that cannot be listed protects what is below it (facts/plex.md §8.1: a mount that went bad takes the library with it).
//!
//! Every folder is one short transaction, so a scan may be ended at any file.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior, params};

use super::directories::Directories;
use super::files;
use super::media::{self, Known, NewFile};
use super::section::{Kind, Location, Section};
use super::{ScanError, items, music, photo, picture, trash, video};
use crate::process::{Place, Process, log};
use crate::store::{clock, counter};

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
    let mut by_directory: HashMap<i64, Vec<i64>> = HashMap::new();
    for (file, known) in &known {
        by_hash.entry(known.hash.clone()).or_default().push(file.clone());
        if let Some(directory) = known.directory.filter(|_| !known.is_deleted) {
            by_directory.entry(directory).or_default().push(known.part);
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

struct Scan {
    section: Section,
    known: HashMap<String, Known>,
    by_hash: HashMap<String, Vec<String>>,
    /// Parts that were in a folder when the scan began.
    by_directory: HashMap<i64, Vec<i64>>,
    directories: Directories,
    /// Parts that are there, or must not be doubted.
    seen: HashSet<i64>,
    outcome: Outcome,
}

/// One folder as it was found.
struct Listing {
    modified: i64,
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
        if let Some(row) = self.directories.find(location.id, path) {
            // A folder that changed in the very second of the last scan may have changed again after it.
            let is_settled = modified < location.scanned_at - 1;
            if !request.force && !row.is_deleted && row.modified == modified && is_settled {
                let id = row.id;
                self.seen.extend(self.by_directory.get(&id).into_iter().flatten());
                waiting.extend(self.directories.below(id).into_iter().rev());
                return Ok(());
            }
        }
        let listing = match list(&folder, modified, self.section.kind) {
            Ok(listing) => listing,
            Err(error) => {
                log(format_args!("Directory {} cannot be read: {error}", folder.display()));
                return Ok(());
            }
        };
        let below = |name: &String| {
            if path.is_empty() {
                name.clone()
            } else {
                format!("{path}/{name}")
            }
        };
        waiting.extend(listing.folders.iter().rev().map(below));
        let mut found = Vec::new();
        for name in &listing.files {
            if process.is_cancelled() {
                return Ok(());
            }
            found.extend(self.file(&folder.join(name), below(name)));
        }
        self.write(process, location, path, listing.modified, found)?;
        let title = if path.is_empty() {
            self.section.name.as_str()
        } else {
            path
        };
        process.progress.step(0, 0, 0, &format!("Scanning {title}"));
        Ok(())
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

    /// Writes down what was found in one folder.
    fn write(
        &mut self,
        process: &mut Process,
        location: &Location,
        path: &str,
        modified: i64,
        found: Vec<NewFile>,
    ) -> Result<(), ScanError> {
        let found: Vec<(NewFile, Content)> = found
            .into_iter()
            .map(|file| {
                let content = match self.section.kind {
                    _ if self.known.contains_key(&file.file) => Content::Known,
                    Kind::Artist => Content::Music(Box::new(music::read(&self.section, &file))),
                    Kind::Movie | Kind::Show => {
                        video::read(&self.section, &file).map_or(Content::Unnamed, Content::Video)
                    }
                    Kind::Photo => Content::Photo,
                };
                (file, content)
            })
            .collect();
        let transaction = process
            .db
            .library
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let directory = self.directories.put(&transaction, location.id, path, Some(modified))?;
        for (file, content) in &found {
            self.write_file(&transaction, &process.place, (location.id, directory), file, content)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn write_file(
        &mut self,
        library: &Connection,
        place: &Place,
        (location, directory): (i64, i64),
        file: &NewFile,
        content: &Content,
    ) -> Result<(), ScanError> {
        let here = self.known.get(&file.file).map(|_| file.file.clone());
        if let Some(old) = here.clone().or_else(|| self.moved_from(file)) {
            if let Some(known) = self.known.remove(&old) {
                media::update(library, &known, file, (location, directory))?;
                self.seen.insert(known.part);
                let is_deleted = false;
                let now = Known {
                    directory: Some(directory),
                    stat: file.stat,
                    hash: file.hash.clone(),
                    is_deleted,
                    ..known
                };
                self.known.insert(file.file.clone(), now);
                if here.is_some() {
                    self.outcome.changed += 1;
                } else {
                    self.outcome.moved += 1;
                    log(format_args!("{old} is now {}", file.file));
                }
            }
            return Ok(());
        }
        let section = &self.section;
        let (item, look) = match content {
            Content::Music(song) => {
                let (artist, album, track) = music::item(library, section, file, song)?;
                pictures(library, place, [artist, album], song.picture())?;
                if let Some(content) = song.picture() {
                    thumbnail(place, file, content);
                }
                (track, music::look(file, song))
            }
            Content::Video(name) => (video::item(library, section, file, name)?, video::look(file, name)),
            Content::Photo => (photo::item(library, section, file)?, photo::look(file)),
            Content::Known | Content::Unnamed => {
                log(format_args!("{} has no name that fits the section", file.file));
                return Ok(());
            }
        };
        if matches!(content, Content::Video(_) | Content::Photo) {
            let made = picture::made_for(&file.hash).map_err(|source| ScanError::Bundle {
                file: file.file.clone(),
                source,
            })?;
            thumbnail(place, file, &made);
            let (first, rest) = file.hash.split_at(1);
            items::set_thumb(
                library,
                item,
                &format!("media://{first}/{rest}.bundle/Contents/Thumbnails/thumb1.jpg"),
            )?;
        }
        let known = media::insert(library, (section.id, location, directory), item, file, &look)?;
        items::touch(library, item)?;
        self.seen.insert(known.part);
        self.by_hash
            .entry(file.hash.clone())
            .or_default()
            .push(file.file.clone());
        self.known.insert(file.file.clone(), known);
        self.outcome.added += 1;
        Ok(())
    }

    /// The known file with the same content whose own place is empty now.
    fn moved_from(&self, file: &NewFile) -> Option<String> {
        let same = self.by_hash.get(&file.hash)?;
        let gone = |old: &&String| {
            self.known
                .get(*old)
                .is_some_and(|known| !self.seen.contains(&known.part))
                && fs::symlink_metadata(old).is_err()
        };
        same.iter().find(gone).cloned()
    }

    /// Trash, and what a scan leaves on the section's row.
    fn finish(&mut self, process: &mut Process, request: &Request) -> Result<(), ScanError> {
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
            self.refresh(process)?;
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

    /// Asks the (stand-in) agents again about every item, as a forced scan does.
    fn refresh(&self, process: &mut Process) -> Result<(), ScanError> {
        let ids: Vec<(i64, String)> = {
            let mut statement = process.db.library.prepare(
                "SELECT id, coalesce(title, '') FROM metadata_items NOT INDEXED WHERE library_section_id = ?1 ORDER BY id",
            )?;
            let rows = statement.query_map([self.section.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        for (done, (id, title)) in ids.iter().enumerate() {
            if process.is_cancelled() {
                return Ok(());
            }
            let library = &process.db.library;
            library
                .prepare_cached("UPDATE metadata_items SET refreshed_at = ?2, changed_at = ?3 WHERE id = ?1")?
                .execute((id, clock::now(), counter::next(library)?))?;
            process.progress.step(done, ids.len(), *id, title);
        }
        Ok(())
    }
}

/// What a file is, found out before the transaction.
enum Content {
    Known,
    Music(Box<music::Song>),
    Video(video::Video),
    Photo,
    Unnamed,
}

fn list(folder: &Path, modified: i64, kind: Kind) -> std::io::Result<Listing> {
    let mut listing = Listing {
        modified,
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

/// Posters of an artist and an album that have none.
fn pictures(
    library: &Connection,
    place: &Place,
    [artist, album]: [i64; 2],
    embedded: Option<&[u8]>,
) -> Result<(), ScanError> {
    for (id, folder, content) in [(artist, "Artists", None), (album, "Albums", embedded)] {
        let row: (Option<String>, Option<String>, Option<String>) = library
            .prepare_cached("SELECT hash, guid, user_thumb_url FROM metadata_items WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let (Some(hash), Some(guid), None | Some("")) = (row.0, row.1, row.2.as_deref()) else {
            continue;
        };
        let (agent, made);
        let content = match content {
            Some(content) => {
                agent = "tv.plex.agents.localmedia";
                content
            }
            None => {
                agent = "tv.plex.agents.music";
                made = picture::made_for(&guid);
                match &made {
                    Ok(made) => made.as_slice(),
                    Err(_) => continue,
                }
            }
        };
        match picture::poster(&place.metadata_bundle(folder, &hash), agent, content) {
            Ok(url) => items::set_thumb(library, id, &url)?,
            Err(error) => log(format_args!("the poster of {guid} could not be written: {error}")),
        }
    }
    Ok(())
}

/// A missing thumbnail is no reason to miss the file.
fn thumbnail(place: &Place, file: &NewFile, content: &[u8]) {
    if let Err(error) = picture::thumbnail(&place.media_bundle(&file.hash), content) {
        log(format_args!(
            "the thumbnail of {} could not be written: {error}",
            file.file
        ));
    }
}
