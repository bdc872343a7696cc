//! Played, unplayed, rated, stopped half-way: metadata_item_settings and metadata_item_views.
//!
//! Settings are keyed by account and guid (nothing enforces it: the oldest row counts), so they survive a renumbering of the
//! items. Playing a leaf also counts on its parents' rows; marking a parent marks its leaves, with the members that a real
//! server leaves in `extra_data` for it.

use rusqlite::{Connection, OptionalExtension, params};

use super::{accounts, extra, now, statistics};
use crate::http::request::Client;
use crate::store::counter;

/// What these writes need to know about an item.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Its row.
    pub(crate) id: i64,
    /// 1 movie, 2 show, 3 season, 4 episode, 8 artist, 9 album, 10 track …
    pub(crate) kind: i64,
    /// What settings are keyed by.
    pub(crate) guid: String,
    /// Milliseconds.
    pub(crate) duration: i64,
    parent: Option<i64>,
}

/// Who does it, and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    /// The account.
    pub(crate) account: i64,
    /// The device.
    pub(crate) client: &'a Client,
}

/// The item of a rating key, unless there is none.
pub(crate) fn target(db: &Connection, id: i64) -> rusqlite::Result<Option<Target>> {
    db.query_row(
        "SELECT id, metadata_type, coalesce(guid, ''), coalesce(duration, 0), parent_id FROM metadata_items WHERE id = ?1",
        [id],
        |row| {
            Ok(Target {
                id: row.get(0)?,
                kind: row.get(1)?,
                guid: row.get(2)?,
                duration: row.get(3)?,
                parent: row.get(4)?,
            })
        },
    )
    .optional()
}

