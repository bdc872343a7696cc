//! The exact way back of a remap, as a file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::mapping::Mapping;
use crate::error::{At, READ, Result};
use crate::snapshot::{read_versioned, write_document};

/// Version of the form.
pub const FORMAT: u32 = 1;

/// What has to be done to take a remap back. Says nothing about rows that came since; the mappings do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inverse {
    /// Version of the form.
    pub format: u32,
    /// The mappings that were applied, longest old root first.
    pub mappings: Vec<Mapping>,
    /// The rows that were rewritten.
    pub rewritten: Vec<Rewritten>,
    /// The roots that went because another of their section has the same path.
    pub removed: Vec<Removed>,
    /// The references that followed.
    pub moved: Vec<Moved>,
    /// The last id of each table that was written: rows beyond came later.
    pub last_ids: BTreeMap<String, i64>,
}

/// Rows of a column whose beginning was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewritten {
    /// The table.
    pub table: String,
    /// Its column.
    pub column: String,
    /// What their values began with.
    pub from: Bytes,
    /// What they begin with now.
    pub to: Bytes,
    /// Their ids, as first and last of each run.
    pub ids: Vec<(i64, i64)>,
    /// Hash of ids and values before, in the order of the ids.
    pub before: String,
    /// Hash of ids and values after.
    pub after: String,
}

/// A row that was removed, by column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Removed {
    /// The table.
    pub table: String,
    /// All its values.
    pub values: BTreeMap<String, Stored>,
}

/// References that were moved from one row to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The table.
    pub table: String,
    /// Its column.
    pub column: String,
    /// What they referred to.
    pub from: i64,
    /// What they refer to now.
    pub to: i64,
    /// Their ids, as first and last of each run.
    pub ids: Vec<(i64, i64)>,
}

/// A value of SQLite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// Text.
    Text(Bytes),
    /// Bytes.
    Blob(Bytes),
}

/// Bytes that are nearly always text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bytes {
    /// As they are.
    Text(String),
    /// What is no UTF-8.
    Raw(Vec<u8>),
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Raw(error.into_bytes()), Self::Text)
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Raw(bytes) => bytes,
        }
    }
}

impl Inverse {
    /// Reads one.
    ///
    /// # Errors
    /// A file that cannot be read, is broken, or of a newer program.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).at(READ, path)?;
        read_versioned(&bytes, path, FORMAT)
    }

    /// Writes it; it is durable when this returns.
    ///
    /// # Errors
    /// The disk.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_document(path, self)
    }
}

/// Ids in ascending order as runs.
pub(super) fn runs(ids: &[i64]) -> Vec<(i64, i64)> {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for &id in ids {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(id) => *last = id,
            _ => runs.push((id, id)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_make_a_run() {
        assert_eq!(runs(&[1, 2, 3, 7, 9, 10]), [(1, 3), (7, 7), (9, 10)]);
        assert_eq!(runs(&[]), []);
        assert_eq!(runs(&[i64::MAX]), [(i64::MAX, i64::MAX)]);
    }

    #[test]
    fn bytes_come_back_whatever_they_are() {
        for bytes in [b"/plain".to_vec(), vec![b'/', 0xff, 0xfe]] {
            let text = serde_json::to_string(&Bytes::from(bytes.clone())).unwrap();
            let back: Bytes = serde_json::from_str(&text).unwrap();
            assert_eq!(back.as_ref(), bytes);
        }
    }
}
