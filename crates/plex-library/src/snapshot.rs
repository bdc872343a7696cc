//! A consistent copy of a library, taken while Plex runs.
//!
//! One pass over each database: its pages at one moment ([`crate::source`], [`crate::moment`]) go into the copy, its hash
//! and its index of pages at once, and, where asked for, through a compressor and into a delta against an older copy.
//!
//! The copy is a folder with both databases (no `-wal`), an index of pages for each, and `manifest.json`. It appears
//! under its name only when all of it is verified and durable. Nothing else that lies beside the databases is ever taken:
//! no dated backups, no logs, nothing of the server's identity.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::contents::Cells;
use crate::delta;
use crate::error::{At, Error, READ, Result};
use crate::moment::Moment;
use crate::pace::Pace;
use crate::packer::{Effort, Object, Packer, Threads};
use crate::pages::{IndexWriter, Whole, index_path};
use crate::paths::{Databases, Which};
use crate::progress::{Meter, Progress};
use crate::publish::{self, FileWriter, FolderWriter};
use crate::schema::Migrations;
use crate::source::Source;

/// File name of the manifest within a snapshot.
pub const MANIFEST: &str = "manifest.json";

/// Version of the manifest that is written; older ones can be read.
pub const FORMAT: u32 = 2;

/// What a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// When the moment of the library was fixed, RFC 3339, UTC.
    pub taken_at: String,
    /// The server's version, if the one who took it knew (since format 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plex_version: Option<String>,
    /// Both databases.
    pub databases: BTreeMap<Which, Copied>,
    /// The library's migrations.
    pub schema_migrations: Migrations,
    /// Rows of the tables that matter most, by table; one that this version of Plex does not have is left out.
    pub counts: BTreeMap<String, u64>,
}

/// One database of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Size and hash of the copy.
    #[serde(flatten)]
    pub whole: Whole,
    /// Frames of the write-ahead log that were laid over the file; 0 if the log held nothing that the file lacked.
    pub log_frames: u32,
    /// `PRAGMA user_version`.
    pub user_version: i32,
    /// `PRAGMA application_id`.
    pub application_id: i32,
}

impl Manifest {
    /// The pair by size and hash.
    #[must_use]
    pub fn sealed(&self) -> BTreeMap<Which, Whole> {
        self.databases
            .iter()
            .map(|(&which, copied)| (which, copied.whole.clone()))
            .collect()
    }

    /// Reads the manifest of a snapshot.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is none, [`Error::Mismatch`] if a newer program wrote it.
    pub fn read(snapshot: &Path) -> Result<Self> {
        let path = snapshot.join(MANIFEST);
        let bytes = std::fs::read(&path).at(READ, &path)?;
        read_versioned(&bytes, &path, FORMAT)
    }

    /// One of the databases.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the manifest does not speak of it.
    pub fn database(&self, which: Which) -> Result<&Copied> {
        self.databases
            .get(&which)
            .ok_or_else(|| Error::mismatch(Path::new(MANIFEST), format!("it lacks the {} database", which.word())))
    }
}

/// Reads a JSON document that has a `format`, judging that first: a newer document may have another shape.
pub(crate) fn read_versioned<T: for<'de> Deserialize<'de>>(bytes: &[u8], path: &Path, newest: u32) -> Result<T> {
    #[derive(Deserialize)]
    struct Versioned {
        format: u32,
    }
    let broken = |error: serde_json::Error| Error::damaged(path, error.to_string());
    let Versioned { format } = serde_json::from_slice(bytes).map_err(broken)?;
    if format > newest {
        return Err(Error::mismatch(
            path,
            format!("format {format}, where this program reads up to {newest}"),
        ));
    }
    serde_json::from_slice(bytes).map_err(broken)
}

/// Writes a document of ours as JSON.
pub(crate) fn write_document<T: Serialize>(path: &Path, document: &T) -> Result<()> {
    let mut bytes =
        serde_json::to_vec_pretty(document).map_err(|error| Error::io(path, "write", std::io::Error::other(error)))?;
    bytes.push(b'\n');
    publish::file(path, &bytes)
}

/// How the pages are come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// A read transaction is held and the files are read once, with the log laid over them. Where that cannot be (a log of
    /// the old kind, or no moment to be caught), it is [`Way::Plain`].
    #[default]
    OnePass,
    /// SQLite's backup API makes a copy first: twice the reading, and the room for one more copy while it lasts.
    Plain,
}

/// How a snapshot is taken, and what else comes of its one pass.
#[derive(Debug, Clone, Default)]
pub struct Options<'a> {
    /// How the pages are come by.
    pub way: Way,
    /// The server's version, for the manifest.
    pub plex_version: Option<String>,
    /// No more than so much is read in a second.
    pub bytes_per_second: Option<NonZeroU64>,
    /// A folder (that must not exist or be empty) for both databases compressed, as [`packed_name`] says.
    pub packed: Option<&'a Path>,
    /// What changed since an older copy.
    pub since: Option<Since<'a>>,
}

/// A delta that is made along with a snapshot: what turns an older copy into it.
#[derive(Debug, Clone, Copy)]
pub struct Since<'a> {
    /// The folder with the older copy's indices.
    pub index: &'a Path,
    /// The folder for the delta; must not exist or be empty.
    pub out: &'a Path,
}

/// What [`take_with`] made.
#[derive(Debug)]
pub struct Taken {
    /// What the copy is.
    pub manifest: Manifest,
    /// The compressed databases, if they were asked for.
    pub packed: BTreeMap<Which, Object>,
    /// The delta, if one was asked for.
    pub delta: Option<delta::Manifest>,
}

