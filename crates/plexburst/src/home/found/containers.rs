//! Containers as their engine describes them: which of their mounts hold a library, and where they answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::{DEPTH, Found, below, words};

/// Plex's port inside of a container.
const PORT: &str = "32400/tcp";
/// A large write-ahead log wants its time (facts/plex.md §7.1); the engine's own ten seconds end in a kill.
const STOP_SECONDS: &str = "120";

/// What `inspect` of an engine says of one container, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    engine: String,
    name: String,
    image: String,
    /// What of the host it sees.
    mounts: Vec<PathBuf>,
    /// `http://ADDRESS:PORT` on the host, when Plex's port is published there under another number.
    url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    name: String,
    config: Image,
    #[serde(default)]
    mounts: Vec<Mounted>,
    #[serde(default)]
    host_config: HostConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    image: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mounted {
    #[serde(default)]
    source: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    port_bindings: Option<BTreeMap<String, Option<Vec<Binding>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    #[serde(default)]
    host_ip: String,
    #[serde(default)]
    host_port: String,
}

/// The containers of Docker and Podman on this machine, running or not; and what kept one of the engines from answering.
///
/// An engine that is not installed is no obstacle.
#[must_use]
pub fn containers() -> (Vec<Container>, Vec<String>) {
    let (mut all, mut obstacles) = (Vec::new(), Vec::new());
    for engine in ["docker", "podman"] {
        match of_engine(engine) {
            Ok(list) => all.extend(list),
            Err(obstacle) => obstacles.extend(obstacle),
        }
    }
    (all, obstacles)
}

fn of_engine(engine: &str) -> Result<Vec<Container>, Option<String>> {
    let said = ask(engine, &["ps", "--all", "--quiet", "--no-trunc"])?;
    let ids: Vec<&str> = said.split_whitespace().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut arguments = vec!["inspect"];
    arguments.extend(ids);
    Container::read(engine, &ask(engine, &arguments)?).map_err(|error| {
        Some(format!(
            "cannot understand what {engine} says of its containers: {error}"
        ))
    })
}

fn ask(engine: &str, arguments: &[&str]) -> Result<String, Option<String>> {
    let output = Command::new(engine)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        // Not installed.
        .map_err(|_| None)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Some(format!(
        "{engine} does not answer: {}",
        said.trim().lines().next().unwrap_or("it said nothing")
    )))
}

impl Container {
    /// Reads the JSON of `inspect`.
    ///
    /// # Errors
    /// It is not that.
    pub fn read(engine: &str, json: &str) -> serde_json::Result<Vec<Self>> {
        let inspected: Vec<Inspected> = serde_json::from_str(json)?;
        Ok(inspected
            .into_iter()
            .map(|c| Self {
                engine: engine.to_owned(),
                name: c.name.trim_start_matches('/').to_owned(),
                image: c.config.image,
                mounts: c.mounts.into_iter().map(|mount| mount.source).collect(),
                url: c.host_config.port_bindings.and_then(|ports| url(&ports)),
            })
            .collect())
    }

    /// The libraries in its mounts, those below `root`.
    pub(super) fn libraries(&self, root: &Path) -> Vec<Found> {
        let mut folders = Vec::new();
        if self.may_be_plex() {
            for mount in &self.mounts {
                below(
                    &root.join(mount.strip_prefix("/").unwrap_or(mount)),
                    DEPTH,
                    &mut folders,
                );
            }
        }
        folders
            .into_iter()
            .map(|data_dir| Found {
                what: format!("{}'s container {} ({})", self.engine, self.name, self.kind()),
                data_dir,
                stop: words(&[&self.engine, "stop", "--time", STOP_SECONDS, &self.name]),
                start: words(&[&self.engine, "start", &self.name]),
                url: self.url.clone(),
                plex_sqlite: self.plex_sqlite(),
            })
            .collect()
    }

    /// Media managers mount the media and perhaps Plex's folder too; stopping one of them would stop the wrong thing.
    fn may_be_plex(&self) -> bool {
        let image = self.image.to_lowercase();
        // Companions of Plex carry its name as well.
        let others = [
            "tautulli",
            "meta-manager",
            "kometa",
            "overseerr",
            "autoscan",
            "exporter",
            "trakt",
            "backup",
        ];
        (image.contains("plex") || self.name.to_lowercase().contains("plex"))
            && !others.iter().any(|other| image.contains(other))
    }

    /// `Plex SQLite` inside of a running container of an image that is known (facts/plex.md §4.1).
    fn plex_sqlite(&self) -> Option<Vec<String>> {
        let known = [
            ("plexinc/", "/usr/lib/plexmediaserver"),
            ("linuxserver/", "/usr/lib/plexmediaserver"),
            ("hotio/", "/app/bin/usr/lib/plexmediaserver"),
        ];
        let (_, programs) = known.iter().find(|(beginning, _)| self.image.contains(beginning))?;
        let program = format!("{programs}/Plex SQLite");
        words(&[&self.engine, "exec", "--interactive", &self.name, &program])
    }

    fn kind(&self) -> &str {
        let known = [
            ("plexinc/", "Plex's own image"),
            ("linuxserver/", "linuxserver's image"),
            ("hotio/", "hotio's image"),
            ("binhex/", "binhex's image"),
        ];
        known
            .iter()
            .find(|(beginning, _)| self.image.contains(beginning))
            .map_or(self.image.as_str(), |(_, words)| words)
    }
}

/// Where Plex's port is published; the usual address needs no word.
fn url(ports: &BTreeMap<String, Option<Vec<Binding>>>) -> Option<String> {
    let binding = ports.get(PORT)?.as_ref()?.first()?;
    let address = match binding.host_ip.as_str() {
        "" | "0.0.0.0" | "::" => "127.0.0.1",
        other => other,
    };
    let usual = address == "127.0.0.1" && binding.host_port == "32400";
    (!usual && !binding.host_port.is_empty()).then(|| format!("http://{address}:{}", binding.host_port))
}
