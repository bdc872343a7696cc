//! Indices in an order of Plex's own. The old index is the only witness of that order: where its entries are in ICU's, ICU
//! makes the new one; else the new one follows the old entries themselves, if all are there.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};

use rusqlite::Connection;

use super::raw::Raw;
use super::schema::Entry;
use super::trees;
use crate::collation::{self, ICU_ROOT};
use crate::error::{At, Result};
use crate::format::be32;
use crate::format::btree::{self, PageKind};
use crate::format::row::{self, Stored};

/// One place out of order in so many neighbours is damage; more is another collation.
const PAIRS_PER_FAULT: usize = 100;

/// Whether an order can be relied on; it may turn out not to know a title while an index is made.
#[derive(Debug)]
pub(super) struct Doubt {
    why: String,
    is_lost: Arc<AtomicBool>,
}

impl Doubt {
    /// Why the index cannot be made, if so.
    pub(super) fn reason(&self) -> Option<String> {
        self.is_lost.load(Atomic::Relaxed).then(|| self.why.clone())
    }

    fn new(collation: &str) -> Self {
        Self {
            why: format!("its order ({collation}) cannot be told from what is left of it"),
            is_lost: Arc::default(),
        }
    }
}

/// The collation that an index names and SQLite does not have.
fn foreign(sql: &str) -> Option<String> {
    let lower = sql.to_ascii_lowercase();
    let after = &sql[lower.find(" collate ")? + 9..];
    let name: String = after
        .trim_start()
        .trim_start_matches(['"', '\'', '`', '['])
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    let is_known = ["binary", "nocase", "rtrim"].contains(&name.to_ascii_lowercase().as_str());
    (!is_known && !name.is_empty()).then_some(name)
}

/// An index without entries is in every order.
pub(super) fn of_nothing(db: &Connection, path: &Path, sql: &str) -> Result<()> {
    match foreign(sql) {
        Some(name) => db
            .create_collation(name.as_str(), |one: &str, two: &str| one.cmp(two))
            .at("create", path),
        None => Ok(()),
    }
}

/// Gives a connection the order of an index, if it needs one.
pub(super) fn provide(db: &Connection, path: &Path, raw: &Raw, index: &Entry) -> Result<Option<Doubt>> {
    let Some(name) = index.sql.as_deref().and_then(foreign) else {
        return Ok(None);
    };
    let doubt = Doubt::new(&name);
    let mut entries: Vec<(String, i64)> = Vec::new();
    let is_whole = index.root > 0
        && in_order(raw, index.root, &mut |values| match values {
            [Stored::Text(title), Stored::Integer(id)] => {
                entries.push((String::from_utf8_lossy(title).into_owned(), *id));
            }
            [Stored::Null, _] => {}
            _ => doubt.is_lost.store(true, Atomic::Relaxed),
        })?;
    let root = collation::root().filter(|_| name == ICU_ROOT);
    if let Some(collator) = root {
        let pairs = entries.len().saturating_sub(1);
        let faults = entries
            .windows(2)
            .filter(|pair| {
                let [one, two] = pair else { return false };
                !collation::is_ordered(&collator, (&one.0, one.1), (&two.0, two.1))
            })
            .count();
        if faults * PAIRS_PER_FAULT <= pairs && (pairs > 0 || is_whole) {
            db.create_collation(name.as_str(), move |one, two| collator.compare(one, two))
                .at("create", path)?;
            doubt.is_lost.store(false, Atomic::Relaxed);
            return Ok(Some(doubt));
        }
    }
    if !is_whole {
        doubt.is_lost.store(true, Atomic::Relaxed);
        return Ok(Some(doubt));
    }
    let places = places(&entries);
    let is_lost = doubt.is_lost.clone();
    db.create_collation(name.as_str(), move |one: &str, two: &str| {
        match (places.get(one), places.get(two)) {
            (Some(one), Some(two)) => one.cmp(two),
            _ if one == two => std::cmp::Ordering::Equal,
            _ => {
                is_lost.store(true, Atomic::Relaxed);
                one.cmp(two)
            }
        }
    })
    .at("create", path)?;
    Ok(Some(doubt))
}

