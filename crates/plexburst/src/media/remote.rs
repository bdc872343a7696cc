//! A remote of rclone: the command that speaks to it, and what its complaints mean.
//!
//! Credentials are rclone's own business (rclone.conf, its environment); they never stand on a command line.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use super::error::{Error, io_error};

/// A silent connection is given up after this: rclone's own 5 minutes would hang a scan (facts/cloud.md §5.3).
pub(super) const PATIENCE: [&str; 6] = ["--contimeout", "10s", "--timeout", "30s", "--low-level-retries", "3"];

/// `remote:path`, and the rclone.conf that knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// As in `s3:bucket/folder`.
    pub name: String,
    /// rclone's own default when none.
    pub config: Option<PathBuf>,
}

impl Remote {
    /// A folder inside of it; "" is itself.
    #[must_use]
    pub fn folder(&self, folder: &str) -> Self {
        let folder = folder.trim_matches('/');
        let name = match (folder, self.name.ends_with([':', '/'])) {
            ("", _) => self.name.clone(),
            (_, true) => format!("{}{folder}", self.name),
            (_, false) => format!("{}/{folder}", self.name),
        };
        Self {
            name,
            config: self.config.clone(),
        }
    }

    /// Arguments that every call on this remote has.
    pub(super) fn options(&self) -> Vec<&OsStr> {
        let mut options = Vec::new();
        if let Some(config) = &self.config {
            options.extend([OsStr::new("--config"), config.as_os_str()]);
        }
        options.extend(PATIENCE.map(OsStr::new));
        options
    }

    /// `rclone VERB … REMOTE`, its output to be read.
    pub(super) fn command(&self, verb: &[&str]) -> Command {
        let mut command = Command::new("rclone");
        command
            .args(verb)
            .args(self.options())
            .args(["--retries", "1", "--", &self.name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Asks the store itself for the folder's own entries: keys, bucket and folder are right when this succeeds.
    ///
    /// # Errors
    /// [`Error`], told apart by cause.
    pub async fn check(&self) -> Result<(), Error> {
        let output = self
            .command(&["lsf", "--max-depth", "1"])
            .output()
            .await
            .map_err(cannot_run)?;
        if output.status.success() {
            return Ok(());
        }
        Err(self.complaint(&String::from_utf8_lossy(&output.stderr)))
    }

    /// What rclone's last words mean.
    pub(super) fn complaint(&self, stderr: &str) -> Error {
        let (remote, said) = (self.name.clone(), last_words(stderr));
        let has = |texts: &[&str]| texts.iter().any(|text| stderr.contains(text));
        if has(&["didn't find section in config file", "Config file doesn't exist"]) {
            Error::NoRemote { remote }
        } else if has(&[
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "AccessDenied",
            "StatusCode: 403",
            "StatusCode: 401",
        ]) {
            Error::WrongKeys { remote, said }
        } else if has(&["directory not found", "NoSuchBucket"]) {
            Error::NoBucket { remote }
        } else if has(&[
            "connection refused",
            "no such host",
            "i/o timeout",
            "network is unreachable",
            "deadline exceeded",
        ]) {
            Error::Unreachable { remote, said }
        } else {
            Error::Rclone { remote, said }
        }
    }
}

pub(super) fn cannot_run(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::NoRclone,
        _ => io_error("run rclone")(error),
    }
}

/// The last line, without its time stamp and level.
fn last_words(stderr: &str) -> String {
    let line = stderr
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing");
    let words = line.split_once(": ").map_or(line, |(_, words)| words);
    words.trim().chars().take(300).collect()
}

/// rclone's version as (major, minor); none when it does not tell.
pub(super) async fn version() -> Result<Option<(u32, u32)>, Error> {
    let output = Command::new("rclone")
        .arg("version")
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(cannot_run)?;
    Ok(parse_version(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let version = text.lines().next()?.strip_prefix("rclone v")?;
    let mut numbers = version.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(name: &str) -> Remote {
        Remote {
            name: name.to_owned(),
            config: None,
        }
    }

    #[test]
    fn folders_inside() {
        assert_eq!(remote("s3:bucket").folder("Music/").name, "s3:bucket/Music");
        assert_eq!(remote("s3:").folder("bucket").name, "s3:bucket");
        assert_eq!(remote("s3:bucket").folder("").name, "s3:bucket");
    }

    #[test]
    fn complaints_are_told_apart() {
        let keys = "2026/11/24 NOTICE: Failed to lsf: operation error S3: ListObjectsV2, https response error StatusCode: 403, api error InvalidAccessKeyId: does not exist";
        assert!(matches!(remote("s3:b").complaint(keys), Error::WrongKeys { .. }));
        let section =
            "CRITICAL: Failed to create file system for \"none:b\": didn't find section in config file (\"none\")";
        assert!(matches!(remote("none:b").complaint(section), Error::NoRemote { .. }));
        let bucket = "NOTICE: Failed to lsf with 2 errors: last error was: error in ListJSON: directory not found";
        let error = remote("s3:b").complaint(bucket);
        assert!(
            matches!(error, Error::NoBucket { .. }) && error.hint().unwrap().contains("rclone lsd s3:"),
            "{error:?}"
        );
        let down = "NOTICE: dial tcp 127.0.0.1:9: connect: connection refused";
        assert!(matches!(remote("s3:b").complaint(down), Error::Unreachable { .. }));
        assert_eq!(
            remote("x:").complaint("").to_string(),
            "rclone failed on x:: it said nothing"
        );
    }

    #[test]
    fn versions() {
        assert_eq!(parse_version("rclone v1.75.2\n- os"), Some((1, 75)));
        assert_eq!(parse_version("rclone v1.60.1-DEV"), Some((1, 60)));
        assert_eq!(parse_version("?"), None);
    }
}
