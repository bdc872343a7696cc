//! The documents of a search index, as its own tables have them.

use std::collections::{BTreeMap, HashMap};

use super::super::values::Value;
use rusqlite::{Connection, OptionalExtension};

use super::super::fail::Step;
use super::index::Index;
use super::segment::{self, Places};
use super::varint;

/// What the index knows about one row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::merge) struct Document {
    /// Tokens per column.
    pub(super) sizes: Vec<u64>,
    /// Where each term stands.
    pub(super) terms: BTreeMap<Vec<u8>, Places>,
    /// Text per column, if the index keeps it.
    pub(super) text: Option<Vec<Value>>,
}

/// What was found about a row.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::merge) enum Found {
    /// Its document.
    Here(Document),
    /// The index does not know the row: Plex did not want it there, or lost it (facts §1.4: gaps are normal).
    Absent,
    /// It says how long the document is, and its terms do not add up to that.
    Broken,
}

/// Finds the documents `ids` in the index of the database attached as `side`.
///
/// The newest segments are read first, which is where rows of the last hours are; reading ends as soon as every document
/// is complete.
pub(in crate::merge) fn find(conn: &Connection, side: &str, index: &Index, ids: &[i64]) -> Step<HashMap<i64, Found>> {
    let mut found = HashMap::new();
    let mut open: HashMap<i64, Pending> = HashMap::new();
    let mut size = conn.prepare(&format!(
        "SELECT size FROM {} WHERE docid = ?1",
        index.shadow(side, "docsize")
    ))?;
    for &id in ids {
        let blob: Option<Option<Vec<u8>>> = size.query_row([id], |row| row.get(0)).optional()?;
        match blob {
            None => {
                found.insert(id, Found::Absent);
            }
            Some(blob) => match blob.as_deref().and_then(varint::list) {
                Some(sizes) if sizes.len() >= index.columns.len() => {
                    open.insert(id, Pending::new(sizes));
                }
                _ => {
                    found.insert(id, Found::Broken);
                }
            },
        }
    }
    let mut missing = open.values().filter(|pending| !pending.is_complete()).count();
    if missing > 0 {
        let segments = segments(conn, side, index)?;
        for segment in segments {
            if missing == 0 {
                break;
            }
            let whole = segment.each_leaf(conn, side, index, &mut |node| {
                segment::leaf(node, &mut |term, list| {
                    let read = segment::doclist(list, &mut |docid, encoded| {
                        if let Some(pending) = open.get_mut(&docid) {
                            // What is said of a complete document further on is older: terms that it has lost, or that
                            // were left behind when it was written with another tokenizer.
                            if pending.is_complete() {
                                return;
                            }
                            pending.add(term, encoded);
                            if pending.is_complete() {
                                missing -= 1;
                            }
                        }
                    });
                    if read.is_none() {
                        tracing::debug!(index = index.name, "a list of documents cannot be read");
                    }
                })
            })?;
            if !whole {
                tracing::debug!(index = index.name, "a segment of the search index cannot be read");
            }
        }
    }
    let mut text = match index.keeps_text {
        true => Some(conn.prepare(&format!(
            "SELECT * FROM {} WHERE docid = ?1",
            index.shadow(side, "content")
        ))?),
        false => None,
    };
    for (id, pending) in open {
        let Some(mut document) = pending.into_document() else {
            found.insert(id, Found::Broken);
            continue;
        };
        if let Some(statement) = &mut text {
            let width = index.columns.len();
            let kept = statement
                .query_row([id], |row| (1..=width).map(|n| row.get(n)).collect())
                .optional()?;
            if kept.is_none() {
                found.insert(id, Found::Broken);
                continue;
            }
            document.text = kept;
        }
        found.insert(id, Found::Here(document));
    }
    Ok(found)
}

/// A document of which not all terms have been met yet.
#[derive(Debug)]
struct Pending {
    sizes: Vec<u64>,
    /// The newest word about each term; none if it is gone.
    terms: HashMap<Vec<u8>, Option<Places>>,
    tokens: u64,
    broken: bool,
}

impl Pending {
    fn new(sizes: Vec<u64>) -> Self {
        Self {
            sizes,
            terms: HashMap::new(),
            tokens: 0,
            broken: false,
        }
    }

    fn is_complete(&self) -> bool {
        self.tokens >= self.sizes.iter().sum()
    }

    fn add(&mut self, term: &[u8], encoded: &[u8]) {
        if self.terms.contains_key(term) {
            // A newer segment has already said what holds.
            return;
        }
        let Some(places) = segment::places(encoded) else {
            self.broken = true;
            return;
        };
        self.tokens += places.len() as u64;
        self.terms.insert(term.to_vec(), (!places.is_empty()).then_some(places));
    }

    /// The document, if its terms fill every column to its length without gaps.
    fn into_document(self) -> Option<Document> {
        if self.broken {
            return None;
        }
        let mut filled: Vec<Vec<bool>> = Vec::new();
        for &size in &self.sizes {
            filled.push(vec![false; usize::try_from(size).ok().filter(|size| *size < 1 << 24)?]);
        }
        let terms: BTreeMap<Vec<u8>, Places> = self
            .terms
            .into_iter()
            .filter_map(|(term, places)| places.map(|places| (term, places)))
            .collect();
        for (column, position) in terms.values().flatten() {
            let seat = filled
                .get_mut(usize::try_from(*column).ok()?)?
                .get_mut(usize::try_from(*position).ok()?)?;
            *seat = true;
        }
        filled.iter().flatten().all(|seat| *seat).then_some(Document {
            sizes: self.sizes,
            terms,
            text: None,
        })
    }
}

/// One segment, as `_segdir` lists it.
#[derive(Debug)]
pub(super) struct Segment {
    first: i64,
    last_leaf: i64,
    root: Vec<u8>,
}

/// The segments, newest first.
fn segments(conn: &Connection, side: &str, index: &Index) -> Step<Vec<Segment>> {
    let mut statement = conn.prepare(&format!(
        "SELECT start_block, leaves_end_block, root FROM {} ORDER BY level, idx DESC",
        index.shadow(side, "segdir")
    ))?;
    Ok(statement
        .query_map([], |row| {
            Ok(Segment {
                first: row.get::<_, Option<i64>>(0)?.unwrap_or(0),
                last_leaf: row.get::<_, Option<i64>>(1)?.unwrap_or(0),
                root: row.get::<_, Option<Vec<u8>>>(2)?.unwrap_or_default(),
            })
        })?
        .collect::<Result<_, _>>()?)
}

impl Segment {
    /// Calls `each` with every leaf node; false if one is missing or broken.
    fn each_leaf(
        &self,
        conn: &Connection,
        side: &str,
        index: &Index,
        each: &mut impl FnMut(&[u8]) -> Option<()>,
    ) -> Step<bool> {
        if self.first == 0 {
            return Ok(each(&self.root).is_some());
        }
        let mut whole = true;
        let mut statement = conn.prepare_cached(&format!(
            "SELECT block FROM {} WHERE blockid BETWEEN ?1 AND ?2 ORDER BY blockid",
            index.shadow(side, "segments")
        ))?;
        let mut rows = statement.query([self.first, self.last_leaf])?;
        while let Some(row) = rows.next()? {
            let block: Vec<u8> = row.get(0)?;
            whole &= each(&block).is_some();
        }
        Ok(whole)
    }
}
