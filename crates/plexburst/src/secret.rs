//! Secrets: in memory shown by nothing that prints, on the disk read only where nobody else can read them.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{Error, Result};

/// The text of a file that holds a secret.
///
/// # Errors
/// It cannot be read, or others can read it, too.
pub fn read_private(path: &Path) -> Result<String> {
    let failed = |e: std::io::Error| Error::usage(format!("cannot read {}", path.display())).because(e);
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(
            Error::usage(format!("{} holds a secret and others can read it", path.display()))
                .hint(format!("chmod 600 {}", path.display())),
        );
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// A secret that neither `Debug` nor `Display` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes the text over, without the white space around it that files end with.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The secret itself, for a header or a file of mode 0600.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
