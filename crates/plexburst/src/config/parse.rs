//! Reads `plexburst.toml`, with the environment laid over it.

use super::defect::{self, Defect};
use super::{Config, check};
use crate::error::{Error, Result};

/// Parses `text` (the file called `name`) with `PLEXBURST_SECTION_KEY` laid over it.
///
/// # Errors
/// Wrong use: what is wrong with which key in which line, and what to write instead.
pub(super) fn parse(text: &str, name: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config> {
    // Parsed as it stands first, so that an error's line is that of the user's file.
    let mut config: Config = toml::from_str(text).map_err(|e| defect::of_toml(name, text, &e))?;
    let set: Vec<(&str, String)> = SIMPLE_KEYS
        .iter()
        .filter_map(|key| Some((*key, env(&variable(key))?)))
        .collect();
    if !set.is_empty() {
        config = over(text, &set)?;
    }
    check::check(&config).map_err(|defect: Defect| {
        let by = set
            .iter()
            .any(|(key, _)| *key == defect.key)
            .then(|| variable(&defect.key));
        defect.error(name, text, by)
    })?;
    Ok(config)
}

/// The variable that stands for a key.
fn variable(key: &str) -> String {
    format!("PLEXBURST_{}", key.replace('.', "_").to_uppercase())
}

/// The configuration of `text` with `set` in place of what it says; `text` was read before.
fn over(text: &str, set: &[(&str, String)]) -> Result<Config> {
    let mut table: toml::Table = toml::from_str(text).unwrap_or_default();
    for (key, value) in set {
        let number = value.parse::<i64>().map(toml::Value::Integer);
        let value = number.unwrap_or_else(|_| toml::Value::String(value.clone()));
        let (section, field) = key
            .split_once('.')
            .map_or((None, *key), |(section, field)| (Some(section), field));
        let target = match section {
            None => Some(&mut table),
            Some(section) => table
                .entry(section)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()))
                .as_table_mut(),
        };
        if let Some(target) = target {
            target.insert(field.to_owned(), value);
        }
        // Each by itself, so that an error names the one that is wrong.
        if let Err(error) = table.clone().try_into::<Config>() {
            let hint = super::schema::words(key).map_or_else(String::new, |words| format!("`{key}` is {words}"));
            return Err(Error::usage(format!("{}: {}", variable(key), error.message())).hint(hint));
        }
    }
    table
        .try_into()
        .map_err(|e: toml::de::Error| Error::usage(format!("PLEXBURST_*: {}", e.message())))
}

/// Keys that a variable of the environment can stand for (those with one plain value).
const SIMPLE_KEYS: &[&str] = &[
    "state_dir",
    "home.host",
    "home.ssh_config",
    "home.directory",
    "home.data_dir",
    "home.url",
    "home.token_file",
    "home.limit_rate",
    "home.keep_previous",
    "home.keep_previous_days",
    "media.remote",
    "media.rclone_config",
    "media.directory",
    "media.rclone",
    "media.rclone_sha256",
    "media.rclone_url",
    "media.profile",
    "media.connections",
    "depot.directory",
    "depot.remote",
    "depot.endpoint",
    "depot.region",
    "depot.rclone_config",
    "depot.rclone_remote",
    "depot.credentials_file",
    "depot.ssh_key",
    "depot.known_hosts",
    "depot.ssh_config",
    "depot.encryption",
    "depot.identity_file",
    "depot.longest_chain",
    "depot.keep",
    "depot.patience",
    "depot.limit_rate",
    "depot.part_bytes",
    "scaleway.profile",
    "scaleway.project",
    "scaleway.zone",
    "scaleway.instance",
    "scaleway.image",
    "scaleway.api_url",
    "worker.directory",
    "worker.runtime",
    "worker.server",
    "worker.image",
    "worker.docker_socket",
    "worker.memory",
    "worker.cpus",
    "worker.port",
    "worker.cell",
    "worker.claim_file",
    "worker.account_token_file",
    "worker.plextv_url",
];

#[cfg(test)]
mod tests;