/// Name of one compressed database.
#[must_use]
pub fn packed_name(which: Which) -> String {
    format!("{}.db.zst", which.word())
}

/// Takes a snapshot of `databases` into the folder `dest`, which must not exist or be empty.
///
/// # Errors
/// As [`take_with`].
pub fn take(databases: &Databases, dest: &Path, progress: &dyn Progress) -> Result<Manifest> {
    take_with(databases, dest, &Options::default(), progress).map(|taken| taken.manifest)
}

/// Takes a snapshot of `databases` into the folder `dest`, which must not exist or be empty. Of all that is made, `dest`
/// appears last.
///
/// # Errors
/// [`Error::NotALibrary`] if one of the pair is missing, [`Error::Damaged`] if one is no database, [`Error::NoSpace`],
/// [`Error::Cancelled`]. Whatever fails, `dest` is then what it was.
pub fn take_with(databases: &Databases, dest: &Path, options: &Options<'_>, progress: &dyn Progress) -> Result<Taken> {
    take_and_hold(databases, dest, options, progress).map(|(taken, _)| taken)
}

/// The same, and the moment goes on being held.
pub(crate) fn take_and_hold(
    databases: &Databases,
    dest: &Path,
    options: &Options<'_>,
    progress: &dyn Progress,
) -> Result<(Taken, Moment)> {
    let folder = FolderWriter::create(dest)?;
    let packed = options.packed.map(FolderWriter::create).transpose()?;
    let delta = options
        .since
        .map(|since| FolderWriter::create(since.out).map(|folder| (since.index, folder)))
        .transpose()?;
    let moment = Moment::fix(databases, options.way, folder.path())?;
    let mut pace = Pace::new(options.bytes_per_second);
    let (mut passed, mut objects, mut changes) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    // One is made durable while the other is read.
    std::thread::scope(|scope| {
        let mut ends = Vec::new();
        for (which, source) in moment.sources() {
            let mut takers = Takers {
                // The file is read again only where the log has another page: what a moment holds of it nobody writes to.
                copy: FileWriter::create_like(&Databases::at(folder.path()).path(which), source.file())?,
                index: IndexWriter::create(&index_path(folder.path(), which), source.page_size(), source.pages())?,
                cells: Cells::of(source),
                packer: match &packed {
                    Some(folder) => Some(Packer::create(
                        &folder.path().join(packed_name(which)),
                        Threads::All,
                        Effort::Whole,
                    )?),
                    None => None,
                },
                changes: match &delta {
                    Some((index, folder)) => Some(delta::Changes::against(index, source, which, folder.path())?),
                    None => None,
                },
            };
            let mut meter = Meter::new(progress, which.word(), source.bytes());
            source.shared_chunks(|first, pages| {
                takers.take(source, first, pages)?;
                pace.add(pages.len());
                meter.add(pages.len())
            })?;
            let (path, bytes) = (source.path().to_owned(), source.bytes());
            ends.push((which, scope.spawn(move || takers.publish(&path, bytes))));
        }
        for (which, end) in ends {
            let (whole, cells, object, change) = end.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            objects.extend(object.map(|object| (which, object)));
            changes.extend(change.map(|change| (which, change)));
            passed.insert(which, (whole, cells));
        }
        Ok(())
    })?;
    let manifest = moment.manifest(passed, options.plex_version.clone())?;
    let delta = match delta {
        Some((_, folder)) => {
            let manifest = delta::seal(changes, folder.path())?;
            folder.publish()?;
            Some(manifest)
        }
        None => None,
    };
    packed.map_or(Ok(()), FolderWriter::publish)?;
    write_document(&folder.path().join(MANIFEST), &manifest)?;
    folder.publish()?;
    let taken = Taken {
        manifest,
        packed: objects,
        delta,
    };
    Ok((taken, moment))
}

/// All that the pages of one database go into.
struct Takers {
    copy: FileWriter,
    index: IndexWriter,
    cells: Cells,
    packer: Option<Packer>,
    changes: Option<delta::Changes>,
}

impl Takers {
    fn take(&mut self, source: &Source, first: u32, pages: &Arc<Vec<u8>>) -> Result<()> {
        if source.is_in_file(first, pages.len()) {
            self.copy.append_same(pages)?;
        } else {
            for (page, bytes) in (first..).zip(pages.chunks_exact(source.page_size() as usize)) {
                match source.is_in_file(page, bytes.len()) {
                    true => self.copy.append_same(bytes)?,
                    false => self.copy.append(bytes)?,
                }
            }
        }
        self.index.add(pages)?;
        self.cells.add(pages);
        if let Some(packer) = &mut self.packer {
            packer.append(pages)?;
        }
        match &mut self.changes {
            Some(changes) => changes.add(first, pages),
            None => Ok(()),
        }
    }

    /// `path` and `bytes` are the source's.
    fn publish(self, path: &Path, bytes: u64) -> Result<(Whole, Cells, Option<Object>, Option<delta::Change>)> {
        let object = self.packer.map(Packer::publish).transpose()?;
        let whole = self.index.publish()?;
        let change = self.changes.map(|changes| changes.publish(whole.clone())).transpose()?;
        self.copy.publish(|file| {
            let length = file.metadata().at(READ, path)?.len();
            if length == bytes {
                return Ok(());
            }
            let what = format!("{length} bytes of {bytes} were written");
            Err(Error::damaged(path, what))
        })?;
        Ok((whole, self.cells, object, change))
    }
}
