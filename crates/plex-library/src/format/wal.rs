//! The write-ahead log: which of its frames count, and which page each of them holds.
//!
//! A frame counts if the chain of checksums from the log's header reaches it unbroken and a commit follows; what lies
//! behind the last such commit is the rest of an older log or of a transaction that never ended.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::be32;
use crate::error::{At, Error, READ, Result};
use crate::publish::FileWriter;

const HEADER: u64 = 32;
const FRAME_HEADER: usize = 24;
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;

/// Bytes read from the log at once.
const CHUNK: usize = 256 * 1024;

/// Running checksum of a log: order matters, so a frame cannot be taken for one of another place.
pub(crate) type Checksum = [u32; 2];

/// The newest content of pages, as far as a mark.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overlay {
    page_size: u32,
    /// Page number → number of the frame (from 1) that holds it last.
    frames: HashMap<u32, u32>,
    /// Frames that count.
    mark: u32,
    /// Pages of the database after the last commit; 0 if nothing was committed.
    pages: u32,
    checksum: Checksum,
}

impl Overlay {
    /// Frames up to the mark.
    pub(crate) fn mark(&self) -> u32 {
        self.mark
    }

    /// Pages of the database at the mark, or `None` if the log holds nothing that was committed.
    pub(crate) fn pages(&self) -> Option<u32> {
        (self.pages != 0).then_some(self.pages)
    }

    /// Running checksum after the last frame.
    pub(crate) fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// Whether a page is in the log.
    pub(crate) fn holds(&self, page: u32) -> bool {
        self.frames.contains_key(&page)
    }

    /// Pages of which the newest content came after a frame.
    pub(crate) fn since(&self, frame: u32) -> impl Iterator<Item = u32> + '_ {
        self.frames
            .iter()
            .filter(move |(_, last)| **last > frame)
            .map(|(&page, _)| page)
    }

    /// Reads a page from the log; `false` if the database's own file holds it.
    pub(crate) fn read_page(&self, wal: &File, path: &Path, page: u32, into: &mut [u8]) -> Result<bool> {
        let Some(&frame) = self.frames.get(&page) else {
            return Ok(false);
        };
        let start = frame_start(frame, self.page_size) + FRAME_HEADER as u64;
        wal.read_exact_at(into, start).at(READ, path)?;
        Ok(true)
    }
}

/// What is in a log.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The frames that count.
    pub(crate) overlay: Overlay,
    /// Whole frames in the file, counting or not.
    pub(crate) frames_in_file: u64,
    /// Why the chain ended before the file did.
    pub(crate) ended: Option<Ended>,
}

/// Why a log counts only in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// What follows belongs to an older log: this one was begun anew over it.
    Restarted,
    /// The last transaction was not finished.
    Uncommitted,
    /// A frame of this very log is broken, and nothing that was committed lies behind it: a torn end.
    Torn,
    /// A frame is broken, and committed frames of the same log lie behind it.
    BrokenFrame,
    /// The header is broken, and the log holds frames.
    BrokenHeader(&'static str),
}

impl Scan {
    /// What would be lost in silence if this log were taken as SQLite takes it.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        match self.ended? {
            Ended::BrokenFrame => Some("a frame is broken"),
            Ended::BrokenHeader(why) => Some(why),
            Ended::Restarted | Ended::Uncommitted | Ended::Torn => None,
        }
    }
}

fn frame_start(frame: u32, page_size: u32) -> u64 {
    HEADER + u64::from(frame - 1) * (u64::from(page_size) + FRAME_HEADER as u64)
}

