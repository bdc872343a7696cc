//! An empty blobs.db for a library.db that came without its own.
//!
//! The database of blobs has the whole schema of a library and uses one table of it (facts §1.5), so an empty one is a copy
//! of the library's schema. What was in the lost one (Sonic vectors, fingerprints) is measured anew by Plex.
//!
//! The collations of Plex are stood in for while all rows go; an empty index has no order that could be wrong.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{At, Result};
use crate::open;

/// Tables that say what the database is, not what is in it.
const KEPT: [&str; 2] = ["schema_migrations", "preferences"];

/// Writes an empty blobs.db of the schema of `library` to `to`.
pub(super) fn empty_blobs(library: &Path, to: &Path) -> Result<()> {
    super::copy(library, to)?;
    let connection = open::read_write(to)?;
    empty(&connection).at("empty", to)?;
    connection.close().map_err(|(_, error)| error).at("close", to)
}

fn empty(connection: &Connection) -> rusqlite::Result<()> {
    for name in ["icu_root", "naturalsort"] {
        connection.create_collation(name, |a: &str, b: &str| a.cmp(b))?;
    }
    let list = |sql: &str| -> rusqlite::Result<Vec<(String, String)>> {
        connection
            .prepare(sql)?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    };
    let triggers = list("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")?;
    let trees = list(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND rootpage = 0 AND lower(sql) LIKE '%using rtree%'",
    )?;
    let tables = list(
        "SELECT name, '' FROM sqlite_schema WHERE type = 'table' AND rootpage > 0
         AND (name NOT LIKE 'sqlite\\_%' ESCAPE '\\' OR name IN ('sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4'))",
    )?;
    let quoted = |name: &str| name.replace('"', "\"\"");
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for (name, _) in &triggers {
        connection.execute_batch(&format!("DROP TRIGGER \"{}\"", quoted(name)))?;
    }
    for (name, _) in &trees {
        connection.execute_batch(&format!("DELETE FROM \"{}\"", quoted(name)))?;
    }
    for (name, _) in &tables {
        // A tree keeps its root.
        let is_of_tree = trees.iter().any(|(tree, _)| name.starts_with(&format!("{tree}_")));
        if !is_of_tree && !KEPT.contains(&name.as_str()) {
            connection.execute_batch(&format!("DELETE FROM \"{}\"", quoted(name)))?;
        }
    }
    for (_, sql) in &triggers {
        connection.execute_batch(sql)?;
    }
    connection.execute_batch("COMMIT; VACUUM;")
}
