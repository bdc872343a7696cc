//! The token that opens the page from another machine: made once, readable by its owner alone, never shown by this program.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};
use crate::secret::{self, Token};

/// Where it lies.
pub(super) fn file(state_dir: &Path) -> PathBuf {
    state_dir.join("serve-token")
}

/// The token in `path`; one is made when there is none.
///
/// # Errors
/// It cannot be made or read; others can read it.
pub(super) fn ensure(path: &Path) -> Result<Token> {
    if !path.exists() {
        let mut bytes = [0; 32];
        std::fs::File::open("/dev/urandom")
            .and_then(|mut random| random.read_exact(&mut bytes))
            .context(|| "cannot read /dev/urandom".to_owned())?;
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).context(|| format!("cannot make {}", dir.display()))?;
        }
        let text = format!("{}\n", blake3::hash(&bytes).to_hex());
        plex_library::publish::file(path, text.as_bytes())?;
    }
    let token = Token::new(&secret::read_private(path)?);
    match token.reveal().is_empty() {
        false => Ok(token),
        true => {
            Err(crate::error::Error::usage(format!("{} is empty", path.display()))
                .hint("remove it: a new token is made"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_once_and_nobody_else_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path());
        let first = ensure(&path).unwrap();
        assert_eq!(first.reveal().len(), 64);
        assert_eq!(ensure(&path).unwrap(), first);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let error = ensure(&path).unwrap_err();
        assert!(error.hint_text().unwrap().starts_with("chmod 600"), "{error:?}");
        assert_eq!(error.exit(), crate::exit::USAGE);
    }
}
