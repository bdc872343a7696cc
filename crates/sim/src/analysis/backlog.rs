//! What an analysis is asked to work on.

use std::collections::HashSet;

use rusqlite::Connection;

/// Which items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backlog {
    /// Those of one section that have not been analysed.
    Section(i64),
    /// These and all below them, analysed or not.
    Items(Vec<i64>),
    /// Those of every section that have not been analysed.
    All,
}

impl Backlog {
    /// The section, when it is one.
    pub(super) fn section(&self) -> Option<i64> {
        match self {
            Backlog::Section(section) => Some(*section),
            Backlog::Items(_) | Backlog::All => None,
        }
    }

    /// The items and all below them; `None` when it is not limited to some.
    pub(super) fn items(&self, library: &Connection) -> rusqlite::Result<Option<HashSet<i64>>> {
        let Backlog::Items(roots) = self else { return Ok(None) };
        let mut statement = library.prepare(
            "WITH RECURSIVE below(id) AS (
                 VALUES (?1) UNION SELECT item.id FROM metadata_items item JOIN below ON item.parent_id = below.id)
             SELECT id FROM below",
        )?;
        let mut all = HashSet::new();
        for root in roots {
            for id in statement.query_map([root], |row| row.get(0))? {
                all.insert(id?);
            }
        }
        Ok(Some(all))
    }

    /// Whether what has been analysed is to be analysed again.
    pub(super) fn is_explicit(&self) -> bool {
        matches!(self, Backlog::Items(_))
    }
}
