//! What Plex's own SQLite has and others have not: the tokenizer `collating` and the collations of its title indices.
//!
//! The tokenizer is SQLite's `simple` under that name, made without any code outside SQL: fts3_tokenizer() hands out the
//! pointer of a tokenizer and takes it back under another name, as long as both are bound parameters (facts/plex.md §1.4).
//! The collations are ICU's root order with numbers by value, which is the order of a real server's index (measured: see
//! the test of this module), or a tailoring of it that no other program knows ([`Order`]).

use std::cmp::Ordering;

use icu_collator::options::CollatorOptions;
use icu_collator::preferences::CollationNumericOrdering;
use icu_collator::{Collator, CollatorBorrowed, CollatorPreferences};
use rusqlite::{Connection, ffi};

const TOKENIZER: &str = "collating";
/// The collation of `index_title_sort_icu`.
const COLLATION: &str = "icu_root";
/// The collation of `index_title_sort_naturalsort`, in databases of about 2018 to 2021.
const OLD_COLLATION: &str = "naturalsort";

/// Names the order of titles of every program of this package that is started with it in its environment.
pub const ORDER: &str = "PLEX_SIM_ORDER";

/// The order of titles of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// ICU's root order, as the servers have it that were seen.
    #[default]
    Root,
    /// Titles that begin with a digit after all others: a server whose ICU has a tailoring of its own.
    LettersFirst,
}

impl Order {
    /// What [`ORDER`] says.
    fn of_environment() -> Self {
        match std::env::var(ORDER) {
            Ok(word) if word == Self::LettersFirst.word() => Self::LettersFirst,
            _ => Self::Root,
        }
    }

    /// The value of [`ORDER`] for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::LettersFirst => "letters-first",
        }
    }

    /// Gives the collations of a connection this order. The indices that are there are in the order in which they were made.
    ///
    /// # Errors
    /// As [`register`].
    pub fn register(self, connection: &Connection) -> rusqlite::Result<()> {
        for name in [COLLATION, OLD_COLLATION] {
            let collator = root()?;
            connection.create_collation(name, move |one, two| self.compare(&collator, one, two))?;
        }
        Ok(())
    }

    fn compare(self, collator: &CollatorBorrowed<'_>, one: &str, two: &str) -> Ordering {
        let has_digit = |title: &str| title.starts_with(|c: char| c.is_ascii_digit());
        match self {
            Self::Root => Ordering::Equal,
            Self::LettersFirst => has_digit(one).cmp(&has_digit(two)),
        }
        .then_with(|| collator.compare(one, two))
    }
}

/// Registers all of them on one connection.
///
/// # Errors
/// What SQLite says; `SQLITE_INTERNAL` when the order of titles could not be loaded.
pub fn register(connection: &Connection) -> rusqlite::Result<()> {
    let pointer: Vec<u8> = connection.query_row("SELECT fts3_tokenizer(?1)", ["simple"], |row| row.get(0))?;
    connection.query_row(
        "SELECT fts3_tokenizer(?1, ?2)",
        rusqlite::params![TOKENIZER, pointer],
        |_| Ok(()),
    )?;
    Order::of_environment().register(connection)
}

fn root() -> rusqlite::Result<CollatorBorrowed<'static>> {
    let mut preferences = CollatorPreferences::default();
    preferences.numeric_ordering = Some(CollationNumericOrdering::True);
    Collator::try_new(preferences, CollatorOptions::default()).map_err(|error| {
        rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_INTERNAL),
            Some(format!("icu_root: {error}")),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    /// The order is the real one: every row of a real server's title index lies where this order looks for it.
    #[test]
    fn the_order_is_the_one_of_a_real_index() {
        let data = std::env::var_os("PLEXBURST_DATA").map(PathBuf::from);
        let data = data.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
        let databases = data.join("plex-2026/Plex Media Server/Plug-in Support/Databases");
        if !databases.is_dir() {
            println!(
                "SKIPPED the order of titles: no library of a real server at {}",
                databases.display()
            );
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy.db");
        std::fs::write(&copy, std::fs::read(databases.join(crate::store::LIBRARY_DB)).unwrap()).unwrap();
        let db = crate::store::connect(&copy).unwrap();
        let rows: i64 = db
            .query_row("SELECT count(*) FROM metadata_items NOT INDEXED", [], |row| row.get(0))
            .unwrap();
        assert!(rows > 100);
        assert_eq!(check(&db), "ok");
        db.create_collation(COLLATION, |one, two| one.cmp(two)).unwrap();
        assert_ne!(check(&db), "ok", "the check must be able to see a wrong order");
    }

    fn check(db: &Connection) -> String {
        db.query_row("PRAGMA integrity_check('metadata_items')", [], |row| row.get(0))
            .unwrap()
    }
}
