//! Every page of a database, each used exactly once: by a tree, by an overflow chain, by the freelist, or by SQLite's
//! locks.
//!
//! SQLite's own check of the whole file cannot run without Plex's tokenizers, and its checks of single tables leave out
//! the freelist and pages that two of them use; this is what they leave out.

use super::values::Rows;
use super::{FindingKind, Findings, Level, layout};
use crate::error::{At, READ, Result};
use crate::format::be32;
use crate::format::btree::{self, Cell, Overflow, PageKind, Shape};
use crate::format::header::{Header, LENGTH, lock_page};
use crate::open::Reader;
use crate::paths::Which;
use crate::source::Source;

/// No tree of SQLite is deeper (`BTCURSOR_MAX_DEPTH`).
const DEEPEST: u32 = 20;

pub(super) fn check(source: &Source, reader: &Reader, which: Which, level: Level, found: &mut Findings) -> Result<()> {
    let mut page = vec![0; source.page_size() as usize];
    source.read_page(1, &mut page)?;
    let mut bytes = [0; LENGTH];
    bytes.copy_from_slice(&page[..LENGTH]);
    let header = match Header::parse(&bytes) {
        Ok(header) => header,
        Err(what) => {
            found.problem(which, FindingKind::Header, which.file_name(), what);
            return Ok(());
        }
    };
    let roots = roots(reader)?;
    let usable = source.page_size() as usize - usize::from(header.reserved);
    let mut walk = Walk {
        source,
        which,
        usable,
        page,
        owners: Owners::new(source.pages()),
        now: jiff::Timestamp::now().as_second(),
        found,
    };
    walk.claim(lock_page(source.page_size()), "the locks");
    if header.largest_root != 0 {
        walk.pointer_map();
    }
    walk.freelist(&header)?;
    for Root { name, page, is_table } in roots {
        let rows = match level {
            Level::Full if is_table => Some(Rows::of(reader, &name)?),
            _ => None,
        };
        walk.tree(&name, page, rows)?;
    }
    walk.unused();
    Ok(())
}

/// A tree of the database.
struct Root {
    name: String,
    page: u32,
    is_table: bool,
}

/// The root page of every tree. Virtual tables have none.
fn roots(reader: &Reader) -> Result<Vec<Root>> {
    let sql = "SELECT name, rootpage, type = 'table' FROM sqlite_schema WHERE rootpage > 0 ORDER BY rootpage";
    let mut statement = reader.prepare(sql).at(READ, reader.path())?;
    let rows = statement.query_map([], |row| {
        Ok(Root {
            name: row.get(0)?,
            page: row.get(1)?,
            is_table: row.get(2)?,
        })
    });
    let mut roots: Vec<Root> = rows.and_then(Iterator::collect).at(READ, reader.path())?;
    let schema = Root {
        name: "sqlite_schema".into(),
        page: 1,
        is_table: true,
    };
    roots.insert(0, schema);
    Ok(roots)
}

/// Which pages are used already, one bit each.
struct Owners {
    bits: Vec<u64>,
    pages: u32,
}

impl Owners {
    fn new(pages: u32) -> Self {
        Self {
            bits: vec![0; pages as usize / 64 + 1],
            pages,
        }
    }

    /// `None`: there is no such page; `Some(false)`: it was used before.
    fn take(&mut self, page: u32) -> Option<bool> {
        if page == 0 || page > self.pages {
            return None;
        }
        let (word, bit) = (page as usize / 64, 1 << (page % 64));
        let is_first = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        Some(is_first)
    }

    fn unused(&self) -> impl Iterator<Item = u32> {
        (1..=self.pages).filter(|&page| self.bits[page as usize / 64] & (1 << (page % 64)) == 0)
    }
}

struct Walk<'a> {
    source: &'a Source,
    which: Which,
    usable: usize,
    page: Vec<u8>,
    owners: Owners,
    now: i64,
    found: &'a mut Findings,
}

