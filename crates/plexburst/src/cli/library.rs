//! A library that is only looked at, however it was named: a file, a folder, or an archive, which is unpacked into a
//! folder that goes away again.

use std::path::{Path, PathBuf};

use plex_library::archive::{Holds, Lone, Unpacked};
use plex_library::{Databases, Kind};
use serde::Serialize;
use tempfile::TempDir;

use super::{Context, interrupt};
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

/// Refuses what cannot be an archive, before a burst begins that could never go on. `made_by` says what makes one.
pub(super) fn check_archive(path: &Path, made_by: &str) -> Result<()> {
    if path.is_dir() {
        return Err(
            Error::usage(format!("{} is a folder, and an archive is wanted", path.display())).hint(format!(
                "`tar -C {} -czf FILE.tar.gz .` makes one of it",
                super::quoted(path)
            )),
        );
    }
    if !path.is_file() {
        return Err(
            Error::usage(format!("there is no archive {}", path.display())).hint(format!("{made_by} makes one"))
        );
    }
    if plex_library::archive::is_archive(path) || plex_library::archive::is_database(path) {
        return Ok(());
    }
    Err(Error::from(plex_library::archive::strange(path)))
}

/// Finds the library that `path` names.
pub(super) fn open(path: &Path, context: &Context) -> Result<Library> {
    let is_named = path
        .file_name()
        .is_some_and(|name| name == plex_library::LIBRARY_DB || name == plex_library::BLOBS_DB);
    if !path.is_file() || is_named {
        return Ok(Library {
            databases: plex_library::locate(path)?.databases,
            archive: None,
            _folder: None,
        });
    }
    if plex_library::archive::is_database(path) {
        return lone(path);
    }
    if !plex_library::archive::is_archive(path) {
        return Err(plex_library::archive::strange(path).into());
    }
    context.printer.phase("unpack", &path.display().to_string());
    let folder = folder()?;
    interrupt::forget_at_end(folder.path());
    // One half can be looked at as well.
    let unpacked = plex_library::archive::unpack_with(path, folder.path(), Lone::Half).map_err(|e| {
        let is_full = e.kind() == Kind::NoSpace;
        let error = Error::from(e);
        match is_full {
            true => error.hint("point TMPDIR at a folder with more room"),
            false => error,
        }
    })?;
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

/// Where an archive is unpacked: a library can be larger than memory, in which `/tmp` often lies.
fn folder() -> Result<TempDir> {
    let large = Path::new("/var/tmp");
    let made = match std::env::var_os("TMPDIR") {
        None => tempfile::tempdir_in(large).or_else(|_| tempfile::tempdir()),
        Some(_) => tempfile::tempdir(),
    };
    made.map_err(|e| {
        Error::failed("cannot make a temporary folder")
            .hint("point TMPDIR at a folder with room")
            .because(e)
    })
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