/// A place for every title, in the order of the entries. Titles between two equal ones are equal to them: entries of one
/// place lie in the order of their ids.
fn places(entries: &[(String, i64)]) -> HashMap<String, usize> {
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (at, (title, _)) in entries.iter().enumerate() {
        last.insert(title, at);
    }
    let mut places = HashMap::new();
    let (mut place, mut until) = (0, 0);
    for (at, (title, _)) in entries.iter().enumerate() {
        if at > until {
            place = at;
        }
        until = until.max(last.get(title.as_str()).copied().unwrap_or(at));
        places.insert(title.clone(), place);
    }
    places
}

/// Hands the entries of an index to `each`, in their order; says whether all of them could be read.
fn in_order(raw: &Raw, root: u32, each: &mut dyn FnMut(&[Stored<'_>])) -> Result<bool> {
    enum Step {
        Page(u32, u32),
        Entry(Vec<u8>),
    }
    let mut open = vec![Step::Page(root, 0)];
    let mut is_whole = true;
    let mut visited = 0;
    while let Some(step) = open.pop() {
        let (number, depth) = match step {
            Step::Page(number, depth) => (number, depth),
            Step::Entry(payload) => {
                match row::parse(&payload) {
                    Ok(values) => each(&values),
                    Err(_) => is_whole = false,
                }
                continue;
            }
        };
        visited += 1;
        if number == 0 || number > raw.pages() || depth > 20 || visited > raw.pages() {
            is_whole = false;
            continue;
        }
        let mut page = vec![0; raw.page_size()];
        raw.page(number, &mut page)?;
        let shape = match btree::shape(number, &page, raw.usable()) {
            Ok(shape) if !shape.kind.is_table() => shape,
            _ => {
                is_whole = false;
                continue;
            }
        };
        let mut steps = Vec::new();
        for at in 0..shape.cells {
            let Ok(cell) = btree::cell(&shape, &page, raw.usable(), at) else {
                is_whole = false;
                continue;
            };
            steps.extend(cell.child.map(|child| Step::Page(child, depth + 1)));
            let mut payload = Vec::new();
            match trees::gather(raw, &page, &cell, &mut payload)? {
                None => steps.push(Step::Entry(payload)),
                Some(_) => is_whole = false,
            }
        }
        if shape.kind == PageKind::InteriorIndex {
            steps.push(Step::Page(be32(&page, shape.head + 8), depth + 1));
        }
        open.extend(steps.into_iter().rev());
    }
    Ok(is_whole)
}

/// The row ids that an index knows; says whether it has one of every row.
pub(super) fn ids(raw: &Raw, index: &Entry, each: &mut dyn FnMut(i64)) -> Result<bool> {
    let is_whole = in_order(raw, index.root, &mut |values| {
        if let [_, .., Stored::Integer(id)] = values {
            each(*id);
        }
    })?;
    // One with a condition leaves rows out.
    let is_of_all = index
        .sql
        .as_ref()
        .is_none_or(|sql| !sql.to_ascii_lowercase().contains(" where "));
    Ok(is_whole && is_of_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_collations_are_told_from_sqlites_own() {
        assert_eq!(
            foreign("CREATE INDEX i ON t(a COLLATE icu_root)").as_deref(),
            Some("icu_root")
        );
        assert_eq!(
            foreign("CREATE INDEX i ON t(a collate \"naturalsort\" ASC)").as_deref(),
            Some("naturalsort")
        );
        assert_eq!(foreign("CREATE INDEX i ON t(a COLLATE nocase)"), None);
        assert_eq!(foreign("CREATE INDEX i ON t(a)"), None);
    }

    #[test]
    fn equal_titles_share_a_place_with_what_lies_between_them() {
        let entries: Vec<(String, i64)> = ["a", "A", "a", "b", "c"]
            .iter()
            .zip(1..)
            .map(|(title, id)| ((*title).to_owned(), id))
            .collect();
        let places = places(&entries);
        assert_eq!(places["a"], places["A"]);
        assert!(places["A"] < places["b"] && places["b"] < places["c"]);
    }
}
