//! Opening a library's databases to look at them, without leaving a trace.
//!
//! How depends on who is there (facts §8.2, measured):
//! - nobody, and no `-wal`: immutable. Nothing is created, also not in a read-only folder.
//! - nobody, but a `-wal` or a `-journal` (Plex was killed): a private copy in a temporary folder, so that SQLite can recover the log
//!   without writing beside the original.
//! - a server: as it opens them, in WAL mode, but unable to change anything (`query_only`). Its writers are never kept
//!   waiting by a reader.
//!
//! What was opened immutable is only what it seems to be if no server started meanwhile: [`Reader::confirm`] says so.
//!
//! Foreign keys are off as Plex has them; stock SQLite built for Rust has them on. Neither Plex's tokenizers nor its
//! collation are known to these connections: read ordinary tables, and `metadata_items` with `NOT INDEXED` where SQLite
//! might otherwise choose the index of that collation.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::error::{At, Error, OPEN, READ, Result};
use crate::handles::{Handle, Pin};
use crate::layered;
use crate::paths::{Databases, Which, journal_of, shm_of, wal_of};
use crate::stamp::Stamp;
use crate::users;

/// How long a connection waits for a lock before it gives up. Plex itself retries every 200 ms; half a minute outlasts
/// its longest ordinary transaction.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// In which way a database was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nobody uses it; the file is read as it lies.
    Immutable,
    /// A copy was made, because a write-ahead log was left behind.
    PrivateCopy,
    /// A copy of ours whose log is part of it ([`crate::layered`]): the file itself is open for reading alone.
    Layered,
    /// Beside a running server.
    Beside,
}

/// A connection that cannot change anything.
#[derive(Debug)]
pub struct Reader {
    // The order of the fields is the order in which they are dropped: the connection has to end before its pins.
    connection: Connection,
    _pins: Vec<Pin>,
    private: Option<TempDir>,
    mode: Mode,
    path: PathBuf,
    opened: PathBuf,
    stamps: Vec<Stamp>,
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Reader {
    /// The database as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that SQLite really reads: another one than [`Reader::path`] for a private copy.
    #[must_use]
    pub fn opened(&self) -> &Path {
        &self.opened
    }

    /// How it was opened.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether a private copy stands behind this connection.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// Confirms that what was read was at rest all the while. To be called when all is read; beside a server there is
    /// nothing to confirm, SQLite's own locks took care.
    ///
    /// # Errors
    /// [`Error::Changed`]: what was read may be a mixture; read it again.
    pub fn confirm(&self) -> Result<()> {
        if self.mode == Mode::Beside {
            return Ok(());
        }
        self.stamps.iter().try_for_each(Stamp::confirm)
    }
}

/// Opens one database for reading.
///
/// # Errors
/// [`Error::NotALibrary`] if there is no such file, [`Error::Damaged`] if it is no SQLite database, [`Error::NoSpace`] if a
/// private copy is needed and does not fit into the temporary folder.
pub fn read_only(path: &Path) -> Result<Reader> {
    let mode = probe(path)?;
    open_as(path, mode)
}

/// Opens the library for reading, with the blobs attached as `blobs`, if they are there.
///
/// # Errors
/// As [`read_only`].
pub fn pair(databases: &Databases) -> Result<Reader> {
    let mut reader = read_only(&databases.library())?;
    let blobs = databases.blobs();
    if !blobs.exists() {
        return Ok(reader);
    }
    let other = read_only(&blobs)?;
    let from = match other.mode {
        Mode::Immutable => uri(&other.opened, "immutable=1"),
        Mode::Layered => uri(&other.opened, "mode=ro"),
        Mode::PrivateCopy | Mode::Beside => uri(&other.opened, "mode=rw"),
    };
    reader
        .connection
        .execute("ATTACH ?1 AS blobs", [from])
        .at(OPEN, &blobs)?;
    reader.stamps.extend(other.stamps);
    reader._pins.extend(other._pins);
    if let Some(dir) = other.private {
        // The attached copy is read until the reader goes; both folders go with it.
        reader.private = Some(match reader.private.take() {
            None => dir,
            Some(own) => adopt(own, dir)?,
        });
    }
    Ok(reader)
}

/// Moves one temporary folder below another, so that one guard removes both. Open files do not mind.
fn adopt(own: TempDir, other: TempDir) -> Result<TempDir> {
    let target = own.path().join("attached");
    fs::rename(other.path(), &target).at("move", &target)?;
    drop(other.keep());
    Ok(own)
}

/// Opens a database of our own (staged, never one that a server uses) for writing, as Plex would: WAL, foreign keys off.
/// Its changes are in the file itself, with no `-wal` left, when the last connection is closed.
///
/// # Errors
/// As [`read_only`]; [`Error::InUse`] if some process holds it for writing.
pub fn read_write(path: &Path) -> Result<Connection> {
    exists(path)?;
    let by = writers(path)?;
    if !by.is_empty() {
        return Err(Error::InUse {
            path: path.to_owned(),
            by,
        });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri(path, "mode=rw"), flags).at(OPEN, path)?;
    settle(&connection, path)?;
    // FULL: what is staged here is swapped in, and a power cut must not take back half of it.
    connection.pragma_update(None, "synchronous", "FULL").at(OPEN, path)?;
    Ok(connection)
}

/// Sees to it that a database of our own is what its file holds, with nothing beside it: logs are folded in or rolled back, and
/// removed. SQLite does so when the last connection is closed, and does not say when it could not remove them.
///
/// # Errors
/// As [`read_write`]; [`Error::Io`] if something cannot be removed.
pub fn without_logs(path: &Path) -> Result<()> {
    let beside = [wal_of(path), shm_of(path), journal_of(path)];
    if !beside.iter().any(|file| file.exists()) {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "a log was left beside it");
    let connection = read_write(path)?;
    // The first look is what rolls back a transaction that was cut off.
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .at(READ, path)?;
    let left: i64 = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .at("fold the log into", path)?;
    connection.close().map_err(|(_, error)| error).at("close", path)?;
    if left != 0 {
        return Err(Error::InUse {
            path: path.to_owned(),
            by: Vec::new(),
        });
    }
    // What is still there holds nothing any more.
    for file in beside.iter().filter(|file| file.exists()) {
        fs::remove_file(file).at("remove", file)?;
    }
    Ok(())
}

/// Opens beside a server, whether one is seen or not.
pub(crate) fn beside(path: &Path) -> Result<Reader> {
    open_as(path, Mode::Beside)
}

/// Which way leaves no trace right now.
pub(crate) fn probe(path: &Path) -> Result<Mode> {
    exists(path)?;
    if layered::holds(path) {
        return Ok(Mode::Layered);
    }
    if !writers(path)?.is_empty() {
        return Ok(Mode::Beside);
    }
    for log in [wal_of(path), journal_of(path)] {
        match fs::metadata(&log) {
            Ok(meta) if meta.len() > 0 => return Ok(Mode::PrivateCopy),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).at(OPEN, &log),
        }
    }
    Ok(Mode::Immutable)
}

