//! What a scan writes down about the files of one folder, in one transaction.

use std::fs;

use rusqlite::{Connection, TransactionBehavior};

use super::media::{self, Known, NewFile};
use super::section::{Kind, Location};
use super::walk::Scan;
use super::{ScanError, items, music, photo, picture, video};
use crate::process::{Place, Process, log};

impl Scan {
    /// Writes down what was found in one folder.
    pub(super) fn write(
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
                    _ if self.known.get(&file.file).is_some_and(|known| known.hash == file.hash) => Content::Known,
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
                if let Content::Music(song) = content {
                    music::retitle(library, known.item, song)?;
                }
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
}

/// What a file is, found out before the transaction.
enum Content {
    Known,
    Music(Box<music::Song>),
    Video(video::Video),
    Photo,
    Unnamed,
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
