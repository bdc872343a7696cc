//! A remote of rclone: the command that speaks to it, and what its complaints mean.
//!
//! Credentials are rclone's own business (rclone.conf), or reach it through the environment of its process
//! ([`super::s3`]); they never stand on a command line.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::error::{Error, io_error};
use crate::plex::client::Token;

/// A silent connection is given up after this: rclone's own 5 minutes would hang a scan (facts/cloud.md §5.3), and a
/// store that takes half a minute to answer is slow, not dead.
pub(super) const PATIENCE: [&str; 6] = ["--contimeout", "10s", "--timeout", "45s", "--low-level-retries", "3"];

/// `remote:path`, and how rclone comes to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// As in `s3:bucket/folder`.
    pub name: String,
    /// The rclone.conf that knows it; rclone's own default when none.
    pub config: Option<PathBuf>,
    /// Variables that make it known to rclone instead of a file, keys among them.
    pub(super) variables: Vec<(String, Token)>,
    /// rclone itself, by path or by name.
    pub(super) program: PathBuf,
}

impl Remote {
    /// A remote of an rclone.conf.
    #[must_use]
    pub fn new(name: &str, config: Option<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            config,
            variables: Vec::new(),
            program: PathBuf::from("rclone"),
        }
    }

    /// A folder inside of it; "" is itself.
    #[must_use]
    pub fn folder(&self, folder: &str) -> Self {
        let folder = folder.trim_matches('/');
        let name = match (folder, self.name.ends_with([':', '/'])) {
            ("", _) => self.name.clone(),
            (_, true) => format!("{}{folder}", self.name),
            (_, false) => format!("{}/{folder}", self.name),
        };
        Self { name, ..self.clone() }
    }

    /// What makes the remote known to an rclone that is started: to be put into its environment.
    pub(super) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.reveal()))
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
        let mut command = Command::new(&self.program);
        command
            .envs(self.environment())
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

    /// The folders in it, and those in them, by path.
    ///
    /// # Errors
    /// [`Error`], told apart by cause.
    pub async fn folders(&self) -> Result<Vec<String>, Error> {
        let output = self
            .command(&["lsf", "--dirs-only", "-R", "--max-depth", "2"])
            .output()
            .await
            .map_err(cannot_run)?;
        if !output.status.success() {
            return Err(self.complaint(&String::from_utf8_lossy(&output.stderr)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().map(|line| line.trim_end_matches('/').to_owned()).collect())
    }

    /// Reads the first bytes of a file straight from the store; gives how many came.
    ///
    /// # Errors
    /// [`Error`]; no answer within `limit`.
    pub(super) async fn read(&self, path: &str, bytes: u64, limit: Duration) -> Result<u64, Error> {
        let file = self.folder(path);
        let mut command = file.command(&["cat", "--count", &bytes.to_string()]);
        let output = tokio::time::timeout(limit, command.output()).await;
        let silent = |_| Error::Unreachable {
            remote: file.name.clone(),
            said: format!("no answer in {} s", limit.as_secs()),
        };
        let output = output.map_err(silent)?.map_err(cannot_run)?;
        match (output.status.success(), output.stdout.is_empty()) {
            (true, false) => Ok(output.stdout.len() as u64),
            (true, true) => Err(Error::Rclone {
                remote: file.name,
                said: "it came without any bytes".to_owned(),
            }),
            (false, _) => Err(file.complaint(&String::from_utf8_lossy(&output.stderr))),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(name: &str) -> Remote {
        Remote::new(name, None)
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
}
