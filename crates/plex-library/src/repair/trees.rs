//! Trees of a damaged database: what can still be reached from their roots, and the leaves that nothing reaches any more.

use std::collections::BTreeSet;

use super::raw::Raw;
use crate::error::Result;
use crate::format::be32;
use crate::format::btree::{self, Cell, PageKind};
use crate::format::row::{self, Stored};

/// No tree of SQLite is deeper.
const DEEPEST: u32 = 20;

/// Row ids that a part of a tree has: above the first, up to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) above: i64,
    pub(super) last: i64,
}

impl Range {
    const ALL: Self = Self {
        above: i64::MIN,
        last: i64::MAX,
    };

    pub(super) fn holds(self, id: i64) -> bool {
        id > self.above && id <= self.last
    }
}

/// A page that a tree should have and that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) page: u32,
    pub(super) why: String,
    pub(super) range: Range,
}

/// A tree as far as it can be followed.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// In the order of their rows, as far as that is known.
    pub(super) leaves: Vec<u32>,
    /// Inner pages; those of indices hold entries too.
    pub(super) inner: Vec<u32>,
    pub(super) bad: Vec<Bad>,
}

/// Which pages belong to something.
pub(super) struct Trees<'a> {
    raw: &'a Raw,
    used: Vec<bool>,
}

impl<'a> Trees<'a> {
    pub(super) fn new(raw: &'a Raw) -> Self {
        Self {
            raw,
            used: vec![false; raw.pages() as usize + 1],
        }
    }

    pub(super) fn is_used(&self, page: u32) -> bool {
        self.used.get(page as usize).copied().unwrap_or(true)
    }

    pub(super) fn take(&mut self, page: u32) {
        if let Some(seat) = self.used.get_mut(page as usize) {
            *seat = true;
        }
    }

