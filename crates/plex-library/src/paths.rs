//! Where a library's files are.
//!
//! A person names a library by its database, by the folder of the databases or by Plex's data directory;
//! [`locate`] finds the rest. Names of files are constants here and nowhere else.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{At, Error, OPEN, Result};

/// File name of the library's main database.
pub const LIBRARY_DB: &str = "com.plexapp.plugins.library.db";
/// File name of the database of blobs (Sonic vectors, subtitles, fingerprints), keyed by row ids of the main one.
pub const BLOBS_DB: &str = "com.plexapp.plugins.library.blobs.db";
/// Where the databases are below Plex's data directory.
pub const DATABASES_DIR: &str = "Plug-in Support/Databases";

/// The folder that Plex calls `Databases`: the pair, and whatever else lies there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Databases {
    dir: PathBuf,
}

/// Which of the two databases of a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// com.plexapp.plugins.library.db
    Library,
    /// com.plexapp.plugins.library.blobs.db
    Blobs,
}

impl Which {
    /// Both, in the order in which a consistent pair is marked: every blob's owner is then in the library.
    pub const BLOBS_FIRST: [Self; 2] = [Self::Blobs, Self::Library];
    /// Both, the more important one first.
    pub const BOTH: [Self; 2] = [Self::Library, Self::Blobs];

    /// Its file name.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Library => LIBRARY_DB,
            Self::Blobs => BLOBS_DB,
        }
    }

    /// The word for it in names of our own files and in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::Blobs => "blobs",
        }
    }
}

impl Databases {
    /// The databases in `dir`; nothing is looked at yet.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Path of the main database.
    #[must_use]
    pub fn library(&self) -> PathBuf {
        self.path(Which::Library)
    }

    /// Path of the database of blobs.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.path(Which::Blobs)
    }

    /// Path of one of the two.
    #[must_use]
    pub fn path(&self, which: Which) -> PathBuf {
        self.dir.join(which.file_name())
    }

    /// Both databases with their `-wal` and `-shm`, whether they are there or not.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        Which::BOTH
            .into_iter()
            .map(|which| self.path(which))
            .flat_map(|path| [wal_of(&path), shm_of(&path), path])
            .collect()
    }
}

