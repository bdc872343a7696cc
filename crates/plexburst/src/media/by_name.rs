//! Asking the store for one file by its name: whether it is there, and its time as the mount shows it.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::error::{Error, io_error};
use super::remote::{Remote, cannot_run};
use super::{Media, Source};

/// A question by name: several times what a slow store takes.
const ASKED: Duration = Duration::from_secs(60);

/// What the store says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// When it was changed, in seconds since 1970.
    pub changed_at: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    size: i64,
    mod_time: jiff::Timestamp,
    is_dir: bool,
}

impl Media {
    /// Whether a file (home's absolute path) is there, asked for by its name.
    ///
    /// # Errors
    /// The store cannot be asked; that is no answer.
    pub async fn by_name(&self, path: &str) -> Result<bool, Error> {
        Ok(self.stat(path).await?.is_some())
    }

    /// A file (home's absolute path) as the store has it; none when it is not there.
    ///
    /// # Errors
    /// The store cannot be asked; that is no answer.
    pub async fn stat(&self, path: &str) -> Result<Option<Stat>, Error> {
        let place = self.folder_of(path)?;
        match &self.source {
            Source::Remote(remote) => of_remote(&remote.folder(&place)).await,
            Source::Directory(dir) => {
                let path = dir.join(place);
                match tokio::fs::metadata(&path).await {
                    Ok(metadata) if metadata.is_file() => Ok(Some(Stat {
                        size: metadata.len(),
                        changed_at: seconds(
                            metadata
                                .modified()
                                .map_err(io_error(format!("look at {}", path.display())))?,
                        ),
                    })),
                    Ok(_) => Ok(None),
                    Err(error)
                        if matches!(
                            error.kind(),
                            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                        ) =>
                    {
                        Ok(None)
                    }
                    Err(error) => Err(io_error(format!("look at {}", path.display()))(error)),
                }
            }
        }
    }
}

async fn of_remote(file: &Remote) -> Result<Option<Stat>, Error> {
    let mut command = file.command(&["lsjson", "--stat", "--no-mimetype"]);
    let output = tokio::time::timeout(ASKED, command.output()).await;
    let silent = |_| Error::Unreachable {
        remote: file.name.clone(),
        said: format!("no answer in {} s", ASKED.as_secs()),
    };
    let output = output.map_err(silent)?.map_err(cannot_run)?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        // What lists a folder says so of a file as well.
        let is_gone = ["object not found", "directory not found"]
            .iter()
            .any(|words| stderr.contains(words));
        return if is_gone {
            Ok(None)
        } else {
            Err(file.complaint(&stderr))
        };
    }
    let line: Option<Line> = serde_json::from_slice(&output.stdout).map_err(|error| {
        io_error(format!("understand what rclone says of {}", file.name))(std::io::Error::other(error))
    })?;
    // In a bucket every name that is no object may be a folder.
    Ok(line.filter(|line| !line.is_dir).map(|line| Stat {
        size: u64::try_from(line.size).unwrap_or(0),
        changed_at: line.mod_time.as_second(),
    }))
}

/// As a library has it.
pub(super) fn seconds(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or(0)
}
