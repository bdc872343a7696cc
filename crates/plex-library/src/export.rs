//! A library as one archive, in one pass: from the running server's files through the compressor into the archive, with no
//! copy in between.
//!
//! The form is that of [`crate::archive`]: tar in zstd, the databases first, then our manifest, then the bundles if they are
//! wanted. What is left out is left out by naming what goes in: dated backups, logs, caches and identity never do. The
//! archive appears under its name when all of it is written, read back and durable; whatever interrupts it, nothing has its
//! name.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use crate::archive::NOTES;
use crate::bundle;
use crate::contents::Cells;
use crate::error::{At, Error, OPEN, READ, Result};
use crate::hashing::Hashing;
use crate::moment::Moment;
use crate::pace::Pace;
use crate::packer::{Effort, Object, Packer, Threads};
use crate::pages::Whole;
use crate::paths::{Databases, Which};
use crate::progress::{Meter, Progress};
use crate::publish::{parent_of, sweep};
use crate::snapshot::{MANIFEST, Manifest, Options};
use crate::source::Source;

/// The folder of the databases within a data directory.
const FOLDER: &str = "Plug-in Support/Databases";

/// Files up to this size are read before their entry is begun, so that one that changes meanwhile does no harm.
const AT_ONCE: u64 = 8 * 1024 * 1024;

/// Bytes of a block of tar.
const BLOCK: u64 = 512;

/// What an archive holds.
#[derive(Debug)]
pub struct Exported {
    /// What the databases in it are.
    pub manifest: Manifest,
    /// The archive itself.
    pub object: Object,
    /// Bundle files in it.
    pub bundle_files: u64,
    /// Their bytes before compression.
    pub bundle_bytes: u64,
}

/// Writes the library `databases` into `archive`; with `bundles` also the trees of that data directory. Of `options` those
/// about other outcomes ([`Options::packed`], [`Options::since`]) have no meaning here.
///
/// # Errors
/// As [`crate::snapshot::take_with`]. Whatever fails, what had the archive's name has it still.
pub fn write(
    databases: &Databases,
    bundles: Option<&Path>,
    archive: &Path,
    options: &Options<'_>,
    progress: &dyn Progress,
) -> Result<Exported> {
    let dir = parent_of(archive);
    sweep(dir)?;
    let moment = Moment::fix(databases, options.way, dir)?;
    let mut pace = Pace::new(options.bytes_per_second);
    let mut tar = Tar {
        archive,
        builder: Builder::new(Packer::create(archive, Threads::All, Effort::Whole)?),
        modified: moment.taken_at().as_second(),
    };
    let mut passed = BTreeMap::new();
    for (which, source) in moment.sources() {
        passed.insert(which, tar.database(which, source, &mut pace, progress)?);
    }
    let manifest = moment.manifest(passed, options.plex_version.clone())?;
    // From here on the server's log may begin anew; the bundles can take long.
    drop(moment);
    let mut document = serde_json::to_vec_pretty(&manifest)
        .map_err(io::Error::other)
        .at("write", archive)?;
    document.push(b'\n');
    tar.small(&format!("{NOTES}/{MANIFEST}"), &document)?;
    let (mut bundle_files, mut bundle_bytes) = (0, 0);
    if let Some(data_dir) = bundles {
        bundle::walk(data_dir, |relative, path, meta| {
            if progress.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let name = Path::new(std::ffi::OsStr::from_bytes(relative));
            if let Some(bytes) = tar.bundle(name, path, meta, &mut pace)? {
                bundle_files += 1;
                bundle_bytes += bytes;
                progress.advance("bundles", bundle_bytes, bundle_bytes);
            }
            Ok(())
        })?;
    }
    let object = tar.builder.into_inner().at("write", archive)?.publish()?;
    Ok(Exported {
        manifest,
        object,
        bundle_files,
        bundle_bytes,
    })
}

struct Tar<'a> {
    archive: &'a Path,
    builder: Builder<Packer>,
    modified: i64,
}

impl Tar<'_> {
    fn header(&self, bytes: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(self.modified).unwrap_or(0));
        header
    }

    /// The pages of one database as they pass.
    fn database(
        &mut self,
        which: Which,
        source: &Source,
        pace: &mut Pace,
        progress: &dyn Progress,
    ) -> Result<(Whole, Cells)> {
        let bytes = source.bytes();
        let mut header = self.header(bytes);
        let name = PathBuf::from(FOLDER).join(which.file_name());
        header.set_path(&name).at("write", self.archive)?;
        header.set_cksum();
        let out = self.builder.get_mut();
        out.append(header.as_bytes())?;
        let mut hash = Hashing::begin();
        let mut cells = Cells::of(source);
        let mut meter = Meter::new(progress, which.word(), bytes);
        source.chunks(|_, pages| {
            hash.update(pages);
            cells.add(pages);
            out.append(pages)?;
            pace.add(pages.len());
            meter.add(pages.len())
        })?;
        // At most one block, so it fits.
        let padding = (BLOCK - bytes % BLOCK) % BLOCK;
        out.append(&[0; BLOCK as usize][..padding as usize])?;
        Ok((Whole::of(source, hash.finish()), cells))
    }

    fn small(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let mut header = self.header(content.len() as u64);
        self.builder
            .append_data(&mut header, name, content)
            .at("write", self.archive)
    }

    /// A file or link of the bundle trees, with its size; `None` if it went meanwhile, as Plex's collecting of old bundles
    /// has it.
    fn bundle(&mut self, name: &Path, path: &Path, meta: &Metadata, pace: &mut Pace) -> Result<Option<u64>> {
        let mut header = self.header(0);
        header.set_mode(meta.permissions().mode() & 0o777);
        header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
        if meta.is_symlink() {
            let Some(target) = there(fs::read_link(path)).at(READ, path)? else {
                return Ok(None);
            };
            header.set_entry_type(EntryType::Symlink);
            self.builder
                .append_link(&mut header, name, &target)
                .at("write", self.archive)?;
            return Ok(Some(0));
        }
        let Some(file) = there(File::open(path)).at(OPEN, path)? else {
            return Ok(None);
        };
        let bytes = file.metadata().at(OPEN, path)?.len();
        if bytes <= AT_ONCE {
            let mut content = Vec::new();
            file.take(AT_ONCE).read_to_end(&mut content).at(READ, path)?;
            header.set_size(content.len() as u64);
            self.builder
                .append_data(&mut header, name, content.as_slice())
                .at("write", self.archive)?;
            pace.add(content.len());
            return Ok(Some(content.len() as u64));
        }
        header.set_size(bytes);
        let mut content = Counted {
            file: file.take(bytes),
            pace,
            read: 0,
        };
        self.builder
            .append_data(&mut header, name, &mut content)
            .at("write", self.archive)?;
        if content.read < bytes {
            return Err(Error::Changed { path: path.to_owned() });
        }
        Ok(Some(bytes))
    }
}

fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Counts what a file gave.
struct Counted<'a> {
    file: io::Take<File>,
    pace: &'a mut Pace,
    read: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.pace.add(count);
        self.read += count as u64;
        Ok(count)
    }
}
