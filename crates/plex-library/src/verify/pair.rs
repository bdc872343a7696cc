//! Whether the two databases belong together.
//!
//! Both have the complete schema of a library, so a swapped pair looks right from outside; what is in them tells. And
//! blobs refer to rows of the library by their ids: blobs for ids that this library never gave out are from another one,
//! or from a later day.

use rusqlite::Connection;

use super::{FindingKind, Findings, Level};
use crate::error::{At, READ, Result};
use crate::open::{self, Reader};
use crate::paths::{Databases, Which};
use crate::schema;

pub(super) fn check(reader: &Reader, databases: &Databases, level: Level, found: &mut Findings) -> Result<()> {
    let library = databases.library();
    let number = |sql: &str| -> Result<i64> { reader.query_row(sql, [], |row| row.get(0)).at(READ, &library) };

    let items_in_blobs = if has_table(reader, "blobs", "metadata_items")? {
        number("SELECT count(*) FROM blobs.metadata_items NOT INDEXED")?
    } else {
        0
    };
    if items_in_blobs > 0 && number("SELECT count(*) FROM main.metadata_items NOT INDEXED")? == 0 {
        let message = format!("the items of the library ({items_in_blobs}) are in it: the two files were swapped");
        found.problem(Which::Blobs, FindingKind::Pair, Which::Blobs.file_name(), message);
        return Ok(());
    }
    same_migrations(databases, found)?;
    if !has_table(reader, "blobs", "blobs")? {
        found.problem(Which::Blobs, FindingKind::Schema, "blobs", "the table is missing");
        return Ok(());
    }
    // Compared with the highest id ever given out, not with what is there: owners go, and their blobs stay for a while.
    for (kind, table) in [
        ("metadata_item", "metadata_items"),
        ("media_part", "media_parts"),
        ("media_stream", "media_streams"),
    ] {
        // Beside a server the blobs are looked at first: it writes an owner before its blob, so what is there now has one
        // in the library a moment later.
        let seen = number(&format!(
            "SELECT coalesce(max(linked_id), 0) FROM blobs.blobs WHERE linked_type = '{kind}'"
        ))?;
        let given = number(&format!(
            "SELECT max(coalesce((SELECT max(seq) FROM main.sqlite_sequence WHERE name = '{table}'), 0),
                        coalesce((SELECT max(id) FROM main.{table}), 0))"
        ))?;
        let beyond = number(&format!(
            "SELECT count(*) FROM blobs.blobs WHERE linked_type = '{kind}' AND linked_id > {given} AND linked_id <= {seen}"
        ))?;
        if beyond > 0 {
            let message = format!(
                "{beyond} blobs belong to {table} that this library never had (its last id is {given}): \
                 the blobs are of another library, or of a later day"
            );
            found.problem(Which::Blobs, FindingKind::Pair, "blobs", message);
        }
        let orphans = number(&format!(
            "SELECT count(*) FROM blobs.blobs b WHERE linked_type = '{kind}' AND linked_id <= {given}
             AND NOT EXISTS (SELECT 1 FROM main.{table} t NOT INDEXED WHERE t.id = b.linked_id)"
        ))?;
        if orphans > 0 {
            let message = format!("{orphans} blobs belong to {table} that are gone; Plex collects them in time");
            found.drift(Which::Blobs, FindingKind::Pair, "blobs", message);
        }
    }
    if level == Level::Full && has_kinds(reader)? {
        without_vectors(reader, databases, found)?;
    }
    Ok(())
}

/// Tracks that are marked as analysed and have no vector: what a library looks like beside the blobs of an earlier day.
/// Plex analyses them again, so that it is drift.
fn without_vectors(reader: &Reader, databases: &Databases, found: &mut Findings) -> Result<()> {
    // The mark is JSON since 2024 and URL-encoded before.
    let sql = "SELECT count(*) FROM main.metadata_items i NOT INDEXED WHERE i.metadata_type = 10
               AND (i.extra_data LIKE '%ms:musicAnalysisVersion%' OR i.extra_data LIKE '%ms\\%3AmusicAnalysisVersion%' ESCAPE '\\')
               AND i.id NOT IN (SELECT linked_id FROM blobs.blobs WHERE blob_type = 7 AND linked_type = 'metadata_item'
                                AND linked_id IS NOT NULL)";
    let count: i64 = reader
        .query_row(sql, [], |row| row.get(0))
        .at(READ, &databases.library())?;
    if count > 0 {
        let message = format!(
            "{count} tracks that Sonic has analysed have no vector in it: it may be of an earlier day than the library"
        );
        found.drift(Which::Blobs, FindingKind::Pair, "blobs", message);
    }
    Ok(())
}

fn has_table(reader: &Connection, schema: &str, table: &str) -> Result<bool> {
    let sql = format!("SELECT count(*) FROM {schema}.sqlite_schema WHERE type = 'table' AND name = ?1");
    reader
        .query_row(&sql, [table], |row| row.get(0))
        .at(READ, table.as_ref())
}

/// Whether blobs have kinds: those of 2020 have none.
fn has_kinds(reader: &Connection) -> Result<bool> {
    let sql = "SELECT count(*) FROM pragma_table_info('blobs', 'blobs') WHERE name = 'blob_type'";
    reader
        .query_row(sql, [], |row| row.get(0))
        .at(READ, Which::Blobs.file_name().as_ref())
}

fn same_migrations(databases: &Databases, found: &mut Findings) -> Result<()> {
    let (library, blobs) = (databases.library(), databases.blobs());
    let of = |path: &std::path::Path| schema::migrations(&*open::read_only(path)?, path);
    if let Err(error) = schema::same((&library, &of(&library)?), (&blobs, &of(&blobs)?)) {
        found.problem(Which::Blobs, FindingKind::Pair, "schema_migrations", error.to_string());
    }
    Ok(())
}
