//! A second copy of a library that costs no more than what differs from the first.
//!
//! A layered copy is a folder in which each database is a hard link to the file of an older copy, with a write-ahead log
//! beside it that holds the pages that differ. SQLite reads the two as one database, and the older copy, opened by its own
//! name, is what it was. So base and "home now" stand beside each other for a merge in the room of one, on every file
//! system. [`fold`] makes an ordinary copy of it, once the older one is not needed any more.
//!
//! Guarantees: the older copy is never changed as long as its name is there: connections to a layered copy have the file open
//! for reading alone ([`crate::open::Mode::Layered`]), so that SQLite cannot write the log back, and [`fold`] refuses. The
//! copy appears under its name only when all of it is durable. A fold that was killed is finished by the next one.
//!
//! Must not: be put in place as anybody's library before it was folded.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{At, Error, OPEN, READ, Result};
use crate::format::header::Header;
use crate::format::wal::LogWriter;
use crate::moment::Moment;
use crate::open;
use crate::paths::{Databases, wal_of};
use crate::progress::{Meter, Progress};
use crate::publish::{FolderWriter, parent_of, sync_folder};
use crate::snapshot::{self, Way, write_document};
use crate::source::Source;

/// What says of a folder that it is a layered copy.
const MARK: &str = "layered.json";
const FORMAT: u32 = 1;
/// What a header says of a database with a write-ahead log.
const WAL: u8 = 2;

/// The note in the folder.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    format: u32,
    /// Pages that differ, of both databases.
    pages: u64,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A layered copy, in whose logs so many bytes lie.
    Layered(u64),
    /// An ordinary one: the two do not fit onto each other (other pages, or files that cannot be linked).
    Plain,
}

/// Makes, in the folder `dest` (which must not exist or be empty), a copy of `databases` as they are at this moment, whoever
/// is at work on them: as layers over the older copy `base`, which must be at rest and on the same file system.
///
/// # Errors
/// As [`snapshot::take`].
pub fn take(databases: &Databases, base: &Databases, dest: &Path, progress: &dyn Progress) -> Result<Made> {
    match take_and_hold(databases, base, dest, progress)? {
        Some((bytes, _)) => Ok(Made::Layered(bytes)),
        None => snapshot::take(databases, dest, progress).map(|_| Made::Plain),
    }
}

/// As [`take`], and the moment goes on being held; `None`, and no copy, if the two do not fit onto each other.
pub(crate) fn take_and_hold(
    databases: &Databases,
    base: &Databases,
    dest: &Path,
    progress: &dyn Progress,
) -> Result<Option<(u64, Moment)>> {
    let folder = FolderWriter::create(dest)?;
    let moment = Moment::fix(databases, Way::OnePass, folder.path())?;
    let (mut bytes, mut pages) = (0, 0);
    for (which, source) in moment.sources() {
        let target = Databases::at(folder.path()).path(which);
        let mut meter = Meter::new(progress, which.word(), source.bytes());
        let Some(changed) = lay(source, &base.path(which), &target, &mut meter)? else {
            return Ok(None);
        };
        pages += changed;
        bytes += changed * u64::from(source.page_size());
    }
    for (_, source) in moment.sources() {
        source.confirm()?;
    }
    write_document(&folder.path().join(MARK), &Note { format: FORMAT, pages })?;
    folder.publish()?;
    Ok(Some((bytes, moment)))
}

/// Pages of the database that `base` has not; `None` if they cannot be laid over it.
fn lay(source: &Source, base: &Path, target: &Path, meter: &mut Meter<'_>) -> Result<Option<u64>> {
    let size = source.page_size();
    let file = File::open(base).at(OPEN, base)?;
    let header = Header::read(&file, base)?;
    let mut first = vec![0; size as usize];
    source.read_page(1, &mut first)?;
    // Without a log in the format's own sense SQLite would not look for one.
    let has_log = |page: &[u8]| page[18] == WAL && page[19] == WAL;
    if header.page_size != size || header.write_version != WAL || !has_log(&first) || wal_of(base).exists() {
        return Ok(None);
    }
    if fs::hard_link(base, target).is_err() {
        return Ok(None);
    }
    let length = file.metadata().at(READ, base)?.len();
    let in_base = u32::try_from(length / u64::from(size)).unwrap_or(u32::MAX);
    let mut log = LogWriter::create(&wal_of(target), size)?;
    let mut older = Vec::new();
    source.chunks(|first, pages| {
        let both = in_base.saturating_sub(first - 1) as usize * size as usize;
        older.resize(pages.len().min(both), 0);
        let start = u64::from(first - 1) * u64::from(size);
        file.read_exact_at(&mut older, start).at(READ, base)?;
        if older != pages {
            let mut before = older.chunks_exact(size as usize);
            for (number, page) in (first..).zip(pages.chunks_exact(size as usize)) {
                if before.next() != Some(page) {
                    log.add(number, page)?;
                }
            }
        }
        meter.add(pages.len())
    })?;
    if log.is_empty() && source.pages() != in_base {
        // It became smaller and is otherwise the same, which only a commit can say.
        log.add(1, &first)?;
    }
    log.publish(source.pages()).map(Some)
}

/// Whether the database `path` belongs to a layered copy.
pub(crate) fn holds(path: &Path) -> bool {
    parent_of(path).join(MARK).exists()
}

/// Whether the pair is a layered copy.
#[must_use]
pub fn is_one(databases: &Databases) -> bool {
    databases.dir().join(MARK).exists()
}

/// Makes an ordinary copy of a layered one, by writing the pages that differ into the file that it shares with the older
/// copy, whose own name has to be gone. Does nothing with an ordinary copy.
///
/// # Errors
/// [`Error::Refused`] while the older copy is there; the disk, which leaves it layered.
pub fn fold(databases: &Databases) -> Result<()> {
    if !is_one(databases) {
        return Ok(());
    }
    let shared: Vec<PathBuf> = open::present(databases)
        .into_iter()
        .map(|which| databases.path(which))
        .filter(|path| fs::metadata(path).is_ok_and(|meta| meta.nlink() > 1))
        .collect();
    if !shared.is_empty() {
        return Err(Error::Refused {
            what: "the copy that these files are shared with is still there".into(),
            items: shared.iter().map(|path| path.display().to_string()).collect(),
            hint: "remove the older copy first".into(),
        });
    }
    for which in open::present(databases) {
        let path = databases.path(which);
        let connection = open::read_write(&path)?;
        let busy: i64 = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .at("settle", &path)?;
        if busy != 0 {
            return Err(Error::InUse { path, by: Vec::new() });
        }
        connection.close().map_err(|(_, error)| error).at("close", &path)?;
    }
    let mark = databases.dir().join(MARK);
    fs::remove_file(&mark).at("remove", &mark)?;
    sync_folder(databases.dir())
}
