//! The pages of a database at one moment, whoever else is at work on it.
//!
//! Beside a server a read transaction is held, so that neither a checkpoint nor a new log can overwrite what belongs to
//! the moment; the pages themselves are read from the files, those in the log instead of those that it replaces. The
//! server never waits: readers and writers do not meet in WAL mode.
//!
//! How the mark is known (SQLite does not tell a connection its own): the wal-index is read before and after the
//! transaction begins. If nothing was committed in between, the moment it shows is the transaction's. If a checkpoint had
//! by then written back every frame, the file alone is the database, and it stays so: with frames still to be written
//! the transaction holds the log, without any it holds the file (`walTryBeginRead` in SQLite).
//!
//! Without a server the files are at rest; that they stayed so is confirmed at the end.
//!
//! Must not: write anything, except a private copy in a temporary folder where there is no other way.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::error::{At, Error, READ, Result};
use crate::format::header::{Header, lock_page};
use crate::format::index;
use crate::format::wal::{self, Overlay};
use crate::handles::Handle;
use crate::open::{self, Mode, Reader};
use crate::paths::{journal_of, shm_of, wal_of};
use crate::publish::FolderWriter;
use crate::stamp::Stamp;

/// Bytes read from the database at once.
const CHUNK: usize = 512 * 1024;

/// How often the beginning of the transaction is tried again because somebody committed in that very instant. A try
/// takes some 30 µs; a server that commits without any pause is caught between two commits long before this many.
const ATTEMPTS: u32 = 2000;

/// The pages of a database at one moment.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    file: Handle,
    file_path: PathBuf,
    log_path: PathBuf,
    log: Option<(Handle, Overlay)>,
    page_size: u32,
    pages: u32,
    /// Keeps the moment from being overwritten; ends with the source. Declared behind the handles and pinned, so that
    /// closing those does not drop its locks.
    hold: Hold,
}

#[derive(Debug)]
enum Hold {
    /// A read transaction beside a server.
    Transaction {
        /// Held for its lock.
        _reader: Box<Reader>,
        /// The moment at which it began.
        began: index::Moment,
    },
    /// Files at rest.
    Rest(Vec<Stamp>),
    /// A copy of our own.
    Copy(#[expect(dead_code, reason = "removed with the source")] FolderWriter),
}

impl Source {
    /// Fixes the moment.
    ///
    /// # Errors
    /// [`Error::Damaged`] if header or log cannot be those of a database, [`Error::NotALibrary`] if there is no file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::open_in(path, &std::env::temp_dir())
    }

    /// Fixes the moment; should a copy be needed, it is made in the folder `scratch`.
    pub(crate) fn open_in(path: &Path, scratch: &Path) -> Result<Self> {
        let source = match open::probe(path)? {
            Mode::Beside => Self::beside(path)?,
            // An unfinished transaction of the old kind has to be rolled back first, which SQLite does on a copy.
            Mode::PrivateCopy if journal_of(path).exists() => None,
            Mode::PrivateCopy | Mode::Immutable | Mode::Layered => Some(Self::at_rest(path)?),
        };
        source.map_or_else(|| Self::by_backup(path, scratch), Ok)
    }

    /// The moment at which the files lie at rest, whoever has them open under other names.
    pub(crate) fn at_rest(path: &Path) -> Result<Self> {
        let log_path = wal_of(path);
        let stamps = vec![Stamp::of(path)?, Stamp::of(&log_path)?];
        let file = Handle::open(path)?;
        let header = Header::read(&file, path)?;
        let log = match Handle::open_if_there(&log_path)? {
            None => None,
            Some(log) => {
                let overlay = wal::scan(&log, &log_path, header.page_size, None)?.overlay;
                overlay.pages().is_some().then_some((log, overlay))
            }
        };
        let length = file.metadata().at(READ, path)?.len();
        let pages = match &log {
            Some((_, overlay)) => overlay.pages().unwrap_or(0),
            None => header.pages_in(length),
        };
        let page_size = header.page_size;
        Self {
            path: path.into(),
            file,
            file_path: path.into(),
            log_path,
            log,
            page_size,
            pages,
            hold: Hold::Rest(stamps),
        }
        .with_enough_bytes(length)
    }

