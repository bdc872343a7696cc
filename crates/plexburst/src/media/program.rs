//! Which rclone is run: the configured one, the one in PATH, the one beside this program, or a pinned one that is fetched
//! and whose hash is checked.
//!
//! Guarantees: an rclone with another hash than the one asked for is never run.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::error::{Error, io_error};
use super::fetch;
use super::remote::cannot_run;

/// Debian 12 has 1.60; what older ones lack was not looked at.
const MINIMUM: Version = Version(1, 60);

/// rclone's version as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// An rclone that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rclone {
    /// Where it is.
    pub program: PathBuf,
    /// None when it does not tell, as a build from source does.
    pub version: Option<Version>,
}

/// Where to look, and what to accept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The configured one: no other is looked for.
    pub program: Option<PathBuf>,
    /// SHA-256 of the program, in hexadecimal.
    pub sha256: Option<String>,
    /// Fetch the pinned one when there is none.
    pub fetch: bool,
    /// Where to fetch it from; the pinned place when unset.
    pub url: Option<String>,
}

impl Wanted {
    /// As it is configured.
    #[must_use]
    pub fn of(config: &crate::config::Media) -> Self {
        Self {
            program: config.rclone.clone(),
            sha256: config.rclone_sha256.clone(),
            fetch: config.fetch_rclone,
            url: config.rclone_url.clone(),
        }
    }
}

impl Rclone {
    /// Finds one; `beside` is a folder with programs of the worker's own, which a fetched one is put into.
    ///
    /// # Errors
    /// There is none, it is too old, or it is another one than the one asked for.
    pub async fn find(wanted: &Wanted, beside: &Path) -> Result<Self, Error> {
        let program = match &wanted.program {
            Some(program) => Some(program.clone()).filter(|program| program.is_file()),
            None => in_path().or_else(|| bundled(beside)),
        };
        let program = match program {
            Some(program) => program,
            None if wanted.fetch && wanted.program.is_none() => fetch::rclone(wanted, beside).await?,
            None => return Err(Error::NoRclone),
        };
        if let Some(sha256) = &wanted.sha256 {
            let is =
                crate::plex::blocking(|| hash(&program)).map_err(io_error(format!("read {}", program.display())))?;
            if !is.eq_ignore_ascii_case(sha256.trim()) {
                return Err(Error::OtherRclone { program, is });
            }
        }
        let version = version(&program).await?;
        match version {
            Some(version) if version < MINIMUM => Err(Error::OldRclone {
                program,
                version: version.to_string(),
            }),
            version => Ok(Self { program, version }),
        }
    }

    /// Whether it has what came with version 1.`minor`; one that does not tell its version is taken for new.
    #[must_use]
    pub fn has(&self, minor: u32) -> bool {
        self.version.is_none_or(|version| version >= Version(1, minor))
    }
}

fn in_path() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|dir| dir.join("rclone"))
        .find(|program| program.is_file())
}

/// In the worker's own folder, or beside this very program.
fn bundled(beside: &Path) -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let own = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    [Some(beside.to_owned()), own]
        .into_iter()
        .flatten()
        .map(|dir| dir.join("rclone"))
        .find(|program| program.is_file())
}

/// SHA-256 of a file, in hexadecimal.
pub(super) fn hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => digest.update(&piece[..read]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn version(program: &Path) -> Result<Option<Version>, Error> {
    let output = Command::new(program)
        .arg("version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(cannot_run)?;
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

fn parse(text: &str) -> Option<Version> {
    let version = text.lines().next()?.strip_prefix("rclone v")?;
    let mut numbers = version.split(['.', '-']);
    Some(Version(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program that says what an rclone of that version says.
    fn fake(dir: &Path, version: &str) -> PathBuf {
        let program = dir.join("rclone");
        std::fs::write(&program, format!("#!/bin/sh\necho 'rclone v{version}'\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    #[test]
    fn versions() {
        assert_eq!(parse("rclone v1.75.2\n- os"), Some(Version(1, 75)));
        assert_eq!(parse("rclone v1.60.1-DEV"), Some(Version(1, 60)));
        assert_eq!(parse("?"), None);
        assert!(Version(2, 0) > MINIMUM && Version(1, 9) < MINIMUM);
    }

    #[tokio::test]
    async fn the_configured_one_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let program = fake(dir.path(), "1.75.2");
        let mut wanted = Wanted {
            program: Some(program.clone()),
            ..Wanted::default()
        };
        let found = Rclone::find(&wanted, dir.path()).await.unwrap();
        assert_eq!((&found.program, found.version), (&program, Some(Version(1, 75))));
        assert!(found.has(75) && !found.has(76));
        wanted.sha256 = Some(hash(&program).unwrap().to_uppercase());
        assert!(Rclone::find(&wanted, dir.path()).await.is_ok());
        wanted.sha256 = Some("00".repeat(32));
        assert!(matches!(
            Rclone::find(&wanted, dir.path()).await,
            Err(Error::OtherRclone { .. })
        ));
        wanted.program = Some(dir.path().join("none"));
        assert!(matches!(Rclone::find(&wanted, dir.path()).await, Err(Error::NoRclone)));
        let old = Wanted {
            program: Some(fake(dir.path(), "1.53.3-DEV")),
            ..Wanted::default()
        };
        let error = Rclone::find(&old, dir.path()).await.unwrap_err();
        assert!(
            matches!(&error, Error::OldRclone { version, .. } if version == "1.53"),
            "{error}"
        );
    }
}
