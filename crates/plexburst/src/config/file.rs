//! `plexburst.toml` as types, with the environment laid over it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::depot::Depot;
use super::notify::Notify;
use super::rate::Rate;
use super::sections::WantedSection;

/// The whole file. Unknown keys are errors: a misspelt guard must not be silence.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where bursts keep their journals and reports.
    pub state_dir: Option<PathBuf>,
    /// The Plex server that the user owns.
    pub home: Home,
    /// The files themselves.
    pub media: Media,
    /// Where snapshots and deltas are parked.
    pub depot: Depot,
    /// The machine that does the heavy work.
    pub worker: Worker,
    /// The account that machines are rented in.
    pub scaleway: Scaleway,
    /// Who is told when a burst ends or needs a person.
    pub notify: Notify,
    /// Time limits and intervals, in seconds.
    pub limits: Limits,
    /// Sections that `scan` makes where home does not have them.
    pub sections: Vec<WantedSection>,
}

/// `[scaleway]`. The keys are in scw's own configuration or in `SCW_SECRET_KEY`, never here.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scaleway {
    /// A profile of scw's configuration; unset: the active one.
    pub profile: Option<String>,
    /// The project that everything is made in; best one of its own. Unset: scw's default.
    pub project: Option<String>,
    /// The zone to begin with; unset: scw's default.
    pub zone: Option<String>,
    /// Further zones, when nothing is left in the first.
    pub other_zones: Vec<String>,
    /// Profile (lite, standard, power, superpower) or type; `--instance` goes first.
    pub instance: Option<String>,
    /// Label of the operating system's image; unset: debian_bookworm.
    pub image: Option<String>,
    /// Another address of the API.
    pub api_url: Option<String>,
    /// Who may come in over SSH, as CIDR; unset: this machine's own address as others see it, else everybody with the key.
    pub inbound: Vec<String>,
    /// How long a machine may live; 96 when unset.
    pub max_hours: Option<f64>,
    /// What it may cost at most, in euros.
    pub max_cost: Option<f64>,
    /// Make a restricted key that expires with the machine, so that the machine can end itself; the account's own key
    /// needs IAMManager for it.
    pub self_destruct: bool,
    /// A file (mode 0600) with a restricted secret key of your own, in place of one that is made.
    pub self_destruct_key_file: Option<PathBuf>,
}

/// `[home]`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Home {
    /// The machine it runs on, over SSH: `ssh://user@host:port`, `user@host`, or an alias of the user's ssh configuration;
    /// unset: this one.
    pub host: Option<String>,
    /// A configuration of ssh for it; unset: ssh's own.
    pub ssh_config: Option<PathBuf>,
    /// The folder of plexburst on that machine; unset: `/var/lib/plexburst` for root, else `~/.local/state/plexburst`.
    pub directory: Option<PathBuf>,
    /// The folder "Plex Media Server".
    pub data_dir: Option<PathBuf>,
    /// Where the server answers; `http://127.0.0.1:32400` when unset.
    pub url: Option<String>,
    /// A file whose first line is the token; unset: `.LocalAdminToken`, then `Preferences.xml` of `data_dir`.
    pub token_file: Option<PathBuf>,
    /// The command that stops the server and returns when it is asked to stop.
    pub stop: Option<Vec<String>>,
    /// The command that starts the server.
    pub start: Option<Vec<String>>,
    /// The command that makes home's own mount show new files; run before the server is started with what was found.
    pub refresh_mount: Option<Vec<String>>,
    /// The command that runs `Plex SQLite`, which is asked for Plex's order of titles where that cannot be told here; unset: that
    /// of Plex's package, if home is that; an empty list: none.
    pub plex_sqlite: Option<Vec<String>>,
    /// No more than so much of the library is read in a second while it is copied; unset: as fast as it goes.
    pub limit_rate: Option<Rate>,
    /// How many previous libraries are kept for `rollback`; 2 when unset.
    pub keep_previous: Option<usize>,
    /// Previous libraries that are older than this are removed as well; unset: age does not matter.
    pub keep_previous_days: Option<u32>,
}

