//! A hash per page of a database: enough to tell later which pages changed, without keeping a second copy.
//!
//! An index is a file: a header (magic, version, page size, pages, BLAKE3 of the whole database), 16 bytes per page (its
//! XXH3), and a BLAKE3 over all of that. It is written and read as a stream, so that a 15 GB library of 1 KiB pages costs
//! 240 MB of disk and next to no memory. 16 bytes leave the chance of two different pages looking alike at 2⁻⁶⁸ for a
//! billion pages. XXH3 is no cryptographic hash, and need not be one: it only says which pages travel. That what they make
//! is the whole result is proved by its BLAKE3, so pages that somebody made to look alike end in a refusal. BLAKE3 for each
//! page would take three times as long as all else that is done to it.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{At, Error, OPEN, READ, Result};
use crate::hashing::Hashing;
use crate::paths::{Databases, Which};
use crate::progress::{Meter, Progress};
use crate::publish::FileWriter;
use crate::source::Source;

const MAGIC: &[u8; 8] = b"PLXPAGES";
const VERSION: u32 = 2;
const HEADER: usize = 8 + 4 + 4 + 4 + 32;
/// Bytes of an index that are read at once.
const READ_AHEAD: usize = 256 * 1024;

/// Hash of one page.
pub(crate) type PageHash = [u8; 16];

pub(crate) fn hash_page(page: &[u8]) -> PageHash {
    twox_hash::XxHash3_128::oneshot(page).to_le_bytes()
}

/// A whole file by size and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// Bytes; pages × page size.
    pub bytes: u64,
    /// Bytes of a page.
    pub page_size: u32,
    /// Number of pages.
    pub pages: u32,
    /// BLAKE3 of all pages in order, in hexadecimal.
    pub blake3: String,
}

impl Whole {
    /// A database of whose pages this is the hash.
    pub(crate) fn of(source: &Source, hash: blake3::Hash) -> Self {
        Self {
            bytes: source.bytes(),
            page_size: source.page_size(),
            pages: source.pages(),
            blake3: hash.to_hex().to_string(),
        }
    }
}

/// Name of the index of one database within a folder.
#[must_use]
pub fn index_name(which: Which) -> String {
    format!("{}.pages", which.word())
}

/// Path of the index of one database within a folder.
#[must_use]
pub fn index_path(dir: &Path, which: Which) -> PathBuf {
    dir.join(index_name(which))
}

/// Writes the indices of the databases that are there into `dir`, as `library.pages` and `blobs.pages`.
///
/// # Errors
/// If a database cannot be read as a moment, or `dir` cannot be written.
pub fn index_pair(databases: &Databases, dir: &Path, progress: &dyn Progress) -> Result<()> {
    for which in crate::open::present(databases) {
        index(&databases.path(which), &index_path(dir, which), progress)?;
    }
    Ok(())
}

/// Writes the index of `database`, as it is at this moment, to `target`.
///
/// # Errors
/// As [`index_pair`].
pub fn index(database: &Path, target: &Path, progress: &dyn Progress) -> Result<Whole> {
    let source = Source::open(database)?;
    let mut writer = IndexWriter::create(target, source.page_size(), source.pages())?;
    let mut meter = Meter::new(progress, "index", source.bytes());
    source.shared_chunks(|_, pages| {
        writer.add(pages)?;
        meter.add(pages.len())
    })?;
    source.confirm()?;
    writer.publish()
}

/// An index that is being written.
#[derive(Debug)]
pub(crate) struct IndexWriter {
    target: PathBuf,
    hashes: FileWriter,
    all: Hashing,
    page_size: u32,
    pages: u32,
    added: u32,
}

impl IndexWriter {
    pub(crate) fn create(target: &Path, page_size: u32, pages: u32) -> Result<Self> {
        let mut hashes = FileWriter::create(target)?;
        // The place of the header; what belongs there is known at the end.
        hashes.append(&[0; HEADER])?;
        Ok(Self {
            target: target.to_owned(),
            hashes,
            all: Hashing::begin(),
            page_size,
            pages,
            added: 0,
        })
    }

    /// Takes the next pages, in order.
    pub(crate) fn add(&mut self, pages: &Arc<Vec<u8>>) -> Result<()> {
        self.all.update_shared(pages);
        for page in pages.chunks_exact(self.page_size as usize) {
            self.added += 1;
            self.hashes.append(&hash_page(page))?;
        }
        Ok(())
    }

    pub(crate) fn publish(self) -> Result<Whole> {
        if self.added != self.pages {
            return Err(Error::damaged(
                &self.target,
                format!("{} of {} pages were read", self.added, self.pages),
            ));
        }
        let hash = self.all.finish();
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&self.page_size.to_le_bytes());
        header[16..20].copy_from_slice(&self.pages.to_le_bytes());
        header[20..].copy_from_slice(hash.as_bytes());
        let target = &self.target;
        self.hashes.publish_with(&header, |file| {
            let mut whole = blake3::Hasher::new();
            whole.update_reader(&mut *file).at(READ, target)?;
            Ok(whole.finalize().as_bytes().to_vec())
        })?;
        Ok(Whole {
            bytes: u64::from(self.pages) * u64::from(self.page_size),
            page_size: self.page_size,
            pages: self.pages,
            blake3: hash.to_hex().to_string(),
        })
    }
}

/// An index that is read once from its beginning; verified as a whole when it is opened.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    whole: Whole,
    hashes: BufReader<File>,
    left: u32,
}

impl Index {
    /// Opens and verifies an index.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is not what was written, [`Error::Mismatch`] if a newer program wrote it.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).at(OPEN, path)?;
        let bytes = file.metadata().at(OPEN, path)?.len();
        let mut header = [0; HEADER];
        file.read_exact(&mut header)
            .map_err(|_| Error::damaged(path, "it is too short for an index of pages"))?;
        if &header[..8] != MAGIC {
            return Err(Error::damaged(path, "it does not begin as an index of pages does"));
        }
        let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if word(8) != VERSION {
            return Err(Error::mismatch(
                path,
                format!("version {} where {VERSION} can be read", word(8)),
            ));
        }
        let (page_size, pages) = (word(12), word(16));
        if bytes != HEADER as u64 + u64::from(pages) * 16 + 32 {
            return Err(Error::damaged(path, "its length does not fit the number of its pages"));
        }
        let mut seal = blake3::Hasher::new();
        seal.update(&header);
        let mut body = Read::take(&mut file, u64::from(pages) * 16);
        seal.update_reader(&mut body).at(READ, path)?;
        let mut stored = [0; 32];
        file.read_exact(&mut stored).at(READ, path)?;
        if seal.finalize() != blake3::Hash::from_bytes(stored) {
            return Err(Error::damaged(path, "its own hash is wrong"));
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(&header[20..]);
        let whole = Whole {
            bytes: u64::from(pages) * u64::from(page_size),
            page_size,
            pages,
            blake3: blake3::Hash::from_bytes(hash).to_hex().to_string(),
        };
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(HEADER as u64)).at(READ, path)?;
        Ok(Self {
            path: path.to_owned(),
            whole,
            hashes: BufReader::with_capacity(READ_AHEAD, file),
            left: pages,
        })
    }

    /// The database that was indexed.
    #[must_use]
    pub fn whole(&self) -> &Whole {
        &self.whole
    }

    /// Hash of the next page; `None` behind the last.
    pub(crate) fn next(&mut self) -> Result<Option<PageHash>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut hash = [0; 16];
        self.hashes.read_exact(&mut hash).at(READ, &self.path)?;
        self.left -= 1;
        Ok(Some(hash))
    }
}
