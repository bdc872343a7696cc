//! What can go wrong with a library on disk.
//!
//! Every error names what failed on which object, keeps its cause, and knows a hint: the next thing that a person can
//! do about it. [`Kind`] is the coarse class that the program turns into an exit code. Nothing here prints.

use std::io;
use std::path::{Path, PathBuf};

use crate::users::Process;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an [`Error`], for exit codes and for decisions ("may I try again?").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What was named is not a library that Plex wrote.
    NotALibrary,
    /// A file is a library, or one of our own files, and is broken.
    Damaged,
    /// Two databases that have to have the same schema do not.
    SchemaDiffers,
    /// Some process holds what has to be free, or changed what was being read.
    InUse,
    /// Writing is not permitted there.
    ReadOnly,
    /// The file system is full, or a quota is.
    NoSpace,
    /// Something that was not decided here: the caller has to choose, with names given.
    Refused,
    /// The machine or its file system cannot do what is asked.
    Unsupported,
    /// An object is not the one that was promised (another base, another burst, a file of a newer program).
    Mismatch,
    /// The caller asked to stop.
    Cancelled,
    /// Any other failure of the operating system.
    Io,
    /// Any other failure of SQLite.
    Sqlite,
}

/// A failure, with the object that it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was named is not a library.
    #[error("{} is not a Plex library: {why}", path.display())]
    NotALibrary {
        /// What was named.
        path: PathBuf,
        /// What was looked for and not found, or what is there instead.
        why: String,
    },
    /// A database or one of our own files is broken.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// An archive cannot be read to its end.
    #[error("{} is damaged or not whole: {what}", path.display())]
    BrokenArchive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Two sides have different sets of migrations.
    #[error("{} and {} have different schemas: {what}", left.display(), right.display())]
    SchemaDiffers {
        /// One side.
        left: PathBuf,
        /// The other side.
        right: PathBuf,
        /// The migrations, tables or columns that one of them lacks.
        what: String,
    },
    /// Processes hold the databases open.
    #[error("{} is in use by {}", path.display(), names(by))]
    InUse {
        /// The file or folder.
        path: PathBuf,
        /// Who; empty if it was only seen that somebody does.
        by: Vec<Process>,
    },
    /// What was read changed while it was read, although nobody was seen to hold it.
    #[error("{} changed while it was being read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Writing there is not permitted.
    #[error("cannot {op} {}: not permitted to write there", path.display())]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        op: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// No room is left.
    #[error("cannot {op} {}: no space left", path.display())]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// What was tried.
        op: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Another failure of the operating system.
    #[error("cannot {op} {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        op: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Another failure of SQLite.
    #[error("cannot {op} {}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What was tried.
        op: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A decision that this crate does not take by itself.
    #[error("{what}: {}", list(items))]
    Refused {
        /// What would have been done, and why it was not.
        what: String,
        /// Tables, rows or files, by name.
        items: Vec<String>,
        /// What the person can do about it.
        hint: String,
    },
    /// The machine cannot do it.
    #[error("{what} is not possible for {}", path.display())]
    Unsupported {
        /// The file or folder.
        path: PathBuf,
        /// What cannot be done.
        what: &'static str,
        /// What the person can do about it.
        hint: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The caller asked to stop; nothing was published.
    #[error("cancelled")]
    Cancelled,
    /// An object is not the one that was promised.
    #[error("{} is not what was expected: {what}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Expected and found.
        what: String,
    },
}

