//! Merging a result that comes without its base: home's user state by account, guid and file wins.
//!
//! What has no base is on both sides as if each had made it: the matching of what both sides found ([`super::matching`])
//! finds what is the same, and [`super::policy::adopt`] puts the two together. So the base of such a merge is an empty one in
//! memory, with two exceptions that ids can tell:
//!
//! - If both libraries once were one, both have rows from before they parted, with the same ids. Plex counts ids up and
//!   never gives one twice, so a table's greatest id that means the same on both sides was given before the parting, and
//!   every smaller one too: what the result has below it and home has not was deleted at home, and stays deleted. Such rows
//!   are put into the base.
//! - Ratings, counts and history that both sides have from that time are home's to go on with, not two stories to be
//!   added up: in the base they are as the result has them.
//!
//! Two libraries once were one if a section has the same uuid and the same id on both sides.
//!
//! After the merge the two are one up to home's last id, whatever they were before. So that the same can be merged again,
//! nothing that only the result has stays below that id: it would be taken for deleted at home then.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::context::{self, Context};
use super::fail::Step;
use super::moves::{self, Moved};
use super::schema::{Schema, Table, quote};
use super::session::{BASE, LIBRARY, MAIN, MINE, Three};
use super::writer::{SEARCHED, Writer};

/// Columns that say of a row what it was when it was made; a row that has them equal on both sides, and the same id, is from
/// before the parting.
const BIRTHS: [(&str, &[&str]); 10] = [
    ("directories", &["library_section_id", "path", "created_at"]),
    (
        "metadata_items",
        &["library_section_id", "metadata_type", "guid", "created_at"],
    ),
    ("media_items", &["metadata_item_id", "created_at"]),
    ("media_parts", &["media_item_id", "file", "created_at"]),
    ("media_streams", &["media_part_id", "stream_type_id", "created_at"]),
    ("tags", &["tag_type", "tag", "created_at"]),
    ("taggings", &["metadata_item_id", "tag_id", "created_at"]),
    (
        "metadata_relations",
        &["metadata_item_id", "related_metadata_item_id", "created_at"],
    ),
    ("metadata_item_settings", &["account_id", "guid", "created_at"]),
    ("metadata_item_views", &["account_id", "guid", "viewed_at"]),
];

/// The greatest id of each table from before the two parted, where there is one.
pub(super) type Partings = BTreeMap<&'static str, i64>;

/// Tables whose rows home goes on with.
const STATE: [&str; 2] = ["metadata_item_settings", "metadata_item_views"];

/// Makes the empty base of one of the two databases; it has to be attached already.
pub(super) fn empty_base(conn: &Connection, three: Three) -> Step<()> {
    let tables: Vec<(String, String)> = conn
        .prepare(&format!(
            "SELECT name, sql FROM {}.sqlite_schema
             WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
            three.theirs
        ))?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (name, sql) in tables {
        // The columns as they stand; own tables of search indices become ordinary ones, which is what reading them wants.
        let Some(columns) = sql.find('(').map(|at| &sql[at..]) else {
            continue;
        };
        conn.execute_batch(&format!("CREATE TABLE {}.{}{columns}", three.base, quote(&name)))?;
    }
    Ok(())
}

/// Puts into the base what is known to be from before the parting.
pub(super) fn fill_base(conn: &Connection, schema: &Schema) -> Step<Partings> {
    let mut partings = Partings::new();
    if !were_one(conn)? {
        return Ok(partings);
    }
    for (name, birth) in BIRTHS {
        let Some(table) = schema.get(name).filter(|table| table.keyed) else {
            continue;
        };
        let Some(parting) = parting(conn, table, birth)? else {
            continue;
        };
        partings.insert(name, parting);
        let (quoted, columns) = (quote(name), table.column_list());
        conn.execute(
            &format!(
                "INSERT INTO {BASE}.{quoted} ({columns}) SELECT {columns} FROM {MAIN}.{quoted} t NOT INDEXED
                 WHERE t.id <= ?1 AND NOT EXISTS (SELECT 1 FROM {MINE}.{quoted} m NOT INDEXED WHERE m.id = t.id)"
            ),
            [parting],
        )?;
        if STATE.contains(&name) {
            let listed: Vec<String> = table.columns.iter().map(|name| format!("t.{}", quote(name))).collect();
            conn.execute(
                &format!(
                    "INSERT INTO {BASE}.{quoted} ({columns}) SELECT {} FROM {MAIN}.{quoted} t NOT INDEXED
                     JOIN {MINE}.{quoted} m ON m.id = t.id AND {}",
                    listed.join(","),
                    same(table, birth)
                ),
                [],
            )?;
        }
    }
    conn.execute_batch(&format!(
        "CREATE INDEX IF NOT EXISTS {BASE}.taggings_by_item ON taggings(metadata_item_id)"
    ))?;
    Ok(partings)
}

