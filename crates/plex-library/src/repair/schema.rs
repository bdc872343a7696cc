//! The schema of a damaged database, as its own text; where that is damaged too, the other database of the pair has the
//! same (facts §1.5).

use std::collections::BTreeSet;

use super::raw::Raw;
use super::trees::{self, Trees};
use crate::error::Result;
use crate::format::btree;
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
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) entries: Vec<Entry>,
    /// The pages that it was read from.
    pub(super) leaves: Vec<u32>,
}

/// Reads the schema of a database. Where its tree is broken, its leaves are found all the same: no other table has rows
/// like these.
pub(super) fn read(raw: &Raw) -> Result<Found> {
    let mut trees = Trees::new(raw);
    let walked = trees.walk("sqlite_schema", 1, true, &|values| entry(values).is_some())?;
    let mut found = Found::default();
    for page in walked.leaves {
        found.take(raw, page, |_, _| true)?;
    }
    if walked.bad.is_empty() {
        return Ok(found);
    }
    let free: BTreeSet<u32> = raw.free_pages()?.into_iter().flatten().collect();
    for page in trees.orphans(&free)? {
        if is_of_schema(raw, page)? {
            // An older copy of a leaf may lie about, and says nothing that the tree itself does not say better.
            found.take(raw, page, |entries, new| {
                let is_known = entries.iter().any(|entry| {
                    entry.kind == new.kind && entry.name == new.name || entry.root > 0 && entry.root == new.root
                });
                !is_known && has_its_root(raw, new)
            })?;
        }
    }
    Ok(found)
}

impl Found {
    /// Adds the entries of a leaf that are `wanted` beside those known so far.
    fn take(&mut self, raw: &Raw, leaf: u32, wanted: impl Fn(&[Entry], &Entry) -> bool) -> Result<()> {
        self.leaves.push(leaf);
        trees::rows(raw, leaf, &mut |_, payload| {
            let new = payload.ok().and_then(|payload| {
                crate::format::row::parse(payload)
                    .ok()
                    .and_then(|values| entry(&values))
            });
            if let Some(new) = new.filter(|new| wanted(&self.entries, new)) {
                self.entries.push(new);
            }
            Ok(())
        })
    }
}

/// Whether every row of a leaf that can be read is an entry of a schema.
fn is_of_schema(raw: &Raw, leaf: u32) -> Result<bool> {
    let (mut entries, mut others) = (0, 0);
    trees::rows(raw, leaf, &mut |_, payload| {
        if let Ok(payload) = payload {
            let values = crate::format::row::parse(payload);
            match values.ok().and_then(|values| entry(&values)) {
                Some(_) => entries += 1,
                None => others += 1,
            }
        }
        Ok(())
    })?;
    Ok(entries > 0 && others == 0)
}

/// Whether the root of an entry is the page of a tree of its sort, where it has to have one.
fn has_its_root(raw: &Raw, entry: &Entry) -> bool {
    let needs = entry.kind == "index" || entry.is_ordinary_table();
    let mut page = vec![0; raw.page_size()];
    match entry.root {
        0 => !needs,
        root => {
            raw.page(root, &mut page).is_ok()
                && btree::shape(root, &page, raw.usable())
                    .is_ok_and(|shape| shape.kind.is_table() == (entry.kind == "table"))
        }
    }
}

fn entry(values: &[Stored<'_>]) -> Option<Entry> {
    let [kind, name, table, root, sql] = values else {
        return None;
    };
    // What is no UTF-8 any more is mended by its other copy, and keeps its root.
    let text = |value: &Stored<'_>| match value {
        Stored::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
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
