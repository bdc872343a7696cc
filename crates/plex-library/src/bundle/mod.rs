//! The bundle trees: `Metadata/` and `Media/` of Plex's data directory, hundreds of thousands of small files (posters,
//! thumbnails, chapter images) named by hashes.
//!
//! They do not travel to a worker. What it made there comes home in packs and is *added*: a file that home has already
//! stays as it is, whatever the worker made of it, since it may be the household's own poster. Adding needs no stop of
//! Plex and may be done again.
//!
//! A pack that travelled is not trusted: its hash is checked before it is opened, each file's hash before the file gets
//! its name, and no name in it can lead out of the two trees, through symbolic links neither.

mod add;
mod entry;
mod pack;
mod rename;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{At, OPEN, READ, Result};
use crate::snapshot::read_versioned;

pub use add::{Added, add};
pub(crate) use entry::link_stays_inside;
pub use pack::pack;
pub use rename::rename;

/// The trees, by their names below the data directory.
pub const TREES: [&str; 2] = ["Metadata", "Media"];

/// File name of the manifest of a folder of packs.
pub const MANIFEST: &str = "bundles.json";

/// Version of the manifest that is written.
pub const FORMAT: u32 = 1;

/// Which files there are, by size and time: what [`pack()`] compares with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    files: BTreeMap<Vec<u8>, Look>,
}

/// What a file looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    bytes: u64,
    modified: (i64, i64),
}

impl Index {
    /// The files of both trees below `data_dir`, as they are now. A tree that is not there has none.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn of(data_dir: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        walk(data_dir, |relative, _, meta| {
            files.insert(relative.to_vec(), Look::of(meta));
            Ok(())
        })?;
        Ok(Self { files })
    }

    /// Number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn has(&self, relative: &[u8], meta: &fs::Metadata) -> bool {
        self.files.get(relative) == Some(&Look::of(meta))
    }
}

impl Look {
    fn of(meta: &fs::Metadata) -> Self {
        Self {
            bytes: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        }
    }
}

/// What a folder of packs is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// The packs, in order.
    pub packs: Vec<Pack>,
    /// Files in all packs.
    pub files: u64,
    /// Bytes of these files.
    pub raw_bytes: u64,
}

/// One pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// Its file name.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its hash, in hexadecimal.
    pub blake3: String,
}

impl Manifest {
    /// Reads the manifest of a folder of packs.
    ///
    /// # Errors
    /// [`crate::Error::Damaged`] if it is none, [`crate::Error::Mismatch`] if a newer program wrote it.
    pub fn read(packs: &Path) -> Result<Self> {
        let path = packs.join(MANIFEST);
        let bytes = fs::read(&path).at(READ, &path)?;
        let manifest: Self = read_versioned(&bytes, &path, FORMAT)?;
        match manifest
            .packs
            .iter()
            .find(|pack| pack.file.contains('/') || pack.file.starts_with('.'))
        {
            Some(pack) => Err(crate::Error::damaged(&path, format!("it names a pack {:?}", pack.file))),
            None => Ok(manifest),
        }
    }

    /// Bytes of all packs.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.packs.iter().map(|pack| pack.bytes).sum()
    }
}

/// What the files of both trees weigh.
///
/// # Errors
/// A folder cannot be listed.
pub fn bytes(data_dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    walk(data_dir, |_, _, meta| {
        bytes += meta.len();
        Ok(())
    })?;
    Ok(bytes)
}

/// Visits every file and symbolic link of both trees in the order of their names, with its path relative to the data
/// directory. The trees themselves may be links to another disk; nothing below them is followed.
pub(crate) fn walk(data_dir: &Path, mut visit: impl FnMut(&[u8], &Path, &fs::Metadata) -> Result<()>) -> Result<()> {
    for tree in TREES {
        let top = data_dir.join(tree);
        let Some(real) = real_tree(&top)? else {
            continue;
        };
        let mut open = vec![real.clone()];
        while let Some(path) = open.pop() {
            let meta = match fs::symlink_metadata(&path) {
                // Plex collects bundles while it runs.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                meta => meta.at(OPEN, &path)?,
            };
            if meta.is_dir() {
                let mut below = Vec::new();
                for entry in fs::read_dir(&path).at(OPEN, &path)? {
                    let entry = entry.at(OPEN, &path)?;
                    // Left by a killed run of `add`.
                    if !(path == real && entry.file_name().as_bytes().starts_with(b".")) {
                        below.push(entry.path());
                    }
                }
                below.sort_unstable_by(|a, b| b.cmp(a));
                open.append(&mut below);
            } else if meta.is_file() || meta.is_symlink() {
                let below = path.strip_prefix(&real).unwrap_or(&path);
                visit(Path::new(tree).join(below).as_os_str().as_bytes(), &path, &meta)?;
            }
        }
    }
    Ok(())
}

/// Where a tree really is; `None` if there is none.
fn real_tree(top: &Path) -> Result<Option<PathBuf>> {
    match fs::canonicalize(top) {
        Ok(real) => Ok(Some(real)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at(OPEN, top),
    }
}
