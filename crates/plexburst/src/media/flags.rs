//! The options of `rclone mount`: the values of facts/cloud.md §5.4, as far as the rclone at hand knows them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::{Error, io_error};
use super::mount::Spec;
use super::profile::{Machine, Profile};
use super::program::Rclone;

/// `sun_path` has 108 bytes.
const SOCKET_PATH: usize = 107;

/// Files and folders of the mount's own, in the worker's folder for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// The mount point.
    pub(super) dir: PathBuf,
    pub(super) cache: PathBuf,
    pub(super) log: PathBuf,
    pub(super) socket: PathBuf,
}

impl Places {
    pub(super) fn of(work: &Path) -> Self {
        Self {
            dir: work.join("media"),
            cache: work.join("cache"),
            log: work.join("rclone.log"),
            socket: work.join("rclone.sock"),
        }
    }

    /// The socket of the remote control, where one can be had.
    pub(super) fn control(&self, rclone: &Rclone) -> Option<&Path> {
        (rclone.has(65) && self.socket.as_os_str().len() <= SOCKET_PATH).then_some(&*self.socket)
    }
}

/// The whole command line after `rclone`.
pub(super) fn arguments(spec: &Spec, places: &Places, rclone: &Rclone) -> Result<Vec<OsString>, Error> {
    let mut profile = Profile::of(spec.profile, Machine::this(&places.cache)?);
    if let Some(bytes) = spec.cache_bytes {
        profile.cache = bytes;
    }
    if let Some(connections) = spec.connections {
        profile = profile.capped(connections);
    }
    let mut arguments: Vec<OsString> = vec!["mount".into()];
    arguments.extend(spec.remote.options().iter().map(|option| (*option).to_owned()));
    let mut add = |option: &str, value: OsString| arguments.extend([option.into(), value]);
    let bytes = |bytes: u64| OsString::from(format!("{bytes}B"));
    add("--cache-dir", places.cache.as_os_str().to_owned());
    add("--log-file", places.log.as_os_str().to_owned());
    add("--log-level", "INFO".into());
    add("--vfs-cache-mode", "full".into());
    add("--vfs-cache-max-size", bytes(profile.cache));
    add("--vfs-cache-max-age", "9999h".into());
    // Nothing polls a bucket: what is new is asked for by us, before each scan.
    add("--dir-cache-time", "9999h".into());
    add("--poll-interval", "0".into());
    // A scan reads head and tail of each file: rclone's 128M would fetch most of it for nothing.
    add("--vfs-read-chunk-size", bytes(profile.chunk));
    add("--buffer-size", bytes(profile.buffer));
    add("--transfers", profile.transfers.to_string().into());
    add("--checkers", profile.checkers.to_string().into());
    // Plex runs as this process's own user: the files are to be that user's.
    add("--uid", rustix::process::geteuid().as_raw().to_string().into());
    add("--gid", rustix::process::getegid().as_raw().to_string().into());
    add("--umask", "022".into());
    if rclone.has(64) {
        add("--vfs-cache-min-free-space", bytes(profile.free));
    }
    if rclone.has(68) {
        add("--vfs-read-chunk-streams", profile.streams.to_string().into());
    }
    if let Some(connections) = spec
        .connections
        .filter(|connections| *connections > 0 && rclone.has(71))
    {
        add("--max-connections", connections.to_string().into());
    }
    if let Some(socket) = places.control(rclone) {
        // One that a killed mount has left would be in the way.
        let _ = fs::remove_file(socket);
        add("--rc-addr", format!("unix://{}", socket.display()).into());
        arguments.extend(["--rc".into(), "--rc-no-auth".into()]);
    }
    if may_allow_other() {
        // A server of another user, in a container, reads as well.
        arguments.push("--allow-other".into());
    }
    // File times are rclone's own, as on a mount with its defaults at home: Plex analyses again what seems changed.
    arguments.extend(
        [
            "--read-only",
            "--fast-list",
            "--no-checksum",
            "--vfs-fast-fingerprint",
            "--",
        ]
        .map(OsString::from),
    );
    arguments.extend([OsString::from(&spec.remote.name), places.dir.as_os_str().to_owned()]);
    Ok(arguments)
}

/// Root may; another user when /etc/fuse.conf says so.
fn may_allow_other() -> bool {
    let is_allowed = |text: String| text.lines().any(|line| line.trim() == "user_allow_other");
    rustix::process::geteuid().is_root() || fs::read_to_string("/etc/fuse.conf").is_ok_and(is_allowed)
}

/// Makes the folders; the mount point must be empty.
pub(super) fn make(places: &Places) -> Result<(), Error> {
    for folder in [&places.dir, &places.cache] {
        fs::create_dir_all(folder).map_err(io_error(format!("make {}", folder.display())))?;
    }
    if super::fuse::is_empty(&places.dir).map_err(io_error(format!("list {}", places.dir.display())))? {
        Ok(())
    } else {
        Err(Error::NotEmpty(places.dir.clone()))
    }
}

/// Removes what is in a folder; the folder may be a mount point itself.
pub(super) fn empty(folder: &Path) -> Result<(), Error> {
    let failed = || format!("empty {}", folder.display());
    for entry in fs::read_dir(folder).map_err(io_error(failed()))? {
        let path = entry.map_err(io_error(failed()))?.path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(io_error(failed()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::program::Version;
    use super::super::remote::Remote;
    use super::*;
    use crate::config::MountProfile;

    fn text(work: &Path, version: Version, connections: Option<u32>) -> String {
        let spec = Spec {
            profile: Some(MountProfile::Power),
            connections,
            cache_bytes: Some(5_000_000),
            ..Spec::new(
                Remote::new("s3:bucket", Some("/c/rclone.conf".into())),
                work,
                Path::new("/no/plexburst"),
            )
        };
        let places = Places::of(work);
        make(&places).unwrap();
        let rclone = Rclone {
            program: "rclone".into(),
            version: Some(version),
        };
        let arguments = arguments(&spec, &places, &rclone).unwrap();
        let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn an_old_rclone_is_not_asked_for_what_it_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let new = text(dir.path(), Version(1, 75), Some(8));
        let old = text(dir.path(), Version(1, 60), Some(8));
        assert!(
            new.starts_with("mount --config /c/rclone.conf --contimeout 10s --timeout 45s"),
            "{new}"
        );
        assert!(new.contains("--read-only") && new.contains("--vfs-cache-max-size 5000000B"));
        assert!(new.contains("--rc-addr unix://") && new.contains("min-free-space"));
        assert!(
            new.contains("--max-connections 8 ") && new.contains("--transfers 8 "),
            "{new}"
        );
        assert!(!old.contains("--rc") && !old.contains("min-free-space"), "{old}");
        assert!(
            !old.contains("--max-connections") && !old.contains("chunk-streams"),
            "{old}"
        );
        assert!(new.contains(" -- s3:bucket "));
        assert!(text(dir.path(), Version(1, 75), None).contains("--transfers 16 "));
    }

    #[test]
    fn a_mount_point_with_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::of(dir.path());
        make(&places).unwrap();
        fs::write(places.dir.join("mine"), "x").unwrap();
        assert!(matches!(make(&places), Err(Error::NotEmpty(_))));
    }
}
