//! Whose the files are that a burst leaves beside home's databases: root may work on another user's library, and nothing of
//! what it leaves there may be root's.

use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use crate::error::{Context, Result};

/// Gives everything in the folder `area` to the owner of the folder `like`, where this process may.
///
/// # Errors
/// The folder cannot be walked through, or a file cannot be given away.
pub fn settle(area: &Path, like: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() || !area.exists() {
        return Ok(());
    }
    let like = std::fs::metadata(like).context(|| format!("cannot look at {}", like.display()))?;
    let owner = (like.uid(), like.gid());
    let mut open = vec![area.to_owned()];
    while let Some(path) = open.pop() {
        let looking = || format!("cannot look at {}", path.display());
        // Links are given away, and not followed.
        let meta = match std::fs::symlink_metadata(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            meta => meta.context(looking)?,
        };
        if (meta.uid(), meta.gid()) != owner {
            lchown(&path, Some(owner.0), Some(owner.1))
                .context(|| format!("cannot give {} to the owner of the library", path.display()))?;
        }
        if meta.is_dir() {
            for entry in std::fs::read_dir(&path).context(looking)? {
                open.push(entry.context(looking)?.path());
            }
        }
    }
    Ok(())
}
