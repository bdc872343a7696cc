//! One look at opened media: everything that [`super::health`] judges by.
//!
//! Guarantees: comes back, whatever hangs: within its limit once the probes have begun; touches nothing below the mount point itself.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::control::Control;
use super::error::Error;
use super::fuse;
use super::health::{Evidence, Root, RootEvidence};
use super::proof::{self, Notes, Outcome, Probed, Proof};
use super::sample;
use super::{Media, Source};
use crate::plex::runtime::Exit;

/// Files of each root at each look; others every time.
const FILES: usize = 4;
/// Bytes that are asked of the store itself.
const DIRECT: u64 = 16 * 1024;

/// Looks at one set of opened media. Does not keep them open.
#[derive(Debug, Clone)]
pub struct Prober {
    pub(super) program: PathBuf,
    pub(super) media: Media,
    pub(super) base: PathBuf,
    /// None for a plain folder.
    pub(super) mount: Option<Mounted>,
}

/// The mount as far as it can be seen from outside.
#[derive(Debug, Clone)]
pub(super) struct Mounted {
    pub(super) dir: PathBuf,
    pub(super) ended: watch::Receiver<Option<Exit>>,
    pub(super) control: Option<Control>,
}

impl Prober {
    /// Becomes something when the mount's process ends; none for a plain folder.
    pub(super) fn ended(&self) -> Option<watch::Receiver<Option<Exit>>> {
        self.mount.as_ref().map(|mount| mount.ended.clone())
    }

    /// Looks at files of every root.
    pub async fn look(&self, roots: &[Root], limit: Duration) -> Evidence {
        let mut evidence = Evidence::default();
        let mut notes = None;
        let mut asked = None;
        if let Some(mount) = &self.mount {
            evidence.ended = mount.ended.borrow().map(|exit| exit.to_string());
            if evidence.ended.is_some() {
                return evidence;
            }
            evidence.is_unmounted = matches!(fuse::is_mounted(&mount.dir), Ok(false));
            notes = tokio::time::timeout(limit, mount.notes()).await.unwrap_or(None);
            asked = mount.control.as_ref();
        }
        let looks = roots.iter().map(|root| self.root(root, notes.as_ref(), limit));
        let looks = futures::future::join_all(looks);
        evidence.roots = match asked {
            // A stopped rclone answers neither, and both are waited for at the same time.
            Some(control) => tokio::join!(looks, ask(control, &mut evidence, limit)).0,
            None => looks.await,
        };
        if self.mount.is_some() && evidence.fresh() == 0 {
            evidence.direct = self.ask_store(&evidence, limit).await;
        }
        evidence
    }

    async fn root(&self, root: &Root, notes: Option<&Notes>, limit: Duration) -> RootEvidence {
        let sampled = match root.files.as_slice() {
            [] => vec![root.root.clone()],
            files => sample::of(files, FILES, sample::seed()),
        };
        let proof = match self.prove(&sampled, limit, notes).await {
            Ok(proof) => proof,
            // A probe that cannot even be run reads nothing.
            Err(error) => Proof {
                files: vec![Probed {
                    file: PathBuf::from(&root.root),
                    outcome: Outcome::Unreadable {
                        reason: error.to_string(),
                    },
                    millis: 0,
                }],
            },
        };
        RootEvidence {
            root: root.root.clone(),
            proof,
        }
    }

    /// Reads real bytes of these files or folders (home's absolute paths).
    pub(super) async fn prove(&self, paths: &[String], limit: Duration, notes: Option<&Notes>) -> Result<Proof, Error> {
        let place = |path: &String| Ok(self.base.join(self.media.folder_of(path)?));
        let files = paths.iter().map(place).collect::<Result<Vec<_>, Error>>()?;
        let mut proof = proof::prove_past_cache(&self.program, &files, limit, notes).await?;
        // The verdict speaks of home's paths, as everything that a person reads does.
        for (probed, path) in proof.files.iter_mut().zip(paths) {
            probed.file = PathBuf::from(path);
        }
        Ok(proof)
    }

    /// The notes of the mount's cache.
    pub(super) async fn notes(&self) -> Option<Notes> {
        self.mount.as_ref()?.notes().await
    }

    /// Where the cache has everything that was sampled, the store is asked past the mount.
    async fn ask_store(&self, evidence: &Evidence, limit: Duration) -> Option<Result<Duration, String>> {
        let Source::Remote(remote) = &self.media.source else {
            return None;
        };
        let files: Vec<&Path> = evidence
            .roots
            .iter()
            .flat_map(|root| &root.proof.files)
            .filter(|probed| matches!(probed.outcome, Outcome::Read { .. }))
            .map(|probed| probed.file.as_path())
            .collect();
        let file = sample::of(&files, 1, sample::seed()).pop()?;
        let place = self.media.folder_of(&file.to_string_lossy()).ok()?;
        let begun = Instant::now();
        let read = remote.read(&place, DIRECT, limit).await;
        Some(read.map(|_| begun.elapsed()).map_err(|error| error.to_string()))
    }
}

impl Mounted {
    async fn notes(&self) -> Option<Notes> {
        Some(Notes {
            mount: self.dir.clone(),
            notes: self.control.as_ref()?.notes().await?,
        })
    }
}

/// What the remote control says, into the evidence.
async fn ask(control: &Control, evidence: &mut Evidence, limit: Duration) {
    let both = async { tokio::join!(control.statistics(), control.cache()) };
    let (statistics, cache) = match tokio::time::timeout(limit, both).await {
        Ok((statistics, cache)) => (statistics.ok(), cache.ok()),
        Err(_) => (None, None),
    };
    evidence.control = Some(statistics.is_some() && cache.is_some());
    if let Some(statistics) = statistics {
        evidence.bytes = Some(statistics.bytes);
        evidence.last_error = statistics.last_error;
    }
    evidence.is_full = cache.is_some_and(|cache| cache.out_of_space);
}
