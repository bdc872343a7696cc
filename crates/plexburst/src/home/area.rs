//! The folder beside home's databases in which a burst keeps the base and what it stages: where a file can be renamed
//! into place (in the folder itself, when that is a mount of its own), and out of Plex's way.

use std::path::{Path, PathBuf};

use plex_library::Databases;

use super::kept::Note;
use crate::error::{Error, Result};

/// What bursts keep at home.
#[derive(Debug, Clone)]
pub struct Area {
    root: PathBuf,
    burst: PathBuf,
}

impl Area {
    /// The area of the burst `id` for a home with these databases.
    ///
    /// # Errors
    /// The folder of the databases cannot be looked at.
    pub fn of(databases: &Databases, id: &str) -> Result<Self> {
        let root = plex_library::swap::area(databases)?;
        Ok(Self {
            burst: root.join(id),
            root,
        })
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

    /// The folder of all bursts.
    pub fn root(&self) -> &Path {
        &self.root
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

    /// Home as it was shortly before it was to be stopped: over [`Area::mine`].
    pub fn next(&self) -> Databases {
        Databases::at(self.burst.join("next"))
    }

    /// Makes [`Area::next`] what [`Area::mine`] is, which goes. May be done again after it was cut short.
    ///
    /// # Errors
    /// The disk.
    pub fn make_next_mine(&self) -> Result<()> {
        let (mine, next) = (self.mine(), self.next());
        let failed = |e| Error::failed(format!("cannot make {} what was merged", next.dir().display())).because(e);
        // Whether it is there is told by this file: it must not be there with its other half gone.
        match std::fs::remove_file(mine.library()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => discard(mine.dir())?,
        }
        self.rename(next.dir(), mine.dir()).map_err(failed)
    }

    /// Gives a folder of this burst another name there, for good.
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        std::fs::rename(from, to).and_then(|()| std::fs::File::open(&self.burst)?.sync_all())
    }

    /// Base and delta; after the merge the result.
    pub fn staged(&self) -> Databases {
        Databases::at(self.burst.join("staged"))
    }

    /// The library that was home's before the swap.
    pub fn previous(&self) -> Databases {
        Databases::at(self.burst.join("previous"))
    }

    /// What leads from the library before to the one that was put in place: a delta.
    pub fn since(&self) -> PathBuf {
        self.burst.join("since")
    }

    /// Where the pair that was put in place is held until [`Area::since`] is made.
    pub fn held(&self) -> PathBuf {
        self.burst.join("held")
    }

    /// At the end: the pair that is not home's (where it lies, `replaced`) gets its name, with a note of what it is; what
    /// only the running burst needed goes.
    ///
    /// # Errors
    /// The disk.
    pub fn keep_previous(&self, replaced: &Path, note: &Note) -> Result<()> {
        for dir in [self.base().dir(), self.next().dir(), self.mine().dir(), &self.held()] {
            discard(dir)?;
        }
        let previous = self.previous();
        if replaced != previous.dir() && Databases::at(replaced).library().exists() {
            self.rename(replaced, previous.dir()).map_err(|e| {
                Error::failed(format!("cannot keep the other library as {}", previous.dir().display())).because(e)
            })?;
        }
        if self.staged().dir() != replaced {
            discard(self.staged().dir())?;
        }
        if previous.library().exists() {
            note.write(&self.burst)?;
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
