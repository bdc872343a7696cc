//! One item with its parents and its owner's settings, as one query gives it.

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::extra::Extra;

const SELECT: &str = "SELECT i.id, i.library_section_id, i.parent_id, i.metadata_type, i.guid, i.title, i.title_sort,
    i.original_title, i.studio, i.rating, i.summary, i.\"index\", i.duration, i.user_thumb_url, i.user_art_url,
    i.user_fields, i.originally_available_at, i.year, i.added_at, i.updated_at, i.deleted_at, i.extra_data,
    i.content_rating, i.tagline, i.audience_rating, i.tags_genre, i.tags_collection, i.media_item_count, i.hash,
    i.rating_count,
    p.guid AS p_guid, p.title AS p_title, p.\"index\" AS p_index, p.user_thumb_url AS p_thumb, p.user_art_url AS p_art,
    p.updated_at AS p_updated, p.studio AS p_studio, p.year AS p_year, p.parent_id AS g_id,
    g.guid AS g_guid, g.title AS g_title, g.user_thumb_url AS g_thumb, g.user_art_url AS g_art, g.updated_at AS g_updated,
    s.name AS s_name,
    u.rating AS u_rating, u.view_offset, u.view_count, u.last_viewed_at, u.skip_count, u.last_rated_at
    FROM metadata_items i
    LEFT JOIN metadata_items p ON p.id = i.parent_id
    LEFT JOIN metadata_items g ON g.id = p.parent_id
    LEFT JOIN library_sections s ON s.id = i.library_section_id
    LEFT JOIN metadata_item_settings u ON u.id = (SELECT x.id FROM metadata_item_settings x
        WHERE x.guid = i.guid AND x.account_id = ?2 ORDER BY x.id LIMIT 1)
    WHERE i.id = ?1";

/// The columns of an item by name, whatever their storage class.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    columns: BTreeMap<String, Cell>,
    /// The members of its extra_data.
    pub(crate) extra: Extra,
}

#[derive(Debug, Clone)]
enum Cell {
    Int(i64),
    Float(f64),
    Text(String),
}

impl Item {
    /// Its row id, which the API calls ratingKey.
    pub(crate) fn id(&self) -> i64 {
        self.int("id").unwrap_or(0)
    }

    /// Its metadata type.
    pub(crate) fn kind(&self) -> super::Kind {
        super::kind(self.int("metadata_type").unwrap_or(0))
    }

    /// A whole number; a date that an older server wrote as text becomes unix seconds.
    pub(crate) fn int(&self, column: &str) -> Option<i64> {
        match self.columns.get(column)? {
            Cell::Int(number) => Some(*number),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "saturates; such columns hold small numbers"
            )]
            Cell::Float(number) => Some(*number as i64),
            Cell::Text(text) => text.parse().ok().or_else(|| date(text)),
        }
    }

    /// A fraction.
    pub(crate) fn float(&self, column: &str) -> Option<f64> {
        match self.columns.get(column)? {
            #[expect(clippy::cast_precision_loss, reason = "ratings and the like")]
            Cell::Int(number) => Some(*number as f64),
            Cell::Float(number) => Some(*number),
            Cell::Text(text) => text.parse().ok(),
        }
    }

    /// Text that is not empty.
    pub(crate) fn text(&self, column: &str) -> Option<&str> {
        match self.columns.get(column)? {
            Cell::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

fn date(text: &str) -> Option<i64> {
    let moment: jiff::civil::DateTime = text.parse().ok()?;
    moment
        .to_zoned_datetime(jiff::tz::TimeZone::system())
        .ok()
        .map(|moment| moment.timestamp().as_second())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Item> {
    let names: Vec<String> = row.as_ref().column_names().map(str::to_owned).collect();
    let mut columns = BTreeMap::new();
    for (at, name) in names.into_iter().enumerate() {
        let cell = match row.get_ref(at)? {
            ValueRef::Integer(number) => Cell::Int(number),
            ValueRef::Real(number) => Cell::Float(number),
            ValueRef::Text(bytes) => Cell::Text(String::from_utf8_lossy(bytes).into_owned()),
            ValueRef::Null | ValueRef::Blob(_) => continue,
        };
        columns.insert(name, cell);
    }
    let mut item = Item {
        columns,
        extra: Extra::default(),
    };
    item.extra = Extra::parse(item.text("extra_data"));
    Ok(item)
}

/// The item of that id as the account sees it.
pub(crate) fn load(db: &Connection, account: i64, id: i64) -> rusqlite::Result<Option<Item>> {
    db.prepare_cached(SELECT)?
        .query_row(params![id, account], read)
        .optional()
}

/// The items of these ids, in their order; those that are not there are left out.
pub(crate) fn load_all(db: &Connection, account: i64, ids: &[i64]) -> rusqlite::Result<Vec<Item>> {
    ids.iter().filter_map(|id| load(db, account, *id).transpose()).collect()
}

/// The ids of an item's children, in Plex's order.
pub(crate) fn children(db: &Connection, id: i64) -> rusqlite::Result<Vec<i64>> {
    let mut statement = db.prepare_cached(
        "SELECT id FROM metadata_items WHERE parent_id = ?1 ORDER BY \"index\", absolute_index, title, id",
    )?;
    statement.query_map([id], |row| row.get(0))?.collect()
}

/// The ids of the items below it that hold media.
pub(crate) fn leaves(db: &Connection, id: i64) -> rusqlite::Result<Vec<i64>> {
    let kind: Option<i64> = db
        .query_row("SELECT metadata_type FROM metadata_items WHERE id = ?1", [id], |row| {
            row.get(0)
        })
        .optional()?;
    match kind {
        Some(kind) if super::kind(kind).is_parent => {
            let mut found = Vec::new();
            for child in children(db, id)? {
                found.extend(leaves(db, child)?);
            }
            Ok(found)
        }
        Some(_) => Ok(vec![id]),
        None => Ok(Vec::new()),
    }
}

/// How many leaves an item has and how many of them the account has played.
pub(crate) fn leaf_counts(db: &Connection, account: i64, id: i64) -> rusqlite::Result<(i64, i64)> {
    db.prepare_cached(
        "WITH leaf(guid) AS (
             SELECT c.guid FROM metadata_items c WHERE c.parent_id = ?1 AND c.metadata_type IN (4, 10, 13)
             UNION ALL
             SELECT l.guid FROM metadata_items c JOIN metadata_items l ON l.parent_id = c.id
             WHERE c.parent_id = ?1 AND l.metadata_type IN (4, 10, 13))
         SELECT count(*), coalesce(sum(EXISTS (SELECT 1 FROM metadata_item_settings s
             WHERE s.guid = leaf.guid AND s.account_id = ?2 AND s.view_count > 0)), 0) FROM leaf",
    )?
    .query_row(params![id, account], |row| Ok((row.get(0)?, row.get(1)?)))
}
