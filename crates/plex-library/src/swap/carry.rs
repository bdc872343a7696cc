//! What lies in `Databases` beside the pair, through an exchange.
//!
//! In the instant of the exchange it is in both folders, by hard links; afterwards it is taken out of the one that is not
//! live. Two folders with the same file for longer would be dangerous: a log of the programme guide, closed and removed by
//! Plex in the live one, would lie stale in the other and be replayed after an undo.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, linkat};

use super::likeness::own_like;
use crate::error::{At, OPEN, Result};
use crate::paths::Which;

/// Whether a name belongs to the pair: the databases and what SQLite puts beside them.
fn is_of_pair(name: &OsStr) -> bool {
    Which::BOTH.into_iter().any(|which| {
        name.to_str()
            .and_then(|name| name.strip_prefix(which.file_name()))
            .is_some_and(|rest| matches!(rest, "" | "-wal" | "-shm" | "-journal"))
    })
}

/// Links everything of `from` that is not the pair into `to`.
pub(super) fn link_all(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).at(OPEN, from)? {
        let entry = entry.at(OPEN, from)?;
        if !is_of_pair(&entry.file_name()) {
            link(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn link(from: &Path, to: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(from).at(OPEN, from)?;
    if meta.is_dir() {
        match fs::create_dir(to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.at("create", to)?,
        }
        own_like(from, to)?;
        for entry in fs::read_dir(from).at(OPEN, from)? {
            let entry = entry.at(OPEN, from)?;
            link(&entry.path(), &to.join(entry.file_name()))?;
        }
        return File::open(to).at(OPEN, to)?.sync_all().at("flush", to);
    }
    match fs::symlink_metadata(to) {
        Ok(there) if (there.dev(), there.ino()) == (meta.dev(), meta.ino()) => return Ok(()),
        // Left by an earlier try, since when the live one was replaced.
        Ok(_) => fs::remove_file(to).at("remove", to)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).at(OPEN, to),
    }
    // Without following: a symbolic link is carried as what it is.
    match linkat(CWD, from, CWD, to, AtFlags::empty()) {
        Ok(()) => Ok(()),
        // Some file systems have no hard links, or no more of them for this file.
        Err(rustix::io::Errno::PERM | rustix::io::Errno::NOTSUP | rustix::io::Errno::MLINK) if meta.is_file() => {
            copy(from, to)
        }
        Err(errno) => Err(errno).at("link", to),
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).at("copy", to)?;
    own_like(from, to)?;
    File::open(to).at(OPEN, to)?.sync_all().at("flush", to)
}

/// Removes from `other` what is not the pair and is in `live` under the same name.
pub(super) fn unlink_all(live: &Path, other: &Path) -> Result<()> {
    for entry in fs::read_dir(other).at(OPEN, other)? {
        let entry = entry.at(OPEN, other)?;
        if !is_of_pair(&entry.file_name()) {
            unlink(&live.join(entry.file_name()), &entry.path())?;
        }
    }
    Ok(())
}

fn unlink(live: &Path, other: &Path) -> Result<()> {
    // What is not in the live folder was not carried there: it stays, rather than be lost.
    let Ok(there) = fs::symlink_metadata(live) else {
        return Ok(());
    };
    let meta = fs::symlink_metadata(other).at(OPEN, other)?;
    if !meta.is_dir() {
        return fs::remove_file(other).at("remove", other);
    }
    if there.is_dir() {
        for entry in fs::read_dir(other).at(OPEN, other)? {
            let entry = entry.at(OPEN, other)?;
            unlink(&live.join(entry.file_name()), &entry.path())?;
        }
        match fs::remove_dir(other) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            removed => removed.at("remove", other)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dated_backups_are_not_of_the_pair() {
        for name in ["", "-wal", "-shm", "-journal"] {
            assert!(is_of_pair(OsStr::new(&format!("com.plexapp.plugins.library.db{name}"))));
            assert!(is_of_pair(OsStr::new(&format!(
                "com.plexapp.plugins.library.blobs.db{name}"
            ))));
        }
        for name in [
            "com.plexapp.plugins.library.db-2024-01-03",
            "tv.plex.providers.epg.cloud.db-wal",
            "restore",
        ] {
            assert!(!is_of_pair(OsStr::new(name)));
        }
    }
}
