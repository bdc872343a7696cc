//! Adding to a search index, and taking from it, as FTS4 does: one new segment of the lowest level, the documents' sizes,
//! the totals. Older segments stay as they are; Plex merges them when it next has a reason to.

use std::collections::BTreeMap;

use super::super::values::Value;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};

use super::super::fail::Step;
use super::index::Index;
use super::read::Document;
use super::segment::{self, Documents};
use super::varint;

/// What changes about one row. `text` is what the totals count: the row's own columns, if the index keeps no text.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::merge) struct Edit {
    /// The row.
    pub(in crate::merge) id: i64,
    /// What the index has about it now, with the row's text at that time.
    pub(in crate::merge) old: Option<(Document, Vec<Value>)>,
    /// What it is to have: for every column, the document that it is taken from; and the row's text.
    pub(in crate::merge) new: Option<(Vec<Document>, Vec<Value>)>,
}

/// Writes the edits into the index of the database attached as `side`.
pub(in crate::merge) fn apply(conn: &Connection, side: &str, index: &Index, edits: &[Edit]) -> Step<()> {
    let mut terms: BTreeMap<Vec<u8>, Documents> = BTreeMap::new();
    let width = index.columns.len();
    let mut totals = Totals::read(conn, side, index)?;
    for edit in edits {
        if let Some((old, text)) = &edit.old {
            for term in old.terms.keys() {
                terms.entry(term.clone()).or_default().insert(edit.id, Vec::new());
            }
            totals.count(&old.sizes[..width], bytes(old.text.as_ref().unwrap_or(text)), false);
        }
        let Some((sources, text)) = &edit.new else {
            remove(conn, side, index, edit.id)?;
            continue;
        };
        let (mut sizes, mut kept) = (Vec::with_capacity(width), Vec::with_capacity(width));
        for (column, source) in sources.iter().enumerate() {
            sizes.push(source.sizes.get(column).copied().unwrap_or(0));
            kept.push(source.text.as_ref().map_or(Value::Null, |text| text[column].clone()));
            for (term, places) in &source.terms {
                let of_column = places.iter().filter(|(at, _)| *at == column as u64);
                let mut of_column = of_column.copied().peekable();
                if of_column.peek().is_some() {
                    terms
                        .entry(term.clone())
                        .or_default()
                        .entry(edit.id)
                        .or_default()
                        .extend(of_column);
                }
            }
        }
        totals.count(&sizes, bytes(if index.keeps_text { &kept } else { text }), true);
        put(conn, side, index, edit.id, &sizes, &kept)?;
    }
    if !terms.is_empty() {
        add_segment(conn, side, index, &terms)?;
    }
    if edits.iter().any(|edit| edit.old.is_some() || edit.new.is_some()) {
        totals.write(conn, side, index)?;
    }
    Ok(())
}

/// Bytes of text, as FTS4 counts them for its totals.
fn bytes(text: &[Value]) -> u64 {
    text.iter()
        .map(|value| match value.borrow() {
            ValueRef::Null => 0,
            ValueRef::Integer(n) => n.to_string().len() as u64,
            ValueRef::Real(n) => n.to_string().len() as u64,
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len() as u64,
        })
        .sum()
}

fn remove(conn: &Connection, side: &str, index: &Index, id: i64) -> Step<()> {
    conn.prepare_cached(&format!(
        "DELETE FROM {} WHERE docid = ?1",
        index.shadow(side, "docsize")
    ))?
    .execute([id])?;
    if index.keeps_text {
        conn.prepare_cached(&format!(
            "DELETE FROM {} WHERE docid = ?1",
            index.shadow(side, "content")
        ))?
        .execute([id])?;
    }
    Ok(())
}

