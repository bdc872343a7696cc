//! Where a library keeps absolute paths (facts §8.6), and whether these places may be written.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{At, Error, READ, Result};

/// A column that holds absolute paths or `file://` URLs as whole values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
}

pub(super) const ROOTS: Place = Place {
    table: "section_locations",
    column: "root_path",
};

pub(super) const FILES: Place = Place {
    table: "media_parts",
    column: "file",
};

const PLACES: [Place; 5] = [
    ROOTS,
    FILES,
    Place {
        table: "media_streams",
        column: "url",
    },
    // Relative to the section's root today; absolute ones are known of servers that are older than that.
    Place {
        table: "directories",
        column: "path",
    },
    Place {
        table: "preferences",
        column: "value",
    },
];

/// Columns that refer to `section_locations`.
pub(super) const TO_ROOTS: [Place; 2] = [
    Place {
        table: "media_items",
        column: "section_location_id",
    },
    Place {
        table: "media_subscriptions",
        column: "target_section_location_id",
    },
];

/// Those of the places that this library has.
///
/// # Errors
/// [`Error::Refused`] if one of their tables has a trigger: then it is not the table that is known here.
pub(super) fn present(db: &Connection, path: &Path) -> Result<Vec<Place>> {
    let mut present = Vec::new();
    for place in PLACES {
        if has(db, path, place)? {
            refuse_triggers(db, path, place.table)?;
            present.push(place);
        }
    }
    Ok(present)
}

/// Those of the references that this library has.
pub(super) fn references(db: &Connection, path: &Path) -> Result<Vec<Place>> {
    let mut present = Vec::new();
    for place in TO_ROOTS {
        if has(db, path, place)? {
            refuse_triggers(db, path, place.table)?;
            present.push(place);
        }
    }
    Ok(present)
}

fn has(db: &Connection, path: &Path, place: Place) -> Result<bool> {
    let sql = "SELECT count(*) FROM pragma_table_info(?1) WHERE name IN ('id', ?2)";
    db.query_row(sql, [place.table, place.column], |row| row.get::<_, i64>(0))
        .map(|found| found == 2)
        .at(READ, path)
}

fn refuse_triggers(db: &Connection, path: &Path, table: &str) -> Result<()> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1";
    let mut statement = db.prepare(sql).at(READ, path)?;
    let triggers: Vec<String> = statement
        .query_map([table], |row| row.get(0))
        .and_then(Iterator::collect)
        .at(READ, path)?;
    if triggers.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!("{table} has triggers, which no Plex that is known here gives it"),
        items: triggers,
        hint: "this version of Plex is not known: look for a newer plexburst".into(),
    })
}