/// Path of a database's write-ahead log.
#[must_use]
pub fn wal_of(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

/// Path of a database's wal-index.
#[must_use]
pub fn shm_of(database: &Path) -> PathBuf {
    with_suffix(database, "-shm")
}

/// Path of the journal that a database outside of WAL mode has during a transaction, or after a crash in one.
#[must_use]
pub fn journal_of(database: &Path) -> PathBuf {
    with_suffix(database, "-journal")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// A library that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The folder of its databases.
    pub databases: Databases,
    /// Plex's data directory (with `Metadata` and `Media`), if the databases lie in one.
    pub data_dir: Option<PathBuf>,
}

/// How many folders below the named one a library is looked for: `Library/Application Support/Plex Media Server` are
/// three, the databases two more, and containers put up to three above.
const DEPTH: usize = 8;

/// Finds the library that `path` names: a library.db, the folder in which it lies, Plex's data directory, or a folder
/// somewhere above that (as a container's `/config` is).
///
/// # Errors
/// [`Error::NotALibrary`] if there is none, or more than one below `path`.
pub fn locate(path: &Path) -> Result<Located> {
    let not = |why: &str| Error::NotALibrary {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let Ok(meta) = fs::metadata(path) else {
        return match fs::symlink_metadata(path) {
            Ok(_) => Err(not("the symbolic link leads nowhere, or may not be followed")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(not("there is nothing of that name")),
            Err(error) => Err(error).at(OPEN, path),
        };
    };
    if meta.is_file() {
        return match path.file_name().and_then(|name| name.to_str()) {
            Some(LIBRARY_DB | BLOBS_DB) => Ok(found(path.parent().unwrap_or(Path::new(".")))),
            _ => Err(not(&format!("a file of another name than {LIBRARY_DB}"))),
        };
    }
    if !meta.is_dir() {
        return Err(not("neither a file nor a folder"));
    }
    if path.join(LIBRARY_DB).exists() {
        return Ok(found(path));
    }
    if path.join(DATABASES_DIR).join(LIBRARY_DB).exists() {
        return Ok(found(&path.join(DATABASES_DIR)));
    }
    let mut below = Vec::new();
    search(path, DEPTH, &mut below)?;
    match below.as_slice() {
        [] => Err(not(&format!("no {LIBRARY_DB} in it or below it"))),
        [one] => Ok(found(one)),
        many => Err(not(&format!(
            "{} libraries are below it: {}",
            many.len(),
            many.iter()
                .map(|dir| dir.display().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

fn found(dir: &Path) -> Located {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let data_dir = fs::canonicalize(dir)
        .ok()
        .filter(|real| real.ends_with(DATABASES_DIR))
        .and_then(|real| {
            // The given spelling is kept where it has the folders in it, so that messages show what the person typed.
            let spelled = if dir.ends_with(DATABASES_DIR) {
                dir.to_owned()
            } else {
                real
            };
            spelled.parent()?.parent().map(Path::to_owned)
        });
    Located {
        databases: Databases::at(dir),
        data_dir,
    }
}

/// Looks for `Plug-in Support/Databases` below `dir`, never through symbolic links and never inside the bundle trees,
/// which hold hundreds of thousands of folders.
fn search(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let databases = dir.join(DATABASES_DIR);
    if databases.join(LIBRARY_DB).exists() {
        found.push(databases);
        return Ok(());
    }
    if depth == 0 {
        return Ok(());
    }
    // A folder that may not be read cannot hold the library that the person means.
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(());
    };
    let mut below: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter(|entry| !matches!(entry.file_name().to_str(), Some("Metadata" | "Media" | "Cache")))
        .map(|entry| entry.path())
        .collect();
    below.sort();
    below.iter().try_for_each(|dir| search(dir, depth - 1, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn library(root: &Path) -> PathBuf {
        let dir = root
            .join("config/Library/Application Support/Plex Media Server")
            .join(DATABASES_DIR);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(LIBRARY_DB), "").unwrap();
        dir
    }

    #[test]
    fn every_way_to_name_a_library_leads_to_it() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = library(tmp.path());
        let data = dir.parent().unwrap().parent().unwrap().to_owned();
        for path in [
            tmp.path(),
            &tmp.path().join("config"),
            &data,
            &dir,
            &dir.join(LIBRARY_DB),
        ] {
            let located = locate(path).unwrap();
            assert_eq!(located.databases.library(), dir.join(LIBRARY_DB), "{}", path.display());
            assert_eq!(located.data_dir.as_deref(), Some(data.as_path()), "{}", path.display());
        }
    }

    #[test]
    fn a_bare_pair_has_no_data_directory() {
        let tmp = tempfile::tempdir().unwrap();
        fs::write(tmp.path().join(LIBRARY_DB), "").unwrap();
        assert_eq!(locate(tmp.path()).unwrap().data_dir, None);
    }

    #[test]
    fn what_is_no_library_is_named_as_such() {
        let tmp = tempfile::tempdir().unwrap();
        fs::write(tmp.path().join("notes.db"), "").unwrap();
        for path in [
            tmp.path().to_owned(),
            tmp.path().join("notes.db"),
            tmp.path().join("absent"),
        ] {
            assert_eq!(
                locate(&path).unwrap_err().kind(),
                Kind::NotALibrary,
                "{}",
                path.display()
            );
        }
        library(&tmp.path().join("a"));
        library(&tmp.path().join("b"));
        assert!(locate(tmp.path()).unwrap_err().to_string().contains("2 libraries"));
    }
}
