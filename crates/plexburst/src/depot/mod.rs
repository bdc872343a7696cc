//! The depot: where snapshots and deltas are parked between home and worker, every object named by its burst.
//!
//! Here it is a folder. What is put is published whole or not at all, and what is fetched is verified by its hash
//! before anybody sees it; an object once put is never changed (only the small status objects of a side are replaced).

use std::fs::File;
use std::path::{Path, PathBuf};

use plex_library::publish::FileWriter;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};

/// An object as a journal or a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Key below the burst's own prefix, with `/` between its parts.
    pub key: String,
    /// Size.
    pub bytes: u64,
    /// BLAKE3 of the content, in hex.
    pub blake3: String,
}

/// The part of a depot that belongs to one burst.
#[derive(Debug, Clone)]
pub struct Depot {
    root: PathBuf,
}

impl Depot {
    /// The depot in the folder `dir`, for the burst `id`.
    pub fn in_directory(dir: &Path, id: &str) -> Self {
        Self { root: dir.join(id) }
    }

    /// The folder of this burst's objects.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Puts the file `from` under `key`; an object that is already there with the same content is left as it is.
    ///
    /// # Errors
    /// The disk, with what did not fit.
    pub fn put_file(&self, key: &str, from: &Path) -> Result<Object> {
        let object = self.describe_file(key, from)?;
        if self.is_there(&object)? {
            return Ok(object);
        }
        let to = self.path(key)?;
        self.make_parent(&to)?;
        let mut source = File::open(from).map_err(|e| cannot_put(key, &to).because(e))?;
        copy(&mut source, &to, &object).map_err(|e| cannot_put(key, &to).because(e))?;
        Ok(object)
    }

    /// Puts `bytes` under `key`, replacing what was there: for the small status objects of a side.
    ///
    /// # Errors
    /// The disk.
    pub fn put_bytes(&self, key: &str, bytes: &[u8]) -> Result<Object> {
        let to = self.path(key)?;
        self.make_parent(&to)?;
        plex_library::publish::file(&to, bytes).map_err(|e| cannot_put(key, &to).because(e))?;
        Ok(Object {
            key: key.to_owned(),
            bytes: bytes.len() as u64,
            blake3: blake3::hash(bytes).to_hex().to_string(),
        })
    }

    /// Copies an object to the file `to`, which appears only when the content's hash is right.
    ///
    /// # Errors
    /// The object is missing or not what was put; the disk.
    pub fn get(&self, object: &Object, to: &Path) -> Result<()> {
        let from = self.path(&object.key)?;
        let failed = || format!("cannot fetch {} from the depot", object.key);
        let mut source = File::open(&from).context(failed)?;
        copy(&mut source, to, object).context(failed)
    }

    /// A small object's content; `None` when it is not there.
    ///
    /// # Errors
    /// The disk.
    pub fn read(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(key)?;
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::failed(format!("cannot read {key} in the depot")).because(e)),
        }
    }

    /// Whether the object is there with the very content.
    ///
    /// # Errors
    /// The disk.
    pub fn is_there(&self, object: &Object) -> Result<bool> {
        let path = self.path(&object.key)?;
        match std::fs::metadata(&path) {
            Ok(meta) if meta.len() == object.bytes => {
                Ok(self.describe_file(&object.key, &path)?.blake3 == object.blake3)
            }
            Ok(_) => Ok(false),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::failed(format!("cannot look for {} in the depot", object.key)).because(e)),
        }
    }

    /// Removes one object; one that is not there is fine.
    ///
    /// # Errors
    /// The disk.
    pub fn remove(&self, key: &str) -> Result<()> {
        match std::fs::remove_file(self.path(key)?) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::failed(format!("cannot remove {key} from the depot")).because(e))
            }
            _ => Ok(()),
        }
    }

    /// Removes everything of this burst.
    ///
    /// # Errors
    /// The disk.
    pub fn remove_all(&self) -> Result<()> {
        match std::fs::remove_dir_all(&self.root) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::failed(format!("cannot clear the depot at {}", self.root.display())).because(e))
            }
            _ => Ok(()),
        }
    }

    fn describe_file(&self, key: &str, path: &Path) -> Result<Object> {
        let mut hasher = blake3::Hasher::new();
        let mut file = File::open(path).context(|| format!("cannot open {}", path.display()))?;
        let bytes = std::io::copy(&mut file, &mut hasher).context(|| format!("cannot read {}", path.display()))?;
        Ok(Object {
            key: key.to_owned(),
            bytes,
            blake3: hasher.finalize().to_hex().to_string(),
        })
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        let is_plain = !key.is_empty()
            && key
                .split('/')
                .all(|part| !part.is_empty() && part != "." && part != "..");
        if is_plain {
            Ok(self.root.join(key))
        } else {
            Err(Error::unexpected(format!("{key:?} cannot name an object of the depot")))
        }
    }

    fn make_parent(&self, to: &Path) -> Result<()> {
        let dir = to.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(dir).map_err(|e| {
            Error::failed(format!("cannot make {} in the depot", dir.display()))
                .hint("set `depot.directory` to a folder that can be written")
                .because(e)
        })
    }
}

/// Writes `source` to `to`, which gets its name only when what is on the disk is `object`.
fn copy(source: &mut File, to: &Path, object: &Object) -> plex_library::Result<()> {
    let io = |op, source| plex_library::Error::Io {
        path: to.to_path_buf(),
        op,
        source,
    };
    let mut out = FileWriter::create(to)?;
    std::io::copy(source, &mut out).map_err(|e| io("write", e))?;
    out.publish(|file| {
        let mut hasher = blake3::Hasher::new();
        let bytes = std::io::copy(file, &mut hasher).map_err(|e| io("read back", e))?;
        if bytes == object.bytes && hasher.finalize().to_hex().as_str() == object.blake3 {
            return Ok(());
        }
        Err(plex_library::Error::Mismatch {
            path: to.to_path_buf(),
            what: format!("its content is not what was put into the depot as {}", object.key),
        })
    })
}

fn cannot_put(key: &str, to: &Path) -> Error {
    Error::failed(format!("cannot put {key} into the depot at {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_comes_back_and_damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let depot = Depot::in_directory(&dir.path().join("depot"), "B");
        let from = dir.path().join("from");
        std::fs::write(&from, b"pages").unwrap();
        let object = depot.put_file("base/library.db.zst", &from).unwrap();
        assert!(depot.is_there(&object).unwrap());
        assert_eq!(depot.put_file("base/library.db.zst", &from).unwrap(), object);
        let to = dir.path().join("to");
        depot.get(&object, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"pages");

        std::fs::write(depot.root().join("base/library.db.zst"), b"pagez").unwrap();
        assert!(!depot.is_there(&object).unwrap());
        std::fs::remove_file(&to).unwrap();
        let e = depot.get(&object, &to).unwrap_err();
        assert!(e.chain().contains("not what was"), "{}", e.chain());
        assert!(!to.exists());
    }

    #[test]
    fn keys_cannot_leave_the_burst() {
        let depot = Depot::in_directory(Path::new("/nowhere"), "B");
        for key in ["../x", "a//b", "", "a/../b", "/etc/passwd"] {
            assert!(depot.read(key).is_err(), "{key:?}");
        }
    }
}