/// `[media]`: a remote of rclone or a plain folder, and which folder of it stands for which section root.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    /// `remote:path` of rclone.
    pub remote: Option<String>,
    /// The `rclone.conf` that knows the remote; unset: rclone's own default.
    pub rclone_config: Option<PathBuf>,
    /// A bucket by its keys, without any `rclone.conf`, instead of a remote.
    pub s3: Option<S3>,
    /// A plain folder instead of a remote.
    pub directory: Option<PathBuf>,
    /// The rclone to run; unset: the one in PATH, then the one beside the program.
    pub rclone: Option<PathBuf>,
    /// SHA-256 that rclone must have.
    pub rclone_sha256: Option<String>,
    /// Whether the pinned rclone is fetched (and its hash checked) where there is none.
    pub fetch_rclone: bool,
    /// Where it is fetched from: a zip that holds it; unset: the pinned place.
    pub rclone_url: Option<String>,
    /// Cache, buffers and connections of the mount: lite, standard, power, superpower; unset: by the machine.
    pub profile: Option<MountProfile>,
    /// Connections to the store at the same time; 0 is no limit. Unset: 16 with `--on here`, since thousands fill the
    /// table of a home router.
    pub connections: Option<u32>,
    /// MB/s that reading from the worker has to reach: below it `sync` asks before it begins, and a worker that finds it so
    /// stops before its first scan; `-y` goes on.
    pub min_speed: Option<f64>,
    /// Section root at home → folder in the media (relative; "" is the media's own root).
    pub roots: BTreeMap<String, String>,
    /// Folders that the worker has elsewhere than home's library.
    pub mappings: Vec<Mapping>,
}

/// One of `[[media.mappings]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The folder as home's library has it.
    pub from: String,
    /// The same folder on the worker.
    pub to: String,
    /// Whether the result keeps it.
    pub kind: MappingKind,
}

/// What becomes of a mapping when the result comes home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MappingKind {
    /// The files were moved for good: the result has the new path, and so has home.
    Permanent,
    /// The worker alone has it there: undone before the result comes home.
    Worker,
}

/// `[media.s3]`: a bucket by its keys. The keys themselves stand in the environment or in a file, never here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct S3 {
    /// `bucket` or `bucket/folder`.
    pub bucket: String,
    /// As in `https://s3.fr-par.scw.cloud`; unset: Scaleway's of the region, or Amazon's.
    pub endpoint: Option<String>,
    /// As in `fr-par`; unset: `AWS_REGION`, `SCW_DEFAULT_REGION`.
    pub region: Option<String>,
    /// rclone's word for whose it is, as in `Scaleway`; unset: by the endpoint.
    pub provider: Option<String>,
    /// A file (mode 0600) with lines `AWS_ACCESS_KEY_ID=…` and `AWS_SECRET_ACCESS_KEY=…`, or Scaleway's names.
    pub credentials_file: Option<PathBuf>,
}

/// How much a mount may take of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MountProfile {
    /// As on a DEV1-S.
    Lite,
    /// As on a DEV1-M.
    Standard,
    /// As on a GP1-S.
    Power,
    /// As on a GP1-M.
    Superpower,
}

