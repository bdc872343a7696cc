//! Which texts of a schema SQLite still takes. A text that was damaged is replaced by the other database's, which has the
//! same schema; an entry whose text neither has is left out and named.
//!
//! SQLite goes by the text and not by the names that stand beside it: these are set right by it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::order;
use super::schema::Entry;
use crate::error::{At, Result};

/// The name of a database without a file.
fn memory() -> &'static Path {
    Path::new(":memory:")
}

/// What became of the entries of a schema.
#[derive(Debug, Default)]
pub(super) struct Mended {
    /// Names of entries whose text came from the other database.
    pub(super) lent: Vec<String>,
    /// Entries that are left out, and why.
    pub(super) without: Vec<(Entry, String)>,
}

/// Sets right what can be, and takes out of `own` what cannot.
pub(super) fn mend(own: &mut Vec<Entry>, other: &[Entry]) -> Result<Mended> {
    let scratch = Connection::open_in_memory().at("open", memory())?;
    let mut mended = Mended::default();
    let mut kept = Vec::new();
    let theirs: BTreeMap<&str, &Entry> = other.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    // Indices and triggers need their tables.
    let (tables, rest): (Vec<Entry>, Vec<Entry>) = own.drain(..).partition(|entry| entry.kind == "table");
    let mut names = BTreeSet::new();
    for mut entry in tables.into_iter().chain(rest) {
        // Lent for one whose name was damaged and whose text was not.
        if names.contains(&entry.name) {
            continue;
        }
        let Some(sql) = entry.sql.clone() else {
            kept.push(entry);
            continue;
        };
        let why = match named(&scratch, &entry, &sql)? {
            Ok((name, table)) => {
                (entry.name, entry.table) = (name.clone(), table);
                names.insert(name);
                kept.push(entry);
                continue;
            }
            Err(why) => why,
        };
        let lender = theirs
            .get(entry.name.as_str())
            .filter(|lender| lender.kind == entry.kind)
            .and_then(|lender| Some((lender, lender.sql.as_deref()?)));
        let lent = match lender {
            Some((lender, sql)) => named(&scratch, lender, sql)?.is_ok(),
            None => false,
        };
        match lender {
            Some((lender, _)) if lent => {
                mended.lent.push(entry.name.clone());
                names.insert(entry.name.clone());
                kept.push(Entry {
                    root: entry.root,
                    ..(**lender).clone()
                });
            }
            _ => mended.without.push((entry, why)),
        }
    }
    *own = kept;
    Ok(mended)
}

/// Makes what the text says in a database without rows; gives its name and that of its table, or why it cannot be made.
fn named(scratch: &Connection, entry: &Entry, sql: &str) -> Result<Result<(String, String), String>> {
    if entry.name.starts_with("sqlite_") {
        // SQLite's own tables have no choice of text.
        return Ok(Ok((entry.name.clone(), entry.table.clone())));
    }
    if sql.contains('\u{fffd}') || sql.contains(|c: char| c.is_control() && !c.is_whitespace()) {
        return Ok(Err("its text is damaged".into()));
    }
    let made = match entry.kind.as_str() {
        // Only Plex has what these are made of; SQLite reads their text all the same.
        "table" if entry.is_virtual() => return Ok(parsed(scratch, entry, sql)),
        "index" => {
            order::of_nothing(scratch, memory(), sql)?;
            scratch.execute_batch(sql)
        }
        _ => scratch.execute_batch(sql),
    };
    if let Err(error) = made {
        return Ok(Err(error.to_string()));
    }
    // The first AUTOINCREMENT makes SQLite's own table of sequences as well.
    let newest = "SELECT name, tbl_name, type FROM sqlite_schema WHERE sql IS NOT NULL AND name <> 'sqlite_sequence'
                  ORDER BY rowid DESC LIMIT 1";
    let found: Option<(String, String, String)> = scratch
        .query_row(newest, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .at("read", memory())?;
    Ok(match found {
        Some((name, table, kind)) if kind == entry.kind => Ok((name, table)),
        _ => Err("its text makes something else".into()),
    })
}

/// Whether SQLite can read the text of a virtual table, which it does when it opens the database.
fn parsed(scratch: &Connection, entry: &Entry, sql: &str) -> Result<(String, String), String> {
    let enter = || -> rusqlite::Result<()> {
        scratch.execute_batch("SAVEPOINT trial; PRAGMA writable_schema=ON")?;
        scratch.execute(
            "INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql) VALUES ('table', ?1, ?1, 0, ?2)",
            (&entry.name, sql),
        )?;
        scratch.execute_batch("PRAGMA writable_schema=RESET")?;
        scratch.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
    };
    let outcome = enter();
    let back = scratch.execute_batch("ROLLBACK TO trial; RELEASE trial; PRAGMA writable_schema=RESET");
    outcome
        .and(back)
        .map(|()| (entry.name.clone(), entry.table.clone()))
        .map_err(|error| error.to_string())
}