impl Walk<'_> {
    fn problem(&mut self, page: u32, message: String) {
        self.found
            .problem(self.which, FindingKind::Structure, format!("page {page}"), message);
    }

    /// Whether `page` may be used by `owner`; if not, that is a finding.
    fn claim(&mut self, page: u32, owner: &str) -> bool {
        match self.owners.take(page) {
            Some(true) => true,
            Some(false) => {
                self.problem(page, format!("{owner} uses it, and so does something else"));
                false
            }
            // A database smaller than 1 GiB does not reach the page of the locks.
            None if owner == "the locks" => false,
            None => {
                self.problem(
                    page,
                    format!("{owner} points to it, but there are only {} pages", self.owners.pages),
                );
                false
            }
        }
    }

    fn read(&mut self, page: u32) -> Result<()> {
        self.source.read_page(page, &mut self.page)
    }

    fn tree(&mut self, name: &str, root: u32, mut rows: Option<Rows>) -> Result<()> {
        let mut open = vec![(root, 0)];
        let mut is_table = None;
        let mut leaves_at = None;
        let mut page = vec![0; self.page.len()];
        while let Some((number, depth)) = open.pop() {
            if !self.claim(number, name) {
                continue;
            }
            if depth > DEEPEST {
                self.problem(number, format!("{name} is deeper than any tree can be"));
                continue;
            }
            self.source.read_page(number, &mut page)?;
            let (shape, cells) = match self.cells(number, &page) {
                Ok(read) => read,
                Err(what) => {
                    self.problem(number, format!("of {name}: {what}"));
                    continue;
                }
            };
            if *is_table.get_or_insert(shape.kind.is_table()) != shape.kind.is_table() {
                self.problem(
                    number,
                    format!("of {name}: a page of an index in a table, or the reverse"),
                );
                continue;
            }
            let is_interior = matches!(shape.kind, PageKind::InteriorIndex | PageKind::InteriorTable);
            if !is_interior && *leaves_at.get_or_insert(depth) != depth {
                self.problem(
                    number,
                    format!("of {name}: it lies at depth {depth}, other leaves do not"),
                );
            }
            for cell in &cells {
                open.extend(cell.child.map(|child| (child, depth + 1)));
                let wanted = rows
                    .as_mut()
                    .zip(cell.rowid.filter(|_| shape.kind == PageKind::LeafTable));
                let local = &page[cell.payload_start..cell.payload_start + cell.local];
                match (cell.overflow, wanted) {
                    (None, Some((rows, id))) => rows.look(number, id, local, self.now),
                    (Some(overflow), None) => _ = self.chain(name, number, overflow, None)?,
                    (Some(overflow), Some((rows, id))) => {
                        let mut payload = local.to_vec();
                        if self.chain(name, number, overflow, Some(&mut payload))? {
                            payload.truncate(cell.payload);
                            rows.look(number, id, &payload, self.now);
                        }
                    }
                    (None, None) => {}
                }
            }
            if is_interior {
                open.push((be32(&page, shape.head + 8), depth + 1));
            }
        }
        if let Some(rows) = rows {
            rows.tell(self.which, self.found);
        }
        Ok(())
    }

    /// The cells of a page, if it is laid out as SQLite does it.
    fn cells(&mut self, number: u32, page: &[u8]) -> Result<(Shape, Vec<Cell>), String> {
        let shape = btree::shape(number, page, self.usable)?;
        let cells = (0..shape.cells)
            .map(|cell| btree::cell(&shape, page, self.usable, cell))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(fault) = layout::fault(&shape, page, self.usable, &cells) {
            self.problem(number, fault);
        }
        if let Some(at) = layout::odd_byte(&shape, page) {
            let message = format!("byte {at}, where nothing is stored, is not the zero that lies around it");
            self.found
                .drift(self.which, FindingKind::Unused, format!("page {number}"), message);
        }
        Ok((shape, cells))
    }

    /// Follows a chain of overflow pages, and says whether it is whole.
    fn chain(&mut self, name: &str, from: u32, overflow: Overflow, mut into: Option<&mut Vec<u8>>) -> Result<bool> {
        let mut next = overflow.first;
        for left in (0..overflow.pages).rev() {
            if !self.claim(next, name) {
                return Ok(false);
            }
            self.read(next)?;
            if let Some(payload) = &mut into {
                payload.extend_from_slice(&self.page[4..self.usable]);
            }
            let behind = be32(&self.page, 0);
            match (left, behind) {
                (0, 0) => return Ok(true),
                (0, _) => self.problem(
                    next,
                    format!("of {name}: the overflow of page {from} goes on behind its end"),
                ),
                (_, 0) => {
                    self.problem(
                        next,
                        format!("of {name}: the overflow of page {from} ends {left} pages too early"),
                    );
                    return Ok(false);
                }
                _ => {}
            }
            next = behind;
        }
        Ok(true)
    }

    fn freelist(&mut self, header: &Header) -> Result<()> {
        let (mut trunk, mut counted) = (header.freelist, 0_u32);
        while trunk != 0 && self.claim(trunk, "the freelist") {
            counted += 1;
            self.read(trunk)?;
            let (next, leaves) = (be32(&self.page, 0), be32(&self.page, 4) as usize);
            if leaves > self.usable / 4 - 2 {
                self.problem(trunk, format!("of the freelist: it claims {leaves} free pages"));
                return Ok(());
            }
            let leaves: Vec<u32> = (0..leaves).map(|leaf| be32(&self.page, 8 + 4 * leaf)).collect();
            for leaf in leaves {
                self.claim(leaf, "the freelist");
                counted += 1;
            }
            trunk = next;
        }
        if counted != header.free_pages {
            let message = format!(
                "the freelist has {counted} pages, and the header says {}",
                header.free_pages
            );
            self.problem(1, message);
        }
        Ok(())
    }

    /// Auto-vacuum databases keep who points to whom on pages of their own, at fixed distances from page 2.
    fn pointer_map(&mut self) {
        let distance = self.usable as u64 / 5 + 1;
        let last = u64::from(self.owners.pages);
        let lock = lock_page(self.source.page_size());
        let maps: Vec<u32> = (0..)
            .map(|number| 2 + number * distance)
            .take_while(|&page| page <= last)
            .filter_map(|page| u32::try_from(page).ok())
            .map(|page| if page == lock { page + 1 } else { page })
            .collect();
        for page in maps {
            self.claim(page, "the pointer map");
        }
    }

    fn unused(&mut self) {
        let unused: Vec<u32> = self.owners.unused().take(super::LISTED + 1).collect();
        for page in unused {
            self.problem(page, "nothing uses it, and it is not free either".into());
        }
    }
}
