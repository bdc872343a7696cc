//! Packing what is new in the bundle trees.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::entry::{Entry, write_end};
use super::{FORMAT, Index, MANIFEST, Manifest, Pack, walk};
use crate::error::{At, Error, OPEN, READ, Result};
use crate::packer::{Effort, Object, Packer, Threads};
use crate::progress::Progress;
use crate::publish::FolderWriter;
use crate::snapshot::write_document;

/// Bytes of files in one pack: an interrupted transfer loses at most one, and unpacking stages one at a time.
const PACK_BYTES: u64 = 256 * 1024 * 1024;

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
    open: Option<Packer>,
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
        let packer = match &mut self.open {
            Some(packer) => packer,
            open => {
                let name = format!("{:04}.bundles", self.manifest.packs.len());
                open.insert(Packer::create(&self.dir.join(name), Threads::One, Effort::Whole)?)
            }
        };
        entry.write(packer, content).at("pack", path)?;
        self.raw_in_open += entry.bytes;
        self.manifest.files += 1;
        self.manifest.raw_bytes += entry.bytes;
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.raw_in_open = 0;
        let Some(mut packer) = self.open.take() else {
            return Ok(());
        };
        write_end(&mut packer).at("write", self.dir)?;
        let Object { file, bytes, blake3 } = packer.publish()?;
        self.manifest.packs.push(Pack { file, bytes, blake3 });
        Ok(())
    }
}
