//! A compressed file that is hashed on its way out and read back before it gets its name.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zstd::zstd_safe::CParameter;

use crate::error::{At, Error, READ, Result};
use crate::publish::FileWriter;

/// How hard zstd tries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effort {
    /// For what is mostly new to it: higher levels cost several times the time for a few per cent.
    Whole = 3,
    /// For single pages of a database: a third faster, and 0.8 % more bytes (the bench's changed pages; level 1 2.6 %).
    Pages = 2,
}

/// More threads than these do not make it faster: one thread has to read and hash for all of them.
const MOST_THREADS: usize = 8;

/// A file that travels, by size and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its name within its folder.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its BLAKE3, in hexadecimal.
    pub blake3: String,
}

/// Who compresses.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Threads {
    /// One beside the one that writes: for what is small.
    One,
    /// As many as there are processors.
    All,
}

/// A compressed file that is being written under a temporary name; dropping it unfinished removes it.
pub(crate) struct Packer {
    path: PathBuf,
    encoder: zstd::Encoder<'static, Hashed>,
}

impl Packer {
    pub(crate) fn create(path: &Path, threads: Threads, effort: Effort) -> Result<Self> {
        let hashed = Hashed {
            out: FileWriter::create(path)?,
            hash: blake3::Hasher::new(),
        };
        let mut encoder = zstd::Encoder::new(hashed, effort as i32).at("compress", path)?;
        encoder.include_checksum(true).at("compress", path)?;
        let count = match threads {
            Threads::One => 1,
            Threads::All => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        };
        let count = u32::try_from(count.min(MOST_THREADS)).unwrap_or(1);
        encoder.multithread(count).at("compress", path)?;
        if matches!(effort, Effort::Pages) {
            // zstd would take 4 MiB: as many bytes come out, and the last job, for which all wait, is shorter.
            encoder
                .set_parameter(CParameter::JobSize(1 << 20))
                .at("compress", path)?;
        }
        Ok(Self {
            path: path.to_owned(),
            encoder,
        })
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.encoder.write_all(bytes).at("write", &self.path)
    }

    /// Ends it, reads it back, and gives it its name.
    pub(crate) fn publish(self) -> Result<Object> {
        let path = self.path;
        let Hashed { out, hash } = self.encoder.finish().at("write", &path)?;
        let (bytes, blake3) = (out.written(), hash.finalize().to_hex().to_string());
        out.publish(|file| {
            let mut read = blake3::Hasher::new();
            read.update_reader(file).at(READ, &path)?;
            if read.finalize().to_hex().as_str() == blake3 {
                Ok(())
            } else {
                Err(Error::damaged(&path, "reads back other bytes than were written"))
            }
        })?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Object { file, bytes, blake3 })
    }
}

impl Write for Packer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.encoder.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        // What the compressor holds back is written by `publish`.
        Ok(())
    }
}

/// Hashes what passes through to the file.
struct Hashed {
    out: FileWriter,
    hash: blake3::Hasher,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