    /// `None`: the server does not use a log with an index, or commits so fast that its moment cannot be caught.
    fn beside(path: &Path) -> Result<Option<Self>> {
        let file = Handle::open(path)?;
        let log_path = wal_of(path);
        let (Some(log), Some(shm)) = (Handle::open_if_there(&log_path)?, Handle::open_if_there(&shm_of(path))?) else {
            return Ok(None);
        };
        let reader = open::beside(path)?;
        for attempt in 0..ATTEMPTS {
            let Some(before) = index::moment(&shm) else {
                std::thread::yield_now();
                continue;
            };
            begin(&reader, path)?;
            let written_back = index::written_back(&shm);
            if index::moment(&shm) != Some(before) {
                reader.execute_batch("ROLLBACK").at("end reading", path)?;
                continue;
            }
            tracing::debug!(path = %path.display(), attempt, mark = before.mark, "moment of the snapshot fixed");
            let length = file.metadata().at(READ, path)?.len();
            let is_all_in_file = written_back.is_some_and(|frames| frames >= before.mark);
            let (log, pages) = if is_all_in_file {
                // The index of an empty log need not know the size; the file does.
                let known = (before.mark > 0).then_some(before.pages);
                (None, known.map_or_else(|| pages_of(&file, path, length), Ok)?)
            } else {
                let overlay = wal::scan(&log, &log_path, before.page_size, Some(before.mark))?.overlay;
                if overlay.mark() != before.mark || overlay.checksum() != before.checksum {
                    return Err(Error::damaged(
                        &log_path,
                        "it does not hold the frames that its index promises",
                    ));
                }
                (Some((log, overlay)), before.pages)
            };
            // The index of a log that nothing was written to yet (a server that has just started) knows no page size.
            let page_size = match before.page_size {
                0 => Header::read(&file, path)?.page_size,
                known => known,
            };
            let hold = Hold::Transaction {
                _reader: Box::new(reader),
                began: before,
            };
            let source = Self {
                path: path.into(),
                file,
                file_path: path.into(),
                log_path,
                log,
                page_size,
                pages,
                hold,
            };
            return source.with_enough_bytes(length).map(Some);
        }
        tracing::warn!(path = %path.display(), "could not catch a moment between two commits; copying by the backup API");
        Ok(None)
    }

    /// The plain way: SQLite copies the database in one step, and the copy is what is read.
    pub(crate) fn by_backup(path: &Path, scratch: &Path) -> Result<Self> {
        // Of a process that is killed it is left behind, and removed by the next that makes one there.
        let dir = FolderWriter::create(&scratch.join(".plexburst-copy"))?;
        let copy = dir.path().join("copy.db");
        backup(path, &copy)?;
        let mut source = Self::at_rest(&copy)?;
        source.path = path.to_owned();
        source.hold = Hold::Copy(dir);
        Ok(source)
    }

