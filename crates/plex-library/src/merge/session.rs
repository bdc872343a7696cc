//! The one connection of a merge: the result-to-be for writing, the two other libraries attached beside it.
//!
//! Guarantees: both databases of the pair are changed in one transaction. They are kept in rollback-journal mode while
//! that lasts, because only then does SQLite commit several files as one (a super-journal names them all); in WAL mode,
//! as Plex has them, a power cut could leave one merged and the other not. A merge that was killed is undone by SQLite
//! when the pair is opened next, here or by Plex. Base and mine are attached so that nothing of them can change.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::fail::{Fail, Step};
use crate::error::{At, Error, OPEN, Result};
use crate::open::{self, Mode, Reader};
use crate::paths::Databases;

/// Pages of memory per database, negative: KiB. A merge touches pages all over the file; 64 MiB keep the interior ones.
const CACHE: i64 = -65_536;

/// Names under which the databases are attached.
pub(super) const MAIN: &str = "main";
pub(super) const BASE: &str = "base";
pub(super) const MINE: &str = "mine";

/// The three of one kind: `[result, base, mine]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Three {
    /// The database that is rewritten.
    pub(super) theirs: &'static str,
    /// As it was when the burst began.
    pub(super) base: &'static str,
    /// As it is at home now.
    pub(super) mine: &'static str,
}

/// library.db of the three.
pub(super) const LIBRARY: Three = Three {
    theirs: MAIN,
    base: BASE,
    mine: MINE,
};

/// blobs.db of the three.
pub(super) const BLOBS: Three = Three {
    theirs: "their_blobs",
    base: "base_blobs",
    mine: "mine_blobs",
};

/// The connection, and what has to outlive it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) conn: Connection,
    /// Base and mine of the library, base and mine of the blobs; without a base only mine.
    readers: Vec<Reader>,
    library: PathBuf,
    blobs: PathBuf,
}

impl Session {
    /// Opens all six files and begins the transaction. Without a base two empty databases in memory stand for it.
    pub(super) fn begin(base: Option<&Databases>, mine: &Databases, theirs: &Databases) -> Result<Self> {
        let library = theirs.library();
        // The blobs are opened once by themselves first, so that somebody who holds only them is noticed too.
        drop(open::read_write(&theirs.blobs())?);
        let conn = open::read_write(&library)?;
        conn.set_prepared_statement_cache_capacity(256);
        let attach = |path: &Path, parameters: &str, name: &str| {
            conn.execute(&format!("ATTACH ?1 AS {name}"), [open::uri(path, parameters)])
                .at(OPEN, path)
        };
        attach(&theirs.blobs(), "mode=rw", BLOBS.theirs)?;
        let mut readers = Vec::new();
        for (path, name) in [
            (base.map(Databases::library), LIBRARY.base),
            (Some(mine.library()), LIBRARY.mine),
            (base.map(Databases::blobs), BLOBS.base),
            (Some(mine.blobs()), BLOBS.mine),
        ] {
            let Some(path) = path else {
                conn.execute_batch(&format!("ATTACH ':memory:' AS {name}"))
                    .at(OPEN, &library)?;
                continue;
            };
            let reader = open::read_only(&path)?;
            let parameters = match reader.mode() {
                Mode::Immutable => "immutable=1",
                Mode::Layered => "mode=ro",
                Mode::PrivateCopy | Mode::Beside => "mode=rw",
            };
            attach(reader.opened(), parameters, name)?;
            readers.push(reader);
        }
        for name in [LIBRARY.theirs, BLOBS.theirs] {
            let mode: String = conn
                .query_row(&format!("PRAGMA {name}.journal_mode=DELETE"), [], |row| row.get(0))
                .at(OPEN, &library)?;
            if mode != "delete" {
                // Somebody reads it: the two files could not be committed as one.
                return Err(Error::InUse {
                    path: library,
                    by: Vec::new(),
                });
            }
            conn.pragma_update(Some(name), "synchronous", "FULL")
                .at(OPEN, &library)?;
        }
        for name in [
            LIBRARY.theirs,
            LIBRARY.base,
            LIBRARY.mine,
            BLOBS.theirs,
            BLOBS.base,
            BLOBS.mine,
        ] {
            conn.execute_batch(&format!("PRAGMA {name}.cache_size={CACHE}"))
                .at(OPEN, &library)?;
        }
        conn.execute_batch("BEGIN IMMEDIATE").at(OPEN, &library)?;
        Ok(Self {
            conn,
            readers,
            library,
            blobs: theirs.blobs(),
        })
    }

    /// Commits, unless base or mine changed while they were read, and gives the files back in WAL mode, as Plex has them.
    pub(super) fn commit(self) -> Result<()> {
        for reader in &self.readers {
            reader.confirm()?;
        }
        self.conn.execute_batch("COMMIT").at("commit", &self.library)?;
        self.into_wal()
    }

    /// Leaves the pair as it was.
    pub(super) fn roll_back(self) -> Result<()> {
        self.conn.execute_batch("ROLLBACK").at("roll back", &self.library)?;
        self.into_wal()
    }

    fn into_wal(self) -> Result<()> {
        for name in [LIBRARY.theirs, BLOBS.theirs] {
            self.conn
                .query_row(&format!("PRAGMA {name}.journal_mode=WAL"), [], |_| Ok(()))
                .at("settle", &self.library)?;
        }
        // Closing the last connection folds the log in and removes it, or leaves it there without a word.
        self.conn
            .close()
            .map_err(|(_, error)| error)
            .at("close", &self.library)?;
        drop(self.readers);
        open::without_logs(&self.library)?;
        open::without_logs(&self.blobs)
    }

    /// Runs `steps` and commits, or leaves everything as it was.
    pub(super) fn run<T>(self, steps: impl FnOnce(&Connection, &[Reader]) -> Step<T>) -> Result<T> {
        match steps(&self.conn, &self.readers) {
            Ok(value) => {
                self.commit()?;
                Ok(value)
            }
            Err(fail) => {
                let error = Fail::into_error(fail, &self.library);
                if let Err(second) = self.roll_back() {
                    tracing::warn!(error = %second, "the merge was not rolled back cleanly");
                }
                Err(error)
            }
        }
    }
}
