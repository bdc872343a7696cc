//! Packing what is new in the bundle trees.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::entry::{Entry, write_end};
use super::{FORMAT, Index, MANIFEST, Manifest, Pack, walk};
use crate::error::{At, Error, OPEN, READ, Result};
use crate::progress::Progress;
use crate::publish::{FileWriter, FolderWriter};
use crate::snapshot::write_document;

/// Bytes of files in one pack: an interrupted transfer loses at most one, and unpacking stages one at a time.
const PACK_BYTES: u64 = 256 * 1024 * 1024;

/// Most bundle files are JPEGs: higher levels gain nothing on them.
const LEVEL: i32 = 3;

/// Packs the files below `data_dir` that are not in `since`, or look different now, into the folder `out` (which must not
/// exist or be empty). A file that goes while it is packed is left out.
///
/// # Errors
/// If a file cannot be read or `out` cannot be written; [`Error::Cancelled`].
pub fn pack(data_dir: &Path, since: &Index, out: &Path, progress: &dyn Progress) -> Result<Manifest> {
    let folder = FolderWriter::create(out)?;
    let mut packs = Packs {
        dir: folder.path(),
        open: None,
        raw_in_open: 0,
        manifest: Manifest {
            format: FORMAT,
            packs: Vec::new(),
            files: 0,
            raw_bytes: 0,
        },
    };
    walk(data_dir, |relative, path, meta| {
        if progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if since.has(relative, meta) {
            return Ok(());
        }
        packs.add(relative, path, meta)?;
        progress.advance("bundles", packs.manifest.raw_bytes, packs.manifest.raw_bytes);
        Ok(())
    })?;
    packs.close()?;
    let manifest = packs.manifest;
    write_document(&folder.path().join(MANIFEST), &manifest)?;
    folder.publish()?;
    Ok(manifest)
}

struct Packs<'a> {
    dir: &'a Path,
    open: Option<(String, zstd::Encoder<'static, Hashed>)>,
    raw_in_open: u64,
    manifest: Manifest,
}

impl Packs<'_> {
    fn add(&mut self, relative: &[u8], path: &Path, meta: &fs::Metadata) -> Result<()> {
        let is_link = meta.is_symlink();
        let target = if is_link {
            fs::read_link(path).at(READ, path)?.into_os_string()
        } else {
            Default::default()
        };
        let entry = Entry {
            is_link,
            path: relative.to_vec(),
            mode: meta.permissions().mode() & 0o777,
            modified: (meta.mtime(), meta.mtime_nsec()),
            bytes: if is_link { target.len() as u64 } else { meta.len() },
        };
        if is_link {
            return self.write(&entry, path, &mut target.as_bytes());
        }
        match File::open(path) {
            Ok(mut file) => self.write(&entry, path, &mut file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).at(OPEN, path),
        }
    }

    fn write(&mut self, entry: &Entry, path: &Path, content: &mut impl io::Read) -> Result<()> {
        if self.raw_in_open >= PACK_BYTES {
            self.close()?;
        }
        let encoder = match &mut self.open {
            Some((_, encoder)) => encoder,
            open => {
                let name = format!("{:04}.bundles", self.manifest.packs.len());
                let target = self.dir.join(&name);
                let out = Hashed {
                    out: FileWriter::create(&target)?,
                    hash: blake3::Hasher::new(),
                };
                let encoder = zstd::Encoder::new(out, LEVEL).at("compress", &target)?;
                &mut open.insert((name, encoder)).1
            }
        };
        entry.write(encoder, content).at("pack", path)?;
        self.raw_in_open += entry.bytes;
        self.manifest.files += 1;
        self.manifest.raw_bytes += entry.bytes;
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.raw_in_open = 0;
        let Some((file, mut encoder)) = self.open.take() else {
            return Ok(());
        };
        let target = self.dir.join(&file);
        let done = write_end(&mut encoder)
            .and_then(|()| encoder.finish())
            .at("write", &target)?;
        let (bytes, hash) = (done.out.written(), done.hash.finalize());
        done.out.publish(|written| {
            let mut read = blake3::Hasher::new();
            read.update_reader(written).at(READ, &target)?;
            if read.finalize() == hash {
                Ok(())
            } else {
                Err(Error::damaged(&target, "reads back other bytes than were written"))
            }
        })?;
        self.manifest.packs.push(Pack {
            file,
            bytes,
            blake3: hash.to_hex().to_string(),
        });
        Ok(())
    }
}

/// Hashes what passes through to the file.
struct Hashed {
    out: FileWriter,
    hash: blake3::Hasher,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
