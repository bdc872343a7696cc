//! The folder beside home's databases in which a burst keeps the base and what it stages: on the same file system, so
//! that the exchange is one rename, and out of Plex's way.

use std::path::{Path, PathBuf};

use plex_library::Databases;

use crate::error::{Error, Result};

const NAME: &str = ".plexburst";

/// What bursts keep at home.
#[derive(Debug, Clone)]
pub struct Area {
    root: PathBuf,
    burst: PathBuf,
}

impl Area {
    /// The area of the burst `id` for a home with these data.
    pub fn of(data_dir: &Path, id: &str) -> Self {
        let root = data_dir.join("Plug-in Support").join(NAME);
        Self {
            burst: root.join(id),
            root,
        }
    }

    /// An area that is not at any home (the library comes from an archive).
    pub fn apart(dir: &Path) -> Self {
        Self {
            root: dir.join("area"),
            burst: dir.join("area"),
        }
    }

    /// Makes the folder.
    ///
    /// # Errors
    /// A read-only or full disk.
    pub fn make(&self) -> Result<()> {
        std::fs::create_dir_all(&self.burst).map_err(|e| {
            Error::failed(format!("cannot make {}", self.burst.display()))
                .hint("plexburst needs to write beside home's databases: run it as the user that owns them")
                .because(e)
        })
    }

    /// The lock that keeps two bursts of one home apart.
    pub fn home_lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The snapshot that the burst began with.
    pub fn base(&self) -> Databases {
        Databases::at(self.burst.join("base"))
    }

    /// Home as the merge saw it.
    pub fn mine(&self) -> Databases {
        Databases::at(self.burst.join("mine"))
    }

    /// Base and delta; after the merge the result.
    pub fn staged(&self) -> Databases {
        Databases::at(self.burst.join("staged"))
    }

    /// The library that was home's before the swap.
    pub fn previous(&self) -> Databases {
        Databases::at(self.burst.join("previous"))
    }

    /// After the swap: the library that was home's, now where the result was staged, gets a name of its own; what only
    /// the running burst needed goes.
    ///
    /// # Errors
    /// The disk.
    pub fn keep_previous(&self) -> Result<()> {
        for databases in [self.base(), self.mine()] {
            discard(databases.dir())?;
        }
        let (staged, previous) = (self.staged(), self.previous());
        if staged.dir().exists() {
            std::fs::rename(staged.dir(), previous.dir()).map_err(|e| {
                Error::failed(format!(
                    "cannot keep home's previous library as {}",
                    previous.dir().display()
                ))
                .because(e)
            })?;
        }
        Ok(())
    }

    /// Removes everything of this burst.
    ///
    /// # Errors
    /// The disk.
    pub fn remove_all(&self) -> Result<()> {
        discard(&self.burst)
    }
}

/// Removes a folder that an attempt before this one may have left.
///
/// # Errors
/// The disk.
pub fn discard(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::failed(format!("cannot remove {}", dir.display())).because(e))
        }
        _ => Ok(()),
    }
}

/// The files in a folder, by name.
///
/// # Errors
/// It cannot be listed.
pub fn files_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(dir)
        .and_then(|entries| {
            entries
                .map(|e| e.map(|e| e.path()))
                .collect::<std::io::Result<Vec<_>>>()
        })
        .map_err(|e| Error::failed(format!("cannot list {}", dir.display())).because(e))?;
    paths.sort();
    Ok(paths)
}
