//! The media as a file system: a real `rclone mount`, read-only, supervised, proved before anybody relies on it.
//!
//! Ready means that a real file was read through it, never that it is mounted: rclone mounts happily with wrong keys.
//! Gone means that the kernel has no such mount any more. rclone runs under a guardian, so that it ends with the
//! worker; what a killed worker has left nevertheless is cleared by [`clear`], by its place in the worker's own folder
//! and never by name.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::sync::watch;

use super::cached::Held;
use super::control::Control;
use super::error::{Error, io_error};
use super::flags::{self, Places};
use super::fuse;
use super::profile::Machine;
use super::program::{Rclone, Wanted};
use super::proof::{self, Outcome, Proof};
use super::remote::Remote;
use crate::clock::Clock;
use crate::config::MountProfile;
use crate::plex::runtime::Exit;
use crate::plex::runtime::launch::{Launched, launch};
use crate::plex::runtime::logs::last_lines;

/// Between two looks at a mount that comes up.
const INTERVAL: Duration = Duration::from_millis(100);
/// One attempt to read through it.
const PROBE: Duration = Duration::from_secs(15);
/// How long rclone may take to unmount by itself.
const GOODBYE: Duration = Duration::from_secs(10);
/// A disk with less than this is full, as far as a cache is concerned.
const FULL: u64 = 64 << 20;
/// How long it may take to end when killed.
const KILLED: Duration = Duration::from_secs(5);

/// What to mount where.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The remote.
    pub remote: Remote,
    /// The worker's folder for it: mount point, cache, log.
    pub work: PathBuf,
    /// The program itself, for the guardian and the probe.
    pub program: PathBuf,
    /// Which rclone.
    pub rclone: Wanted,
    /// How much it may take of the machine; by the machine when none.
    pub profile: Option<MountProfile>,
    /// Bytes that the cache may take, whatever the profile says.
    pub cache_bytes: Option<u64>,
    /// Connections to the store at the same time; no limit when none.
    pub connections: Option<u32>,
    /// Files of which one must be readable, relative to the remote; any file when none of these exists.
    pub known: Vec<PathBuf>,
    /// How long it may take to show real bytes.
    pub limit: Duration,
}

impl Spec {
    /// With everything else by default.
    #[must_use]
    pub fn new(remote: Remote, work: &Path, program: &Path) -> Self {
        Self {
            remote,
            work: work.to_owned(),
            program: program.to_owned(),
            rclone: Wanted::default(),
            profile: None,
            cache_bytes: None,
            connections: None,
            known: Vec::new(),
            limit: Duration::from_secs(60),
        }
    }
}

/// A mount that has shown real bytes.
#[derive(Debug)]
pub struct Mount {
    spec: Spec,
    places: Places,
    control: Option<Control>,
    child: Launched,
}

impl Mount {
    /// Mounts and waits until real bytes of a file came through.
    ///
    /// # Errors
    /// [`Error`], told apart by cause.
    pub async fn start(mut spec: Spec, clock: &dyn Clock) -> Result<Self, Error> {
        fuse::check()?;
        let rclone = Rclone::find(&spec.rclone, &spec.work).await?;
        spec.remote.program.clone_from(&rclone.program);
        clear(&spec.work).await?;
        let places = Places::of(&spec.work);
        flags::make(&places)?;
        if Machine::this(&places.cache)?.disk < FULL {
            // What an earlier mount has cached is all that can be spared here.
            flags::empty(&places.cache)?;
        }
        // Wrong keys and a missing bucket are told plainly here, and as an empty folder by a mount.
        let checked = tokio::time::timeout(spec.limit, spec.remote.check()).await;
        checked.map_err(|_| Error::Unreachable {
            remote: spec.remote.name.clone(),
            said: format!("no answer in {} s", spec.limit.as_secs()),
        })??;
        let mut command = Command::new(&spec.program);
        command
            .args(["cell", "--parent", &std::process::id().to_string(), "--mount"])
            .arg(&places.dir)
            .arg("--")
            .arg(&rclone.program)
            .args(flags::arguments(&spec, &places, &rclone)?)
            .envs(spec.remote.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = launch(command, Signal::HUP)
            .await
            .map_err(io_error("run rclone mount"))?;
        let control = places.control(&rclone).map(Control::at).transpose()?;
        let mount = Self {
            spec,
            places,
            control,
            child,
        };
        match mount.wait_ready(clock).await {
            Ok(()) => Ok(mount),
            Err(error) => {
                if let Err(stuck) = mount.abort().await {
                    tracing::warn!(%stuck, "a mount that did not come up stays behind");
                }
                Err(error)
            }
        }
    }

    async fn wait_ready(&self, clock: &dyn Clock) -> Result<(), Error> {
        let begun = clock.now();
        let mut said = "not mounted".to_owned();
        loop {
            if let Some(exit) = self.child.exit() {
                let log = last_lines(&self.log(), 20).join("\n");
                tracing::debug!(%exit, "rclone mount ended early");
                return Err(self.spec.remote.complaint(&log));
            }
            if fuse::is_mounted(&self.places.dir)? {
                let limit = PROBE.min(self.spec.limit);
                let mut proof = self.prove(&self.spec.known, limit).await?;
                // Files that are gone do not speak against the mount: it has answered. Whether too many are gone is
                // for others to judge.
                if proof.files.iter().all(|probed| probed.outcome == Outcome::Missing) {
                    proof = self.prove(&[], limit).await?;
                }
                if !proof.is_dead() {
                    return Ok(());
                }
                said = proof.to_string();
            }
            if clock.now() - begun >= self.spec.limit {
                let last = last_lines(&self.log(), 1).join("");
                let said = if last.is_empty() {
                    said
                } else {
                    format!("{said}; {last}")
                };
                return Err(Error::NotReady {
                    remote: self.spec.remote.name.clone(),
                    limit: self.spec.limit,
                    said,
                });
            }
            clock.sleep(INTERVAL).await;
        }
    }

    /// Where the remote's own root is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.places.dir
    }

