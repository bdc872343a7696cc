//! What a worker is told: one file in its folder. It holds no secret; a claim reaches the worker through the
//! environment of its process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::request::Options;
use crate::config::{self, CellMode, Limits, Media, PreferencesMode};
use crate::depot::{Depot, Object};
use crate::error::{Context, Error, Result};
use crate::media::speed::Speed;
use crate::term::Printer;

/// Format of `spec.json`.
pub const VERSION: u32 = 1;
/// The file with the task.
pub const FILE: &str = "spec.json";
/// The file (mode 0600) beside it with the keys to this burst's objects in an encrypted depot.
pub const KEYS: &str = "depot.keys";
/// The file (mode 0600) in which the controller leaves a claim.
pub const CLAIM: &str = "claim-answer";
/// The file (mode 0600) with an identity that was kept.
pub const IDENTITY: &str = "identity";
/// The same for the kept base.
pub const BASE_KEYS: &str = "base.keys";

/// Keys of what the two sides leave for each other in the depot.
pub mod key {
    /// The worker's journal, sealed after each line.
    pub const WORKER_JOURNAL: &str = "worker/journal.jsonl";
    /// What the worker does right now.
    pub const WORKER_PROGRESS: &str = "worker/progress.json";
    /// The worker wants a claim.
    pub const CLAIM_WANTED: &str = "worker/claim-wanted.json";
    /// The newest checkpoint of what the worker has made.
    pub const CHECKPOINT: &str = "worker/checkpoint.json";
    /// Put by the controller to end the worker early.
    pub const CANCEL: &str = "mailbox/cancel";
    /// Put by whoever cancels the burst: the worker stops indexing, and what is done so far is the result.
    pub const WIND_UP: &str = "mailbox/wind-up";
}

/// One section as both sides name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Row id of library_sections, the API's key.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The API's word: movie, show, artist, photo.
    pub kind: String,
    /// Its roots at home.
    pub roots: Vec<String>,
}

/// The snapshot as it lies in the depot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// library.db, compressed.
    pub library: Object,
    /// blobs.db, compressed.
    pub blobs: Object,
    /// The snapshot's manifest.
    pub manifest: Object,
    /// The kept base that these are of; `None`: they are this burst's own.
    #[serde(default)]
    pub kept: Option<String>,
    /// What leads from there to this burst's base, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What travelled for this burst.
    pub sent: u64,
}

/// What changed at home from one kept snapshot to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The files of the delta, by name.
    pub delta: Vec<Object>,
    /// The manifest of the snapshot that it leads to.
    pub manifest: Object,
}

impl Step {
    /// What it weighs.
    pub fn bytes(&self) -> u64 {
        self.delta.iter().map(|o| o.bytes).sum::<u64>() + self.manifest.bytes
    }
}

impl Parked {
    /// What the whole snapshot weighs, without its steps.
    pub fn whole_bytes(&self) -> u64 {
        self.library.bytes + self.blobs.bytes + self.manifest.bytes
    }

    /// Every object that the base is made of.
    pub fn objects(&self) -> Vec<&Object> {
        let steps = self
            .steps
            .iter()
            .flat_map(|step| step.delta.iter().chain([&step.manifest]));
        [&self.library, &self.blobs, &self.manifest]
            .into_iter()
            .chain(steps)
            .collect()
    }
}

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerSpec {
    /// Format.
    pub v: u32,
    /// The burst's ULID.
    pub burst: String,
    /// Which worker this is, from 1: its rows get a stride of ids of their own.
    pub number: u32,
    /// Where the depot is; its keys are elsewhere.
    pub depot: config::Depot,
    /// The base.
    pub base: Parked,
    /// Where the media are.
    pub media: Media,
    /// The server binary.
    pub server: PathBuf,
    /// The port it listens on.
    pub port: u16,
    /// How it is run.
    #[serde(default)]
    pub container: Container,
    /// Namespaces or not.
    pub cell: CellMode,
    /// What its Plex may do of its own while a section is analysed.
    #[serde(default)]
    pub preferences: PreferencesMode,
    /// Whether the worker's Plex may reach the Internet out of its cell.
    pub internet: bool,
    /// Further folders that the worker's Plex may write to.
    pub writable: Vec<PathBuf>,
    /// Where a claim may lie; read at the moment it is used.
    pub claim_file: Option<PathBuf>,
    /// Where the controller leaves a claim when the worker asks for one.
    #[serde(default)]
    pub claim_drop: Option<PathBuf>,
    /// A file (mode 0600) with an identity that was kept from an earlier burst.
    #[serde(default)]
    pub identity: Option<PathBuf>,
    /// Further environment of the server.
    pub env: BTreeMap<String, String>,
    /// All sections of the library.
    pub sections: Vec<Section>,
    /// The ids of those to be indexed.
    pub selected: Vec<i64>,
    /// What was asked for.
    pub options: Options,
    /// Time limits.
    pub limits: Limits,
    /// The version of Plex at home; `None` when the library comes from an archive that does not tell.
    pub plex_version: Option<String>,
    /// Files (as home has them) that were proved gone from the media before the burst began.
    #[serde(default)]
    pub gone: Vec<String>,
    /// How long its machine lives, when it is rented.
    #[serde(default)]
    pub lease: Option<Lease>,
}

