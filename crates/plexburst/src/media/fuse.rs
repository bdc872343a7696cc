//! FUSE mounts as the kernel sees them: which there are, and how to be rid of one that hangs.
//!
//! Must not ever touch a path below a mount point: on a dead mount even `stat` may never come back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::error::{Error, io_error};

/// `fusermount3` itself does not touch the mount; one that has not ended by then will not.
const UNMOUNT: Duration = Duration::from_secs(10);

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mounted {
    /// Where.
    pub(super) dir: PathBuf,
    /// Number of its device: the name of its connection in fusectl.
    minor: u32,
    /// As in `fuse.rclone`.
    pub(super) kind: String,
}

/// Whether the kernel has a mount right there.
///
/// # Errors
/// It cannot be asked, which is not the same as no.
pub(super) fn is_mounted(dir: &Path) -> Result<bool, Error> {
    let resolved = resolve(dir);
    Ok(mounted_below(dir)?.iter().any(|mount| mount.dir == resolved))
}

/// The FUSE mounts at or below `dir`, innermost last.
pub(super) fn mounted_below(dir: &Path) -> Result<Vec<Mounted>, Error> {
    let path = "/proc/self/mountinfo";
    let text = fs::read(path).map_err(io_error(format!("read {path}")))?;
    let dir = resolve(dir);
    let all = String::from_utf8_lossy(&text)
        .lines()
        .filter_map(parse)
        .collect::<Vec<_>>();
    Ok(all.into_iter().filter(|mount| mount.dir.starts_with(&dir)).collect())
}

/// The folder itself may be a dead mount: only what is above it can be resolved.
fn resolve(dir: &Path) -> PathBuf {
    match (dir.parent().map(fs::canonicalize), dir.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => dir.to_owned(),
    }
}

/// `36 35 0:53 / /mnt rw,nosuid - fuse.rclone s3:bucket rw`: the fifth field is the mount point, with octal escapes.
fn parse(line: &str) -> Option<Mounted> {
    let (before, after) = line.split_once(" - ")?;
    let fields: Vec<&str> = before.split(' ').collect();
    let kind = after.split(' ').next()?;
    if kind != "fuse" && !kind.starts_with("fuse.") {
        return None;
    }
    let minor = fields.get(2)?.split_once(':')?.1.parse().ok()?;
    Some(Mounted {
        dir: unescape(fields.get(4)?),
        minor,
        kind: kind.to_owned(),
    })
}

fn unescape(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes
            .get(at + 1..at + 4)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if bytes[at] == b'\\' => {
                plain.push(byte);
                at += 4;
            }
            _ => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(plain))
}

/// Ends the connections of the mounts at or below `dir`: every read that waits in one fails at once. Needs fusectl; where
/// that is not mounted, killing the file system's process does the same.
pub(super) fn abort_below(dir: &Path) -> Result<(), Error> {
    for mount in mounted_below(dir)? {
        abort(&mount).map_err(io_error(format!("end the connection of {}", mount.dir.display())))?;
    }
    Ok(())
}

fn abort(mount: &Mounted) -> io::Result<()> {
    fs::write(format!("/sys/fs/fuse/connections/{}/abort", mount.minor), "1")
}

/// Takes a mount away, whatever hangs in it: lazily first, then by ending its connection, which fails every read that
/// waits in it.
pub(super) async fn force_unmount(mount: &Mounted) -> Result<(), Error> {
    // Asked to abort first: a lazy unmount makes it nameless while processes still hang in it.
    let aborted = abort(mount);
    let mut command = tokio::process::Command::new("fusermount3");
    command
        .arg("-uz")
        .arg(&mount.dir)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let said = match tokio::time::timeout(UNMOUNT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => return Ok(()),
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Ok(Err(error)) => format!("fusermount3: {error}"),
        Err(_) => "fusermount3 does not end".to_owned(),
    };
    let still = mounted_below(&mount.dir)?.into_iter().any(|other| other == *mount);
    match aborted {
        _ if !still => Ok(()),
        Ok(()) => Err(Error::Stuck {
            dir: mount.dir.clone(),
            said,
        }),
        Err(error) => Err(Error::Stuck {
            dir: mount.dir.clone(),
            said: format!("{said}; ending its connection: {error}"),
        }),
    }
}

/// Whether mounts can be made at all.
pub(super) fn check() -> Result<(), Error> {
    if !Path::new("/dev/fuse").exists() {
        return Err(Error::NoFuse("there is no /dev/fuse"));
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).any(|dir| dir.join("fusermount3").is_file());
    if found {
        Ok(())
    } else {
        Err(Error::NoFuse("fusermount3 is not installed"))
    }
}

/// Whether a folder has nothing in it; one that is not there has not.
pub(super) fn is_empty(dir: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(dir)?.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_odd_names() {
        let line = r"36 35 0:53 / /mnt/a\040b\134c rw,nosuid shared:1 - fuse.rclone s3:bucket rw,user_id=0";
        let mount = parse(line).unwrap();
        assert_eq!((mount.dir, mount.minor), (PathBuf::from(r"/mnt/a b\c"), 53));
        assert_eq!(parse("1 2 8:1 / / rw - ext4 /dev/sda rw"), None);
        assert_eq!(
            parse("1 2 0:40 / /sys/fs/fuse/connections rw - fusectl fusectl rw"),
            None
        );
        assert_eq!(unescape(r"/plain\x"), PathBuf::from(r"/plain\x"));
    }

    #[test]
    fn nothing_is_mounted_in_a_fresh_folder() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(mounted_below(dir.path()).unwrap(), []);
        assert!(is_empty(dir.path()).unwrap());
    }
}
