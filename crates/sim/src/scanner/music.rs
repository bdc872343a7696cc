//! Music: artists, albums and tracks, from tags, or from folders where a file has none.

use std::path::Path;

use rusqlite::Connection;

use super::guid;
use super::items::{self, NewItem, kind};
use super::media::{Look, NewFile};
use super::section::Section;
use super::tags::{self, Tags};
use crate::store::extra::Extra;

/// The number of a title among the fields that can be locked.
const TITLE: &str = "1";

/// A new file and what its tags say.
#[derive(Debug)]
pub(super) struct Song {
    tags: Tags,
    is_matched: bool,
    artist: String,
    album: String,
    title: String,
}

/// Reads the tags; takes time, so it is done before the transaction.
pub(super) fn read(section: &Section, file: &NewFile) -> Song {
    let tags = tags::read(Path::new(&file.file));
    let folders: Vec<&str> = file.relative.split('/').collect();
    let name = folders.last().copied().unwrap_or_default();
    let folder = |up: usize| {
        folders
            .len()
            .checked_sub(up + 1)
            .and_then(|at| folders.get(at))
            .map(|&name| name.to_owned())
    };
    let (number, name) = number_and_title(name);
    let is_matched = !section.is_personal() && tags.title.is_some() && tags.artist.is_some();
    let artist = tags
        .album_artist
        .clone()
        .or_else(|| tags.artist.clone())
        .or_else(|| folder(2));
    let artist = artist.unwrap_or_else(|| "[Unknown Artist]".to_owned());
    let album = tags
        .album
        .clone()
        .or_else(|| folder(1))
        .unwrap_or_else(|| "[Unknown Album]".to_owned());
    let title = tags.title.clone().unwrap_or(name);
    let tags = Tags {
        number: tags.number.or(number),
        ..tags
    };
    Song {
        tags,
        is_matched,
        artist,
        album,
        title,
    }
}

/// The track of the file, made with its album and artist where they are missing. Artist, album, track.
pub(super) fn item(
    library: &Connection,
    section: &Section,
    file: &NewFile,
    song: &Song,
) -> rusqlite::Result<(i64, i64, i64)> {
    let Song {
        tags,
        artist,
        album,
        title,
        ..
    } = song;
    let base = NewItem {
        section: section.id,
        added_at: file.stat.modified,
        index: Some(1),
        ..NewItem::default()
    };
    let artist_id = find_or_insert(
        library,
        song.is_matched.then(|| guid::matched("artist", &[artist])),
        &NewItem {
            kind: kind::ARTIST,
            title: artist,
            genres: &tags.genres,
            ..base.clone()
        },
    )?;
    let album_id = find_or_insert(
        library,
        song.is_matched.then(|| guid::matched("album", &[artist, album])),
        &NewItem {
            kind: kind::ALBUM,
            parent: Some(artist_id),
            title: album,
            year: tags.year,
            genres: &tags.genres,
            ..base.clone()
        },
    )?;
    let numbers = format!("{}.{}", tags.disc.unwrap_or(1), tags.number.unwrap_or(0));
    let guid = song
        .is_matched
        .then(|| guid::matched("track", &[artist, album, &numbers, title]));
    let track = NewItem {
        kind: kind::TRACK,
        parent: Some(album_id),
        title,
        original_title: tags.artist.as_deref().filter(|track_artist| track_artist != artist),
        index: tags.number,
        absolute_index: tags.disc,
        year: tags.year,
        duration: tags.duration,
        ..base
    };
    // Two untagged files are two tracks, whatever their names.
    let track_id = match guid {
        Some(_) => find_or_insert(library, guid, &track)?,
        None => items::insert(library, &track)?,
    };
    Ok((artist_id, album_id, track_id))
}

/// Takes over a title that has changed in the tags, unless the household has locked its own.
pub(super) fn retitle(library: &Connection, track: i64, song: &Song) -> rusqlite::Result<()> {
    let Some(title) = song.tags.title.as_deref() else {
        return Ok(());
    };
    let (old, fields): (Option<String>, Option<String>) = library
        .prepare_cached("SELECT title, user_fields FROM metadata_items WHERE id = ?1")?
        .query_row([track], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let fields = Extra::parse(fields.as_deref());
    let is_locked = fields
        .get("lockedFields")
        .is_some_and(|locked| locked.split('|').any(|field| field == TITLE));
    if is_locked || old.as_deref() == Some(title) {
        return Ok(());
    }
    library
        .prepare_cached("UPDATE metadata_items SET title = ?2, title_sort = ?3 WHERE id = ?1")?
        .execute((track, title, guid::sort_title(title)))
        .map(drop)
}

/// What the media item says before it is analysed.
pub(super) fn look(file: &NewFile, song: &Song) -> Look {
    let (container, audio_codec) = tags::codec(&file.file);
    let mut hints = vec![("album", song.album.clone()), ("artist", song.artist.clone())];
    hints.extend(song.tags.number.map(|number| ("index", number.to_string())));
    hints.push(("name", song.title.clone()));
    Look {
        container,
        audio_codec,
        duration: song.tags.duration,
        bitrate: song.tags.bitrate,
        channels: song.tags.channels,
        hints,
    }
}

impl Song {
    /// The picture in the file.
    pub(super) fn picture(&self) -> Option<&[u8]> {
        self.tags.picture.as_deref()
    }
}

fn find_or_insert(library: &Connection, guid: Option<String>, item: &NewItem<'_>) -> rusqlite::Result<i64> {
    let found = match &guid {
        Some(guid) => items::by_guid(library, item.section, item.kind, item.parent, guid)?,
        None => items::by_title(library, item.section, item.kind, item.parent, item.title)?,
    };
    match found {
        Some(id) => Ok(id),
        None => items::insert(library, &NewItem { guid, ..item.clone() }),
    }
}

/// `07 - Title.flac`, `07. Title.flac`, `Title.flac`.
fn number_and_title(name: &str) -> (Option<i64>, String) {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let rest = stem.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &stem[..stem.len() - rest.len()];
    let title = rest.trim_start_matches([' ', '-', '.', '_']);
    match digits.parse() {
        Ok(number) if digits.len() <= 3 && !title.is_empty() && title.len() < rest.len() => {
            (Some(number), title.to_owned())
        }
        _ => (None, stem.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_without_tags() {
        assert_eq!(number_and_title("07 - Title.flac"), (Some(7), "Title".to_owned()));
        assert_eq!(number_and_title("12. Other.mp3"), (Some(12), "Other".to_owned()));
        assert_eq!(number_and_title("1999.ogg"), (None, "1999".to_owned()));
        assert_eq!(
            number_and_title("99Luftballons.ogg"),
            (None, "99Luftballons".to_owned())
        );
        assert_eq!(
            number_and_title("breaking_the_chains.ogg"),
            (None, "breaking_the_chains".to_owned())
        );
    }
}