/// How the server is run, and what a container of it may have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// As a binary or in Docker.
    pub runtime: config::RuntimeMode,
    /// The image, when it is not the official one.
    pub image: Option<String>,
    /// The engine's socket, when it is not Docker's own.
    pub socket: Option<PathBuf>,
    /// GiB of memory.
    pub memory: Option<f64>,
    /// CPUs.
    pub cpus: Option<f64>,
    /// Home's time zone.
    pub time_zone: Option<String>,
}

/// How long a rented machine lives, and how the worker shows that it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The burst.
    pub burst: String,
    /// When the machine has to be gone, in seconds since 1970 by the provider's clock.
    pub deadline: i64,
    /// When the worker stops indexing, to bring home what is done by then.
    pub work_until: i64,
    /// What to add to the machine's own clock to get the provider's, in seconds.
    pub clock_offset: i64,
}

impl WorkerSpec {
    /// The depot of this burst, with the keys in the worker's folder.
    ///
    /// # Errors
    /// Its keys cannot be read here.
    pub fn depot(&self, work_dir: &Path, printer: &Printer) -> Result<Depot> {
        Depot::of(&self.depot, &self.burst, printer)?.with_own_keys(&work_dir.join(KEYS))
    }

    /// The part of `depot` that the base is in.
    ///
    /// # Errors
    /// Its keys cannot be read here.
    pub fn base_depot(&self, depot: &Depot, work_dir: &Path) -> Result<Depot> {
        match &self.base.kept {
            Some(id) => depot
                .beside(&super::kept::folder(id))
                .with_own_keys(&work_dir.join(BASE_KEYS)),
            None => Ok(depot.clone()),
        }
    }

    /// Writes the file into the worker's folder.
    ///
    /// # Errors
    /// The disk.
    pub fn save(&self, work_dir: &Path) -> Result<()> {
        let path = work_dir.join(FILE);
        let text = serde_json::to_vec_pretty(self).context(|| "cannot write down the worker's task".to_owned())?;
        plex_library::publish::file(&path, &text).context(|| format!("cannot write {}", path.display()))
    }

    /// Reads the file in the worker's folder.
    ///
    /// # Errors
    /// It is missing or of a newer program.
    pub fn load(work_dir: &Path) -> Result<Self> {
        let path = work_dir.join(FILE);
        let bytes = std::fs::read(&path)
            .map_err(|e| Error::usage(format!("no worker's task at {}", path.display())).because(e))?;
        let spec: Self = serde_json::from_slice(&bytes)
            .map_err(|e| Error::unexpected(format!("cannot understand {}", path.display())).because(e))?;
        if spec.v > VERSION {
            return Err(Error::usage("the worker's task was written by a newer plexburst"));
        }
        Ok(spec)
    }
}

/// What the worker does right now: its proof of life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// When, by the worker's clock.
    pub at: jiff::Timestamp,
    /// One line for a person.
    pub text: String,
    /// The same in its parts, while Plex indexes: what is counted, what is waited for, how the media are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// The version of the worker's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// One look at the worker while it indexed, for the report's plots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When, by the worker's clock.
    pub at: jiff::Timestamp,
    /// library_sections.id.
    pub section: i64,
    /// What was done.
    pub step: String,
    /// Media of the section with an analysis.
    pub analysed: u64,
    /// Its tracks with Sonic data.
    pub sonic: u64,
    /// Plex's processes together, percent of one processor; none when nothing tells.
    pub cpu: Option<f64>,
    /// Bytes a second that came from the store; none when nothing tells.
    pub throughput: Option<f64>,
    /// The slowest answer of the media, milliseconds.
    pub answer_ms: u64,
}

/// Facts of the worker's phase `mount`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mounted {
    /// How fast the media are from there; none for a plain folder.
    pub speed: Option<Speed>,
}

/// What a worker made, as it lies in the depot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// The files of the delta, by name.
    pub delta: Vec<Object>,
    /// New bundle files, packed; empty when there are none.
    pub bundles: Vec<Object>,
    /// Folders of packed bundle files that are older than those, the newest first: of a result that is a checkpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older_bundles: Vec<Vec<Object>>,
    /// How far the worker's ids were moved out of home's way.
    pub stride: plex_library::ids::Stride,
    /// Warnings worth a line in the report.
    pub warnings: Vec<String>,
    /// Tracks that Sonic could not analyse, by name.
    pub failed_tracks: Vec<String>,
    /// The worker while it indexed.
    #[serde(default)]
    pub samples: Vec<Sample>,
}

impl Made {
    /// What it weighs.
    pub fn bytes(&self) -> u64 {
        self.objects().map(|o| o.bytes).sum()
    }

    /// Every object that it is made of.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        let older = self.older_bundles.iter().flatten();
        self.delta.iter().chain(&self.bundles).chain(older)
    }
}
