//! A folder as a depot. It is readable by its owner alone; every put is flushed before it gets its name.

use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use plex_library::publish;

use super::{Fault, Listed};

/// The folder.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The folder `root`, which is made when the first object is put.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Whether it is there: a disk may be pulled out, a share unmounted.
    pub(crate) fn is_there(&self) -> bool {
        self.root.is_dir()
    }

    pub(super) async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), Fault> {
        apart(|| self.put_now(key, bytes))
    }

    /// Puts `bytes` under `key` before anything else is done.
    pub(crate) fn put_now(&self, key: &str, bytes: &[u8]) -> Result<(), Fault> {
        let to = self.root.join(key);
        if let Some(dir) = to.parent() {
            make(dir)?;
        }
        publish::file(&to, bytes).map_err(|e| match e {
            plex_library::Error::NoSpace { .. } => Fault::Full(e.to_string()),
            _ => Fault::Other(said(&e)),
        })
    }

    pub(super) async fn get(&self, key: &str) -> Result<Vec<u8>, Fault> {
        let path = self.root.join(key);
        apart(|| std::fs::read(&path).map_err(|e| fault(&path, &e)))
    }

    pub(super) async fn size(&self, key: &str) -> Result<u64, Fault> {
        let path = self.root.join(key);
        apart(|| match std::fs::metadata(&path) {
            Ok(meta) if meta.is_file() => Ok(meta.len()),
            Ok(_) => Err(Fault::Missing),
            Err(e) => Err(fault(&path, &e)),
        })
    }

    pub(super) async fn remove(&self, key: &str) -> Result<(), Fault> {
        let path = self.root.join(key);
        apart(|| match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(fault(&path, &e)),
            _ => Ok(()),
        })
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Fault> {
        let (root, dir) = (self.root.clone(), self.root.join(prefix));
        apart(|| {
            let mut listed = Vec::new();
            walk(&root, &dir, &mut listed)?;
            Ok(listed)
        })
    }

    pub(super) async fn remove_folder(&self, prefix: &str) -> Result<(), Fault> {
        let dir = self.root.join(prefix);
        apart(|| match std::fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(fault(&dir, &e)),
            _ => Ok(()),
        })
    }
}

fn make(dir: &Path) -> Result<(), Fault> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| fault(dir, &e))
}

fn walk(root: &Path, dir: &Path, listed: &mut Vec<Listed>) -> Result<(), Fault> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(fault(dir, &e)),
    };
    for entry in entries {
        let entry = entry.map_err(|e| fault(dir, &e))?;
        let path = entry.path();
        // What is still being written has no name yet.
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => walk(root, &path, listed)?,
            Ok(meta) => {
                let key = path.strip_prefix(root).unwrap_or(&path);
                listed.push(Listed {
                    key: key.to_string_lossy().into_owned(),
                    bytes: meta.len(),
                });
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(fault(&path, &e)),
        }
    }
    Ok(())
}

fn fault(path: &Path, e: &std::io::Error) -> Fault {
    let text = format!("{}: {e}", path.display());
    match e.kind() {
        ErrorKind::NotFound => Fault::Missing,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Fault::Full(text),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Fault::Denied(text),
        _ => Fault::Other(text),
    }
}

fn said(e: &plex_library::Error) -> String {
    match std::error::Error::source(e) {
        Some(source) if !e.to_string().contains(&source.to_string()) => format!("{e}: {source}"),
        _ => e.to_string(),
    }
}

/// File work holds nobody else up.
fn apart<T>(act: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(act),
        // There is one thread only, and with it nobody else.
        _ => act(),
    }
}
