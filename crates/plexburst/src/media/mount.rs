//! The media as a file system: a real `rclone mount`, read-only, supervised, proved before anybody relies on it.
//!
//! Ready means that a real file was read through it, never that it is mounted: rclone mounts happily with wrong keys.
//! Gone means that the kernel has no such mount any more. rclone runs under a guardian, so that it ends with the
//! worker; what a killed worker has left nevertheless is cleared by [`clear`], by its place in the worker's own folder
//! and never by name.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::error::{Error, io_error};
use super::fuse;
use super::proof::{self, Outcome, Proof};
use super::remote::{self, Remote};
use crate::clock::Clock;
use crate::plex::runtime::launch::{Launched, launch};
use crate::plex::runtime::logs::last_lines;

/// Between two looks at a mount that comes up.
const INTERVAL: Duration = Duration::from_millis(100);
/// One attempt to read through it.
const PROBE: Duration = Duration::from_secs(15);
/// How long rclone may take to unmount by itself.
const GOODBYE: Duration = Duration::from_secs(10);
/// Free space that the cache leaves alone, also for the databases beside it.
const FREE: &str = "2G";
/// `sun_path` has 108 bytes.
const SOCKET_PATH: usize = 107;

/// What to mount where.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The remote.
    pub remote: Remote,
    /// The worker's folder for it: mount point, cache, log.
    pub work: PathBuf,
    /// The program itself, for the guardian and the probe.
    pub program: PathBuf,
    /// Bytes that the cache may take; half of what is free when none.
    pub cache_bytes: Option<u64>,
    /// Files of which one must be readable, relative to the remote; any file when none of these exists.
    pub known: Vec<PathBuf>,
    /// How long it may take to show real bytes.
    pub limit: Duration,
}

/// A mount that has shown real bytes.
#[derive(Debug)]
pub struct Mount {
    spec: Spec,
    dir: PathBuf,
    child: Launched,
}

