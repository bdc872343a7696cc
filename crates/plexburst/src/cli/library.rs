//! A library that is only looked at, however it was named: a file, a folder, or an archive, which is unpacked into a
//! folder that goes away again.

use std::io::Read;
use std::path::{Path, PathBuf};

use plex_library::Databases;
use plex_library::archive::{Holds, Unpacked};
use serde::Serialize;
use tempfile::TempDir;

use super::Context;
use crate::error::{Error, Result};

/// A library that was found.
#[derive(Debug)]
pub(super) struct Library {
    databases: Databases,
    /// What it came out of, if it is an archive.
    pub(super) archive: Option<Archive>,
    _folder: Option<TempDir>,
}

/// An archive, as it was found.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) unpacked: Unpacked,
    pub(super) facts: Facts,
}

/// What can be said of an archive.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    pub(super) holds: Holds,
    bytes: u64,
    /// Entries that are not used: identity, dated backups, whatever else.
    pub(super) left_out: Vec<String>,
}

impl Library {
    pub(super) fn databases(&self) -> &Databases {
        &self.databases
    }
}

/// What was named, else home's data folder.
pub(super) fn path(named: Option<&Path>, context: &Context) -> Result<PathBuf> {
    match named {
        Some(path) => Ok(path.to_owned()),
        None => Ok(crate::home::Home::of(&context.settings()?.config)?
            .data_dir()
            .to_owned()),
    }
}

/// Finds the library that `path` names.
pub(super) fn open(path: &Path, context: &Context) -> Result<Library> {
    if is_lone_database(path) {
        return lone(path);
    }
    if !plex_library::archive::is_archive(path) {
        return Ok(Library {
            databases: plex_library::locate(path)?.databases,
            archive: None,
            _folder: None,
        });
    }
    context.printer.phase("unpack", &path.display().to_string());
    let folder = folder()?;
    let unpacked = plex_library::archive::unpack(path, folder.path())?;
    let facts = Facts {
        holds: holds(&unpacked),
        bytes: std::fs::metadata(path).map_or(0, |meta| meta.len()),
        left_out: unpacked.left_out.values().flatten().cloned().collect(),
    };
    Ok(Library {
        databases: unpacked.databases(),
        archive: Some(Archive { unpacked, facts }),
        _folder: Some(folder),
    })
}

/// Our own notes say more than a name.
fn holds(unpacked: &Unpacked) -> Holds {
    if unpacked.notes().join(plex_library::archive::REVERSE).is_dir() {
        Holds::Result
    } else if unpacked.notes().join(plex_library::snapshot::MANIFEST).is_file() {
        Holds::Export
    } else {
        unpacked.holds
    }
}

fn folder() -> Result<TempDir> {
    tempfile::tempdir().map_err(|e| {
        Error::failed("cannot make a temporary folder")
            .hint("point TMPDIR at a folder with room")
            .because(e)
    })
}

/// A database under a name of its own, such as the backups that remaps of the earlier scripts left
/// (`plex_db_backup_*.db`), or a dated one of Plex.
fn is_lone_database(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut head = [0; 16];
    let begins = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    let has_own_name = name != plex_library::LIBRARY_DB && name != plex_library::BLOBS_DB;
    has_own_name && path.is_file() && begins.is_ok() && &head == b"SQLite format 3\0"
}

/// The library's main database alone, under the name that it should have.
fn lone(path: &Path) -> Result<Library> {
    let folder = folder()?;
    let real = std::fs::canonicalize(path)
        .map_err(|e| Error::usage(format!("cannot resolve {}", path.display())).because(e))?;
    let link = |from: PathBuf, to: &str| -> Result<()> {
        std::os::unix::fs::symlink(&from, folder.path().join(to))
            .map_err(|e| Error::failed(format!("cannot link to {}", from.display())).because(e))
    };
    let log = plex_library::paths::wal_of(&real);
    if log.exists() {
        link(log, &format!("{}-wal", plex_library::LIBRARY_DB))?;
    }
    link(real, plex_library::LIBRARY_DB)?;
    Ok(Library {
        databases: Databases::at(folder.path()),
        archive: None,
        _folder: Some(folder),
    })
}