fn exists(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(_) => Err(Error::NotALibrary {
            path: path.to_owned(),
            why: "not a file".into(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::NotALibrary {
            path: path.to_owned(),
            why: "there is no such file".into(),
        }),
        Err(error) => Err(error).at(OPEN, path),
    }
}

fn writers(path: &Path) -> Result<Vec<users::Process>> {
    let mut found = users::of_files(&[path.to_owned(), wal_of(path), shm_of(path)])?;
    found.retain(|process| process.writes);
    Ok(found)
}

fn open_as(path: &Path, mode: Mode) -> Result<Reader> {
    let stamps = [path.to_owned(), wal_of(path), journal_of(path)];
    let stamps = stamps.iter().map(|file| Stamp::of(file)).collect::<Result<_>>()?;
    let (opened, private, pins) = match mode {
        Mode::Immutable => (path.to_owned(), None, Vec::new()),
        Mode::PrivateCopy => {
            let (dir, copy) = private_copy(path)?;
            (copy, Some(dir), Vec::new())
        }
        Mode::Beside | Mode::Layered => (path.to_owned(), None, pins(path)?),
    };
    let (parameters, access) = match mode {
        Mode::Immutable => ("immutable=1", OpenFlags::SQLITE_OPEN_READ_ONLY),
        // What is not open for writing cannot be written back to.
        Mode::Layered => ("mode=ro", OpenFlags::SQLITE_OPEN_READ_ONLY),
        // Read-write, since only such a connection may take the locks of a log that has to be recovered, and cleans up
        // as the server would if the server ends first.
        Mode::PrivateCopy | Mode::Beside => ("mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE),
    };
    let flags = access | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri(&opened, parameters), flags).at(OPEN, path)?;
    settle(&connection, path)?;
    connection.pragma_update(None, "query_only", true).at(OPEN, path)?;
    // SQLite looks at the file only now: a file that is no database shows here and not in somebody's query.
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .at(READ, path)?;
    Ok(Reader {
        connection,
        _pins: pins,
        private,
        mode,
        path: path.to_owned(),
        opened,
        stamps,
    })
}

fn settle(connection: &Connection, path: &Path) -> Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT).at(OPEN, path)?;
    connection.pragma_update(None, "foreign_keys", false).at(OPEN, path)?;
    // Sorting 15 GB libraries must not fill the memory of a weak box.
    connection.pragma_update(None, "temp_store", "FILE").at(OPEN, path)
}

