//! What the merge's own tests share.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::paths::Databases;

/// A copy of the library that a real Plex wrote; removed when dropped.
#[derive(Debug)]
pub(super) struct Copy {
    _dir: TempDir,
    databases: Databases,
}

impl std::ops::Deref for Copy {
    type Target = Databases;

    fn deref(&self) -> &Databases {
        &self.databases
    }
}

/// Copies the pair in `from`.
pub(super) fn copy(from: &Databases) -> Copy {
    let dir = tempfile::tempdir().expect("temporary folder");
    let databases = Databases::at(dir.path());
    for (source, target) in [(from.library(), databases.library()), (from.blobs(), databases.blobs())] {
        // Not fs::copy: the data is read-only, and its mode would come along.
        std::fs::write(&target, std::fs::read(&source).expect("read")).expect("write");
    }
    Copy { _dir: dir, databases }
}

/// The real library of 2026, if it is on this machine: `PLEXBURST_PLEX_2026`, or beside the checkout.
pub(super) fn plex_2026() -> Option<Copy> {
    let named = std::env::var_os("PLEXBURST_PLEX_2026").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/plex-2026");
    let root = named.unwrap_or(beside);
    let dir = root.join("Plex Media Server/Plug-in Support/Databases");
    let databases = Databases::at(dir);
    databases.library().exists().then(|| copy(&databases))
}