/// Follows the log from its beginning, at most as far as frame `until`.
///
/// An empty file is an empty log. A header that SQLite would not accept makes SQLite ignore the log, so it counts as
/// empty too, with [`Scan::ended`] saying why.
pub(crate) fn scan(wal: &File, path: &Path, page_size: u32, until: Option<u32>) -> Result<Scan> {
    let length = wal.metadata().at(READ, path)?.len();
    let frame_bytes = FRAME_HEADER + page_size as usize;
    let frames_in_file = length.saturating_sub(HEADER) / frame_bytes as u64;
    let empty = |why: Option<&'static str>| Scan {
        overlay: Overlay {
            page_size,
            ..Overlay::default()
        },
        frames_in_file,
        ended: why.map(Ended::BrokenHeader),
    };
    if length < HEADER {
        return Ok(empty((length > 0).then_some("its header is cut off")));
    }
    let mut header = [0; HEADER as usize];
    wal.read_exact_at(&mut header, 0).at(READ, path)?;
    let big_endian = match be32(&header, 0).wrapping_sub(MAGIC) {
        0 => false,
        1 => true,
        _ => return Ok(empty(Some("it does not begin as a write-ahead log does"))),
    };
    if be32(&header, 4) != VERSION {
        return Ok(empty(Some("it has another version than the one there is")));
    }
    if be32(&header, 8) != page_size {
        return Ok(empty(Some("its pages have another size than those of its database")));
    }
    let mut checksum = add([0, 0], &header[..24], big_endian);
    if checksum != [be32(&header, 24), be32(&header, 28)] {
        return Ok(empty(Some("the checksum of its header is wrong")));
    }

    let last = until.map_or(frames_in_file, |until| frames_in_file.min(u64::from(until)));
    let mut scan = empty(None);
    let mut uncommitted: Vec<(u32, u32)> = Vec::new();
    let per_chunk = (CHUNK / frame_bytes).max(1) as u64;
    let mut buffer = vec![0; frame_bytes * per_chunk as usize];
    let mut done = 0;
    'chunks: while done < last {
        let count = per_chunk.min(last - done);
        let chunk = &mut buffer[..frame_bytes * count as usize];
        wal.read_exact_at(chunk, HEADER + done * frame_bytes as u64)
            .at(READ, path)?;
        for frame in chunk.chunks_exact(frame_bytes) {
            if frame[8..16] != header[16..24] {
                let behind = done + 1..frames_in_file;
                let is_ours = has_commit(wal, path, behind, frame_bytes, &header[16..24])?;
                scan.ended = Some(if is_ours { Ended::BrokenFrame } else { Ended::Restarted });
                break 'chunks;
            }
            checksum = add(checksum, &frame[..8], big_endian);
            checksum = add(checksum, &frame[FRAME_HEADER..], big_endian);
            if checksum != [be32(frame, 16), be32(frame, 20)] {
                let behind = done + 1..frames_in_file;
                let is_committed = has_commit(wal, path, behind, frame_bytes, &header[16..24])?;
                scan.ended = Some(if is_committed { Ended::BrokenFrame } else { Ended::Torn });
                break 'chunks;
            }
            done += 1;
            let number =
                u32::try_from(done).map_err(|_| Error::damaged(path, "it has more frames than SQLite can number"))?;
            uncommitted.push((be32(frame, 0), number));
            let pages = be32(frame, 4);
            if pages != 0 {
                scan.overlay.frames.extend(uncommitted.drain(..));
                (scan.overlay.mark, scan.overlay.pages) = (number, pages);
                scan.overlay.checksum = checksum;
            }
        }
    }
    if scan.ended.is_none() && done == frames_in_file && !uncommitted.is_empty() && until.is_none() {
        scan.ended = Some(Ended::Uncommitted);
    }
    // A database that shrank has no pages behind its new end.
    let pages = scan.overlay.pages;
    scan.overlay.frames.retain(|&page, _| page <= pages);
    Ok(scan)
}

/// A log of our own, of one transaction.
#[derive(Debug)]
pub(crate) struct LogWriter {
    out: FileWriter,
    page_size: u32,
    salt: [u8; 8],
    checksum: Checksum,
    frames: u64,
    /// The last one, until it is known whether another follows.
    held: Option<(u32, Vec<u8>)>,
}

