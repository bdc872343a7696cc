//! Whether a file stayed as it was while it was read.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{At, Error, OPEN, Result};

/// What a file looked like from outside: identity, size and times.
///
/// A file that is changed gets a new change time, which no program can set back; the kernel's clock ticks at least
/// every 10 ms, so a change within the same tick as the first look may go unseen only if the size stays equal too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    path: PathBuf,
    look: Option<Look>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    inode: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// The file as it is now; one that is not there has a stamp as well.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            look: look(path)?,
        })
    }

    /// Confirms that the file is still the same.
    pub(crate) fn confirm(&self) -> Result<()> {
        if look(&self.path)? == self.look {
            Ok(())
        } else {
            Err(Error::Changed {
                path: self.path.clone(),
            })
        }
    }
}

fn look(path: &Path) -> Result<Option<Look>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(Look {
            inode: (meta.dev(), meta.ino()),
            bytes: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at(OPEN, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_kind_is_noticed() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("x");
        let absent = Stamp::of(&path).unwrap();
        absent.confirm().unwrap();
        fs::write(&path, "a").unwrap();
        assert!(absent.confirm().is_err());
        let stamp = Stamp::of(&path).unwrap();
        stamp.confirm().unwrap();
        fs::write(&path, "ab").unwrap();
        assert!(stamp.confirm().is_err());
    }
}