fn pins(path: &Path) -> Result<Vec<Pin>> {
    let mut pins = Vec::new();
    for file in [path.to_owned(), shm_of(path)] {
        if let Some(handle) = Handle::open_if_there(&file)? {
            pins.push(handle.pin());
        }
    }
    Ok(pins)
}

/// Copies the database and its logs; where the file system can share blocks, the kernel does so by itself.
fn private_copy(path: &Path) -> Result<(TempDir, PathBuf)> {
    let temporary = std::env::temp_dir();
    let dir = TempDir::with_prefix("plexburst-look-").at("create", &temporary)?;
    let copy = dir.path().join(path.file_name().unwrap_or(OsStr::new("database")));
    for (from, to) in [
        (path.to_owned(), copy.clone()),
        (wal_of(path), wal_of(&copy)),
        (journal_of(path), journal_of(&copy)),
    ] {
        let Some(source) = Handle::open_if_there(&from)? else {
            continue;
        };
        let mut target = fs::File::create(&to).at("create", &to)?;
        std::io::copy(&mut &*source, &mut target).at("copy", &to)?;
    }
    Ok((dir, copy))
}

/// A `file:` URI with every byte but the harmless ones escaped, so that no path can smuggle in a parameter.
pub(crate) fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_') {
            uri.push(char::from(byte));
        } else {
            _ = write!(uri, "%{byte:02X}");
        }
    }
    uri + "?" + parameters
}

/// The databases of `databases` that are there.
#[must_use]
pub fn present(databases: &Databases) -> Vec<Which> {
    Which::BOTH
        .into_iter()
        .filter(|&which| databases.path(which).exists())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database in which `x` is committed, as a killed process leaves it behind.
    fn left_behind(dir: &Path, mode: &str, unfinished: bool) -> PathBuf {
        let (live, dead) = (dir.join("live.db"), dir.join("dead.db"));
        let db = Connection::open(&live).unwrap();
        db.execute_batch(&format!(
            "PRAGMA journal_mode={mode}; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=2; CREATE TABLE t(x);
             INSERT INTO t VALUES ('committed'); BEGIN;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
             INSERT INTO t SELECT hex(randomblob(4000)) FROM n;"
        ))
        .unwrap();
        if !unfinished {
            db.execute_batch("ROLLBACK").unwrap();
        }
        for of in [|path: &Path| path.to_owned(), wal_of, shm_of, journal_of] {
            if of(&live).exists() {
                fs::copy(of(&live), of(&dead)).unwrap();
            }
        }
        dead
    }

    fn rows_of(connection: &Connection) -> i64 {
        connection
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn what_was_left_beside_a_database_is_folded_in_or_rolled_back() {
        for (mode, unfinished) in [
            ("WAL", true),
            ("WAL", false),
            ("DELETE", true),
            ("DELETE", false),
            ("PERSIST", false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = left_behind(dir.path(), mode, unfinished);
            assert_eq!(rows_of(&read_only(&path).unwrap()), 1, "{mode}: looked at");
            without_logs(&path).unwrap();
            let beside = [wal_of(&path), shm_of(&path), journal_of(&path)];
            assert!(beside.iter().all(|file| !file.exists()), "{mode}");
            assert_eq!(rows_of(&read_only(&path).unwrap()), 1, "{mode}: folded in");
        }
        // The index of a log alone, whose removal failed.
        let dir = tempfile::tempdir().unwrap();
        let path = left_behind(dir.path(), "DELETE", false);
        fs::write(shm_of(&path), [0; 32_768]).unwrap();
        without_logs(&path).unwrap();
        assert!(!shm_of(&path).exists());
        assert_eq!(rows_of(&read_only(&path).unwrap()), 1);
    }
}