impl LogWriter {
    pub(crate) fn create(target: &Path, page_size: u32) -> Result<Self> {
        let salt = *b"layered\0";
        let mut header = [0; HEADER as usize];
        for (at, word) in [(0, MAGIC), (4, VERSION), (8, page_size)] {
            header[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        header[16..24].copy_from_slice(&salt);
        let checksum = add([0, 0], &header[..24], false);
        header[24..28].copy_from_slice(&checksum[0].to_be_bytes());
        header[28..].copy_from_slice(&checksum[1].to_be_bytes());
        let mut out = FileWriter::create(target)?;
        out.append(&header)?;
        Ok(Self {
            out,
            page_size,
            salt,
            checksum,
            frames: 0,
            held: None,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_none()
    }

    /// The new content of a page.
    pub(crate) fn add(&mut self, page: u32, content: &[u8]) -> Result<()> {
        if let Some((page, content)) = self.held.replace((page, content.to_vec())) {
            self.write(page, &content, 0)?;
        }
        Ok(())
    }

    /// Commits a database of so many pages; returns how many are in the log.
    pub(crate) fn publish(mut self, pages: u32) -> Result<u64> {
        if let Some((page, content)) = self.held.take() {
            self.write(page, &content, pages)?;
        }
        self.out.publish(|_| Ok(()))?;
        Ok(self.frames)
    }

    fn write(&mut self, page: u32, content: &[u8], commit: u32) -> Result<()> {
        debug_assert_eq!(content.len(), self.page_size as usize);
        let mut header = [0; FRAME_HEADER];
        header[..4].copy_from_slice(&page.to_be_bytes());
        header[4..8].copy_from_slice(&commit.to_be_bytes());
        header[8..16].copy_from_slice(&self.salt);
        self.checksum = add(self.checksum, &header[..8], false);
        self.checksum = add(self.checksum, content, false);
        header[16..20].copy_from_slice(&self.checksum[0].to_be_bytes());
        header[20..].copy_from_slice(&self.checksum[1].to_be_bytes());
        self.out.append(&header)?;
        self.out.append(content)?;
        self.frames += 1;
        Ok(())
    }
}

/// Whether one of these frames claims to end a transaction of the log with this salt.
fn has_commit(wal: &File, path: &Path, frames: std::ops::Range<u64>, frame_bytes: usize, salt: &[u8]) -> Result<bool> {
    for frame in frames {
        let mut header = [0; FRAME_HEADER];
        wal.read_exact_at(&mut header, HEADER + frame * frame_bytes as u64)
            .at(READ, path)?;
        if &header[8..16] == salt && be32(&header, 4) != 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// SQLite's own checksum: two sums over pairs of 32-bit words, each feeding the other.
fn add(mut sum: Checksum, bytes: &[u8], big_endian: bool) -> Checksum {
    for pair in bytes.chunks_exact(8) {
        let word = |at: usize| {
            let word = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
            if big_endian {
                u32::from_be_bytes(word)
            } else {
                u32::from_le_bytes(word)
            }
        };
        sum[0] = sum[0].wrapping_add(word(0)).wrapping_add(sum[1]);
        sum[1] = sum[1].wrapping_add(word(4)).wrapping_add(sum[0]);
    }
    sum
}

/// The same checksum in the byte order of this machine, as the wal-index has it.
pub(super) fn native_checksum(bytes: &[u8]) -> Checksum {
    add([0, 0], bytes, cfg!(target_endian = "big"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rusqlite::Connection;

    use super::*;
    use crate::paths::wal_of;

    /// A database with a log of several transactions, still open (so that SQLite does not remove the log).
    fn with_log(dir: &Path) -> (Connection, PathBuf) {
        let path = dir.join("x.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;
             CREATE TABLE t(x); INSERT INTO t VALUES(randomblob(5000)); INSERT INTO t VALUES(randomblob(9000));",
        )
        .unwrap();
        (db, path)
    }

    fn scan_of(path: &Path) -> Scan {
        let wal = wal_of(path);
        scan(&File::open(&wal).unwrap(), &wal, 1024, None).unwrap()
    }

    #[test]
    fn the_log_holds_what_a_checkpoint_would_write() {
        let tmp = tempfile::tempdir().unwrap();
        let (db, path) = with_log(tmp.path());
        let scan = scan_of(&path);
        assert_eq!(scan.ended, None);
        assert_eq!(u64::from(scan.overlay.mark()), scan.frames_in_file);
        let wal = File::open(wal_of(&path)).unwrap();
        let pages = scan.overlay.pages().unwrap();
        let mut ours = Vec::new();
        for page in 1..=pages {
            let mut bytes = vec![0; 1024];
            assert!(scan.overlay.read_page(&wal, &path, page, &mut bytes).unwrap());
            ours.extend(bytes);
        }
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        assert!(ours == std::fs::read(&path).unwrap());
    }

    #[test]
    fn a_broken_frame_ends_the_log_at_the_commit_before_it() {
        let tmp = tempfile::tempdir().unwrap();
        let (_db, path) = with_log(tmp.path());
        let whole = scan_of(&path);
        let copy = tmp.path().join("y.db");
        let mut bytes = std::fs::read(wal_of(&path)).unwrap();
        let at = bytes.len() - 100;
        bytes[at] ^= 1;
        std::fs::write(wal_of(&copy), &bytes).unwrap();
        let broken = scan_of(&copy);
        assert_eq!(broken.ended, Some(Ended::Torn));
        assert_eq!(broken.broken(), None);
        assert!(broken.overlay.mark() < whole.overlay.mark());
        assert!(broken.overlay.mark() > 0);

        bytes[at] ^= 1;
        bytes[200] ^= 1;
        std::fs::write(wal_of(&copy), &bytes).unwrap();
        assert_eq!(scan_of(&copy).ended, Some(Ended::BrokenFrame));
        bytes[200] ^= 1;
        bytes[3] ^= 4;
        std::fs::write(wal_of(&copy), &bytes).unwrap();
        assert!(scan_of(&copy).broken().is_some());

        std::fs::write(wal_of(&copy), b"no log at all, but long enough for one").unwrap();
        assert_eq!(scan_of(&copy).overlay.mark(), 0);
        assert!(scan_of(&copy).ended.is_some());
        std::fs::write(wal_of(&copy), b"").unwrap();
        assert_eq!(scan_of(&copy).ended, None);
    }

    #[test]
    fn a_scan_can_stop_at_an_earlier_mark() {
        let tmp = tempfile::tempdir().unwrap();
        let (db, path) = with_log(tmp.path());
        let before = scan_of(&path).overlay;
        db.execute_batch("INSERT INTO t VALUES(randomblob(3000))").unwrap();
        let wal = wal_of(&path);
        let again = scan(&File::open(&wal).unwrap(), &wal, 1024, Some(before.mark()))
            .unwrap()
            .overlay;
        assert_eq!(again.frames, before.frames);
        assert_eq!(again.checksum(), before.checksum());
    }
}
