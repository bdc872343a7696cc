//! Names that users of the earlier scripts know (facts: legacy §2): read where they have a meaning, warned about by
//! name where they have none. They only fill what `plexburst.toml` and `PLEXBURST_*` leave unset.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::sections::WantedSection;
use super::{Config, Mapping, MappingKind};
use crate::error::{Error, Result};

/// What was found under the earlier names.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    values: BTreeMap<String, String>,
    rclone_conf: Option<PathBuf>,
    /// Moves for good, of `path_mappings.json`.
    mappings: BTreeMap<String, String>,
    /// What home is to have, of `plex_libraries.json`.
    sections: Vec<WantedSection>,
    /// Seen, and without meaning for a burst on this machine.
    pub(super) ignored: Vec<String>,
    /// Types and volumes of a rented machine.
    pub(super) sizes: BTreeMap<String, String>,
}

const READ: &[&str] = &[
    "S3_BUCKET",
    "RCLONE_REMOTE",
    "PLEX_CONFIG_PATH",
    "PLEX_REMOTE_HOST",
    "PLEX_REMOTE_PATH",
];
const WITHOUT_MEANING: &[&str] = &[
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "ZIMABOARD_IP",
    "PLEX_LOCAL_CONTAINER_NAME",
    "MAX_LIFETIME_HOURS",
    "INSTANCE_NAME",
];

/// Reads `.env` and `rclone.conf` beside the configuration, then the environment over `.env`.
pub(super) fn read(base: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Earlier> {
    let mut earlier = Earlier::default();
    let dotenv = base.join(".env");
    if dotenv.is_file() {
        let text = std::fs::read_to_string(&dotenv)
            .map_err(|e| Error::usage(format!("cannot read {}", dotenv.display())).because(e))?;
        for (key, value) in assignments(&text) {
            if READ.contains(&key) {
                earlier.values.insert(key.to_owned(), value.to_owned());
            } else if super::rented::is_size(key) {
                earlier.sizes.insert(key.to_owned(), value.to_owned());
            } else if WITHOUT_MEANING.contains(&key) {
                earlier.ignored.push(key.to_owned());
            }
        }
    }
    for key in READ {
        if let Some(value) = env(key) {
            earlier.values.insert((*key).to_owned(), value);
        }
    }
    earlier.rclone_conf = Some(base.join("rclone.conf")).filter(|p| p.is_file());
    earlier.mappings = mappings(base)?;
    if let Some(path) = beside_or_above(base, "plex_libraries.json") {
        earlier.sections = super::sections::read(&path)?;
    }
    Ok(earlier)
}

/// A file of the scripts as they looked for it: beside the configuration, then one folder up.
fn beside_or_above(base: &Path, name: &str) -> Option<PathBuf> {
    let places = [Some(base), base.parent()];
    let mut found = places.into_iter().flatten().map(|dir| dir.join(name));
    found.find(|path| path.is_file())
}

fn mappings(base: &Path) -> Result<BTreeMap<String, String>> {
    let Some(path) = beside_or_above(base, "path_mappings.json") else {
        return Ok(BTreeMap::new());
    };
    let mappings = plex_library::remap::read_mappings(&path).map_err(|e| {
        Error::usage(format!("cannot understand {}", path.display()))
            .hint("correct it, or use `[[media.mappings]]` in plexburst.toml instead")
            .because(e)
    })?;
    Ok(mappings.into_iter().map(|mapping| (mapping.old, mapping.new)).collect())
}

/// `KEY=value` lines; `export` before and quotes around are allowed, comments skipped.
fn assignments(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (key, value) = line.split_once('=')?;
        let value = value.trim();
        let value = value
            .strip_prefix('"')
            .and_then(|v| v.strip_suffix('"'))
            .or_else(|| value.strip_prefix('\'').and_then(|v| v.strip_suffix('\'')))
            .unwrap_or(value);
        (!key.starts_with('#')).then_some((key.trim(), value))
    })
}