/// Rows that only the result has and that have numbers which home may have given since the parting.
fn ambiguous(context: &Context<'_>, name: &str, partings: &Partings) -> Step<Vec<i64>> {
    if context.schema.get(name).is_none_or(|table| !table.keyed) {
        return Ok(Vec::new());
    }
    let (conn, quoted) = (context.conn, quote(name));
    let highest: Option<i64> = conn.query_row(&format!("SELECT max(id) FROM {MINE}.{quoted}"), [], |row| row.get(0))?;
    let last = highest.max(context::sequence(conn, MINE, name)?);
    Ok(conn
        .prepare(&format!(
            "SELECT t.id FROM {MAIN}.{quoted} t NOT INDEXED WHERE t.id > ?1 AND t.id <= ?2
             AND NOT EXISTS (SELECT 1 FROM {MINE}.{quoted} m NOT INDEXED WHERE m.id = t.id)"
        ))?
        .query_map((partings.get(name).copied().unwrap_or(0), last), |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

/// Has what only the result has moved beyond home's last number, where others refer to it. What cannot be taken out of its
/// index stays where it is; then it is home's next scan that finds it again, should the same be merged twice.
pub(super) fn move_beyond(
    context: &mut Context<'_>,
    writer: &mut Writer,
    partings: &Partings,
    moved: &mut Moved,
) -> Step<()> {
    for name in moves::TABLES {
        let mut ids = ambiguous(context, name, partings)?;
        ids.retain(|id| moved.get(name, *id).is_none());
        if ids.is_empty() || (SEARCHED.contains(&name) && writer.obstacle(context.conn, name)?.is_some()) {
            continue;
        }
        for id in ids {
            let fresh = context.fresh_id(LIBRARY, name)?;
            moved.add(name, id, fresh);
        }
    }
    Ok(())
}

/// The same of rows that nothing refers to, once it is known which of them are home's.
pub(super) fn number_beyond(context: &mut Context<'_>, partings: &Partings) -> Step<()> {
    for (name, _) in BIRTHS.iter().filter(|(name, _)| !moves::TABLES.contains(name)) {
        for id in ambiguous(context, name, partings)? {
            context.renumber(LIBRARY, name, id)?;
        }
    }
    Ok(())
}

/// What home deleted of an item that it made anew is, in the result, attached to the item by its new number from here on; so
/// it is in the base, as it will be when the same is merged again.
pub(super) fn follow(conn: &Connection, moved: &Moved) -> Step<()> {
    moves::list(conn, moved.of("metadata_items"))?;
    conn.execute(
        &format!(
            "UPDATE {BASE}.taggings SET metadata_item_id = (SELECT new FROM temp.moved WHERE old = metadata_item_id)
             WHERE metadata_item_id IN (SELECT old FROM temp.moved)"
        ),
        [],
    )?;
    Ok(())
}

/// Whether the two libraries once were one.
fn were_one(conn: &Connection) -> Step<bool> {
    Ok(conn
        .prepare(&format!(
            "SELECT 1 FROM {MAIN}.library_sections t JOIN {MINE}.library_sections m ON m.id = t.id AND m.uuid = t.uuid"
        ))?
        .exists([])?)
}

fn same(table: &Table, birth: &[&str]) -> String {
    let terms: Vec<String> = birth
        .iter()
        .filter(|column| table.has(column))
        .map(|column| format!("m.{c} IS t.{c}", c = quote(column)))
        .collect();
    terms.join(" AND ")
}

/// SQL: when the row `t` was made. Real servers do not say it of media, files and streams: there it is said of their item,
/// if that is the same on both sides.
fn birth_time(table: &Table, birth: &[&str]) -> Option<String> {
    let old_item = |media: &str| {
        format!(
            "(SELECT i.created_at FROM {MAIN}.metadata_items i JOIN {MINE}.metadata_items o ON o.id = i.id
              WHERE i.id = {media} AND o.guid IS i.guid AND o.created_at IS i.created_at)"
        )
    };
    let of_media = |id: &str| {
        old_item(&format!(
            "(SELECT x.metadata_item_id FROM {MAIN}.media_items x WHERE x.id = {id})"
        ))
    };
    Some(match table.name.as_str() {
        "media_items" => old_item("t.metadata_item_id"),
        "media_parts" | "media_streams" => of_media("t.media_item_id"),
        _ => {
            let time = birth
                .iter()
                .find(|column| column.ends_with("_at") && table.has(column))?;
            format!("t.{}", quote(time))
        }
    })
}

/// The greatest id that means the same on both sides. A row that says nothing about when it was made proves nothing.
fn parting(conn: &Connection, table: &Table, birth: &[&str]) -> Step<Option<i64>> {
    let Some(time) = birth_time(table, birth) else {
        return Ok(None);
    };
    let name = quote(&table.name);
    Ok(conn.query_row(
        &format!(
            "SELECT max(t.id) FROM {MAIN}.{name} t NOT INDEXED JOIN {MINE}.{name} m NOT INDEXED ON m.id = t.id
             WHERE {} AND {time} IS NOT NULL",
            same(table, birth)
        ),
        [],
        |row| row.get(0),
    )?)
}

/// Both databases of the base, empty; has to be done before anything is compared.
pub(super) fn empty_pair(conn: &Connection) -> Step<()> {
    for three in [LIBRARY, super::session::BLOBS] {
        empty_base(conn, three)?;
    }
    Ok(())
}
