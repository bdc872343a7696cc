//! A library that is only looked at, however it was named: a file, a folder, or an archive, which is unpacked into a
//! folder that goes away again.

use std::path::Path;

use plex_library::Databases;
use tempfile::TempDir;

use super::Context;
use crate::error::{Error, Result};

/// A library that was found.
#[derive(Debug)]
pub(super) struct Library {
    databases: Databases,
    _unpacked: Option<TempDir>,
}

impl Library {
    pub(super) fn databases(&self) -> &Databases {
        &self.databases
    }
}

/// Finds the library that `path` names.
pub(super) fn open(path: &Path, context: &Context) -> Result<Library> {
    if !plex_library::archive::is_archive(path) {
        return Ok(Library {
            databases: plex_library::locate(path)?.databases,
            _unpacked: None,
        });
    }
    context.printer.phase("unpack", &path.display().to_string());
    let folder = tempfile::tempdir().map_err(|e| {
        Error::failed("cannot make a temporary folder to unpack the archive into")
            .hint("point TMPDIR at a folder with room")
            .because(e)
    })?;
    let unpacked = plex_library::archive::unpack(path, folder.path())?;
    Ok(Library {
        databases: unpacked.databases(),
        _unpacked: Some(folder),
    })
}
