//! One look at opened media: everything that [`super::health`] judges by.
//!
//! Guarantees: comes back, whatever hangs: within its limit once the probes have begun; touches nothing below the mount point itself.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::cached::Held;
use super::control::Control;
use super::error::Error;
use super::fuse;
use super::health::{Direct, Evidence, Limits, Root, RootEvidence};
use super::proof::{self, Cache, Outcome, Probed, Proof};
use super::sample;
use super::{Media, Source};
use crate::plex::runtime::Exit;

/// Files of each root at each look; others every time.
const FILES: usize = 4;
/// Files of each root that they are chosen from.
const CANDIDATES: usize = 48;
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
    pub async fn look(&self, roots: &[Root], limits: &Limits) -> Evidence {
        let limit = limits.probe;
        let mut evidence = Evidence::default();
        let mut asked = None;
        if let Some(mount) = &self.mount {
            evidence.ended = mount.ended.borrow().map(|exit| exit.to_string());
            if evidence.ended.is_some() {
                return evidence;
            }
            evidence.is_unmounted = matches!(fuse::is_mounted(&mount.dir), Ok(false));
            asked = mount.control.as_ref();
        }
        let cache = self.cache(limit).await;
        let looks = roots.iter().map(|root| self.root(root, &cache, limits));
        let looks = futures::future::join_all(looks);
        evidence.roots = match asked {
            // A stopped rclone answers neither, and both are waited for at the same time.
            Some(control) => tokio::join!(looks, ask(control, &mut evidence, limit)).0,
            None => looks.await,
        };
        evidence
    }

    async fn root(&self, root: &Root, cache: &Cache, limits: &Limits) -> RootEvidence {
        let sampled = match root.files.as_slice() {
            [] => vec![root.root.clone()],
            files => crate::plex::blocking(|| self.sample(files, cache)),
        };
        let proof = match self.read(&sampled, limits.probe, cache).await {
            Ok(proof) => proof,
            // A probe that cannot even be run reads nothing.
            Err(error) => Proof {
                files: vec![Probed {
                    file: PathBuf::from(&root.root),
                    outcome: Outcome::Unreadable {
                        reason: error.to_string(),
                    },
                    millis: 0,
                    changed_at: None,
                }],
            },
        };
        // What takes long there is slow, not dead: it may take as long as death does.
        let direct = self.ask_store(&proof, limits.dead.max(limits.probe)).await;
        RootEvidence {
            root: root.root.clone(),
            proof,
            direct,
        }
    }

    /// Some of the files, rather those that the cache has not all of, since they prove more.
    fn sample(&self, files: &[String], cache: &Cache) -> Vec<String> {
        let seed = sample::seed();
        let Cache::Seen(held) = cache else {
            return sample::of(files, FILES, seed);
        };
        let place = |path: &String| Some(self.base.join(self.media.folder_of(path).ok()?));
        let (mut chosen, cached): (Vec<_>, Vec<_>) = sample::of(files, CANDIDATES, seed)
            .into_iter()
            .partition(|path| place(path).is_none_or(|file| held.lacks(&file)));
        // One that can be read in any case: files that the store itself cannot give are no dead mount.
        chosen = sample::of(&chosen, FILES - usize::from(!cached.is_empty()), seed);
        chosen.extend(sample::of(&cached, FILES - chosen.len(), seed));
        chosen
    }

    /// Reads real bytes of these files or folders (home's absolute paths). Where they came from the cache alone, and the
    /// store does not give them, nothing was read.
    pub(super) async fn prove(&self, paths: &[String], limit: Duration) -> Result<Proof, Error> {
        let cache = self.cache(limit).await;
        let mut proof = self.read(paths, limit, &cache).await?;
        if let Direct {
            read: Some(Err(why)), ..
        } = self.ask_store(&proof, limit).await
        {
            proof.disprove(&why);
        }
        Ok(proof)
    }

    async fn read(&self, paths: &[String], limit: Duration, cache: &Cache) -> Result<Proof, Error> {
        let place = |path: &String| Ok(self.base.join(self.media.folder_of(path)?));
        let files = paths.iter().map(place).collect::<Result<Vec<_>, Error>>()?;
        let mut proof = proof::prove_past_cache(&self.program, &files, limit, cache.clone()).await?;
        // The verdict speaks of home's paths, as everything that a person reads does.
        for (probed, path) in proof.files.iter_mut().zip(paths) {
            probed.file = PathBuf::from(path);
        }
        Ok(proof)
    }

    /// The mount's cache, as far as it can be seen within `limit`.
    async fn cache(&self, limit: Duration) -> Cache {
        let Some(mount) = &self.mount else {
            return Cache::None;
        };
        let seen = Held::of(&mount.dir, mount.control.as_ref());
        tokio::time::timeout(limit, seen).await.unwrap_or(Cache::Unseen)
    }

    /// Where no sampled file showed bytes that the cache had not, the store is asked past the mount: for one that was read,
    /// and for one that was not.
    async fn ask_store(&self, proof: &Proof, limit: Duration) -> Direct {
        if self.mount.is_none() || proof.fresh() > 0 || proof.is_dead() {
            return Direct::default();
        }
        let was_read = |probed: &&Probed| matches!(probed.outcome, Outcome::Read { .. });
        let (read, failed): (Vec<_>, Vec<_>) = proof.files.iter().partition(was_read);
        let (read, failed) = tokio::join!(self.ask_for(&read, limit), self.ask_for(&failed, limit));
        Direct { read, failed }
    }

    async fn ask_for(&self, some: &[&Probed], limit: Duration) -> Option<Result<Duration, String>> {
        let Source::Remote(remote) = &self.media.source else {
            return None;
        };
        let probed = sample::of(some, 1, sample::seed()).pop()?;
        let place = self.media.folder_of(&probed.file.to_string_lossy()).ok()?;
        let begun = Instant::now();
        let read = remote.read(&place, DIRECT, limit).await;
        Some(read.map(|_| begun.elapsed()).map_err(|error| error.to_string()))
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
