//! A database file at rest as its pages, with the log that lies over it: the freelist, overflow chains, the row ids on a leaf.
//!
//! Every answer is `None` where the file is not what it should be; nothing here judges it, that is done elsewhere.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::btree::{self, varint};
use super::header::{self, Header};
use super::wal::{self, Overlay};
use super::{be16, be32};
use crate::paths::wal_of;

/// A database file as pages.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) file: File,
    /// Of a layered copy: the pages that are not as the file has them.
    log: Option<Log>,
    /// Bytes of a page.
    pub(crate) size: u32,
    /// Those that SQLite uses.
    pub(crate) usable: usize,
    pub(crate) count: u32,
    freelist: u32,
}

#[derive(Debug)]
struct Log {
    file: File,
    path: PathBuf,
    overlay: Overlay,
}

impl Log {
    /// `None`: it holds nothing.
    fn beside(path: &Path, page_size: u32) -> Option<Self> {
        let path = wal_of(path);
        let file = File::open(&path).ok()?;
        let overlay = wal::scan(&file, &path, page_size, None).ok()?.overlay;
        overlay.pages().is_some().then_some(Self { file, path, overlay })
    }

    fn read(&self, page: u32, into: &mut [u8]) -> Option<bool> {
        self.overlay.read_page(&self.file, &self.path, page, into).ok()
    }
}

impl Pages {
    /// `None` if it cannot be read, or is none.
    pub(crate) fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let mut header = Header::read(&file, path).ok()?;
        let mut count = header.pages_in(file.metadata().ok()?.len());
        let log = Log::beside(path, header.page_size);
        if let Some(log) = &log {
            count = log.overlay.pages()?;
            let mut first = vec![0; header.page_size as usize];
            if log.read(1, &mut first)? {
                header = Header::parse(first.first_chunk()?).ok()?;
            }
        }
        Some(Self {
            size: header.page_size,
            usable: header.page_size as usize - usize::from(header.reserved),
            count,
            freelist: header.freelist,
            file,
            log,
        })
    }

    /// Whether both are the same file, but for a log.
    pub(crate) fn is_over(&self, base: &Self) -> bool {
        let same = |one: &File, other: &File| {
            let (one, other) = (one.metadata().ok()?, other.metadata().ok()?);
            Some((one.dev(), one.ino()) == (other.dev(), other.ino()))
        };
        base.log.is_none() && same(&self.file, &base.file) == Some(true)
    }

    /// Whether there is a log over the file.
    pub(crate) fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// Whether the log has a page.
    pub(crate) fn is_logged(&self, page: u32) -> bool {
        self.log.as_ref().is_some_and(|log| log.overlay.holds(page))
    }

    /// One page, by its number from 1.
    pub(crate) fn read(&self, page: u32) -> Option<Vec<u8>> {
        if page == 0 || page > self.count {
            return None;
        }
        let mut bytes = vec![0; self.size as usize];
        if let Some(log) = &self.log
            && log.read(page, &mut bytes)?
        {
            return Some(bytes);
        }
        self.file
            .read_exact_at(&mut bytes, u64::from(page - 1) * u64::from(self.size))
            .ok()?;
        Some(bytes)
    }

    /// As many pages as `into` has room for, all of which are there, from page `first` on.
    pub(crate) fn read_many(&self, first: u32, into: &mut [u8]) -> Option<()> {
        let size = self.size as usize;
        let in_file = self.file.metadata().ok()?.len() / u64::from(self.size);
        let here = in_file
            .saturating_sub(u64::from(first - 1))
            .min((into.len() / size) as u64) as usize;
        self.file
            .read_exact_at(&mut into[..here * size], u64::from(first - 1) * u64::from(self.size))
            .ok()?;
        for (at, (number, page)) in (first..).zip(into.chunks_exact_mut(size)).enumerate() {
            let is_logged = match &self.log {
                Some(log) => log.read(number, page)?,
                None => false,
            };
            // Behind the end of the file is nothing but what the log has, and the page of the locks.
            if !is_logged && at >= here {
                page.fill(0);
            }
        }
        Some(())
    }

    /// All pages of the freelist.
    pub(crate) fn freelist(&self) -> Option<HashSet<u32>> {
        let mut free = HashSet::new();
        let mut trunk = self.freelist;
        while trunk != 0 {
            if !free.insert(trunk) {
                return None;
            }
            let page = self.read(trunk)?;
            let leaves = (be32(&page, 4) as usize).min(self.usable / 4 - 2);
            free.extend((0..leaves).map(|n| be32(&page, 8 + 4 * n)));
            trunk = be32(&page, 0);
        }
        Some(free)
    }

    /// All overflow pages of a page's cells.
    pub(crate) fn overflow_of(&self, number: u32) -> Option<Vec<u32>> {
        let page = self.read(number)?;
        let (_, pointers) = btree::parse(number, &page, self.usable).ok()?;
        let mut all = Vec::new();
        for overflow in pointers.overflows {
            let mut next = overflow.first;
            for _ in 0..overflow.pages {
                all.push(next);
                next = be32(&self.read(next)?, 0);
            }
        }
        Some(all)
    }
}

/// Adds the row ids on a leaf of a table.
pub(crate) fn rowids(number: u32, page: &[u8], usable: usize, ids: &mut BTreeSet<i64>) -> Option<()> {
    let head = if number == 1 { header::LENGTH } else { 0 };
    if page[head] != 13 {
        // A table without row ids is written as an index; Plex has none.
        return None;
    }
    for cell in 0..usize::from(be16(page, head + 3)) {
        let cells = page.get(..usable)?;
        let place = head + 8 + 2 * cell;
        let (_, at) = varint(cells, usize::from(be16(cells.get(place..place + 2)?, 0)))?;
        ids.insert(varint(cells, at)?.0.cast_signed());
    }
    Some(())
}
