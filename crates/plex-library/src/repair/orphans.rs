//! Whose rows are on a leaf that nothing reaches? Of a table that lacks a part, whose missing ids these are, and whose
//! columns can hold these values. A leaf that no table lacks is old: its rows were deleted, and stay so.

use std::path::Path;

use rusqlite::Transaction;

use super::build::Filling;
use super::raw::Raw;
use super::trees::{self, Range};
use crate::error::Result;
use crate::format::row;

pub(super) enum Owner {
    Nobody,
    /// By its place among the tables.
    One(usize),
    Unclear {
        rows: u64,
        candidates: Vec<String>,
    },
}

pub(super) fn owner(
    change: &Transaction<'_>,
    path: &Path,
    raw: &Raw,
    leaf: u32,
    fillings: &[Filling<'_>],
) -> Result<Owner> {
    let mut candidates: Vec<usize> = (0..fillings.len())
        .filter(|&at| !fillings[at].bad.is_empty() || fillings[at].entry.root == 0)
        .collect();
    let mut rows = 0_u64;
    let mut widest = 0;
    trees::rows(raw, leaf, &mut |id, payload| {
        let Ok(values) = payload.and_then(|payload| row::parse(payload)) else {
            return Ok(());
        };
        let Some(id) = id else { return Ok(()) };
        rows += 1;
        widest = widest.max(values.len());
        let mut left = Vec::new();
        for &at in &candidates {
            let filling = &fillings[at];
            let ranges: Vec<Range> = filling.bad.iter().map(|bad| bad.range).collect();
            if filling.fits(&values)
                && (ranges.is_empty() || ranges.iter().any(|range| range.holds(id)))
                && !filling.has(change, path, id)?
            {
                left.push(at);
            }
        }
        candidates = left;
        Ok(())
    })?;
    if rows == 0 {
        return Ok(Owner::Nobody);
    }
    // Rows mostly have all the columns of their table.
    if candidates.iter().any(|&at| fillings[at].columns.len() == widest) {
        candidates.retain(|&at| fillings[at].columns.len() == widest);
    }
    Ok(match candidates.as_slice() {
        [] => Owner::Nobody,
        [one] => Owner::One(*one),
        many => Owner::Unclear {
            rows,
            candidates: many.iter().map(|&at| fillings[at].entry.name.clone()).collect(),
        },
    })
}
