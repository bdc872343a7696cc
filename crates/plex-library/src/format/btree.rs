//! One page of a b-tree: which kind it is, and which pages its cells point to.

use super::{be16, be32};

/// Kind of a page, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageKind {
    InteriorIndex,
    InteriorTable,
    LeafIndex,
    LeafTable,
}

impl PageKind {
    fn parse(byte: u8) -> Option<Self> {
        Some(match byte {
            2 => Self::InteriorIndex,
            5 => Self::InteriorTable,
            10 => Self::LeafIndex,
            13 => Self::LeafTable,
            _ => return None,
        })
    }

    fn is_interior(self) -> bool {
        matches!(self, Self::InteriorIndex | Self::InteriorTable)
    }

    pub(crate) fn is_table(self) -> bool {
        matches!(self, Self::InteriorTable | Self::LeafTable)
    }
}

/// A chain of overflow pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow {
    pub(crate) first: u32,
    /// Pages that it has to have.
    pub(crate) pages: u32,
}

/// What a page points to.
#[derive(Debug, Default)]
pub(crate) struct Pointers {
    pub(crate) children: Vec<u32>,
    pub(crate) overflows: Vec<Overflow>,
}

/// A cell: where it lies in its page, and what its first numbers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    /// First byte.
    pub(crate) start: usize,
    /// Behind its last byte.
    pub(crate) end: usize,
    /// The page below and left of it; only in interior pages.
    pub(crate) child: Option<u32>,
    /// The row id; only in tables.
    pub(crate) rowid: Option<i64>,
    /// First byte of the payload.
    pub(crate) payload_start: usize,
    /// Bytes of the payload in the page itself.
    pub(crate) local: usize,
    /// Bytes of the whole payload; none in interior pages of tables.
    pub(crate) payload: usize,
    /// Where the rest of the payload is.
    pub(crate) overflow: Option<Overflow>,
}

/// Where the parts of a page are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: PageKind,
    /// Number of cells.
    pub(crate) cells: usize,
    /// Where the places of the cells stand.
    pub(crate) array: usize,
    /// Where the cells begin.
    pub(crate) content: usize,
    /// Where the header of the page begins.
    pub(crate) head: usize,
}

/// Reads the header of a page.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn shape(number: u32, page: &[u8], usable: usize) -> Result<Shape, String> {
    let head = if number == 1 { super::header::LENGTH } else { 0 };
    let kind =
        PageKind::parse(page[head]).ok_or_else(|| format!("its first byte is {}, no kind of page", page[head]))?;
    let cells = usize::from(be16(page, head + 3));
    let array = head + if kind.is_interior() { 12 } else { 8 };
    let content = match usize::from(be16(page, head + 5)) {
        0 => 65536,
        start => start,
    };
    let array_end = array + 2 * cells;
    if array_end > usable || content < array_end || content > usable {
        return Err(format!("{cells} cells from byte {content} on do not fit into it"));
    }
    Ok(Shape {
        kind,
        cells,
        array,
        content,
        head,
    })
}

/// Reads one cell of a page.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn cell(shape: &Shape, page: &[u8], usable: usize, number: usize) -> Result<Cell, String> {
    let start = usize::from(be16(page, shape.array + 2 * number));
    if start < shape.content || start >= usable {
        return Err(format!("cell {number} begins at byte {start}, outside of the cells"));
    }
    parse_cell(shape.kind, &page[..usable], start).ok_or_else(|| format!("cell {number} does not fit into it"))
}

/// Reads one page. `usable` are its bytes without the reserved ones.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(number: u32, page: &[u8], usable: usize) -> Result<(PageKind, Pointers), String> {
    let shape = shape(number, page, usable)?;
    let mut pointers = Pointers::default();
    for number in 0..shape.cells {
        let cell = cell(&shape, page, usable, number)?;
        pointers.children.extend(cell.child);
        pointers.overflows.extend(cell.overflow);
    }
    if shape.kind.is_interior() {
        pointers.children.push(be32(page, shape.head + 8));
    }
    Ok((shape.kind, pointers))
}

fn parse_cell(kind: PageKind, page: &[u8], start: usize) -> Option<Cell> {
    let mut at = start;
    let mut child = None;
    if kind.is_interior() {
        child = Some(be32(page.get(at..at + 4)?, 0));
        at += 4;
    }
    if kind == PageKind::InteriorTable {
        let (rowid, end) = varint(page, at)?;
        return Some(Cell {
            start,
            end,
            child,
            rowid: Some(rowid.cast_signed()),
            payload_start: end,
            local: 0,
            payload: 0,
            overflow: None,
        });
    }
    let (payload, next) = varint(page, at)?;
    at = next;
    let mut rowid = None;
    if kind == PageKind::LeafTable {
        let (id, next) = varint(page, at)?;
        rowid = Some(id.cast_signed());
        at = next;
    }
    let payload = usize::try_from(payload).ok().filter(|&payload| payload < 1 << 31)?;
    let local = local_bytes(kind, payload, page.len());
    let mut end = at + local;
    if end > page.len() {
        return None;
    }
    let mut overflow = None;
    if local < payload {
        let first = be32(page.get(end..end + 4)?, 0);
        let pages = u32::try_from((payload - local).div_ceil(page.len() - 4)).ok()?;
        overflow = Some(Overflow { first, pages });
        end += 4;
    }
    Some(Cell {
        start,
        end,
        child,
        rowid,
        payload_start: at,
        local,
        payload,
        overflow,
    })
}

/// How much of a payload lies in the cell itself; the formulas are those of the file format.
fn local_bytes(kind: PageKind, payload: usize, usable: usize) -> usize {
    let most = if kind == PageKind::LeafTable {
        usable - 35
    } else {
        (usable - 12) * 64 / 255 - 23
    };
    if payload <= most {
        return payload;
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let rest = least + (payload - least) % (usable - 4);
    if rest <= most { rest } else { least }
}

/// SQLite's variable-length number, and where the next thing begins.
pub(crate) fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (count, &byte) in bytes.get(at..)?.iter().take(9).enumerate() {
        if count == 8 {
            return Some((value << 8 | u64::from(byte), at + 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + count + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn varints_are_read_as_sqlite_writes_them() {
        assert_eq!(varint(&[0x7f], 0), Some((127, 1)));
        assert_eq!(varint(&[0x81, 0x00], 0), Some((128, 2)));
        assert_eq!(varint(&[0xff; 9], 0), Some((u64::MAX, 9)));
        assert_eq!(varint(&[0x80; 3], 0), None);
        assert_eq!(varint(&[], 3), None);
    }

    proptest! {
        #[test]
        fn any_page_is_read_or_refused_and_never_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 512),
            kind in prop::sample::select(vec![2_u8, 5, 10, 13, 0]),
            cells in 0..40_u16,
            number in 1..3_u32,
        ) {
            let mut page = bytes;
            let head = if number == 1 { 100 } else { 0 };
            page[head] = kind;
            page[head + 3..head + 5].copy_from_slice(&cells.to_be_bytes());
            page[head + 5..head + 7].copy_from_slice(&200_u16.to_be_bytes());
            _ = parse(number, &page, 512);
        }
    }
}
