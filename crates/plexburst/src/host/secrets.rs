//! The secrets that another machine needs for a part of the configuration, and no others: each becomes a file in a folder
//! of that machine's memory, and the configuration names those files from then on.
//!
//! What is collected here travels over a verified connection only, and is written with mode 0600 there.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{Depot, Media, rented};
use crate::error::{Error, Result};
use crate::media::rclone_conf;

/// One file.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secret {
    /// Its name in the folder.
    pub name: String,
    /// What is in it; all of them are text.
    pub content: String,
}

/// What is collected for one folder there.
pub struct Secrets<'a> {
    dir: &'a str,
    files: Vec<Secret>,
}

impl<'a> Secrets<'a> {
    /// None yet; they will lie in `dir` there.
    #[must_use]
    pub fn new(dir: &'a str) -> Self {
        Self { dir, files: Vec::new() }
    }

    /// All that were collected.
    #[must_use]
    pub fn into_files(self) -> Vec<Secret> {
        self.files
    }

    fn add(&mut self, name: &str, content: String) -> Option<PathBuf> {
        self.files.push(Secret {
            name: name.to_owned(),
            content,
        });
        Some(self.path(name))
    }

    /// Where the file `name` will lie.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(self.dir).join(name)
    }

    /// The file at `slot`, if there is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn file(&mut self, name: &str, slot: &mut Option<PathBuf>) -> Result<()> {
        if let Some(path) = slot {
            let content = read(path)?;
            *slot = self.add(name, content);
        }
        Ok(())
    }

    /// What opens the depot, but for the user's own key to what is in it.
    ///
    /// # Errors
    /// A file cannot be read, or knows no such remote.
    pub fn depot(&mut self, depot: &mut Depot) -> Result<()> {
        if let Some(name) = depot.rclone_remote.clone() {
            let text = rented::rclone_conf(depot.rclone_config.as_deref())?;
            depot.rclone_config = self.add("depot-rclone.conf", rclone_conf::extract(&text, &name)?);
        } else if depot.credentials_file.is_some() {
            self.file("depot-credentials", &mut depot.credentials_file)?;
        } else if let Some(content) = rented::s3_keys() {
            depot.credentials_file = self.add("depot-credentials", content);
        }
        self.file("depot-ssh-key", &mut depot.ssh_key)?;
        self.file("depot-known-hosts", &mut depot.known_hosts)?;
        depot.ssh_config = None;
        Ok(())
    }

    /// What opens the media: the one remote of an rclone.conf and what it wraps, or a bucket's keys.
    ///
    /// # Errors
    /// As [`Secrets::depot`].
    pub fn media(&mut self, media: &mut Media) -> Result<()> {
        if let Some(remote) = &media.remote {
            let name = remote.split_once(':').map_or(remote.as_str(), |(name, _)| name);
            if !name.is_empty() && !name.contains(',') {
                let text = rented::rclone_conf(media.rclone_config.as_deref())?;
                media.rclone_config = self.add("rclone.conf", rclone_conf::extract(&text, name)?);
            }
        }
        if let Some(s3) = &mut media.s3 {
            match &s3.credentials_file {
                Some(_) => self.file("media-credentials", &mut s3.credentials_file)?,
                None => {
                    if let Some(content) = rented::bucket_keys() {
                        s3.credentials_file = self.add("media-credentials", content);
                    }
                }
            }
        }
        Ok(())
    }

    /// A claim, if there is one now.
    ///
    /// # Errors
    /// Its file is there and cannot be read.
    pub fn claim(&mut self, slot: &mut Option<PathBuf>) -> Result<()> {
        if let Some(claim) = rented::claim(slot.as_deref())? {
            *slot = self.add("claim", claim);
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::usage(format!("cannot read {}", path.display())).because(e))
}
