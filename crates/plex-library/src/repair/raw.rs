//! The pages of a database that may be damaged anywhere: nothing here gives up.
//!
//! What is behind the end of a file that was cut off reads as zeros; of a log as much counts as its chain of checksums
//! reaches. If the header cannot be read, the size of a page is found by trying.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{At, OPEN, READ, Result};
use crate::format::btree;
use crate::format::header::{Header, LENGTH};
use crate::format::wal::{self, Overlay};
use crate::handles::Handle;
use crate::paths::wal_of;

/// Pages that are looked at to find their size.
const TRIED: u32 = 400;

pub(super) struct Raw {
    path: PathBuf,
    file: Handle,
    log: Option<(Handle, Overlay)>,
    page_size: usize,
    pages: u32,
    header: Option<Header>,
}

/// Whether this is a page of a tree of just this size: SQLite fills pages from their end, so that a part of a smaller page
/// ends too early, and several of them taken for one as well.
fn is_filled(number: u32, page: &[u8], size: usize) -> bool {
    btree::shape(number, page, size).is_ok_and(|shape| {
        let ends: Option<Vec<usize>> = (0..shape.cells)
            .map(|at| btree::cell(&shape, page, size, at).ok().map(|cell| cell.end))
            .collect();
        ends.is_some_and(|ends| ends.into_iter().max() == Some(size))
    })
}

impl Raw {
    /// `like` is the page size of the other database, if it is known: tried first.
    pub(super) fn open(path: &Path, like: Option<u32>) -> Result<Self> {
        let file = Handle::open(path)?;
        let length = file.metadata().at(OPEN, path)?.len();
        let mut bytes = [0; LENGTH];
        let header = file
            .read_exact_at(&mut bytes, 0)
            .ok()
            .and_then(|()| Header::parse(&bytes).ok());
        let mut raw = Self {
            path: path.into(),
            file,
            log: None,
            page_size: 1024,
            pages: 0,
            header,
        };
        raw.page_size = match header {
            Some(header) => header.page_size as usize,
            None => raw.likely_page_size(length, like),
        };
        let log_path = wal_of(path);
        if let Some(log) = Handle::open_if_there(&log_path)? {
            let size = u32::try_from(raw.page_size).unwrap_or(1024);
            let overlay = wal::scan(&log, &log_path, size, None)?.overlay;
            if overlay.pages().is_some() {
                raw.log = Some((log, overlay));
            }
        }
        let in_file = u32::try_from(length.div_ceil(raw.page_size as u64)).unwrap_or(u32::MAX);
        let in_log = raw.log.as_ref().and_then(|(_, overlay)| overlay.pages()).unwrap_or(0);
        raw.pages = in_file.max(in_log);
        Ok(raw)
    }

    fn likely_page_size(&mut self, length: u64, like: Option<u32>) -> usize {
        let sizes = [1024, 4096, 16384, 32768, 65536, 8192, 2048, 512];
        let sizes = like.into_iter().chain(sizes).map(|size| size as usize);
        let mut best = (0, 1024);
        for size in sizes {
            self.page_size = size;
            self.pages = u32::try_from(length.div_ceil(size as u64)).unwrap_or(u32::MAX);
            let mut page = vec![0; size];
            let looked = self.pages.min(TRIED);
            let whole = (2..=looked)
                .filter(|&number| self.page(number, &mut page).is_ok() && is_filled(number, &page, size))
                .count();
            // By share, since small pages are more.
            let share = whole * 1000 / (looked as usize).max(1);
            if share > best.0 {
                best = (share, size);
            }
        }
        best.1
    }

    pub(super) fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    pub(super) fn page_size(&self) -> usize {
        self.page_size
    }

    pub(super) fn usable(&self) -> usize {
        self.page_size - self.header.map_or(0, |header| usize::from(header.reserved))
    }

    pub(super) fn pages(&self) -> u32 {
        self.pages
    }

    /// Reads one page; what is not there is zeros.
    pub(super) fn page(&self, number: u32, into: &mut [u8]) -> Result<()> {
        into.fill(0);
        if number == 0 || number > self.pages {
            return Ok(());
        }
        if let Some((log, overlay)) = &self.log
            && overlay.read_page(log, &wal_of(&self.path), number, into)?
        {
            return Ok(());
        }
        let start = u64::from(number - 1) * self.page_size as u64;
        let mut filled = 0;
        while filled < into.len() {
            match self.file.read_at(&mut into[filled..], start + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).at(READ, &self.path),
            }
        }
        Ok(())
    }

    /// Free pages, as far as their list can be followed; `None` if it is broken anywhere.
    pub(super) fn free_pages(&self) -> Result<Option<Vec<u32>>> {
        let Some(header) = self.header else { return Ok(None) };
        let (mut trunk, mut free) = (header.freelist, Vec::new());
        let mut page = vec![0; self.page_size];
        while trunk != 0 {
            if trunk > self.pages || free.len() > self.pages as usize {
                return Ok(None);
            }
            self.page(trunk, &mut page)?;
            free.push(trunk);
            let count = crate::format::be32(&page, 4) as usize;
            if count > self.usable() / 4 - 2 {
                return Ok(None);
            }
            free.extend((0..count).map(|leaf| crate::format::be32(&page, 8 + 4 * leaf)));
            trunk = crate::format::be32(&page, 0);
        }
        Ok((free.len() == header.free_pages as usize).then_some(free))
    }
}
