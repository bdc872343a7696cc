//! The secrets that a worker elsewhere needs, and no others: they travel over the verified connection into files that lie
//! in memory, and the worker's task names those files.

use std::path::Path;

use crate::burst::spec::WorkerSpec;
use crate::config::rented;
use crate::error::{Error, Result};
use crate::media::rclone_conf;

/// One file.
pub(super) struct Secret {
    pub(super) name: &'static str,
    pub(super) content: Vec<u8>,
}

/// Collects them, and lets `spec` name them in the folder `dir` of the worker's machine.
///
/// # Errors
/// A file that cannot be read; media or a depot that the other machine cannot reach.
pub(super) fn collect(spec: &mut WorkerSpec, dir: &str) -> Result<Vec<Secret>> {
    let mut secrets = Vec::new();
    let mut add = |name: &'static str, content: Vec<u8>| {
        secrets.push(Secret { name, content });
        Some(Path::new(dir).join(name))
    };
    let depot = &mut spec.depot;
    if depot.remote.is_none() {
        return Err(
            Error::usage("a worker on another machine cannot reach a depot that is a folder of this one")
                .hint("set `depot.remote` to a bucket or an SFTP host"),
        );
    }
    if let Some(name) = depot.rclone_remote.clone() {
        let text = rented::rclone_conf(depot.rclone_config.as_deref())?;
        depot.rclone_config = add("depot-rclone.conf", rclone_conf::extract(&text, &name)?.into_bytes());
    } else if let Some(path) = &depot.credentials_file {
        let content = read(path)?;
        depot.credentials_file = add("depot-credentials", content);
    } else if let Some(content) = rented::s3_keys() {
        depot.credentials_file = add("depot-credentials", content.into_bytes());
    }
    if let Some(path) = depot.ssh_key.clone() {
        depot.ssh_key = add("depot-ssh-key", read(&path)?);
    }
    if let Some(path) = depot.known_hosts.clone() {
        depot.known_hosts = add("depot-known-hosts", read(&path)?);
    }
    depot.ssh_config = None;
    if let Some(remote) = &spec.media.remote {
        let text = rented::rclone_conf(spec.media.rclone_config.as_deref())?;
        let name = remote.split_once(':').map_or(remote.as_str(), |(name, _)| name);
        if !name.is_empty() && !name.contains(',') {
            spec.media.rclone_config = add("rclone.conf", rclone_conf::extract(&text, name)?.into_bytes());
        }
    }
    if let Some(claim) = rented::claim(spec.claim_file.as_deref())? {
        spec.claim_file = add("claim", claim.into_bytes());
    }
    Ok(secrets)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::usage(format!("cannot read {}", path.display())).because(e))
}
