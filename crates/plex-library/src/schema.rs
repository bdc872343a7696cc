//! Which migrations a database has been through, and whether two sides went through the same.
//!
//! The sets are compared, never the greatest version: Plex keeps special rows such as `500000000001.231` that are greater
//! than every real one (facts §1.1).

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

use crate::error::{At, Error, READ, Result};

/// Versions of all migrations that were applied, as Plex spells them.
pub type Migrations = BTreeSet<String>;

/// The migrations of the database behind `connection`.
///
/// # Errors
/// [`Error::NotALibrary`] if it has no table of migrations: some other program's database.
pub fn migrations(connection: &Connection, path: &Path) -> Result<Migrations> {
    let known = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'";
    if !connection
        .prepare(known)
        .and_then(|mut known| known.exists([]))
        .at(READ, path)?
    {
        return Err(not_plex(path));
    }
    let mut rows = connection
        .prepare("SELECT CAST(version AS TEXT) FROM schema_migrations")
        .at(READ, path)?;
    rows.query_map([], |row| row.get(0))
        .and_then(Iterator::collect)
        .at(READ, path)
}

/// Says that a database is another program's.
pub(crate) fn not_plex(path: &Path) -> Error {
    Error::NotALibrary {
        path: path.to_owned(),
        why: "an SQLite database, but not one of Plex (it has no schema_migrations)".into(),
    }
}

/// Whether both sides have the same migrations.
///
/// # Errors
/// [`Error::SchemaDiffers`] with the versions that one side lacks.
pub fn same(left: (&Path, &Migrations), right: (&Path, &Migrations)) -> Result<()> {
    let lacks = |of: &Migrations, other: &Migrations| other.difference(of).cloned().collect::<Vec<_>>();
    let (left_lacks, right_lacks) = (lacks(left.1, right.1), lacks(right.1, left.1));
    if left_lacks.is_empty() && right_lacks.is_empty() {
        return Ok(());
    }
    let mut what = Vec::new();
    for (side, missing) in [("the first", left_lacks), ("the second", right_lacks)] {
        if let Some(newest) = missing.last() {
            what.push(format!(
                "{side} lacks {} migrations, the last of them {newest}",
                missing.len()
            ));
        }
    }
    Err(Error::SchemaDiffers {
        left: left.0.to_owned(),
        right: right.0.to_owned(),
        what: what.join("; "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_compared_not_maxima() {
        let set = |versions: &[&str]| {
            versions
                .iter()
                .map(|&version| version.to_owned())
                .collect::<Migrations>()
        };
        let (a, b) = (set(&["1", "500000000001.231"]), set(&["1", "2", "500000000001.231"]));
        let path = Path::new("x");
        same((path, &a), (path, &a)).unwrap();
        let error = same((path, &a), (path, &b)).unwrap_err().to_string();
        assert!(
            error.contains("the first lacks 1 migrations, the last of them 2"),
            "{error}"
        );
    }
}