    /// A file that is shorter than its database was cut off.
    fn with_enough_bytes(self, length: u64) -> Result<Self> {
        let in_file = length / u64::from(self.page_size);
        let in_log = |page| self.log.as_ref().is_some_and(|(_, overlay)| overlay.holds(page));
        // A database that grows over one gibibyte in its log has the page of the locks nowhere.
        let unused = lock_page(self.page_size);
        let first_missing = (in_file.saturating_add(1)..=u64::from(self.pages))
            .map(|page| u32::try_from(page).unwrap_or(u32::MAX))
            .find(|&page| page != unused && !in_log(page));
        match first_missing {
            None => Ok(self),
            Some(page) => Err(Error::damaged(
                &self.path,
                format!(
                    "it is cut off: page {page} of {} is missing ({length} bytes are there)",
                    self.pages
                ),
            )),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a server is at work on the database, so that its log goes on growing.
    pub(crate) fn is_beside_server(&self) -> bool {
        self.began().is_some()
    }

    /// The moment of the server's log at which this one was fixed, if there is a server.
    pub(crate) fn began(&self) -> Option<index::Moment> {
        match &self.hold {
            Hold::Transaction { began, .. } => Some(*began),
            Hold::Rest(_) | Hold::Copy(_) => None,
        }
    }

    /// Bytes of a page.
    pub(crate) fn page_size(&self) -> u32 {
        self.page_size
    }

    /// Pages of the database at the moment.
    pub(crate) fn pages(&self) -> u32 {
        self.pages
    }

    /// Bytes of all pages.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.pages) * u64::from(self.page_size)
    }

    /// Frames of the log that belong to the moment.
    pub(crate) fn log_frames(&self) -> u32 {
        self.log.as_ref().map_or(0, |(_, overlay)| overlay.mark())
    }

    /// Reads one page; `into` has to have the size of a page.
    pub(crate) fn read_page(&self, page: u32, into: &mut [u8]) -> Result<()> {
        if let Some((log, overlay)) = &self.log
            && overlay.read_page(log, &self.log_path, page, into)?
        {
            return Ok(());
        }
        let start = u64::from(page - 1) * u64::from(self.page_size);
        self.file.read_exact_at(into, start).at(READ, &self.file_path)
    }

    /// Hands every page to `each`, in order, with its number from 1.
    pub(crate) fn stream(&self, mut each: impl FnMut(u32, &[u8]) -> Result<()>) -> Result<()> {
        let size = self.page_size as usize;
        self.chunks(|first, pages| {
            (first..)
                .zip(pages.chunks_exact(size))
                .try_for_each(|(page, bytes)| each(page, bytes))
        })
    }

    /// Hands all pages to `each`, in order, many at a time, with the number of the first of them.
    pub(crate) fn chunks(&self, mut each: impl FnMut(u32, &[u8]) -> Result<()>) -> Result<()> {
        self.shared_chunks(|first, pages| each(first, pages))
    }

    /// As [`Source::chunks`], of pages that may be kept for as long as somebody else needs them; their buffer is used again
    /// when nobody does.
    pub(crate) fn shared_chunks(&self, mut each: impl FnMut(u32, &Arc<Vec<u8>>) -> Result<()>) -> Result<()> {
        let size = self.page_size as usize;
        let per_chunk = u32::try_from((CHUNK / size).max(1)).unwrap_or(1);
        let mut buffers: Vec<Arc<Vec<u8>>> = Vec::new();
        let mut next = 1;
        while next <= self.pages {
            let count = per_chunk.min(self.pages - next + 1);
            let free = buffers.iter_mut().position(|buffer| Arc::get_mut(buffer).is_some());
            let mut buffer = free.map_or_else(Arc::default, |at| buffers.swap_remove(at));
            // Nobody else has it.
            if let Some(chunk) = Arc::get_mut(&mut buffer) {
                chunk.resize(size * count as usize, 0);
                self.fill(next, chunk)?;
                if let Some((log, overlay)) = &self.log {
                    for (page, bytes) in (next..).zip(chunk.chunks_exact_mut(size)) {
                        overlay.read_page(log, &self.log_path, page, bytes)?;
                    }
                }
            }
            each(next, &buffer)?;
            buffers.push(buffer);
            next += count;
        }
        Ok(())
    }

    /// Reads from the file what it has; behind its end all pages are in the log, but for that of the locks.
    fn fill(&self, first: u32, chunk: &mut [u8]) -> Result<()> {
        let start = u64::from(first - 1) * u64::from(self.page_size);
        let mut filled = 0;
        while filled < chunk.len() {
            match self.file.read_at(&mut chunk[filled..], start + filled as u64) {
                Ok(0) => {
                    chunk[filled..].fill(0);
                    break;
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).at(READ, &self.file_path),
            }
        }
        Ok(())
    }

    /// The file, in which some pages may be older or newer than the moment ([`Source::is_in_file`]).
    pub(crate) fn file(&self) -> &std::fs::File {
        &self.file
    }

    /// Whether so many bytes from page `first` on are in the file as they are at the moment, and stay so while it lasts: of
    /// those in the log nobody knows when they are written back, all others are not touched before the moment has ended.
    pub(crate) fn is_in_file(&self, first: u32, bytes: usize) -> bool {
        let Some((_, overlay)) = &self.log else { return true };
        let pages = u32::try_from(bytes / self.page_size as usize).unwrap_or(u32::MAX);
        (first..first.saturating_add(pages)).all(|page| !overlay.holds(page))
    }

    /// The file, if it is all that there is to read.
    pub(crate) fn plain_file(&self) -> Option<&std::fs::File> {
        self.log.is_none().then_some(&*self.file)
    }

    /// Confirms that what was read was one moment. To be called when all is read.
    ///
    /// # Errors
    /// [`Error::Changed`] if files that seemed at rest were not.
    pub(crate) fn confirm(&self) -> Result<()> {
        match &self.hold {
            Hold::Rest(stamps) => stamps.iter().try_for_each(Stamp::confirm),
            Hold::Transaction { .. } | Hold::Copy(_) => Ok(()),
        }
    }
}

fn begin(reader: &Connection, path: &Path) -> Result<()> {
    reader.execute_batch("BEGIN").at(READ, path)?;
    // The transaction begins with the first look at the file, not with BEGIN.
    let mut look = reader
        .prepare_cached("SELECT 1 FROM sqlite_schema LIMIT 1")
        .at(READ, path)?;
    look.exists([]).at(READ, path)?;
    Ok(())
}

fn pages_of(file: &Handle, path: &Path, length: u64) -> Result<u32> {
    Ok(Header::read(file, path)?.pages_in(length))
}

/// Copies a database by SQLite's backup API, in one step: small steps begin anew with every commit of the server.
pub(crate) fn backup(from: &Path, to: &Path) -> Result<()> {
    let source = open::read_only(from)?;
    let mut target = Connection::open(to).at("create", to)?;
    let backup = Backup::new(&source, &mut target).at("copy", from)?;
    if !matches!(backup.step(-1).at("copy", from)?, StepResult::Done) {
        return Err(Error::InUse {
            path: from.to_owned(),
            by: Vec::new(),
        });
    }
    drop(backup);
    source.confirm()
}