impl Mount {
    /// Mounts and waits until real bytes of a file came through.
    ///
    /// # Errors
    /// [`Error`], told apart by cause.
    pub async fn start(spec: Spec, clock: &dyn Clock) -> Result<Self, Error> {
        fuse::check()?;
        let version = remote::version().await?;
        clear(&spec.work).await?;
        let dir = spec.work.join("media");
        for folder in [&dir, &spec.work.join("cache")] {
            fs::create_dir_all(folder).map_err(io_error(format!("make {}", folder.display())))?;
        }
        if !fuse::is_empty(&dir).map_err(io_error(format!("list {}", dir.display())))? {
            return Err(Error::NotEmpty(dir));
        }
        // Wrong keys and a missing bucket are told plainly here, and as an empty folder by a mount.
        spec.remote.check().await?;
        let mut command = Command::new(&spec.program);
        command
            .args(["cell", "--parent", &std::process::id().to_string(), "--mount"])
            .arg(&dir)
            .args(["--", "rclone"])
            .args(arguments(&spec, &dir, version)?)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = launch(command, Signal::HUP)
            .await
            .map_err(io_error("run rclone mount"))?;
        let mount = Self { spec, dir, child };
        match mount.wait_ready(clock).await {
            Ok(()) => Ok(mount),
            Err(error) => {
                if let Err(stuck) = mount.close().await {
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
            if fuse::mounted_below(&self.dir)?
                .iter()
                .any(|mount| mount.dir == self.dir)
            {
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
        &self.dir
    }

    /// rclone's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.spec.work.join("rclone.log")
    }

    /// Whether rclone still runs. Says nothing about whether it reads: see [`Mount::prove`].
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.child.exit().is_none()
    }

    /// Reads real bytes of files, given relative to the remote; of any file when there are none.
    ///
    /// # Errors
    /// The probe cannot be run.
    pub async fn prove(&self, files: &[PathBuf], limit: Duration) -> Result<Proof, Error> {
        let files = match files {
            [] => vec![self.dir.clone()],
            some => some.iter().map(|file| self.dir.join(file)).collect(),
        };
        proof::prove(&self.spec.program, &files, limit).await
    }

    /// Unmounts for good: gently, then by force.
    ///
    /// # Errors
    /// [`Error::Stuck`]: it is still there.
    pub async fn close(mut self) -> Result<(), Error> {
        self.child.signal(Signal::TERM);
        let gone = self.child.wait(GOODBYE).await.is_some();
        let result = clear_mounts(&self.dir).await;
        if !gone {
            self.kill();
        }
        result
    }

    /// The guardian's own death would leave rclone behind.
    fn kill(&self) {
        for process in crate::plex::runtime::processes::below(self.child.pid()).unwrap_or_default() {
            if let Some(pid) = Pid::from_raw(process.pid) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
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

/// `rclone mount` with the values of facts/cloud.md §5.4, as far as this version knows them.
fn arguments(spec: &Spec, dir: &Path, version: Option<(u32, u32)>) -> Result<Vec<OsString>, Error> {
    let cache = spec.work.join("cache");
    let bytes = match spec.cache_bytes {
        Some(bytes) => bytes,
        None => free_bytes(&cache)? / 2,
    };
    let mut arguments: Vec<OsString> = vec!["mount".into()];
    arguments.extend(spec.remote.options().iter().map(|option| (*option).to_owned()));
    let mut add = |option: &str, value: OsString| arguments.extend([option.into(), value]);
    add("--cache-dir", cache.into());
    add("--log-file", spec.work.join("rclone.log").into());
    add("--log-level", "INFO".into());
    add("--vfs-cache-mode", "full".into());
    add("--vfs-cache-max-size", format!("{bytes}B").into());
    add("--vfs-cache-max-age", "9999h".into());
    // Nothing polls S3: what is new is asked for when a burst begins, and a burst mounts anew.
    add("--dir-cache-time", "9999h".into());
    add("--poll-interval", "0".into());
    // A scan reads head and tail of each file: rclone's 128M would fetch most of it for nothing.
    add("--vfs-read-chunk-size", "4M".into());
    add("--buffer-size", "4M".into());
    add("--umask", "022".into());
    let at_least = |minor| version.is_none_or(|(major, has)| major > 1 || has >= minor);
    if at_least(64) {
        add("--vfs-cache-min-free-space", FREE.into());
    }
    let socket = spec.work.join("rclone.sock");
    if at_least(65) && socket.as_os_str().len() <= SOCKET_PATH {
        let _ = fs::remove_file(&socket);
        add("--rc-addr", format!("unix://{}", socket.display()).into());
        arguments.extend(["--rc".into(), "--rc-no-auth".into()]);
    }
    // File times are rclone's own, as on a mount with its defaults at home: Plex analyses again what seems changed.
    arguments.extend(["--read-only", "--no-checksum", "--vfs-fast-fingerprint", "--"].map(OsString::from));
    arguments.extend([OsString::from(&spec.remote.name), dir.as_os_str().to_owned()]);
    Ok(arguments)
}

fn free_bytes(dir: &Path) -> Result<u64, Error> {
    let doing = || format!("ask for the free space of {}", dir.display());
    let stat = rustix::fs::statvfs(dir).map_err(|error| io_error(doing())(error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(work: &Path) -> Spec {
        Spec {
            remote: Remote {
                name: "s3:bucket".into(),
                config: Some("/c/rclone.conf".into()),
            },
            work: work.to_owned(),
            program: "/no/plexburst".into(),
            cache_bytes: Some(5_000_000),
            known: Vec::new(),
            limit: Duration::from_secs(1),
        }
    }

    #[test]
    fn an_old_rclone_is_not_asked_for_what_it_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let text = |version| {
            let arguments = arguments(&spec(dir.path()), &dir.path().join("media"), version).unwrap();
            arguments
                .iter()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let (new, old) = (text(Some((1, 75))), text(Some((1, 60))));
        assert!(
            new.starts_with("mount --config /c/rclone.conf --contimeout 10s --timeout 30s"),
            "{new}"
        );
        assert!(new.contains("--read-only") && new.contains("--vfs-cache-max-size 5000000B"));
        assert!(new.contains("--rc-addr unix://") && new.contains("min-free-space"));
        assert!(!old.contains("--rc") && !old.contains("min-free-space"), "{old}");
        assert!(new.contains(" -- s3:bucket "));
    }

    #[tokio::test]
    async fn a_mount_point_with_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("media")).unwrap();
        fs::write(dir.path().join("media/mine"), "x").unwrap();
        match Mount::start(spec(dir.path()), &crate::clock::SystemClock).await {
            Err(error @ (Error::NoFuse(_) | Error::NoRclone)) => {
                println!("SKIPPED mount point with files: {error}")
            }
            other => assert!(matches!(other, Err(Error::NotEmpty(_))), "{other:?}"),
        }
    }
}
