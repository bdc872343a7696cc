//! The inside of a page: cells, free blocks and fragments have to fill it from its first cell to its end, without a gap
//! and without meeting.
//!
//! Between the places of the cells and the first cell lies what is not used. There SQLite leaves zeros, or what was cells
//! before; a single odd byte in the middle of zeros is neither: the disk or the memory changed it. It does no harm, and is
//! told as drift.

use crate::format::be16;
use crate::format::btree::{Cell, Shape};

/// Zeros on both sides that make a single byte odd.
const ZEROS: usize = 8;

/// What is wrong with the layout of a page, if anything is.
pub(super) fn fault(shape: &Shape, page: &[u8], usable: usize, cells: &[Cell]) -> Option<String> {
    // SQLite gives every cell at least four bytes, so that a free block fits into its place.
    let mut parts: Vec<(usize, usize)> = cells
        .iter()
        .map(|cell| (cell.start, cell.end.max(cell.start + 4)))
        .collect();
    let mut block = usize::from(be16(page, shape.head + 1));
    let mut before = 0;
    while block != 0 {
        if block <= before || block < shape.content || block + 4 > usable {
            return Some(format!("a free block begins at byte {block}, where none can be"));
        }
        let size = usize::from(be16(page, block + 2));
        if size < 4 || block + size > usable {
            return Some(format!(
                "a free block of {size} bytes at byte {block} does not fit into it"
            ));
        }
        parts.push((block, block + size));
        before = block;
        block = usize::from(be16(page, block));
    }
    parts.sort_unstable();
    let (mut at, mut fragments) = (shape.content, 0);
    for (start, end) in parts {
        if start < at {
            return Some(format!("two things lie at byte {start} of it"));
        }
        fragments += start - at;
        at = end;
    }
    if at > usable {
        return Some("its last cell does not fit into it".into());
    }
    fragments += usable - at;
    let noted = usize::from(page[shape.head + 7]);
    (fragments != noted).then(|| format!("{fragments} bytes of it belong to nothing, and it says {noted}"))
}

/// A single byte in the middle of zeros, where nothing is stored.
pub(super) fn odd_byte(shape: &Shape, page: &[u8]) -> Option<usize> {
    let start = shape.array + 2 * shape.cells;
    let gap = page.get(start..shape.content)?;
    let mut odd = gap.iter().enumerate().filter(|(_, byte)| **byte != 0);
    let inner = ZEROS..gap.len().saturating_sub(ZEROS);
    // Old places of cells lie at the beginning, the rests of old free blocks near the end.
    let mut inside = odd.by_ref().map(|(at, _)| at).filter(|at| inner.contains(at));
    let only = inside.next()?;
    let alone = inside.next().is_none() && gap[..ZEROS].iter().skip(2).all(|byte| *byte == 0);
    alone.then_some(start + only)
}