/// `[worker]` with `--on here`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Worker {
    /// The folder the worker works in; unset: `worker` in the burst's folder.
    pub directory: Option<PathBuf>,
    /// How the server is run.
    pub runtime: RuntimeMode,
    /// The server binary; unset: `/usr/lib/plexmediaserver/Plex Media Server`.
    pub server: Option<PathBuf>,
    /// The image, with a tag or without (home's version then); unset: `plexinc/pms-docker`.
    pub image: Option<String>,
    /// The Docker engine's socket; unset: what `DOCKER_HOST` names, else `/var/run/docker.sock`.
    pub docker_socket: Option<PathBuf>,
    /// GiB of memory that a container may have; unset: what the machine has, but for a tenth.
    pub memory: Option<f64>,
    /// CPUs that a container may have; unset: all of the machine's.
    pub cpus: Option<f64>,
    /// The port that the worker's server listens on (Plex has no setting for it).
    pub port: Option<u16>,
    /// Whether Plex runs in namespaces of its own.
    pub cell: CellMode,
    /// What Plex may do of its own while a section is analysed.
    pub preferences: PreferencesMode,
    /// Whether the worker's Plex may reach the Internet out of its cell (a real one needs it to match what is new);
    /// unset: when slirp4netns is installed.
    pub internet: Option<bool>,
    /// Further folders that the worker's Plex may write to from within its cell.
    pub writable: Vec<PathBuf>,
    /// A file (mode 0600) with a fresh claim (`claim-…`) from plex.tv/claim; `PLEX_CLAIM` in the environment goes first.
    pub claim_file: Option<PathBuf>,
    /// A file (mode 0600) with the account's token: with it claims are fetched when they are needed, and the worker's
    /// server is taken out of the account afterwards.
    pub account_token_file: Option<PathBuf>,
    /// Whether the identity of a claimed worker is kept, sealed, for the next burst; true when unset. Not with the account's
    /// token, which makes that needless.
    pub keep_identity: Option<bool>,
    /// Another address of plex.tv.
    pub plextv_url: Option<String>,
    /// A configuration of ssh for `--on ssh://…`; unset: ssh's own.
    pub ssh_config: Option<PathBuf>,
    /// Further environment of the server; no place for secrets.
    pub env: BTreeMap<String, String>,
}

/// How the worker's server is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeMode {
    /// As a binary where one is configured or installed, else in Docker.
    #[default]
    Auto,
    /// A binary on the worker's machine.
    Native,
    /// A container of the official image.
    Docker,
}

/// Whether Plex on this machine gets namespaces of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CellMode {
    /// When bubblewrap can make them; else only if the paths are right and the port is free without.
    #[default]
    Auto,
    /// Always; an error when they cannot be made.
    Always,
    /// Never.
    Never,
}

/// What the worker's Plex may do of its own while a section is analysed. While one is scanned, and between the sections, it
/// may do nothing in any of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PreferencesMode {
    /// Nothing: loudness and Sonic analysis are each let on for their own step alone.
    #[default]
    Quiet,
    /// Loudness and Sonic analysis, in sections of music.
    Music,
    /// That, and in the other sections previews, chapter thumbnails and markers, which are made in a step of their own.
    Everything,
}

/// `[limits]`, seconds.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Plex answering and its sections readable; 900 is what an injected library of 15 GB was seen to need.
    pub ready: u64,
    /// A claim from whoever controls the burst; without one by then, no Sonic analysis.
    pub claim: u64,
    /// The mount showing real bytes.
    pub mount: u64,
    /// One look at the media while Plex works: what has not been read by then counts as silent.
    pub probe: f64,
    /// Between two such looks.
    pub watch: f64,
    /// How long nothing at all may come through before the mount is taken for dead.
    pub dead: f64,
    /// Reading head and tail of new files ahead of a scan, at most; 0 leaves it out.
    pub warm: f64,
    /// Before the first new attempt to mount what was dead; the second waits twice, the third three times as long.
    pub remount: f64,
    /// Home stopping, its write-ahead log gone.
    pub stop: u64,
    /// Between two looks at a working server.
    pub interval: f64,
    /// How long a step that was never seen at work is not taken for over.
    pub grace: f64,
    /// Looks without any movement before a section counts as stalled: with the interval, ten minutes.
    pub stall: u32,
    /// Percent of one processor below which Plex counts as idle.
    pub idle_cpu: f64,
    /// One step of a section's indexing, unless a key of its own says otherwise; with 72 hours, what the earlier scripts
    /// gave Sonic.
    pub section: u64,
    /// The scan of a section; unset: `section`.
    pub scan: Option<u64>,
    /// The refresh of all metadata, and a deep scan, which does the same on its way; unset: `scan`.
    pub refresh: Option<u64>,
    /// Analysis, loudness, previews and markers of a section; unset: `section`.
    pub analyse: Option<u64>,
    /// Sonic analysis, which works through the whole server; unset: `section`.
    pub sonic: Option<u64>,
    /// Between two checkpoints into the depot while a section is analysed: what a lost worker loses at most.
    pub checkpoint: f64,
    /// How long home may stream on before the swap gives up waiting for a quiet moment.
    pub swap_wait: u64,
    /// How long a home on another machine is tried to be reached again when the connection was lost.
    pub reconnect: u64,
    /// Watching a short run here (`--quick` with `--monitoring local`).
    pub quick: QuickLimits,
    /// Watching a worker elsewhere (`--monitoring cloud`).
    pub cloud: CloudLimits,
}

