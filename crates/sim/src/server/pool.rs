//! Connections to the two databases, opened as the real server opens them and kept for the next request.
//!
//! [`Pool::close`] is what makes a stop clean: with every other connection gone, the last one checkpoints and removes the
//! write-ahead log.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::store::{self, StoreError};

/// The pair of connections that one request works with.
pub(crate) type Pair = store::Pair;

/// Idle connections of one Databases folder.
#[derive(Debug)]
pub(crate) struct Pool {
    folder: PathBuf,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    pairs: Vec<Pair>,
    closed: bool,
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idle")
            .field("pairs", &self.pairs.len())
            .field("closed", &self.closed)
            .finish()
    }
}

impl Pool {
    /// Of that folder; nothing is opened yet.
    pub(crate) fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            idle: Mutex::default(),
        }
    }

    /// A pair for one request.
    pub(crate) fn get(&self) -> Result<Lease<'_>, StoreError> {
        let idle = self.lock().pairs.pop();
        let pair = match idle {
            Some(pair) => pair,
            None => store::open(&self.folder)?,
        };
        Ok(Lease {
            pair: Some(pair),
            pool: self,
        })
    }

    /// Closes the idle connections, then checkpoints both databases and removes their -wal and -shm.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        {
            let mut idle = self.lock();
            idle.closed = true;
            idle.pairs.clear();
        }
        if !self.folder.join("com.plexapp.plugins.library.db").exists() {
            return Ok(());
        }
        let pair = store::open(&self.folder)?;
        for connection in [&pair.library, &pair.blobs] {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        // Closing the last connection removes -wal and -shm.
        drop(pair);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A borrowed pair; it goes back when dropped.
pub(crate) struct Lease<'a> {
    pair: Option<Pair>,
    pool: &'a Pool,
}

#[expect(clippy::expect_used, reason = "the pair is there from `get` until `drop` takes it")]
impl Deref for Lease<'_> {
    type Target = Pair;

    fn deref(&self) -> &Pair {
        self.pair.as_ref().expect("a lease holds its pair until it is dropped")
    }
}

#[expect(clippy::expect_used, reason = "the pair is there from `get` until `drop` takes it")]
impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut Pair {
        self.pair.as_mut().expect("a lease holds its pair until it is dropped")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut idle = self.pool.lock();
        // A transaction that a panic left open must not be inherited.
        if let Some(pair) = self.pair.take()
            && !idle.closed
            && pair.library.is_autocommit()
            && pair.blobs.is_autocommit()
        {
            idle.pairs.push(pair);
        }
    }
}
