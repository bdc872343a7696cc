//! The schema of a damaged database, as its own text; where that is damaged too, the other database of the pair has the
//! same (facts §1.5).

use std::collections::BTreeSet;

use super::raw::Raw;
use super::trees::{self, Trees};
use crate::error::Result;
use crate::format::row::Stored;

/// An entry of `sqlite_schema`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) table: String,
    /// 0: none (virtual tables, triggers, views), or not known any more.
    pub(super) root: u32,
    /// None for indices that SQLite makes by itself.
    pub(super) sql: Option<String>,
}

impl Entry {
    pub(super) fn is_ordinary_table(&self) -> bool {
        self.kind == "table" && !self.is_virtual()
    }

    pub(super) fn is_virtual(&self) -> bool {
        let begins = |sql: &String| sql.trim_start().get(..14).map(str::to_ascii_uppercase);
        self.sql
            .as_ref()
            .and_then(begins)
            .is_some_and(|text| text == "CREATE VIRTUAL")
    }
}

/// What can be read of the schema.
pub(super) fn read(raw: &Raw, trees: &mut Trees<'_>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let walked = trees.walk("sqlite_schema", 1, true, &|values| is_entry(values))?;
    for page in &walked.leaves {
        trees::rows(raw, *page, &mut |_, payload| {
            let Ok(payload) = payload else { return Ok(()) };
            if let Some(entry) = crate::format::row::parse(payload)
                .ok()
                .and_then(|values| entry(&values))
            {
                entries.push(entry);
            }
            Ok(())
        })?;
    }
    Ok(entries)
}

fn is_entry(values: &[Stored<'_>]) -> bool {
    entry(values).is_some()
}

fn entry(values: &[Stored<'_>]) -> Option<Entry> {
    let [kind, name, table, root, sql] = values else {
        return None;
    };
    let text = |value: &Stored<'_>| match value {
        Stored::Text(text) => String::from_utf8(text.to_vec()).ok(),
        _ => None,
    };
    let kind = text(kind)?;
    if !matches!(kind.as_str(), "table" | "index" | "trigger" | "view") {
        return None;
    }
    let root = match root {
        Stored::Integer(root) => u32::try_from(*root).ok()?,
        Stored::Null => 0,
        _ => return None,
    };
    let sql = match sql {
        Stored::Null => None,
        value => Some(text(value)?),
    };
    Some(Entry {
        kind,
        name: text(name)?,
        table: text(table)?,
        root,
        sql,
    })
}

/// Adds what the other database's schema has and this one's has lost. Gives the names that were added.
pub(super) fn complete(own: &mut Vec<Entry>, other: &[Entry]) -> Vec<String> {
    let known: BTreeSet<String> = own.iter().map(|entry| entry.name.clone()).collect();
    let mut added = Vec::new();
    for entry in other {
        if !known.contains(&entry.name) && !entry.name.starts_with("sqlite_") {
            added.push(entry.name.clone());
            own.push(Entry {
                root: 0,
                ..entry.clone()
            });
        }
    }
    added
}
