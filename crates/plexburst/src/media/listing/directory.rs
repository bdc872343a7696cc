//! A listing of a folder of this machine.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Builder, Count, Listing};
use crate::media::error::{Error, io_error};

/// Lists a folder of this machine; folders behind symlinks count, each once.
pub(in crate::media) fn directory(dir: &Path, root: &str, progress: &mut dyn FnMut(u64)) -> Result<Listing, Error> {
    let mut listing = Builder::default();
    let mut count = Count::default();
    let mut seen = HashSet::new();
    let mut folders = vec![(dir.to_owned(), OsString::new())];
    while let Some((folder, relative)) = folders.pop() {
        let listing_error = || format!("list {}", folder.display());
        let metadata = fs::metadata(&folder).map_err(io_error(listing_error()))?;
        if !seen.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(io_error(listing_error()))? {
            let entry = entry.map_err(io_error(listing_error()))?;
            let relative = PathBuf::from(&relative).join(entry.file_name());
            // A symlink that leads nowhere is no file.
            let Ok(metadata) = fs::metadata(entry.path()) else {
                continue;
            };
            if metadata.is_dir() {
                folders.push((entry.path(), relative.into_os_string()));
            } else if metadata.is_file() {
                listing.add(&relative.to_string_lossy(), metadata.len());
                count.add(1, progress);
            }
        }
    }
    Ok(listing.finish(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_loops_and_dead_links() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("A/B")).unwrap();
        fs::write(dir.path().join("A/B/1.flac"), "12345").unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("A/loop")).unwrap();
        std::os::unix::fs::symlink("none", dir.path().join("A/dead")).unwrap();
        let listing = directory(dir.path(), "/m", &mut |_| ()).unwrap();
        assert_eq!(listing.paths().collect::<Vec<_>>(), ["/m/A/B/1.flac"]);
        assert!(directory(&dir.path().join("none"), "/m", &mut |_| ()).is_err());
    }
}
