//! Where configuration and state lie.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The name searched for from the current folder upwards.
pub(super) const FILE_NAME: &str = "plexburst.toml";

/// The configuration file in force, if there is one.
pub(super) fn config_file(
    explicit: Option<&Path>,
    cwd: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<PathBuf>> {
    if let Some(path) = explicit {
        let path = cwd.join(path);
        if !path.is_file() {
            return Err(Error::usage(format!("no configuration at {}", path.display()))
                .hint("name an existing file with --config, or leave the option out"));
        }
        return Ok(Some(path));
    }
    for dir in cwd.ancestors() {
        let candidate = dir.join(FILE_NAME);
        if candidate.is_file() {
            return Ok(Some(candidate));
        }
    }
    let user = env("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| env("HOME").map(|h| PathBuf::from(h).join(".config")));
    Ok(user
        .map(|dir| dir.join("plexburst").join(FILE_NAME))
        .filter(|path| path.is_file()))
}

/// Where bursts are kept when the configuration does not say.
pub(super) fn state_dir(env: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf> {
    env("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| env("HOME").map(|h| PathBuf::from(h).join(".local/state")))
        .map(|dir| dir.join("plexburst"))
        .ok_or_else(|| {
            Error::usage("neither XDG_STATE_HOME nor HOME is set, so there is no place for bursts")
                .hint("set `state_dir` in plexburst.toml")
        })
}
