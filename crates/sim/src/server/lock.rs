//! plexmediaserver.pid: says which process runs the server, and keeps a second one out.
//!
//! The file is locked (flock) for the life of the process, so a pid left by a killed server, even one that another
//! process has got since, never keeps the next start from happening.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The held pid file; dropping it lets the next server in.
#[derive(Debug)]
pub(crate) struct PidFile {
    file: File,
    path: PathBuf,
}

/// Why the pid file could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PidError {
    /// A server runs on this data directory.
    #[error("another Plex Media Server (pid {pid}) is running on this data directory")]
    Held {
        /// What the file says.
        pid: String,
    },
    /// The file could not be written.
    #[error("cannot write {}", path.display())]
    Io {
        /// The pid file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PidFile {
    /// Takes the file over and writes this process's id into it.
    pub(crate) fn take(path: &Path) -> Result<Self, PidError> {
        let io = |source| PidError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(io)?;
                return Err(PidError::Held {
                    pid: pid.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(io)?;
        file.write_all(std::process::id().to_string().as_bytes()).map_err(io)?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Removes the file, as a clean stop does.
    pub(crate) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        self.file.unlock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_kept_out_and_a_stale_file_is_not_a_server() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plexmediaserver.pid");
        fs::write(&path, "1").unwrap();
        let held = PidFile::take(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
        assert!(matches!(PidFile::take(&path), Err(PidError::Held { pid }) if pid == std::process::id().to_string()));
        held.remove().unwrap();
        assert!(!path.exists());
        PidFile::take(&path).unwrap();
    }
}