    /// The folder of its cache.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.places.cache
    }

    /// rclone's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.places.log.clone()
    }

    /// Whether rclone still runs. Says nothing about whether it reads: see [`Mount::prove`].
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.child.exit().is_none()
    }

    /// How rclone ended, once it has.
    pub(super) fn ended(&self) -> watch::Receiver<Option<Exit>> {
        self.child.ended()
    }

    /// Its remote control; none with an rclone that is too old for a private one.
    #[must_use]
    pub fn control(&self) -> Option<&Control> {
        self.control.as_ref()
    }

    /// The same again, for a mount that was closed.
    pub(super) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Reads real bytes of files, given relative to the remote; of any file when there are none.
    ///
    /// # Errors
    /// The probe cannot be run.
    pub async fn prove(&self, files: &[PathBuf], limit: Duration) -> Result<Proof, Error> {
        let files = match files {
            [] => vec![self.places.dir.clone()],
            some => some.iter().map(|file| self.places.dir.join(file)).collect(),
        };
        let cache = Held::of(&self.places.dir, self.control.as_ref()).await;
        proof::prove_past_cache(&self.spec.program, &files, limit, cache).await
    }

    /// Unmounts for good: gently, then by force.
    ///
    /// # Errors
    /// [`Error::Stuck`]: it is still there.
    pub async fn close(mut self) -> Result<(), Error> {
        self.child.signal(Signal::TERM);
        let gone = self.child.wait(GOODBYE).await.is_some();
        if !gone {
            self.end().await;
        }
        clear_mounts(&self.places.dir).await
    }

    /// Unmounts one that is dead: whatever waits in it fails at once, and nothing is waited for.
    ///
    /// # Errors
    /// [`Error::Stuck`]: it is still there.
    pub async fn abort(mut self) -> Result<(), Error> {
        let aborted = fuse::abort_below(&self.places.dir);
        // Without a connection rclone has nothing to do; a stopped one ends only so.
        let ended = self.end().await;
        let result = clear_mounts(&self.places.dir).await;
        if let (Err(error), false) = (aborted, ended) {
            tracing::warn!(%error, "rclone does not end");
        }
        result
    }

    /// Kills rclone, whose guardian takes away what it leaves and ends; else the guardian as well. It must not live on:
    /// sooner or later it would take away what is mounted at its place then. False when it had to be killed.
    async fn end(&mut self) -> bool {
        self.kill(false);
        if self.child.wait(KILLED).await.is_some() {
            return true;
        }
        self.kill(true);
        self.child.wait(KILLED).await;
        false
    }

    /// rclone first: the guardian's own death would leave it behind.
    fn kill(&self, with_guardian: bool) {
        let guardian = self.child.pid();
        for process in crate::plex::runtime::processes::below(guardian).unwrap_or_default() {
            if let Some(pid) = Pid::from_raw(process.pid).filter(|_| process.pid != guardian) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        if with_guardian {
            self.child.signal(Signal::KILL);
        }
    }
}

/// Takes away every mount that a killed worker has left in its own folder. Nothing else is touched.
///
/// # Errors
/// [`Error::Stuck`].
pub async fn clear(work: &Path) -> Result<(), Error> {
    clear_mounts(work).await
}

async fn clear_mounts(below: &Path) -> Result<(), Error> {
    // Innermost first; what is mounted twice on one folder shows itself one after the other.
    for mount in fuse::mounted_below(below)?.iter().rev() {
        tracing::info!(dir = %mount.dir.display(), kind = mount.kind, "taking a mount away");
        fuse::force_unmount(mount).await?;
    }
    match fuse::mounted_below(below)?.first() {
        Some(mount) => Err(Error::Stuck {
            dir: mount.dir.clone(),
            said: "it is still mounted".to_owned(),
        }),
        None => Ok(()),
    }
}
