//! SQLite's files as bytes: the header of a database, the write-ahead log and the wal-index, each as sqlite.org's
//! "Database File Format" and "WAL-mode File Format" describe them.
//!
//! Only what cannot be had through SQLite itself is read here: a snapshot has to be taken page by page, and a damaged
//! file has to be judged before SQLite is let near it. Nothing here writes.

pub(crate) mod btree;
pub(crate) mod header;
pub(crate) mod index;
pub(crate) mod pages;
pub(crate) mod record;
pub(crate) mod row;
pub(crate) mod wal;

/// Big-endian 32-bit number at `at`; the callers' slices have a fixed, sufficient size.
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Big-endian 16-bit number at `at`.
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
