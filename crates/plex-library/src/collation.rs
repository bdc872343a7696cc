//! The order of Plex's titles, for reading.
//!
//! Plex's own collations live in its server. `icu_root` is ICU's root order with numbers compared as numbers; ours is
//! another implementation of the same standard, and is believed about an index only where the index itself is in that
//! order. Of any other collation nothing but the name is known: a stand-in lets SQLite read past it.
//!
//! Must not: be registered on a connection that writes (facts §1.4 says what a wrong order breaks).

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::Path;

use icu_collator::options::{AlternateHandling, CollatorOptions, Strength};
use icu_collator::preferences::CollationNumericOrdering;
use icu_collator::{Collator, CollatorBorrowed, CollatorPreferences};
use rusqlite::Connection;

use crate::error::{At, READ, Result};

/// The collation of `index_title_sort_icu`.
pub(crate) const ICU_ROOT: &str = "icu_root";

/// ICU's root order as Plex asks for it; `None` if this program was built without its tables.
pub(crate) fn root() -> Option<CollatorBorrowed<'static>> {
    let mut preferences = CollatorPreferences::default();
    preferences.numeric_ordering = Some(CollationNumericOrdering::True);
    let mut options = CollatorOptions::default();
    options.strength = Some(Strength::Tertiary);
    options.alternate_handling = Some(AlternateHandling::NonIgnorable);
    Collator::try_new(preferences, options).ok()
}

/// An index whose order depends on a collation that SQLite does not bring along.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ForeignIndex {
    pub(crate) index: String,
    pub(crate) table: String,
    pub(crate) collation: String,
}

/// All such indices.
pub(crate) fn foreign(db: &Connection, path: &Path) -> Result<BTreeSet<ForeignIndex>> {
    let sql = "SELECT s.name, s.tbl_name, x.coll FROM sqlite_schema s, pragma_index_xinfo(s.name) x
               WHERE s.type = 'index' AND x.coll IS NOT NULL AND upper(x.coll) NOT IN ('BINARY', 'NOCASE', 'RTRIM')";
    let mut statement = db.prepare(sql).at(READ, path)?;
    statement
        .query_map([], |row| {
            Ok(ForeignIndex {
                index: row.get(0)?,
                table: row.get(1)?,
                collation: row.get(2)?,
            })
        })
        .and_then(Iterator::collect)
        .at(READ, path)
}

/// Registers the collations of `indices` on a connection that only reads: ICU's order where it is meant, a stand-in else.
pub(crate) fn register_for_reading(db: &Connection, path: &Path, indices: &BTreeSet<ForeignIndex>) -> Result<()> {
    let names: BTreeSet<&str> = indices.iter().map(|index| index.collation.as_str()).collect();
    for name in names {
        match root().filter(|_| name == ICU_ROOT) {
            Some(collator) => db.create_collation(name, move |a, b| collator.compare(a, b)),
            None => db.create_collation(name, |a: &str, b: &str| a.cmp(b)),
        }
        .at(READ, path)?;
    }
    Ok(())
}

/// Whether two neighbours of an index are in the order that it should have, equal ones by row id.
pub(crate) fn is_ordered(collator: &CollatorBorrowed<'_>, before: (&str, i64), after: (&str, i64)) -> bool {
    collator.compare(before.0, after.0).then(before.1.cmp(&after.1)) == Ordering::Less
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers_and_case_comes_last() {
        let collator = root().unwrap();
        let order = ["", "9 Songs", "10 Things", "alien", "Alien", "älter", "zebra"];
        for pair in order.windows(2) {
            assert!(is_ordered(&collator, (pair[0], 9), (pair[1], 1)), "{pair:?}");
        }
        assert!(is_ordered(&collator, ("a", 1), ("a", 2)));
        assert!(!is_ordered(&collator, ("a", 2), ("a", 1)));
    }

    #[test]
    fn foreign_collations_are_found_by_index() {
        let db = Connection::open_in_memory().unwrap();
        db.create_collation(ICU_ROOT, |a: &str, b: &str| a.cmp(b)).unwrap();
        db.execute_batch(
            "CREATE TABLE t(a TEXT COLLATE NOCASE, b); CREATE INDEX plain ON t(a); CREATE INDEX odd ON t(b COLLATE icu_root)",
        )
        .unwrap();
        let found = foreign(&db, Path::new("x")).unwrap();
        assert_eq!(
            found.iter().map(|index| index.index.as_str()).collect::<Vec<_>>(),
            ["odd"]
        );
    }
}
