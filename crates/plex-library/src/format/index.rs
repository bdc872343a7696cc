//! The header of the wal-index (`-shm`): where readers that begin now would end.
//!
//! Read with plain file reads; on Linux they see what other processes wrote into their shared mapping. Only the header
//! and the checkpoint counter are looked at, nothing is ever locked or written here.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::wal::{Checksum, native_checksum};

/// Length of one copy of the header; there are two, one after the other.
const LENGTH: usize = 48;

/// One moment of a database in WAL mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Counts transactions; two equal moments have nothing between them.
    change: u32,
    /// Frames of the log that belong to it.
    pub(crate) mark: u32,
    /// Pages of the database.
    pub(crate) pages: u32,
    /// Bytes of a page.
    pub(crate) page_size: u32,
    /// Running checksum of the log at its last frame.
    pub(crate) checksum: Checksum,
    /// Which log: it changes whenever the log begins anew.
    salt: [u8; 8],
}

impl Moment {
    /// Whether the log was not begun anew between the two.
    pub(crate) fn is_of_the_same_log(&self, other: &Self) -> bool {
        self.salt == other.salt
    }

    /// Whether nothing was written between the two, also if the log was begun anew: that is no transaction.
    pub(crate) fn is_as_far_as(&self, other: &Self) -> bool {
        self.change == other.change && (self.salt != other.salt || self.mark == other.mark)
    }

    /// Whether the log was begun anew exactly once since `before`. A log that nothing was written to has no number yet.
    pub(crate) fn is_of_the_log_after(&self, before: &Self) -> bool {
        // The first half of the salt counts the logs, in the byte order of the file.
        let number = |salt: &[u8; 8]| u32::from_be_bytes([salt[0], salt[1], salt[2], salt[3]]);
        before.mark == 0 || number(&self.salt) == number(&before.salt).wrapping_add(1)
    }
}

/// The moment that the index shows; `None` while a writer is changing it, or if there is no valid index.
pub(crate) fn moment(shm: &File) -> Option<Moment> {
    let mut both = [0; 2 * LENGTH];
    shm.read_exact_at(&mut both, 0).ok()?;
    let (first, second) = both.split_at(LENGTH);
    let is_initialised = first[12] != 0;
    let word = |at: usize| u32::from_ne_bytes([first[at], first[at + 1], first[at + 2], first[at + 3]]);
    if first != second || !is_initialised || native_checksum(&first[..40]) != [word(40), word(44)] {
        return None;
    }
    let page_size = match u16::from_ne_bytes([first[14], first[15]]) {
        1 => 65536,
        size => u32::from(size),
    };
    Some(Moment {
        change: word(8),
        mark: word(16),
        pages: word(20),
        page_size,
        checksum: [word(24), word(28)],
        salt: first[32..40].try_into().ok()?,
    })
}

/// Frames that a checkpoint has already written into the database's own file.
pub(crate) fn written_back(shm: &File) -> Option<u32> {
    let mut word = [0; 4];
    shm.read_exact_at(&mut word, 2 * LENGTH as u64).ok()?;
    Some(u32::from_ne_bytes(word))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::format::wal;
    use crate::paths::{shm_of, wal_of};

    #[test]
    fn the_index_agrees_with_the_log() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("x.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;
             CREATE TABLE t(x); INSERT INTO t VALUES(randomblob(50000));",
        )
        .unwrap();
        // Closing these would drop the locks of `db`, which nobody else wants here.
        let (shm, log) = (File::open(shm_of(&path)).unwrap(), File::open(wal_of(&path)).unwrap());
        let moment = moment(&shm).unwrap();
        let scan = wal::scan(&log, &path, 4096, None).unwrap().overlay;
        assert_eq!((moment.mark, Some(moment.pages)), (scan.mark(), scan.pages()));
        assert_eq!((moment.page_size, moment.checksum), (4096, scan.checksum()));
        assert_eq!(written_back(&shm), Some(0));
        db.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").unwrap();
        assert_eq!(written_back(&shm), Some(moment.mark));
    }
}
