//! What a burst changed in the databases: the pages that differ from the base, and nothing else.
//!
//! A delta is a folder: `delta.json` and one compressed object per database. The manifest holds the hashes of base,
//! result and objects; [`apply`] uses nothing before its hash is verified and publishes nothing whose hash is not the
//! promised one. Page sizes may be any, and the files may grow or shrink.

mod apply;
mod make;
mod stream;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{At, Error, READ, Result};
use crate::pages::Whole;
use crate::paths::Which;
use crate::snapshot::read_versioned;

pub use crate::packer::Object;
pub use apply::apply;
pub use make::make;
pub(crate) use make::{Changes, make_of, seal};

/// File name of the manifest within a delta.
pub const MANIFEST: &str = "delta.json";

/// Version of the manifest that is written.
pub const FORMAT: u32 = 1;

/// What a delta is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// When it was made, RFC 3339, UTC.
    pub made_at: String,
    /// What changed in each database.
    pub databases: BTreeMap<Which, Change>,
}

/// What changed in one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The database before.
    pub base: Whole,
    /// The database after.
    pub result: Whole,
    /// Pages of the result that differ from the base, or that the base does not have.
    pub changed_pages: u32,
    /// The file that holds them.
    pub object: Object,
}

impl Manifest {
    /// Reads the manifest of a delta.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is none, [`Error::Mismatch`] if a newer program wrote it.
    pub fn read(delta: &Path) -> Result<Self> {
        let path = delta.join(MANIFEST);
        let bytes = std::fs::read(&path).at(READ, &path)?;
        let manifest: Self = read_versioned(&bytes, &path, FORMAT)?;
        for change in manifest.databases.values() {
            // The name comes from a file that travelled: it must not lead out of the folder.
            if change.object.file.contains('/') || change.object.file.starts_with('.') {
                return Err(Error::damaged(
                    &path,
                    format!("it names an object {:?}", change.object.file),
                ));
            }
        }
        Ok(manifest)
    }

    /// Bytes of all objects.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.databases.values().map(|change| change.object.bytes).sum()
    }
}

/// Name of the object of one database.
fn object_name(which: Which) -> String {
    format!("{}.delta", which.word())
}
