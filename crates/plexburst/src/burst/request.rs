//! What was asked for, settled once when a burst begins and kept beside its journal: `resume` does what was asked
//! then, whatever the configuration says now. Holds no secret.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::{Context, Error, Result};

/// Format of `burst.json`.
pub const VERSION: u32 = 1;
const FILE: &str = "burst.json";

/// Where the library that the burst takes along comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The running home; the result is swapped in.
    Home,
    /// An exported archive; the result is an archive too.
    Archive {
        /// The archive.
        path: PathBuf,
        /// Where the result goes.
        result: PathBuf,
    },
    /// A finished result that is brought into home; no worker.
    Result {
        /// The archive with the result.
        path: PathBuf,
    },
    /// A library that home had before, which becomes home's again; no worker.
    Rollback {
        /// The burst that put it aside.
        to: String,
        /// Leave what the household did since in the library of now.
        discard_since: bool,
    },
}

impl Source {
    /// One word for a table.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Archive { .. } => "archive",
            Self::Result { .. } => "import",
            Self::Rollback { .. } => "rollback",
        }
    }
}

/// Where the heavy work is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// On this machine.
    #[default]
    Here,
    /// On a host of the user's own: `ssh://user@host`.
    Host(String),
    /// On a machine rented at Scaleway.
    Scaleway,
}

impl std::str::FromStr for On {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "here" => Ok(Self::Here),
            "scaleway" => Ok(Self::Scaleway),
            url if url.starts_with("ssh://") => Ok(Self::Host(url.to_owned())),
            _ => Err("it is here, scaleway, or ssh://user@host".to_owned()),
        }
    }
}

/// How patiently the worker is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Monitoring {
    /// As a machine at home.
    Local,
    /// As a machine elsewhere: slower to give up.
    Cloud,
}

/// The options of `sync`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Where the heavy work is done.
    #[serde(default)]
    pub on: On,
    /// Profile or type of a rented machine.
    #[serde(default)]
    pub instance: Option<String>,
    /// What the earlier scripts' variables say of its size.
    #[serde(default)]
    pub sizes: std::collections::BTreeMap<String, String>,
    /// How many hours a rented machine may live.
    #[serde(default)]
    pub max_hours: Option<f64>,
    /// How many euros it may cost.
    #[serde(default)]
    pub max_cost: Option<f64>,
    /// Do not end the rented machine with the burst.
    #[serde(default)]
    pub keep: bool,
    /// How patiently the worker is watched; unset: as a machine elsewhere when it is one.
    #[serde(default)]
    pub monitoring: Option<Monitoring>,
    /// Sections by name; empty: all.
    pub sections: Vec<String>,
    /// No Sonic analysis.
    pub quick: bool,
    /// Refresh all metadata too.
    pub force_refresh: bool,
    /// Scan every folder, also those that look unchanged.
    pub force_deep_scan: bool,
    /// Leave the result in the depot.
    pub no_import: bool,
    /// How many files may be lost without a refusal.
    pub accept_losses: u64,
    /// Media slower than `media.min_speed` were agreed to.
    #[serde(default)]
    pub accept_slow: bool,
    /// Do not wait until nobody streams.
    pub swap_now: bool,
    /// Take a library.db that came without its blobs.db.
    #[serde(default)]
    pub without_blobs: bool,
    /// Leave the bundles of an archive where they are.
    #[serde(default)]
    pub without_bundles: bool,
    /// Wait for this hour of the day (`HH:MM`, home's time) before the swap.
    #[serde(default)]
    pub swap_at: Option<String>,
}

/// One burst as it was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Format.
    pub v: u32,
    /// The burst's ULID.
    pub id: String,
    /// The version of the program that began it; not known of bursts of the first versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// When it was asked for.
    pub created_at: jiff::Timestamp,
    /// Where the library comes from.
    pub source: Source,
    /// The options.
    pub options: Options,
    /// The settled configuration.
    pub config: Config,
}

impl Request {
    /// A new burst with an id of its own.
    pub fn new(source: Source, options: Options, config: Config) -> Self {
        Self {
            v: VERSION,
            id: ulid::Ulid::generate().to_string(),
            program: Some(super::version::PROGRAM.to_owned()),
            created_at: jiff::Timestamp::now(),
            source,
            options,
            config,
        }
    }

    /// What a user corrects after a failure counts at once: limits (the media's speed among them), and how the same home is
    /// reached, stopped and started, and how the same depot is reached.
    pub fn take_corrections(&mut self, now: &Config) {
        self.config.limits = now.limits.clone();
        self.config.notify = now.notify.clone();
        self.config.media.min_speed = now.media.min_speed;
        if self.config.home.data_dir == now.home.data_dir {
            self.config.home = now.home.clone();
        }
        let was = &self.config.depot;
        if (&was.directory, &was.remote) == (&now.depot.directory, &now.depot.remote) {
            // What is there already was written so; only how it is reached may be corrected.
            let encryption = was.settled_encryption();
            self.config.depot = now.depot.clone();
            self.config.depot.encryption = encryption;
        }
        if now.worker.claim_file.is_some() {
            self.config.worker.claim_file.clone_from(&now.worker.claim_file);
        }
        let (was, now) = (&mut self.config.worker, &now.worker);
        // What a container may have, and which image it is.
        (was.memory, was.cpus) = (now.memory, now.cpus);
        was.image.clone_from(&now.image);
        was.docker_socket.clone_from(&now.docker_socket);
        if now.account_token_file.is_some() {
            was.account_token_file.clone_from(&now.account_token_file);
        }
    }

    /// Writes `burst.json` into the burst's folder.
    ///
    /// # Errors
    /// The disk.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context(|| "cannot write down the burst".to_owned())?;
        plex_library::publish::file(&dir.join(FILE), &text)
            .context(|| format!("cannot write {}", dir.join(FILE).display()))
    }

    /// Reads `burst.json` of a burst's folder.
    ///
    /// # Errors
    /// No such burst, or one of a newer program.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let bytes = std::fs::read(&path).map_err(|e| {
            Error::usage(format!("no burst at {}", dir.display()))
                .hint("`plexburst runs` lists the bursts that this machine knows")
                .because(e)
        })?;
        Self::parse(&bytes, &path.display().to_string())
    }

    /// Reads what [`Request::save`] wrote; `place` is where it was found.
    ///
    /// # Errors
    /// It was written by a newer program, or is damaged.
    pub fn parse(bytes: &[u8], place: &str) -> Result<Self> {
        if super::version::newer(bytes, VERSION).is_some() {
            return Err(
                Error::usage(format!("the burst in {place} was begun by a newer plexburst")).hint(format!(
                    "that version shows it and goes on with it; this one ({}) leaves it alone",
                    super::version::PROGRAM
                )),
            );
        }
        serde_json::from_slice(bytes).map_err(|e| Error::unexpected(format!("cannot understand {place}")).because(e))
    }
}
