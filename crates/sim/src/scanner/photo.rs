//! Photos: every folder is an album, every picture in it a photo. Nobody can match them, so their guids are their rows'.

use rusqlite::Connection;

use super::items::{self, NewItem, kind};
use super::media::{Look, NewFile};
use super::section::Section;

/// The photo of the file, made with its albums where they are missing.
pub(super) fn item(library: &Connection, section: &Section, file: &NewFile) -> rusqlite::Result<i64> {
    let mut folders: Vec<&str> = file.relative.split('/').collect();
    let name = folders.pop().unwrap_or_default();
    let base = NewItem {
        section: section.id,
        added_at: file.stat.modified,
        ..NewItem::default()
    };
    let mut album = None;
    for folder in folders {
        album = Some(
            match items::by_title(library, section.id, kind::PHOTO_ALBUM, album, folder)? {
                Some(id) => id,
                None => items::insert(
                    library,
                    &NewItem {
                        kind: kind::PHOTO_ALBUM,
                        parent: album,
                        title: folder,
                        ..base.clone()
                    },
                )?,
            },
        );
    }
    let title = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    items::insert(
        library,
        &NewItem {
            kind: kind::PHOTO,
            parent: album,
            title,
            ..base
        },
    )
}

/// What the media item says before it is analysed.
pub(super) fn look(file: &NewFile) -> Look {
    let container = match super::files::extension(&file.file).as_deref() {
        Some("jpg" | "jpeg") => "jpeg",
        Some("png") => "png",
        Some("gif") => "gif",
        Some("webp") => "webp",
        Some("heic") => "heic",
        _ => "",
    };
    Look {
        container,
        ..Look::default()
    }
}
