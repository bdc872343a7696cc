//! What a server can make by itself of what could not be written into its database: playlists, collections, names.
//!
//! Everything is in ids and words of the result, so that whoever talks to the server needs to look up nothing.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::content::followed;
use super::context::Context;
use super::fail::Step;
use super::rows::{self, Row, int, text};
use super::schema::Table;
use super::session::{MAIN, MINE};
use crate::error::{At, READ, Result};
use crate::open;
use crate::paths::Databases;

/// Something to be asked of the server after its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "make", rename_all = "snake_case")]
pub enum Wish {
    /// A playlist.
    Playlist {
        /// Its id at home.
        id: i64,
        /// Its title.
        title: String,
        /// `metadata_type` of its first item.
        kind: i64,
        /// Its items, in their order.
        items: Vec<i64>,
        /// Whose it is.
        account: Option<i64>,
        /// It chooses its items by a rule, which only Plex can be told by hand.
        is_smart: bool,
    },
    /// A collection.
    Collection {
        /// Its id at home.
        id: i64,
        /// Its title.
        title: String,
        /// Its section.
        section: i64,
        /// `metadata_type` of its first member.
        kind: i64,
        /// Its members.
        items: Vec<i64>,
    },
    /// The name that somebody gave to an item.
    Name {
        /// The item.
        id: i64,
        /// Its title.
        title: String,
        /// What it is sorted by.
        title_sort: Option<String>,
    },
}

impl Wish {
    /// Whether it is about the same thing as another one, which a later merge may have said anew.
    #[must_use]
    pub fn is_about_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Playlist { id, .. }, Self::Playlist { id: same, .. })
            | (Self::Collection { id, .. }, Self::Collection { id: same, .. })
            | (Self::Name { id, .. }, Self::Name { id: same, .. }) => id == same,
            _ => false,
        }
    }

    /// In a person's words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Playlist { title, items, .. } => format!("playlist \"{title}\" ({} items)", items.len()),
            Self::Collection { title, items, .. } => format!("collection \"{title}\" ({} items)", items.len()),
            Self::Name { title, .. } => format!("the name \"{title}\""),
        }
    }
}

/// Leaves those wishes that home still has when it has stopped for good: what it made and has taken back since is not to be made,
/// and no name given that it does not bear any more.
///
/// # Errors
/// Those of reading `home`.
pub fn still_wanted(wishes: Vec<Wish>, home: &Databases) -> Result<Vec<Wish>> {
    if wishes.is_empty() {
        return Ok(wishes);
    }
    let path = home.library();
    let home = open::read_only(&path)?;
    let mut wanted = Vec::new();
    for wish in wishes {
        if is_wanted(&home, &wish).at(READ, &path)? {
            wanted.push(wish);
        }
    }
    home.confirm()?;
    Ok(wanted)
}

fn is_wanted(home: &Connection, wish: &Wish) -> rusqlite::Result<bool> {
    let (Wish::Playlist { id, .. } | Wish::Collection { id, .. } | Wish::Name { id, .. }) = wish;
    let bears: Option<Option<String>> = home
        .prepare_cached("SELECT title FROM metadata_items NOT INDEXED WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(match wish {
        Wish::Playlist { .. } | Wish::Collection { .. } => bears.is_some(),
        // The item of the result may be one that home has under another id.
        Wish::Name { title, .. } => bears.is_none_or(|bears| bears.as_ref() == Some(title)),
    })
}

/// Looks among what was kept aside for what the server can make.
pub(super) fn collect(context: &mut Context<'_>) -> Step<()> {
    let Some(table) = context.table("metadata_items") else {
        return Ok(());
    };
    let ids: Vec<i64> = context
        .report
        .kept_aside
        .iter()
        .filter(|kept| kept.table == table.name)
        .map(|kept| kept.id)
        .collect();
    for id in ids {
        // One that is in the result was kept aside for its name only, which is a wish already.
        if rows::exists(context.conn, MAIN, &table.name, id)? {
            continue;
        }
        let Some(row) = rows::get(context.conn, MINE, &table, id)? else {
            continue;
        };
        let wish = match int(&table, &row, "metadata_type") {
            Some(15) => playlist(context, &table, id, &row)?,
            Some(18) => collection(context, &table, id, &row)?,
            _ => continue,
        };
        context.report.to_make.extend(wish);
    }
    Ok(())
}

/// The wish for an item's new name.
pub(super) fn name(context: &mut Context<'_>, table: &Table, id: i64, row: &Row) {
    let word = |column| text(table, row, column).map(str::to_owned);
    if table.name == "metadata_items"
        && let Some(title) = word("title")
    {
        let title_sort = word("title_sort");
        context.report.to_make.push(Wish::Name { id, title, title_sort });
    }
}

fn title(table: &Table, row: &Row) -> String {
    text(table, row, "title").unwrap_or_default().to_owned()
}

fn playlist(context: &Context<'_>, table: &Table, id: i64, row: &Row) -> Step<Option<Wish>> {
    let entries = list(
        context,
        "SELECT metadata_item_id FROM mine.play_queue_generators WHERE playlist_id = ?1 ORDER BY \"order\", id",
        id,
    )?;
    let is_smart = entries.iter().any(Option::is_none);
    let items = here(context, entries)?;
    let account = list(
        context,
        "SELECT account_id FROM mine.metadata_item_accounts WHERE metadata_item_id = ?1",
        id,
    )?;
    Ok(Some(Wish::Playlist {
        id,
        title: title(table, row),
        kind: kind(context, table, &items)?,
        items,
        account: account.into_iter().flatten().next(),
        is_smart,
    }))
}

fn collection(context: &Context<'_>, table: &Table, id: i64, row: &Row) -> Step<Option<Wish>> {
    let Some(section) = int(table, row, "library_section_id") else {
        return Ok(None);
    };
    let members = list(
        context,
        "SELECT g.metadata_item_id FROM mine.taggings g JOIN mine.tags t ON t.id = g.tag_id
         WHERE t.metadata_item_id = ?1 AND t.tag_type = 2 ORDER BY g.id",
        id,
    )?;
    let items = here(context, members)?;
    Ok(Some(Wish::Collection {
        id,
        title: title(table, row),
        section,
        kind: kind(context, table, &items)?,
        items,
    }))
}

fn list(context: &Context<'_>, sql: &str, id: i64) -> Step<Vec<Option<i64>>> {
    Ok(context
        .conn
        .prepare_cached(sql)?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

/// The items as the result has them; what it does not have is left out.
fn here(context: &Context<'_>, items: Vec<Option<i64>>) -> Step<Vec<i64>> {
    let mut found = Vec::new();
    for item in items.into_iter().flatten() {
        let item = followed(context, "metadata_items", item)?.unwrap_or(item);
        if rows::exists(context.conn, MAIN, "metadata_items", item)? {
            found.push(item);
        }
    }
    Ok(found)
}

fn kind(context: &Context<'_>, table: &Table, items: &[i64]) -> Step<i64> {
    let Some(&first) = items.first() else { return Ok(0) };
    let row = rows::get(context.conn, MAIN, table, first)?;
    Ok(row.and_then(|row| int(table, &row, "metadata_type")).unwrap_or(0))
}
