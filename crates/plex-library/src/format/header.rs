//! The first 100 bytes of a database.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{be16, be32};
use crate::error::{At, Error, READ, Result};

/// Length of the header.
pub(crate) const LENGTH: usize = 100;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Byte on which SQLite's locks lie; the page that holds it is never used.
const PENDING_BYTE: u64 = 0x4000_0000;

/// What the header says, checked for being possible at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of a page, a power of two from 512 to 65536.
    pub(crate) page_size: u32,
    /// 1: rollback journal, 2: write-ahead log.
    pub(crate) write_version: u8,
    /// Bytes at the end of each page that SQLite leaves alone.
    pub(crate) reserved: u8,
    /// Counts transactions outside of WAL mode.
    pub(crate) change_counter: u32,
    /// Pages of the database, if [`Header::version_valid_for`] equals the change counter.
    pub(crate) pages: u32,
    /// First trunk page of the freelist, or 0.
    pub(crate) freelist: u32,
    /// Pages in the freelist.
    pub(crate) free_pages: u32,
    /// Biggest root page in an auto-vacuum database, else 0.
    pub(crate) largest_root: u32,
    /// `PRAGMA user_version`.
    pub(crate) user_version: i32,
    /// `PRAGMA application_id`.
    pub(crate) application_id: i32,
    /// Change counter at which [`Header::pages`] was written.
    pub(crate) version_valid_for: u32,
}

impl Header {
    /// Reads it from the beginning of a page.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn parse(bytes: &[u8; LENGTH]) -> Result<Self, String> {
        if &bytes[..16] != MAGIC {
            return Err("it does not begin as an SQLite database does".into());
        }
        let page_size = match be16(bytes, 16) {
            1 => 65536,
            size @ 512.. if size.is_power_of_two() => u32::from(size),
            size => return Err(format!("its header claims a page size of {size} bytes")),
        };
        let (write_version, read_version) = (bytes[18], bytes[19]);
        if !(1..=2).contains(&write_version) || !(1..=2).contains(&read_version) {
            return Err(format!(
                "its header claims format versions {write_version} and {read_version}"
            ));
        }
        if (bytes[21], bytes[22], bytes[23]) != (64, 32, 32) {
            return Err("the payload fractions in its header are not the fixed ones".into());
        }
        let encoding = be32(bytes, 56);
        if encoding > 3 {
            return Err(format!("its header claims text encoding {encoding}"));
        }
        if bytes[72..92].iter().any(|&byte| byte != 0) {
            return Err("reserved bytes of its header are not zero".into());
        }
        let header = Self {
            page_size,
            write_version,
            reserved: bytes[20],
            change_counter: be32(bytes, 24),
            pages: be32(bytes, 28),
            freelist: be32(bytes, 32),
            free_pages: be32(bytes, 36),
            largest_root: be32(bytes, 52),
            user_version: be32(bytes, 60).cast_signed(),
            application_id: be32(bytes, 68).cast_signed(),
            version_valid_for: be32(bytes, 92),
        };
        if header.page_size - u32::from(header.reserved) < 480 {
            return Err("its header reserves more of a page than SQLite permits".into());
        }
        Ok(header)
    }

    /// Reads it from the beginning of a file.
    pub(crate) fn read(file: &File, path: &Path) -> Result<Self> {
        let mut bytes = [0; LENGTH];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                let length = file.metadata().at(READ, path)?.len();
                Err(Error::damaged(path, format!("it is only {length} bytes long")))
            }
            Err(error) => Err(error).at(READ, path),
            Ok(()) => Self::parse(&bytes).map_err(|what| Error::damaged(path, what)),
        }
    }

    /// Pages of a file of `length` bytes: as the header says if it may be believed, else as many as are there.
    pub(crate) fn pages_in(&self, length: u64) -> u32 {
        if self.pages != 0 && self.version_valid_for == self.change_counter {
            self.pages
        } else {
            u32::try_from(length / u64::from(self.page_size)).unwrap_or(u32::MAX)
        }
    }
}

/// The page that SQLite never uses, because its locks lie there.
pub(crate) fn lock_page(page_size: u32) -> u32 {
    // At most 2^30 / 512 + 1.
    u32::try_from(PENDING_BYTE / u64::from(page_size) + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> [u8; LENGTH] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA page_size=2048; PRAGMA user_version=-7; CREATE TABLE t(x)")
            .unwrap();
        drop(db);
        std::fs::read(&path).unwrap()[..LENGTH].try_into().unwrap()
    }

    #[test]
    fn what_sqlite_writes_is_read() {
        let header = Header::parse(&header()).unwrap();
        assert_eq!((header.page_size, header.pages, header.user_version), (2048, 2, -7));
        assert_eq!(header.pages_in(0), 2);
    }

    #[test]
    fn impossible_values_are_named() {
        for (at, byte, says) in [
            (0, b'x', "begin"),
            (16, 0x03, "page size"),
            (18, 9, "versions"),
            (21, 63, "fractions"),
            (59, 9, "encoding"),
            (80, 1, "reserved bytes"),
        ] {
            let mut bytes = header();
            bytes[at] = byte;
            let what = Header::parse(&bytes).unwrap_err();
            assert!(what.contains(says), "{what}");
        }
    }

    #[test]
    fn the_lock_page_is_the_one_at_one_gibibyte() {
        assert_eq!(lock_page(1024), 1_048_577);
        assert_eq!(lock_page(65536), 16_385);
    }
}
