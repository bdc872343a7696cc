//! Bundles below `Metadata/` whose item got another guid in a merge: their folder is named by the guid's hash.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{At, READ, Result};

/// Gives the bundle of hash `from` the name of hash `to`, in every kind of `Metadata/` that has it. Where there is a
/// bundle of that name already (home's own) both stay as they are. Gives how many were renamed; may be done again.
///
/// # Errors
/// The trees cannot be read or written.
pub fn rename(data_dir: &Path, from: &str, to: &str) -> Result<u64> {
    let (Some(from), Some(to)) = (place(from), place(to)) else {
        return Ok(0);
    };
    let metadata = data_dir.join("Metadata");
    let kinds = match fs::read_dir(&metadata) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        other => other.at(READ, &metadata)?,
    };
    let mut renamed = 0;
    for kind in kinds {
        let kind = kind.at(READ, &metadata)?.path();
        let (old, new) = (kind.join(&from), kind.join(&to));
        if !old.is_dir() || new.exists() {
            continue;
        }
        if let Some(dir) = new.parent() {
            fs::create_dir_all(dir).at("make", dir)?;
        }
        fs::rename(&old, &new).at("rename", &old)?;
        renamed += 1;
    }
    Ok(renamed)
}

/// `h[0]/h[1:].bundle` (facts: plex §4.2); nothing for what is no hash, so that no name can lead elsewhere.
fn place(hash: &str) -> Option<PathBuf> {
    let is_hash = hash.len() == 40 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then(|| Path::new(&hash[..1]).join(format!("{}.bundle", &hash[1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_own_bundle_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, c) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
        let at = |hash: &str| dir.path().join("Metadata/Albums").join(place(hash).unwrap());
        for hash in [&a, &c] {
            fs::create_dir_all(at(hash).join("Contents")).unwrap();
            fs::write(at(hash).join("Contents/x"), hash).unwrap();
        }
        assert_eq!(rename(dir.path(), &a, &b).unwrap(), 1);
        assert_eq!(fs::read_to_string(at(&b).join("Contents/x")).unwrap(), a);
        assert_eq!(rename(dir.path(), &a, &b).unwrap(), 0, "again is nothing");
        assert_eq!(rename(dir.path(), &b, &c).unwrap(), 0);
        assert_eq!(fs::read_to_string(at(&c).join("Contents/x")).unwrap(), c);
        assert_eq!(rename(dir.path(), "../../x", &c).unwrap(), 0);
    }
}
