//! What renting a machine needs from outside of plexburst.toml: the account, read when it is used and never kept, and the
//! sizes that the earlier scripts' variables named.

use std::collections::BTreeMap;

use super::Settings;
use crate::cloud::scaleway::Account;
use crate::cloud::scaleway::config::{self, Explicit};
use crate::error::{Error, Result};

/// Variables of the earlier scripts that size a machine (facts: legacy §2).
const SIZES: &[&str] = &[
    "INSTANCE_TYPE",
    "ROOT_VOLUME_SIZE",
    "LITE_INSTANCE_TYPE",
    "LITE_ROOT_VOLUME_SIZE",
    "STANDARD_INSTANCE_TYPE",
    "STANDARD_ROOT_VOLUME_SIZE",
    "POWER_INSTANCE_TYPE",
    "POWER_ROOT_VOLUME_SIZE",
    "SUPERPOWER_INSTANCE_TYPE",
    "SUPERPOWER_ROOT_VOLUME_SIZE",
];

/// The Scaleway account in force: `[scaleway]`, else scw's own conventions.
///
/// # Errors
/// No key, no project, a configuration that cannot be read.
pub fn account(of: &super::Scaleway) -> Result<Account> {
    let explicit = Explicit {
        profile: of.profile.clone(),
        project: of.project.clone(),
        zone: of.zone.clone(),
        api_url: of.api_url.clone(),
    };
    config::account(&explicit, &|name| std::env::var(name).ok())
}

/// What the earlier scripts' variables say of sizes, by name.
#[must_use]
pub fn sizes(settings: &Settings) -> BTreeMap<String, String> {
    let mut found = settings.earlier_sizes.clone();
    for name in SIZES {
        if let Ok(value) = std::env::var(name) {
            found.insert((*name).to_owned(), value);
        }
    }
    found
}

/// Whether a name of an `.env` sizes a machine.
pub(super) fn is_size(name: &str) -> bool {
    SIZES.contains(&name)
}

/// The text of the `rclone.conf` in force: `named`, else `RCLONE_CONFIG`, else rclone's own default.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn rclone_conf(named: Option<&std::path::Path>) -> Result<String> {
    let default = || {
        let dir = std::env::var_os("XDG_CONFIG_HOME").map(std::path::PathBuf::from);
        let dir = dir.or_else(|| std::env::var_os("HOME").map(|home| std::path::Path::new(&home).join(".config")));
        dir.map(|dir| dir.join("rclone/rclone.conf"))
    };
    let path = named
        .map(std::path::Path::to_path_buf)
        .or_else(|| std::env::var_os("RCLONE_CONFIG").map(Into::into))
        .or_else(default)
        .ok_or_else(|| Error::usage("there is no rclone.conf").hint("set `media.rclone_config`"))?;
    std::fs::read_to_string(&path).map_err(|e| {
        Error::usage(format!("cannot read {}", path.display()))
            .hint("set `media.rclone_config` to the rclone.conf that knows the remote")
            .because(e)
    })
}

/// Keys to S3 out of the environment, as a credentials file has them.
#[must_use]
pub fn s3_keys() -> Option<String> {
    let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (id, secret) = (get("AWS_ACCESS_KEY_ID")?, get("AWS_SECRET_ACCESS_KEY")?);
    let token = get("AWS_SESSION_TOKEN")
        .map(|token| format!("session_token = {token}\n"))
        .unwrap_or_default();
    Some(format!("access_key_id = {id}\nsecret_access_key = {secret}\n{token}"))
}

/// Keys to the media's bucket out of the environment, by the names that its file knows. Scaleway's names are left out:
/// they open the whole account.
#[must_use]
pub fn bucket_keys() -> Option<String> {
    let names = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ];
    let lines: Vec<String> = names
        .iter()
        .filter_map(|name| Some((name, std::env::var(name).ok().filter(|value| !value.is_empty())?)))
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    (!lines.is_empty()).then(|| lines.concat())
}

/// A claim for a worker elsewhere: `PLEX_CLAIM`, else what is in the file.
///
/// # Errors
/// The file is there and cannot be read.
pub fn claim(file: Option<&std::path::Path>) -> Result<Option<String>> {
    if let Ok(claim) = std::env::var("PLEX_CLAIM")
        && !claim.trim().is_empty()
    {
        return Ok(Some(claim));
    }
    match file.map(std::fs::read_to_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(e)) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Some(Err(e)) => Err(Error::usage("cannot read `worker.claim_file`").because(e)),
    }
}

/// Another port for SSH on rented machines (`PLEXBURST_SSH_PORT`): for simulated ones.
#[must_use]
pub fn ssh_port() -> Option<u16> {
    std::env::var("PLEXBURST_SSH_PORT").ok()?.parse().ok()
}