    /// Follows a tree. A leaf whose rows are mostly none of this tree's is not taken: a pointer was damaged.
    pub(super) fn walk(
        &mut self,
        name: &str,
        root: u32,
        is_table: bool,
        fits: &dyn Fn(&[Stored<'_>]) -> bool,
    ) -> Result<Walked> {
        let mut walked = Walked::default();
        let mut open = vec![(root, Range::ALL, 0)];
        while let Some((number, range, depth)) = open.pop() {
            let bad = |why: String| Bad {
                page: number,
                why,
                range,
            };
            if number == 0 || number > self.raw.pages() {
                walked.bad.push(bad("there is no such page".into()));
                continue;
            }
            if self.is_used(number) || depth > DEEPEST {
                walked.bad.push(bad("something else uses it".into()));
                continue;
            }
            let mut page = vec![0; self.raw.page_size()];
            self.raw.page(number, &mut page)?;
            let shape = match btree::shape(number, &page, self.raw.usable()) {
                Ok(shape) if shape.kind.is_table() == is_table => shape,
                Ok(_) => {
                    walked.bad.push(bad(format!("it is no page of {name}")));
                    continue;
                }
                Err(why) => {
                    walked.bad.push(bad(why));
                    continue;
                }
            };
            if matches!(shape.kind, PageKind::LeafTable | PageKind::LeafIndex) {
                if is_table && !mostly_fits(self.raw, number, fits)? {
                    walked.bad.push(bad(format!("its rows are none of {name}")));
                    continue;
                }
                self.take(number);
                walked.leaves.push(number);
                continue;
            }
            self.take(number);
            walked.inner.push(number);
            let mut above = range.above;
            let mut below = Vec::new();
            for at in 0..shape.cells {
                match btree::cell(&shape, &page, self.raw.usable(), at) {
                    Ok(Cell {
                        child: Some(child),
                        rowid,
                        ..
                    }) => {
                        let last = rowid.filter(|&key| key >= above).unwrap_or(range.last);
                        below.push((child, Range { above, last }, depth + 1));
                        if rowid.is_some() && last < range.last {
                            above = last;
                        }
                    }
                    Ok(_) => {}
                    Err(why) => walked.bad.push(Bad {
                        page: number,
                        why,
                        range: Range {
                            above,
                            last: range.last,
                        },
                    }),
                }
            }
            let last = Range {
                above,
                last: range.last,
            };
            below.push((be32(&page, shape.head + 8), last, depth + 1));
            open.extend(below.into_iter().rev());
        }
        Ok(walked)
    }

    /// Leaves of tables that nothing uses.
    pub(super) fn orphans(&self, free: &BTreeSet<u32>) -> Result<Vec<u32>> {
        let mut orphans = Vec::new();
        let mut page = vec![0; self.raw.page_size()];
        for number in 2..=self.raw.pages() {
            if self.is_used(number) || free.contains(&number) {
                continue;
            }
            self.raw.page(number, &mut page)?;
            let shape = btree::shape(number, &page, self.raw.usable());
            if shape.is_ok_and(|shape| shape.kind == PageKind::LeafTable && shape.cells > 0) {
                orphans.push(number);
            }
        }
        Ok(orphans)
    }
}

/// Whether at least half of the rows that can be read are such as `fits` says; a leaf of which none can be read does not.
fn mostly_fits(raw: &Raw, leaf: u32, fits: &dyn Fn(&[Stored<'_>]) -> bool) -> Result<bool> {
    let (mut readable, mut fitting, mut broken) = (0, 0, 0);
    rows(raw, leaf, &mut |_, payload| {
        match payload.and_then(|payload| row::parse(payload)) {
            Ok(values) => {
                readable += 1;
                fitting += usize::from(fits(&values));
            }
            Err(_) => broken += 1,
        }
        Ok(())
    })?;
    Ok(fitting * 2 >= readable && (readable > 0 || broken == 0))
}

/// What is done with a row: its id, and its payload or why it cannot be read.
type EachRow<'a> = dyn FnMut(Option<i64>, Result<&[u8], String>) -> Result<()> + 'a;

/// Hands every row of a leaf of a table to `each`: its id, and its payload with what overflows, or why it cannot be read.
pub(super) fn rows(raw: &Raw, leaf: u32, each: &mut EachRow<'_>) -> Result<()> {
    let mut page = vec![0; raw.page_size()];
    raw.page(leaf, &mut page)?;
    let Ok(shape) = btree::shape(leaf, &page, raw.usable()) else {
        return Ok(());
    };
    let mut payload = Vec::new();
    for at in 0..shape.cells {
        match btree::cell(&shape, &page, raw.usable(), at) {
            Err(why) => each(None, Err(why))?,
            Ok(cell) => match gather(raw, &page, &cell, &mut payload)? {
                None => each(cell.rowid, Ok(&payload))?,
                Some(why) => each(cell.rowid, Err(why))?,
            },
        }
    }
    Ok(())
}

/// Puts a payload together; says why it cannot be.
pub(super) fn gather(raw: &Raw, page: &[u8], cell: &Cell, payload: &mut Vec<u8>) -> Result<Option<String>> {
    payload.clear();
    payload.extend_from_slice(&page[cell.payload_start..cell.payload_start + cell.local]);
    let Some(overflow) = cell.overflow else { return Ok(None) };
    if overflow.pages > raw.pages() {
        return Ok(Some("it claims to be longer than the file".into()));
    }
    let mut next = overflow.first;
    let mut rest = vec![0; raw.page_size()];
    for left in (0..overflow.pages).rev() {
        if next == 0 || next > raw.pages() {
            return Ok(Some(format!("its overflow leads to page {next}, which is not there")));
        }
        raw.page(next, &mut rest)?;
        payload.extend_from_slice(&rest[4..raw.usable()]);
        next = be32(&rest, 0);
        if left == 0 && next != 0 {
            return Ok(Some("its overflow goes on behind its end".into()));
        }
    }
    payload.truncate(cell.payload);
    Ok(None)
}

/// The pages of a cell's overflow, as far as they can be followed.
pub(super) fn overflow_of(raw: &Raw, cell: &Cell) -> Result<Vec<u32>> {
    let mut pages = Vec::new();
    let Some(overflow) = cell.overflow else {
        return Ok(pages);
    };
    let mut next = overflow.first;
    let mut rest = vec![0; raw.page_size()];
    while next != 0 && next <= raw.pages() && pages.len() < overflow.pages as usize {
        pages.push(next);
        raw.page(next, &mut rest)?;
        next = be32(&rest, 0);
    }
    Ok(pages)
}