/// The id of the settings row, made when it is missing.
fn settings_row(db: &Connection, account: i64, guid: &str) -> rusqlite::Result<i64> {
    let found = db
        .query_row(
            "SELECT id FROM metadata_item_settings WHERE account_id = ?1 AND guid = ?2 ORDER BY id LIMIT 1",
            params![account, guid],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    // Servers of 2024 and later leave created_at empty.
    db.execute(
        "INSERT INTO metadata_item_settings (account_id, guid, view_count, updated_at, skip_count, changed_at)
         VALUES (?1, ?2, 0, ?3, 0, 0)",
        params![account, guid, now()],
    )?;
    Ok(db.last_insert_rowid())
}

/// Applies `change` ("view_count = view_count + 1, …", with ?2 the time and ?3 the counter) to a settings row.
fn update(db: &Connection, row: i64, change: &str) -> rusqlite::Result<()> {
    let statement =
        format!("UPDATE metadata_item_settings SET {change}, updated_at = ?2, changed_at = ?3 WHERE id = ?1");
    db.execute(&statement, params![row, now(), counter::next(db)?])
        .map(drop)
}

fn mark_extra(db: &Connection, row: i64, members: &[(&str, Option<String>)]) -> rusqlite::Result<()> {
    let old: Option<String> = db.query_row(
        "SELECT extra_data FROM metadata_item_settings WHERE id = ?1",
        [row],
        |row| row.get(0),
    )?;
    let text = extra::with(old.as_deref(), members);
    db.execute(
        "UPDATE metadata_item_settings SET extra_data = ?2 WHERE id = ?1",
        params![row, text],
    )
    .map(drop)
}

fn is_leaf(kind: i64) -> bool {
    !matches!(kind, 2 | 3 | 8 | 9 | 14 | 18)
}

fn children(db: &Connection, parent: i64) -> rusqlite::Result<Vec<Target>> {
    let mut statement = db.prepare_cached("SELECT id FROM metadata_items WHERE parent_id = ?1 ORDER BY id")?;
    let ids: Vec<i64> = statement
        .query_map([parent], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    ids.into_iter().filter_map(|id| target(db, id).transpose()).collect()
}

/// Marks the item played: a leaf gets a view, a parent's leaves get one each.
pub(crate) fn scrobble(db: &Connection, who: Who<'_>, item: &Target) -> rusqlite::Result<()> {
    if is_leaf(item.kind) {
        return played(db, who, item, false);
    }
    mark_children(db, item, &mut |child| played(db, who, child, true))?;
    let row = settings_row(db, who.account, &item.guid)?;
    update(db, row, "last_viewed_at = ?2")?;
    mark_extra(
        db,
        row,
        &[
            ("pv:playedItemAndChildren", Some(now().to_string())),
            ("pv:unplayedAt", None),
        ],
    )
}

/// Marks the item unplayed; the views of the past stay, as they do on a real server.
pub(crate) fn unscrobble(db: &Connection, who: Who<'_>, item: &Target) -> rusqlite::Result<()> {
    let unplay = |target: &Target, mark: &'static str| {
        let row = settings_row(db, who.account, &target.guid)?;
        update(db, row, "view_count = 0, view_offset = NULL, last_viewed_at = NULL")?;
        let at = now().to_string();
        let mut members = vec![("pv:unplayedAt", Some(at.clone())), ("pv:playedItemAndChildren", None)];
        if !mark.is_empty() {
            members.push((mark, Some(at)));
        }
        mark_extra(db, row, &members)
    };
    if is_leaf(item.kind) {
        return unplay(item, "");
    }
    mark_children(db, item, &mut |child| unplay(child, "pv:bulkPlayed"))?;
    unplay(item, "pv:unplayedItemAndChildren")
}

fn mark_children(
    db: &Connection,
    item: &Target,
    mark: &mut dyn FnMut(&Target) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    for child in children(db, item.id)? {
        if is_leaf(child.kind) {
            mark(&child)?;
        } else {
            mark_children(db, &child, mark)?;
        }
    }
    Ok(())
}

/// One playing of a leaf to its end.
pub(crate) fn played(db: &Connection, who: Who<'_>, item: &Target, bulk: bool) -> rusqlite::Result<()> {
    let row = settings_row(db, who.account, &item.guid)?;
    update(
        db,
        row,
        "view_count = coalesce(view_count, 0) + 1, last_viewed_at = ?2, view_offset = NULL",
    )?;
    if bulk {
        mark_extra(
            db,
            row,
            &[("pv:bulkPlayed", Some(now().to_string())), ("pv:unplayedAt", None)],
        )?;
    } else {
        for parent in ancestors(db, item)? {
            let row = settings_row(db, who.account, &parent.guid)?;
            update(db, row, "view_count = coalesce(view_count, 0) + 1, last_viewed_at = ?2")?;
        }
    }
    let device = accounts::device(db, who.client)?;
    db.execute(
        "INSERT INTO metadata_item_views (account_id, guid, metadata_type, library_section_id, grandparent_title,
             parent_index, parent_title, \"index\", title, thumb_url, viewed_at, grandparent_guid,
             originally_available_at, device_id, view_type)
         SELECT ?2, i.guid, i.metadata_type, i.library_section_id, coalesce(g.title, ''), coalesce(p.\"index\", -1),
             coalesce(p.title, ''), i.\"index\", i.title, i.user_thumb_url, ?3, coalesce(g.guid, ''),
             i.originally_available_at, ?4, 0
         FROM metadata_items i LEFT JOIN metadata_items p ON p.id = i.parent_id
             LEFT JOIN metadata_items g ON g.id = p.parent_id
         WHERE i.id = ?1",
        params![item.id, who.account, now(), device],
    )?;
    statistics::played(db, who.account, device, item.kind, item.duration / 1000, now())
}

fn ancestors(db: &Connection, item: &Target) -> rusqlite::Result<Vec<Target>> {
    let mut found = Vec::new();
    let mut next = item.parent;
    // A library has three levels; more would be a cycle in a damaged one.
    while let (Some(id), true) = (next, found.len() < 3) {
        let Some(parent) = target(db, id)? else { break };
        next = parent.parent;
        found.push(parent);
    }
    Ok(found)
}

/// Rates the item 0..10; a negative rating takes it back.
pub(crate) fn rate(db: &Connection, who: Who<'_>, item: &Target, rating: f64) -> rusqlite::Result<()> {
    let row = settings_row(db, who.account, &item.guid)?;
    if rating < 0.0 {
        return update(db, row, "rating = NULL, last_rated_at = ?2");
    }
    db.execute(
        "UPDATE metadata_item_settings SET rating = ?2 WHERE id = ?1",
        params![row, rating],
    )?;
    update(db, row, "last_rated_at = ?2")
}

/// Keeps the position at which somebody stopped, in milliseconds; 0 forgets it.
pub(crate) fn keep_offset(db: &Connection, who: Who<'_>, item: &Target, offset: i64) -> rusqlite::Result<()> {
    let row = settings_row(db, who.account, &item.guid)?;
    let offset = (offset > 0).then_some(offset);
    db.execute(
        "UPDATE metadata_item_settings SET view_offset = ?2 WHERE id = ?1",
        params![row, offset],
    )?;
    update(db, row, "last_viewed_at = ?2")?;
    for parent in ancestors(db, item)? {
        let row = settings_row(db, who.account, &parent.guid)?;
        update(db, row, "last_viewed_at = ?2")?;
    }
    Ok(())
}

/// Counts a track that was skipped soon after it had begun.
pub(crate) fn skipped(db: &Connection, who: Who<'_>, item: &Target) -> rusqlite::Result<()> {
    let row = settings_row(db, who.account, &item.guid)?;
    update(
        db,
        row,
        "skip_count = coalesce(skip_count, 0) + 1, last_skipped_at = ?2",
    )
}
