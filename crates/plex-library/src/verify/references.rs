//! Rows that refer to rows which are not there.
//!
//! Plex does not enforce its references, and a few loose ends are normal on every server that has lived. Settings, play
//! queues, playlists' generators and blobs dangle in thousands on purpose (facts §2) and are not looked at. What makes
//! up a library (files, media, items, sections) is: a few are drift, many mean that rows were lost.

use super::{FindingKind, Findings};
use crate::error::{At, READ, Result};
use crate::open::Reader;
use crate::paths::Which;

/// So many loose ends are drift, whatever the size.
const FEW: i64 = 10;
/// And so is one in so many rows.
const SHARE: i64 = 100;

/// From, column, to, and what the rows are.
const REFERENCES: [(&str, &str, &str, &str); 6] = [
    (
        "media_parts",
        "media_item_id",
        "media_items",
        "files without their medium",
    ),
    (
        "media_items",
        "metadata_item_id",
        "metadata_items",
        "media without their item",
    ),
    (
        "media_streams",
        "media_part_id",
        "media_parts",
        "streams without their file",
    ),
    (
        "metadata_items",
        "parent_id",
        "metadata_items",
        "items without their parent",
    ),
    (
        "metadata_items",
        "library_section_id",
        "library_sections",
        "items without their section",
    ),
    (
        "section_locations",
        "library_section_id",
        "library_sections",
        "folders without their section",
    ),
];

pub(super) fn check(reader: &Reader, found: &mut Findings) -> Result<()> {
    for (from, column, to, what) in REFERENCES {
        let exists = "SELECT count(*) FROM sqlite_schema s, pragma_table_info(s.name) c
                      WHERE s.type = 'table' AND s.name = ?1 AND c.name = ?2";
        let has = |table: &str, column: &str| -> Result<bool> {
            reader
                .query_row(exists, [table, column], |row| row.get(0))
                .at(READ, reader.path())
        };
        if !has(from, column)? || !has(to, "id")? {
            continue;
        }
        // Negative ids are sections of Plex's own making (facts §2.2); 0 stands for none in old rows.
        let dangling = format!(
            "SELECT count(*), min(f.id) FROM {from} f NOT INDEXED
             WHERE f.{column} > 0 AND NOT EXISTS (SELECT 1 FROM {to} t NOT INDEXED WHERE t.id = f.{column})"
        );
        let (loose, first): (i64, Option<i64>) = reader
            .query_row(&dangling, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .at(READ, reader.path())?;
        if loose == 0 {
            continue;
        }
        let all: i64 = reader
            .query_row(&format!("SELECT count(*) FROM {from} NOT INDEXED"), [], |row| {
                row.get(0)
            })
            .at(READ, reader.path())?;
        let message = format!(
            "{loose} of {all} rows are {what} ({column} in {to}), the first of them {}",
            first.unwrap_or(0)
        );
        if loose <= FEW.max(all / SHARE) {
            found.drift(Which::Library, FindingKind::Reference, from, message);
        } else {
            found.problem(Which::Library, FindingKind::Reference, from, message);
        }
    }
    Ok(())
}