/// `[limits.quick]`: what differs for a run here without Sonic analysis, in which nothing takes long over one file.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QuickLimits {
    /// Looks without any movement that make a stall: with `limits.interval`, two and a half minutes.
    pub stall: u32,
    /// Percent of one processor below which Plex counts as idle.
    pub idle_cpu: f64,
}

impl Default for QuickLimits {
    fn default() -> Self {
        // local_quick of the earlier scripts, looked at more often. Its limit of an hour is not taken over: a step that moves
        // is not ended for a large library.
        Self {
            stall: 75,
            idle_cpu: 5.0,
        }
    }
}

/// `[limits.cloud]`: what differs for a worker elsewhere, whose hours are long and whose media are near.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CloudLimits {
    /// Between two looks at a working server, seconds.
    pub interval: f64,
    /// How long a step that was never seen at work is not taken for over, seconds.
    pub grace: f64,
    /// Looks without any movement that make a stall: with the interval, a quarter of an hour.
    pub stall: u32,
    /// The same while all metadata are refreshed: two hours.
    pub refresh_stall: u32,
    /// The same during Sonic analysis: an hour.
    pub sonic_stall: u32,
    /// Percent of one processor below which Plex counts as idle.
    pub idle_cpu: f64,
}

impl Default for CloudLimits {
    fn default() -> Self {
        // cloud_standard, metadata_refresh and cloud_intensive of the earlier scripts, looked at more often.
        Self {
            interval: 5.0,
            grace: 60.0,
            stall: 180,
            refresh_stall: 1440,
            sonic_stall: 720,
            idle_cpu: 5.0,
        }
    }
}

impl Media {
    /// As configured, with few connections unless it says otherwise: for a worker behind a home router, whose table of
    /// connections (4,096 is common) thousands of them would fill (facts/legacy.md §5).
    #[must_use]
    pub fn behind_router(&self) -> Self {
        Self {
            connections: self.connections.or(Some(16)),
            ..self.clone()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        // local_delta of the earlier scripts: 60 s × 10 looks, 2 h; a deep scan of a music section took them over two.
        Self {
            ready: 900,
            claim: 600,
            mount: 60,
            probe: 20.0,
            watch: 15.0,
            dead: 60.0,
            warm: 120.0,
            remount: 10.0,
            stop: 60,
            interval: 2.0,
            grace: 5.0,
            stall: 300,
            idle_cpu: 10.0,
            section: 72 * 3600,
            scan: None,
            refresh: None,
            analyse: None,
            sonic: None,
            checkpoint: 900.0,
            swap_wait: 6 * 3600,
            reconnect: 600,
            quick: QuickLimits::default(),
            cloud: CloudLimits::default(),
        }
    }
}

impl Config {
    /// Paths in the file are meant from the file's folder.
    pub(super) fn make_absolute(&mut self, base: &Path) {
        let slots = [
            &mut self.state_dir,
            &mut self.home.ssh_config,
            &mut self.home.data_dir,
            &mut self.home.token_file,
            &mut self.media.rclone_config,
            &mut self.media.directory,
            &mut self.media.rclone,
            &mut self.worker.directory,
            &mut self.worker.server,
            &mut self.worker.docker_socket,
            &mut self.worker.claim_file,
            &mut self.worker.account_token_file,
            &mut self.worker.ssh_config,
            &mut self.notify.webhook_file,
            &mut self.notify.ntfy_file,
            &mut self.scaleway.self_destruct_key_file,
        ];
        for path in slots.into_iter().chain(self.depot.paths()).flatten() {
            *path = base.join(&*path);
        }
        if let Some(path) = self.media.s3.as_mut().and_then(|s3| s3.credentials_file.as_mut()) {
            *path = base.join(&*path);
        }
    }
}