fn put(conn: &Connection, side: &str, index: &Index, id: i64, sizes: &[u64], kept: &[Value]) -> Step<()> {
    let mut blob = Vec::new();
    for &size in sizes {
        varint::put(&mut blob, size);
    }
    conn.prepare_cached(&format!(
        "INSERT OR REPLACE INTO {}(docid, size) VALUES (?1, ?2)",
        index.shadow(side, "docsize")
    ))?
    .execute((id, blob))?;
    if index.keeps_text {
        let marks: Vec<String> = (2..kept.len() + 2).map(|n| format!("?{n}")).collect();
        let mut values = vec![Value::Integer(id)];
        values.extend_from_slice(kept);
        conn.prepare_cached(&format!(
            "INSERT OR REPLACE INTO {} VALUES (?1,{})",
            index.shadow(side, "content"),
            marks.join(",")
        ))?
        .execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

fn add_segment(conn: &Connection, side: &str, index: &Index, terms: &BTreeMap<Vec<u8>, Documents>) -> Step<()> {
    let page: u32 = conn.query_row(&format!("PRAGMA {side}.page_size"), [], |row| row.get(0))?;
    // As FTS4 sizes its nodes: what fits on a page with room for the row around it.
    let encoded = segment::encode(terms, page.saturating_sub(35).max(64) as usize);
    // A level may hold more than the 16 segments at which FTS4 begins to merge: it merges all that it finds there.
    let next: i64 = conn.query_row(
        &format!(
            "SELECT coalesce(max(idx), -1) + 1 FROM {} WHERE level = 0",
            index.shadow(side, "segdir")
        ),
        [],
        |row| row.get(0),
    )?;
    let (first, last, root) = if encoded.leaves.is_empty() {
        (0, 0, encoded.root)
    } else {
        let first: i64 = conn.query_row(
            &format!(
                "SELECT coalesce(max(blockid), 0) + 1 FROM {}",
                index.shadow(side, "segments")
            ),
            [],
            |row| row.get(0),
        )?;
        let mut statement = conn.prepare(&format!(
            "INSERT INTO {}(blockid, block) VALUES (?1, ?2)",
            index.shadow(side, "segments")
        ))?;
        let mut last = first;
        for (leaf, block) in encoded.leaves.iter().zip(first..) {
            statement.execute((block, leaf))?;
            last = block;
        }
        (
            first,
            last,
            segment::interior(first.cast_unsigned(), &encoded.separators),
        )
    };
    // The end is written as FTS4 does: the last block and the bytes of the leaves, in one text.
    conn.execute(
        &format!(
            "INSERT INTO {}(level, idx, start_block, leaves_end_block, end_block, root) VALUES (0, ?1, ?2, ?3, ?4, ?5)",
            index.shadow(side, "segdir")
        ),
        (next, first, last, format!("{last} {}", encoded.leaf_bytes), root),
    )?;
    Ok(())
}

/// The row of `_stat` about all documents: how many, tokens per column, bytes of text.
struct Totals(Vec<u64>);

impl Totals {
    fn read(conn: &Connection, side: &str, index: &Index) -> Step<Self> {
        let blob: Option<Option<Vec<u8>>> = conn
            .query_row(
                &format!("SELECT value FROM {} WHERE id = 0", index.shadow(side, "stat")),
                [],
                |row| row.get(0),
            )
            .optional()?;
        let mut numbers = blob.flatten().as_deref().and_then(varint::list).unwrap_or_default();
        numbers.resize(index.columns.len() + 2, 0);
        Ok(Self(numbers))
    }

    fn count(&mut self, sizes: &[u64], bytes: u64, added: bool) {
        let steps = std::iter::once(1).chain(sizes.iter().copied()).chain([bytes]);
        for (total, step) in self.0.iter_mut().zip(steps) {
            *total = if added {
                *total + step
            } else {
                total.saturating_sub(step)
            };
        }
    }

    fn write(&self, conn: &Connection, side: &str, index: &Index) -> Step<()> {
        let mut blob = Vec::new();
        for &number in &self.0 {
            // FTS4 keeps 32 bits of each.
            varint::put(&mut blob, number & u64::from(u32::MAX));
        }
        conn.execute(
            &format!("REPLACE INTO {}(id, value) VALUES (0, ?1)", index.shadow(side, "stat")),
            [blob],
        )?;
        Ok(())
    }
}
