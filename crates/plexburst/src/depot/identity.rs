//! The user's own key to an encrypted depot: made once, kept for ever.

use std::path::{Path, PathBuf};

use super::seal;
use crate::error::{Context, Error, Result};

/// The key and who it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserKey {
    /// Where it lies.
    pub path: PathBuf,
    /// What is encrypted to it; no secret.
    pub recipients: Vec<String>,
    /// Whether it was made just now.
    pub is_new: bool,
}

impl UserKey {
    /// The key at `path`; one is made when there is none. One that is there is never replaced.
    ///
    /// # Errors
    /// It cannot be read or made, or others can read it.
    pub fn ensure(path: &Path) -> Result<Self> {
        let is_new = !path.exists();
        if is_new {
            if let Some(dir) = path.parent() {
                use std::os::unix::fs::DirBuilderExt;
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(dir)
                    .map_err(|e| Error::usage(format!("cannot make {}", dir.display())).because(e))?;
            }
            seal::make_identity(path, "the key to the depot of plexburst")?;
        }
        Ok(Self {
            path: path.to_path_buf(),
            recipients: seal::recipients_of(path)?,
            is_new,
        })
    }

    /// `content`, so that only this key opens it.
    ///
    /// # Errors
    /// Never in practice.
    pub fn seal(&self, content: &[u8]) -> Result<Vec<u8>> {
        seal::Seal::default().with_own(&self.path)?.close(content)
    }

    /// What was sealed to this key.
    ///
    /// # Errors
    /// It is damaged, or was sealed to another key.
    pub fn open(&self, closed: &[u8]) -> Result<Vec<u8>> {
        let opened = seal::Seal::default().with_own(&self.path)?.open(closed);
        opened.map_err(|e| Error::failed(format!("cannot open what was sealed to {}", self.path.display())).because(e))
    }

    /// The key itself, to be written on paper.
    ///
    /// # Errors
    /// The disk.
    pub fn reveal(&self) -> Result<String> {
        let text = std::fs::read_to_string(&self.path).context(|| format!("cannot read {}", self.path.display()))?;
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with('#'));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder/key");
        let made = UserKey::ensure(&path).unwrap();
        assert!(made.is_new && made.recipients[0].starts_with("age1"), "{made:?}");
        assert!(made.reveal().unwrap().starts_with("AGE-SECRET-KEY-1"));
        let again = UserKey::ensure(&path).unwrap();
        assert!(!again.is_new);
        assert_eq!(again.recipients, made.recipients);
        let sealed = made.seal(b"who").unwrap();
        assert!(!sealed.windows(3).any(|bytes| bytes == b"who"));
        assert_eq!(again.open(&sealed).unwrap(), b"who");
        let other = UserKey::ensure(&dir.path().join("other")).unwrap();
        assert!(other.open(&sealed).is_err());
    }
}
