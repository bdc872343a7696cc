//! Plain handles on files that SQLite may have open in this very process.
//!
//! POSIX locks belong to a process and an inode: closing *any* descriptor of a file drops every lock that the process
//! has on it, those of SQLite's own connections included. A snapshot whose locks vanish that way would be overwritten
//! by the next checkpoint of the server without anybody noticing. So every raw look at a database, a `-wal` or a
//! `-shm` goes through [`Handle`], and as long as a connection of ours holds a file ([`Pin`]), handles on it are put
//! aside instead of being closed.
//!
//! Must not: know anything about what is in the files.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{At, Error, OPEN, Result};

type Inode = (u64, u64);

/// How many connections hold an inode, and the handles that wait for them to end.
#[derive(Default)]
struct Held {
    pins: usize,
    waiting: Vec<File>,
}

static HELD: Mutex<Option<HashMap<Inode, Held>>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<HashMap<Inode, Held>>> {
    // The map is valid after every single operation, so a panic elsewhere does not spoil it.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file opened for reading that is closed only when no connection of this process needs its locks.
#[derive(Debug)]
pub(crate) struct Handle {
    file: Option<File>,
    inode: Inode,
}

impl Handle {
    /// Opens for reading.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).at(OPEN, path)?;
        let meta = file.metadata().at(OPEN, path)?;
        Ok(Self {
            file: Some(file),
            inode: (meta.dev(), meta.ino()),
        })
    }

    /// Opens for reading; `None` if there is no such file.
    pub(crate) fn open_if_there(path: &Path) -> Result<Option<Self>> {
        match Self::open(path) {
            Ok(handle) => Ok(Some(handle)),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps handles on this inode from being closed until the pin is dropped.
    pub(crate) fn pin(&self) -> Pin {
        held().get_or_insert_default().entry(self.inode).or_default().pins += 1;
        Pin { inode: self.inode }
    }
}

impl Deref for Handle {
    type Target = File;

    fn deref(&self) -> &File {
        #[expect(clippy::expect_used, reason = "the file is taken out by drop alone")]
        self.file.as_ref().expect("a handle has its file until it is dropped")
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Closed under the lock, so that nobody can pin the inode between the look and the closing.
        let mut held = held();
        let Some(file) = self.file.take() else { return };
        match held.as_mut().and_then(|map| map.get_mut(&self.inode)) {
            Some(entry) => entry.waiting.push(file),
            None => drop(file),
        }
    }
}

/// Says that a connection of this process holds locks on an inode. Has to outlive the connection.
#[derive(Debug)]
pub(crate) struct Pin {
    inode: Inode,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut held = held();
        let Some(map) = held.as_mut() else { return };
        if let Some(entry) = map.get_mut(&self.inode) {
            entry.pins -= 1;
            if entry.pins == 0 {
                map.remove(&self.inode);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_here(path: &Path) -> usize {
        std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .flatten()
            .filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == path))
            .count()
    }

    #[test]
    fn a_pinned_file_is_not_closed_before_the_last_pin_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "x").unwrap();

        let first = Handle::open(&path).unwrap();
        let (one, two) = (first.pin(), first.pin());
        drop(first);
        drop(Handle::open(&path).unwrap());
        assert_eq!(open_here(&path), 2);
        drop(one);
        assert_eq!(open_here(&path), 2);
        drop(two);
        assert_eq!(open_here(&path), 0);

        drop(Handle::open(&path).unwrap());
        assert_eq!(open_here(&path), 0);
    }
}
