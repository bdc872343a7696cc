//! `[depot]`: where snapshots and deltas are parked, and where what it takes to reach that place lies. No secret stands
//! here; `credentials_file` and the like are paths.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rate::Rate;

/// `depot.encryption`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// With age, to a key of the user's.
    Age,
    /// Not at all: whoever can read the depot can read the library.
    None,
}

/// `[depot]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Depot {
    /// A folder; unset, and no `remote`: `depot` in the state folder.
    pub directory: Option<PathBuf>,
    /// `s3://bucket/prefix` or `sftp://user@host:port/path` instead of a folder.
    pub remote: Option<String>,
    /// The address of an S3 server that is not Amazon's.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// The remote of `rclone_config` (type s3 or sftp) whose keys and address serve here too.
    pub rclone_remote: Option<String>,
    /// The `rclone.conf` that knows it; unset: rclone's own default.
    pub rclone_config: Option<PathBuf>,
    /// A file (mode 0600) with `access_key_id = …` and `secret_access_key = …` (and `session_token`).
    pub credentials_file: Option<PathBuf>,
    /// Such a file with the keys that a worker gets instead: narrower ones, which can neither read nor remove the past.
    pub worker_credentials_file: Option<PathBuf>,
    /// The private key for SFTP; unset: what ssh itself finds.
    pub ssh_key: Option<PathBuf>,
    /// The private key for SFTP that a worker gets instead.
    pub worker_ssh_key: Option<PathBuf>,
    /// The file that knows the SFTP host's key; unset: ssh's own.
    pub known_hosts: Option<PathBuf>,
    /// A configuration of ssh; unset: ssh's own.
    pub ssh_config: Option<PathBuf>,
    /// Whether what is kept is encrypted; unset: when there is a key, and a remote depot must have one.
    pub encryption: Option<Encryption>,
    /// A file (mode 0600) with the age identity that opens everything; `plexburst depot init` makes it.
    pub identity_file: Option<PathBuf>,
    /// Further age recipients that everything is encrypted to; with these alone the identity can be kept elsewhere.
    pub recipients: Vec<String>,
    /// Whether the library stays there, so that the next burst sends only what changed; unset: in a remote depot.
    pub keep_base: Option<bool>,
    /// After so many such steps the whole library is sent again.
    pub longest_chain: usize,
    /// Results of so many bursts that have ended stay there.
    pub keep: usize,
    /// What a gigabyte costs there for a month, in euros: for `plexburst depot list`.
    pub price: Option<f64>,
    /// How long a depot that does not answer is tried again, in seconds.
    pub patience: u64,
    /// What travels in a second between this machine and a remote depot at most, on average; a worker's own line has no limit.
    pub limit_rate: Option<Rate>,
    /// Bytes that travel as one: what is sent again when the link is cut.
    pub part_bytes: u64,
}

impl Default for Depot {
    fn default() -> Self {
        Self {
            directory: None,
            remote: None,
            endpoint: None,
            region: None,
            rclone_remote: None,
            rclone_config: None,
            credentials_file: None,
            worker_credentials_file: None,
            ssh_key: None,
            worker_ssh_key: None,
            known_hosts: None,
            ssh_config: None,
            encryption: None,
            identity_file: None,
            recipients: Vec::new(),
            keep_base: None,
            // A worker applies them one after the other, each a pass over the library.
            longest_chain: 8,
            keep: 0,
            price: None,
            // A router that is started again, a provider's short outage; the work itself is not held up by it.
            patience: 3600,
            limit_rate: None,
            part_bytes: 16 << 20,
        }
    }
}

impl Depot {
    /// Whether there is anybody to encrypt to.
    pub fn has_keys(&self) -> bool {
        self.identity_file.is_some() || !self.recipients.is_empty()
    }

    /// Whether what is kept is encrypted; `None` when that has to be said and is not.
    pub fn settled_encryption(&self) -> Option<Encryption> {
        match self.encryption {
            Some(said) => Some(said),
            None if self.has_keys() => Some(Encryption::Age),
            None if self.remote.is_none() => Some(Encryption::None),
            None => None,
        }
    }

    /// Whether the library stays in the depot from burst to burst.
    pub fn keeps_base(&self) -> bool {
        self.keep_base.unwrap_or(self.remote.is_some())
    }

    /// Every path, to be meant from the configuration's folder.
    pub(super) fn paths(&mut self) -> [&mut Option<PathBuf>; 9] {
        [
            &mut self.directory,
            &mut self.rclone_config,
            &mut self.credentials_file,
            &mut self.worker_credentials_file,
            &mut self.ssh_key,
            &mut self.worker_ssh_key,
            &mut self.known_hosts,
            &mut self.ssh_config,
            &mut self.identity_file,
        ]
    }
}
