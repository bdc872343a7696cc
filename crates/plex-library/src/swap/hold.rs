//! The pair as it was put in place, held while a server already works on it.
//!
//! What the household does after a swap can be carried back by a rollback only if it is known what it began with. A copy
//! made while Plex is stopped would cost the household minutes; so a read transaction begins before Plex is started, and
//! as long as it lasts SQLite writes nothing into the files themselves, only into their logs. What they hold then goes
//! into a delta that leads from the pair before to the one that was put in place.
//!
//! Must not: be kept longer than that takes, since the logs grow meanwhile.

use std::fs;
use std::path::{Path, PathBuf};

use crate::delta;
use crate::error::{At, Error, OPEN, READ, Result};
use crate::handles::{Handle, Pin};
use crate::open::{self, Reader};
use crate::pages;
use crate::paths::{Databases, Which, shm_of, wal_of};
use crate::progress::Progress;
use crate::source::Source;

/// A pair that cannot change in its files.
#[derive(Debug)]
pub struct Hold {
    // Ends before its pins do.
    readers: Vec<Reader>,
    _pins: Vec<Pin>,
    links: PathBuf,
}

impl Hold {
    /// Holds the pair that was just put in place in `live`, which no server has opened yet. `links` is a folder of our own
    /// on the same file system, made anew: without a log beside it a database is what its file holds.
    ///
    /// # Errors
    /// [`Error::InUse`] if a server has opened it, any failure to open the pair or to make a hard link.
    pub fn take(live: &Databases, links: &Path) -> Result<Self> {
        let mut readers = Vec::new();
        let mut pins = Vec::new();
        discard(links)?;
        fs::create_dir(links).at("create", links)?;
        for which in Which::BLOBS_FIRST {
            let path = live.path(which);
            let reader = open::beside(&path)?;
            pins.push(Handle::open(&shm_of(&path))?.pin());
            reader
                .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
                .at(READ, &path)?;
            let log = wal_of(&path);
            if fs::metadata(&log).at(OPEN, &log)?.len() > 0 {
                return Err(Error::InUse { path, by: Vec::new() });
            }
            let link = links.join(which.file_name());
            fs::hard_link(&path, &link).at("link", &link)?;
            readers.push(reader);
        }
        Ok(Self {
            readers,
            _pins: pins,
            links: links.to_owned(),
        })
    }

    /// Writes into the folder `out` what leads from `previous` to the held pair. Reads both.
    ///
    /// # Errors
    /// As [`delta::make`].
    pub fn lead_from(&self, previous: &Databases, out: &Path, progress: &dyn Progress) -> Result<()> {
        let index = self.links.join("index");
        fs::create_dir_all(&index).at("create", &index)?;
        pages::index_pair(previous, &index, progress)?;
        let held = Databases::at(&self.links);
        delta::make_of(&index, out, progress, |which, _| Source::at_rest(&held.path(which))).map(drop)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.readers.clear();
        // What is left is removed with everything else of its burst.
        _ = fs::remove_dir_all(&self.links);
    }
}

fn discard(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.at("remove", dir),
    }
}