impl Earlier {
    /// Fills what is unset in `config`.
    pub(super) fn fill(&self, config: &mut Config) {
        let value = |name: &str| self.values.get(name).filter(|value| !value.is_empty());
        // A home that the configuration names without a host is this machine's.
        if config.home.host.is_none() && config.home.data_dir.is_none() {
            config.home.host = value("PLEX_REMOTE_HOST").cloned();
        }
        if config.home.host.is_some() {
            if config.home.data_dir.is_none() {
                config.home.data_dir = value("PLEX_REMOTE_PATH").map(Into::into);
            }
        } else if config.home.data_dir.is_none()
            && let Some(path) = value("PLEX_CONFIG_PATH")
        {
            config.home.data_dir = Some(Path::new(path).join("Library/Application Support/Plex Media Server"));
        }
        let media = &mut config.media;
        if media.remote.is_none()
            && media.directory.is_none()
            && let (Some(remote), Some(bucket)) = (self.values.get("RCLONE_REMOTE"), self.values.get("S3_BUCKET"))
        {
            media.remote = Some(format!("{}:{bucket}", remote.trim_end_matches(':')));
            if media.roots.is_empty() {
                // The scripts mounted the whole bucket at /Media.
                media.roots.insert("/Media".to_owned(), String::new());
            }
        }
        if media.mappings.is_empty() {
            media.mappings = self
                .mappings
                .iter()
                .map(|(from, to)| Mapping {
                    from: from.clone(),
                    to: to.clone(),
                    kind: MappingKind::Permanent,
                })
                .collect();
        }
        if config.sections.is_empty() {
            config.sections.clone_from(&self.sections);
        }
        if media.rclone_config.is_none() {
            media.rclone_config.clone_from(&self.rclone_conf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotenv_of_the_scripts_is_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join(".env"),
            "# c\nexport S3_BUCKET=\"music\"\nRCLONE_REMOTE=mega\nS3_ACCESS_KEY=x\nPLEX_CONFIG_PATH=/srv/plex\n",
        )
        .unwrap();
        std::fs::write(dir.path().join("rclone.conf"), "").unwrap();
        let moved = "{\"_comment\": \"x\", \"mappings\": {\"/Media/TVShows\": \"/Media/TV\"}}";
        std::fs::write(dir.path().join("path_mappings.json"), moved).unwrap();
        let earlier = read(dir.path(), &|_| None).unwrap();
        let mut config = Config::default();
        earlier.fill(&mut config);
        assert_eq!(config.media.remote.as_deref(), Some("mega:music"));
        assert_eq!(config.media.roots.get("/Media").map(String::as_str), Some(""));
        assert_eq!(
            config.home.data_dir.unwrap(),
            Path::new("/srv/plex/Library/Application Support/Plex Media Server")
        );
        assert_eq!(config.media.rclone_config.unwrap(), dir.path().join("rclone.conf"));
        assert_eq!(earlier.ignored, ["S3_ACCESS_KEY"]);
        let mapping = &config.media.mappings[0];
        assert_eq!(
            (mapping.from.as_str(), mapping.to.as_str()),
            ("/Media/TVShows", "/Media/TV")
        );
        assert_eq!(mapping.kind, MappingKind::Permanent);
        let wanted = r#"[{"title": "Musique", "type": "artist", "paths": ["/Media/Music", "/Media/More"]}]"#;
        std::fs::write(dir.path().join("plex_libraries.json"), wanted).unwrap();
        let mut config = Config::default();
        read(dir.path(), &|_| None).unwrap().fill(&mut config);
        let new = config.sections[0].to_new();
        assert_eq!(
            (new.language.as_str(), new.agent.as_str()),
            ("fr-FR", "tv.plex.agents.music")
        );
        assert_eq!(new.locations, ["/Media/Music", "/Media/More"]);
        // One folder below it is found as well; a broken one is told.
        let below = dir.path().join("scripts");
        std::fs::create_dir(&below).unwrap();
        assert_eq!(read(&below, &|_| None).unwrap().mappings.len(), 1);
        std::fs::write(below.join("path_mappings.json"), "{}").unwrap();
        assert!(
            read(&below, &|_| None)
                .unwrap_err()
                .chain()
                .contains("path_mappings.json")
        );
    }

    #[test]
    fn a_distant_home_of_the_scripts_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let names = "PLEX_REMOTE_HOST=root@nas\nPLEX_REMOTE_PATH=/srv/Plex Media Server\nPLEX_CONFIG_PATH=/here\n";
        std::fs::write(dir.path().join(".env"), names).unwrap();
        let earlier = read(dir.path(), &|_| None).unwrap();
        let mut config = Config::default();
        earlier.fill(&mut config);
        assert_eq!(config.home.host.as_deref(), Some("root@nas"));
        assert_eq!(config.home.data_dir.unwrap(), Path::new("/srv/Plex Media Server"));
        // A home of this machine that the configuration names stays where it is.
        let mut config = Config::default();
        config.home.data_dir = Some("/local".into());
        earlier.fill(&mut config);
        assert_eq!(
            (config.home.host, config.home.data_dir.unwrap()),
            (None, "/local".into())
        );
        // A host of the configuration takes the path of the scripts, and no path of this machine.
        let mut config = Config::default();
        config.home.host = Some("other".into());
        earlier.fill(&mut config);
        assert_eq!(config.home.data_dir.unwrap(), Path::new("/srv/Plex Media Server"));
    }

    #[test]
    fn what_is_set_stays() {
        let dir = tempfile::tempdir().unwrap();
        let earlier = read(dir.path(), &|k| {
            (k == "S3_BUCKET" || k == "RCLONE_REMOTE").then(|| "x".into())
        })
        .unwrap();
        let mut config = Config::default();
        config.media.directory = Some("/m".into());
        earlier.fill(&mut config);
        assert_eq!(config.media.remote, None);
    }
}
