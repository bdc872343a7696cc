//! Rows of `metadata_items` and their genres: finding what is there, making what is not.
//!
//! A title or anything else that exists is never overwritten here, so what the household edited stays.

use rusqlite::{Connection, OptionalExtension, params};

use super::files::sha1_hex;
use super::guid;
use crate::store::{clock, counter};

/// `metadata_items.metadata_type`.
pub(crate) mod kind {
    pub(crate) const MOVIE: i64 = 1;
    pub(crate) const SHOW: i64 = 2;
    pub(crate) const SEASON: i64 = 3;
    pub(crate) const EPISODE: i64 = 4;
    pub(crate) const ARTIST: i64 = 8;
    pub(crate) const ALBUM: i64 = 9;
    pub(crate) const TRACK: i64 = 10;
    pub(crate) const PHOTO: i64 = 13;
    pub(crate) const PHOTO_ALBUM: i64 = 14;
}

/// `tags.tag_type` of a genre.
const GENRE: i64 = 1;

/// An item to be made.
#[derive(Debug, Clone, Default)]
pub(super) struct NewItem<'a> {
    pub(super) section: i64,
    pub(super) kind: i64,
    pub(super) parent: Option<i64>,
    /// `None` for `local://<its id>`.
    pub(super) guid: Option<String>,
    pub(super) title: &'a str,
    /// The artist of a track that is not the album's.
    pub(super) original_title: Option<&'a str>,
    pub(super) index: Option<i64>,
    /// The disc of a track.
    pub(super) absolute_index: Option<i64>,
    pub(super) year: Option<i64>,
    /// Milliseconds.
    pub(super) duration: Option<i64>,
    /// When its file was made, in seconds; the future counts as now.
    pub(super) added_at: i64,
    pub(super) genres: &'a [String],
    pub(super) thumb: Option<String>,
}

// The pluses below keep the planner off every index but the one on the first column: most others lead through a whole
// section, for each file.

/// The item with that guid in the section, below `parent`.
pub(super) fn by_guid(
    library: &Connection,
    section: i64,
    kind: i64,
    parent: Option<i64>,
    guid: &str,
) -> rusqlite::Result<Option<i64>> {
    library
        .prepare_cached(
            "SELECT id FROM metadata_items WHERE guid = ?1 AND +library_section_id = ?2 AND +metadata_type = ?3
             AND +parent_id IS ?4 ORDER BY +id LIMIT 1",
        )?
        .query_row(params![guid, section, kind, parent], |row| row.get(0))
        .optional()
}

/// The item with that title in the section, below `parent`.
pub(super) fn by_title(
    library: &Connection,
    section: i64,
    kind: i64,
    parent: Option<i64>,
    title: &str,
) -> rusqlite::Result<Option<i64>> {
    library
        .prepare_cached(
            "SELECT id FROM metadata_items WHERE title = ?1 AND +library_section_id = ?2 AND +metadata_type = ?3
             AND +parent_id IS ?4 ORDER BY +id LIMIT 1",
        )?
        .query_row(params![title, section, kind, parent], |row| row.get(0))
        .optional()
}

/// The child with that number.
pub(super) fn by_index(library: &Connection, kind: i64, parent: i64, index: i64) -> rusqlite::Result<Option<i64>> {
    library
        .prepare_cached(
            "SELECT id FROM metadata_items WHERE parent_id = ?1 AND +metadata_type = ?2 AND +\"index\" = ?3
             ORDER BY +id LIMIT 1",
        )?
        .query_row((parent, kind, index), |row| row.get(0))
        .optional()
}

/// Makes the item and returns its id.
pub(super) fn insert(library: &Connection, item: &NewItem<'_>) -> rusqlite::Result<i64> {
    let now = clock::now();
    let changed = counter::next(library)?;
    library
        .prepare_cached(
            "INSERT INTO metadata_items (library_section_id, parent_id, metadata_type, guid, media_item_count, title,
                 title_sort, original_title, \"index\", absolute_index, duration, user_thumb_url, user_art_url, tags_genre,
                 refreshed_at, year, added_at, created_at, updated_at, extra_data, hash, changed_at,
                 resources_changed_at)
             VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9, ?10, ?11, '', ?12, ?13, ?14, ?15, ?13, ?13, '{\"url\":\"\"}',
                 ?16, ?17, ?17)",
        )?
        .execute(params![
            item.section,
            item.parent,
            item.kind,
            item.guid,
            item.title,
            guid::sort_title(item.title),
            item.original_title.unwrap_or_default(),
            item.index,
            item.absolute_index,
            item.duration,
            item.thumb.as_deref().unwrap_or_default(),
            item.genres.join("|"),
            now,
            item.year,
            item.added_at.min(now),
            item.guid.as_deref().map(sha1_hex),
            changed,
        ])?;
    let id = library.last_insert_rowid();
    if item.guid.is_none() {
        set_guid(library, id, &guid::local(id))?;
    }
    for (index, genre) in (0_i64..).zip(item.genres) {
        tag(library, id, genre, index)?;
    }
    Ok(id)
}

/// Gives the item a guid that could not be known before it had an id.
pub(super) fn set_guid(library: &Connection, id: i64, guid: &str) -> rusqlite::Result<()> {
    library
        .prepare_cached("UPDATE metadata_items SET guid = ?2, hash = ?3 WHERE id = ?1")?
        .execute(params![id, guid, sha1_hex(guid)])
        .map(drop)
}

/// Sets the picture of an item, when the item has none.
pub(super) fn set_thumb(library: &Connection, id: i64, url: &str) -> rusqlite::Result<()> {
    library
        .prepare_cached(
            "UPDATE metadata_items SET user_thumb_url = ?2 WHERE id = ?1 AND coalesce(user_thumb_url, '') = ''",
        )?
        .execute(params![id, url])
        .map(drop)
}

/// Marks the item and everything above it as changed and not in the trash: something of it came, or came back.
pub(super) fn touch(library: &Connection, id: i64) -> rusqlite::Result<()> {
    let now = clock::now();
    let changed = counter::next(library)?;
    let mut next = Some(id);
    while let Some(id) = next {
        library
            .prepare_cached(
                "UPDATE metadata_items SET updated_at = ?2, changed_at = ?3, deleted_at = NULL WHERE id = ?1",
            )?
            .execute((id, now, changed))?;
        next = library
            .prepare_cached("SELECT parent_id FROM metadata_items WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?
            .flatten();
    }
    Ok(())
}

fn tag(library: &Connection, item: i64, tag: &str, index: i64) -> rusqlite::Result<()> {
    let now = clock::now();
    let known = library
        .prepare_cached("SELECT id FROM tags WHERE tag_type = ?1 AND tag = ?2 ORDER BY id LIMIT 1")?
        .query_row(params![GENRE, tag], |row| row.get(0))
        .optional()?;
    let tag = match known {
        Some(id) => id,
        None => {
            library
                .prepare_cached("INSERT INTO tags (tag, tag_type, created_at, updated_at) VALUES (?1, ?2, ?3, ?3)")?
                .execute(params![tag, GENRE, now])?;
            library.last_insert_rowid()
        }
    };
    library
        .prepare_cached(
            "INSERT INTO taggings (metadata_item_id, tag_id, \"index\", created_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![item, tag, index, now])
        .map(drop)
}