impl Error {
    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotALibrary { .. } => Kind::NotALibrary,
            Self::Damaged { .. } | Self::BrokenArchive { .. } => Kind::Damaged,
            Self::SchemaDiffers { .. } => Kind::SchemaDiffers,
            Self::InUse { .. } | Self::Changed { .. } => Kind::InUse,
            Self::ReadOnly { .. } => Kind::ReadOnly,
            Self::NoSpace { .. } => Kind::NoSpace,
            Self::Refused { .. } => Kind::Refused,
            Self::Unsupported { .. } => Kind::Unsupported,
            Self::Mismatch { .. } => Kind::Mismatch,
            Self::Cancelled => Kind::Cancelled,
            Self::Io { .. } => Kind::Io,
            Self::Sqlite { .. } => Kind::Sqlite,
        }
    }

    /// What a person can do about it, as one sentence or command; `None` where nothing better than the message is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotALibrary { .. } => "give the folder \"Plex Media Server\", its \"Plug-in Support/Databases\", or \
                the com.plexapp.plugins.library.db in it"
                .into(),
            Self::Damaged { path, .. } => format!(
                "`plexburst verify {}` lists what is broken; Plex keeps dated backups beside its databases",
                path.display()
            ),
            Self::BrokenArchive { .. } => {
                "copy it once more from where it was made, or use another one; nothing was taken from it".into()
            }
            Self::SchemaDiffers { .. } => {
                "both sides have to run the same version of Plex: update the older one, let it \
                finish its migrations, and begin again"
                    .into()
            }
            Self::InUse { by, .. } if by.is_empty() => "stop Plex and try again".into(),
            Self::InUse { by, .. } => format!("stop {} and try again", names(by)),
            Self::Changed { .. } => "a server started or stopped meanwhile; try again".into(),
            Self::ReadOnly { .. } => {
                "run as the user that owns the library (usually plex) or as root, and see that the \
                file system is mounted for writing"
                    .into()
            }
            Self::NoSpace { path, .. } => format!(
                "free some room on the file system of {}; nothing was changed",
                path.display()
            ),
            Self::Refused { hint, .. } => hint.clone(),
            Self::Unsupported { hint, .. } => (*hint).into(),
            Self::Mismatch { .. } => "fetch the object again, or begin the burst anew from a fresh snapshot".into(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run as a user that may read it: the one that owns the library (usually plex), or root".into()
            }
            Self::Cancelled | Self::Io { .. } | Self::Sqlite { .. } => return None,
        })
    }

    /// Whether doing the very same again may succeed.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::InUse { .. } | Self::Changed { .. })
    }

    /// A failure of the operating system while doing `op` to `path`, told apart by what it means to a person.
    #[must_use]
    pub fn io(path: &Path, op: &'static str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path, op, source },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path, op, source },
            io::ErrorKind::PermissionDenied if op != READ && op != OPEN => Self::ReadOnly { path, op, source },
            _ => Self::Io { path, op, source },
        }
    }

    /// A failure of SQLite while doing `op` to the database at `path`.
    #[must_use]
    pub fn sqlite(path: &Path, op: &'static str, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let path = path.to_owned();
        // A value of another type than its column always has, or text that is none: nothing that was asked for wrongly.
        if matches!(
            source,
            rusqlite::Error::Utf8Error(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
        ) {
            return Self::Damaged {
                what: format!("a value is not what it always is: {source}"),
                path,
            };
        }
        let os = |kind: io::ErrorKind| io::Error::new(kind, source.to_string());
        match source.sqlite_error_code() {
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Damaged {
                what: source.to_string(),
                path,
            },
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Self::InUse { path, by: Vec::new() },
            Some(Code::DiskFull) => Self::NoSpace {
                path,
                op,
                source: os(io::ErrorKind::StorageFull),
            },
            Some(Code::ReadOnly) => Self::ReadOnly {
                path,
                op,
                source: os(io::ErrorKind::ReadOnlyFilesystem),
            },
            // SQLite says the same of everything that keeps it from opening a file.
            Some(Code::CannotOpen) => match std::fs::File::open(&path) {
                Err(why) => Self::io(&path, OPEN, why),
                Ok(_) => Self::Sqlite { path, op, source },
            },
            _ => Self::Sqlite { path, op, source },
        }
    }

    /// Damage found by ourselves.
    #[must_use]
    pub fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// An object that is not the promised one.
    #[must_use]
    pub fn mismatch(path: &Path, what: impl Into<String>) -> Self {
        Self::Mismatch {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}

/// The operation that reads; failing it for want of permission is not a matter of a read-only disk.
pub(crate) const READ: &str = "read";
/// The operation that opens for reading.
pub(crate) const OPEN: &str = "open";

/// Adds the object and the operation to a bare failure.
pub(crate) trait At<T> {
    /// `op` is a verb that fits into "cannot {op} {path}".
    fn at(self, op: &'static str, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, op: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::io(path, op, source))
    }
}

impl<T> At<T> for rustix::io::Result<T> {
    fn at(self, op: &'static str, path: &Path) -> Result<T> {
        self.map_err(|errno| Error::io(path, op, errno.into()))
    }
}

impl<T> At<T> for rusqlite::Result<T> {
    fn at(self, op: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::sqlite(path, op, source))
    }
}

fn names(by: &[Process]) -> String {
    if by.is_empty() {
        return "another process".into();
    }
    by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Lists are cut where a terminal could not show them any more; the whole list is in the error's fields.
fn list(items: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = items
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if items.len() > SHOWN {
        text.push_str(&format!(" and {} more", items.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_from_other_failures() {
        let full = Error::io(Path::new("/x"), "write", io::Error::from_raw_os_error(28));
        assert_eq!(full.kind(), Kind::NoSpace);
        let quota = Error::io(Path::new("/x"), "write", io::Error::from_raw_os_error(122));
        assert_eq!(quota.kind(), Kind::NoSpace);
        let broken = Error::io(Path::new("/x"), "write", io::Error::from_raw_os_error(5));
        assert_eq!(broken.kind(), Kind::Io);
    }

    #[test]
    fn a_long_list_is_cut_in_the_message_only() {
        let items: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
        let error = Error::Refused {
            what: "unknown tables changed".into(),
            items,
            hint: String::new(),
        };
        assert!(error.to_string().ends_with("t7 and 12 more"), "{error}");
    }
}
