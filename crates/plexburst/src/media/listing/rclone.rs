//! A listing by rclone, for every remote that is not plain S3: one process for each top folder where there are a few.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::{Builder, Count, Listing};
use crate::media::error::{Error, io_error};
use crate::media::remote::{Remote, cannot_run};

/// Processes at once; each has connections of its own.
const AT_ONCE: usize = 4;
/// With more top folders than this one process lists them all: starting one costs more than it saves.
const FOLDERS: usize = 16;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    path: String,
    size: i64,
    is_dir: bool,
}

/// Lists a folder of a remote, whole or not at all: half a listing would make files look lost.
pub(super) async fn list(
    remote: &Remote,
    root: &str,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Listing, Error> {
    let mut count = Count::default();
    let (mut listing, folders) = one(remote, &["--max-depth", "1"], "").await?;
    count.add(listing.len() as u64, progress);
    if folders.is_empty() {
        return Ok(listing.finish(root));
    }
    let deep = ["--recursive", "--fast-list", "--checkers", "16"];
    if !(2..=FOLDERS).contains(&folders.len()) {
        let (listing, _) = one(remote, &deep, "").await?;
        count.add(listing.len() as u64, progress);
        return Ok(listing.finish(root));
    }
    let jobs = folders.iter().map(async |folder| {
        let (listing, _) = one(&remote.folder(folder), &deep, &format!("{folder}/")).await?;
        Ok::<_, Error>(listing)
    });
    let mut jobs = futures::stream::iter(jobs).buffer_unordered(AT_ONCE);
    while let Some(part) = jobs.next().await {
        let part = part?;
        count.add(part.len() as u64, progress);
        listing.append(part);
    }
    Ok(listing.finish(root))
}

/// One process: the files with `prefix` before their names, and the folders (when it was not recursive).
async fn one(remote: &Remote, how: &[&str], prefix: &str) -> Result<(Builder, BTreeSet<String>), Error> {
    let mut verb = vec!["lsjson", "--no-mimetype", "--no-modtime"];
    verb.extend(how);
    let mut child = remote.command(&verb).spawn().map_err(cannot_run)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let complaints = tokio::spawn(async move {
        let mut text = String::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr.read_to_string(&mut text).await;
        }
        text
    });
    let reading = || format!("read the listing of {}", remote.name);
    let wrong = |error: &dyn std::fmt::Display| io_error(reading())(std::io::Error::other(error.to_string()));
    let (mut files, mut folders, mut is_whole) = (Builder::default(), BTreeSet::new(), false);
    let mut name = prefix.to_owned();
    if let Some(stdout) = stdout {
        // One object a line, with a comma at its end; the array's brackets have lines of their own.
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await.map_err(io_error(reading()))? {
            let line = line.trim().trim_end_matches(',');
            match line {
                "" | "[" => continue,
                "]" | "[]" => {
                    is_whole = true;
                    continue;
                }
                _ => {}
            }
            let line: Line = serde_json::from_str(line).map_err(|error| wrong(&error))?;
            if line.is_dir {
                folders.insert(line.path);
                continue;
            }
            name.truncate(prefix.len());
            name.push_str(&line.path);
            files.add(&name, u64::try_from(line.size).unwrap_or(0));
        }
    }
    let status = child.wait().await.map_err(io_error(reading()))?;
    if !status.success() {
        return Err(remote.complaint(&complaints.await.unwrap_or_default()));
    }
    if !is_whole {
        return Err(Error::HalfListing {
            remote: remote.name.clone(),
            said: "rclone's list has no end".to_owned(),
        });
    }
    Ok((files, folders))
}
