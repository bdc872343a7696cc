//! Where a pair can be staged, and which ways lead from there into place.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::error::{At, Error, OPEN, READ, Result};
use crate::paths::Databases;
use crate::publish::parent_of;

/// Name of the folder in which everything lies that waits to be put in place, or was replaced.
const AREA: &str = ".plexburst";

/// The folder for what is staged and for what was replaced: where a file can be renamed into the live folder. Beside it,
/// or, where the live folder is a mount of its own, in it. It is not made here.
///
/// # Errors
/// The live folder, or the table of mounts, cannot be looked at.
pub fn area(live: &Databases) -> Result<PathBuf> {
    let live = real(live)?;
    Ok(match mounts_at_or_below(&live)? {
        Mounts::At => live.join(AREA),
        Mounts::None | Mounts::Below => parent_of(&live).join(AREA),
    })
}

/// Whether the file system can exchange the live folder with another one: tried on two empty folders beside it, which are
/// removed.
///
/// # Errors
/// [`Error::ReadOnly`] if this user may not write there, and the like.
pub fn can_exchange(live: &Databases) -> Result<bool> {
    let live = real(live)?;
    if mounts_at_or_below(&live)? != Mounts::None {
        return Ok(false);
    }
    let parent = parent_of(&live);
    // Names of their own, so that what a killed try left is taken away by the next one.
    let (left, right) = (
        parent.join(".plexburst-probe-left"),
        parent.join(".plexburst-probe-right"),
    );
    let make = |path: &Path| {
        _ = fs::remove_dir(path);
        DirBuilder::new().mode(0o700).create(path).at("create", path)
    };
    let tried = make(&left).and_then(|()| make(&right)).and_then(|()| {
        match renameat_with(CWD, &left, CWD, &right, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(true),
            Err(errno) if is_inability(errno) => Ok(false),
            Err(errno) => Err(errno).at("exchange", &left),
        }
    });
    for path in [&left, &right] {
        _ = fs::remove_dir(path);
    }
    tried
}

/// Tries whether a file of `from` can be renamed into `to`, which is as a file of a staged pair goes live.
pub(super) fn probe_rename(from: &Path, to: &Path) -> Result<()> {
    let (left, right) = (from.join(".plexburst-probe"), to.join(".plexburst-probe"));
    fs::File::create(&left).at("create", &left)?;
    let renamed = fs::rename(&left, &right).map_err(|source| not_movable(to, source));
    for path in [&left, &right] {
        _ = fs::remove_file(path);
    }
    renamed
}

/// Answers of `renameat2` that speak of the file system and not of this moment.
pub(super) fn is_inability(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::XDEV | Errno::BUSY | Errno::INVAL | Errno::NOSYS | Errno::NOTSUP
    )
}

/// The live folder without symbolic links: exchanging a link would leave the folder where it is.
pub(super) fn real(live: &Databases) -> Result<PathBuf> {
    fs::canonicalize(live.dir()).at(OPEN, live.dir())
}

/// Where mounts keep a folder from being renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mounts {
    None,
    /// The folder is a mount point itself.
    At,
    /// Something below it is.
    Below,
}

fn mounts_at_or_below(live: &Path) -> Result<Mounts> {
    let table = Path::new("/proc/self/mountinfo");
    let mounts = fs::read(table).at(READ, table)?;
    let mut found = Mounts::None;
    for line in mounts.split(|&byte| byte == b'\n') {
        let Some(point) = line.split(|&byte| byte == b' ').nth(4).map(unescape) else {
            continue;
        };
        let point = Path::new(std::ffi::OsStr::from_bytes(&point));
        if point == live {
            return Ok(Mounts::At);
        }
        if point.starts_with(live) {
            found = Mounts::Below;
        }
    }
    Ok(found)
}

/// The kernel writes blanks and backslashes in mount points as three octal digits.
fn unescape(point: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(point.len());
    let mut rest = point;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = (byte == b'\\').then(|| tail.get(..3)).flatten();
        match octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()) {
            Some(escaped) => {
                plain.push(escaped);
                rest = &tail[3..];
            }
            None => {
                plain.push(byte);
                rest = tail;
            }
        }
    }
    plain
}

pub(super) fn not_exchangeable(path: &Path, source: io::Error) -> Error {
    Error::Unsupported {
        path: path.to_owned(),
        what: "exchanging the folder of the databases in one step",
        hint: "its parent has to be an ordinary folder of the same file system (ext4, xfs, btrfs, zfs from 2.2, overlayfs)",
        source,
    }
}

fn not_movable(path: &Path, source: io::Error) -> Error {
    Error::Unsupported {
        path: path.to_owned(),
        what: "putting a staged file in place by a rename",
        hint: "what is staged has to lie on the file system and in the mount of the databases: see that \
               `home.data_dir` names the folder as Plex itself sees it",
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_unescaped() {
        assert_eq!(unescape(br"/mnt/Plex\040Media\134x"), br"/mnt/Plex Media\x");
        assert_eq!(unescape(br"/a\9"), br"/a\9");
    }

    #[test]
    fn a_mount_is_seen() {
        assert_eq!(mounts_at_or_below(Path::new("/proc")).unwrap(), Mounts::At);
        assert_eq!(mounts_at_or_below(Path::new("/")).unwrap(), Mounts::At);
        let tmp = tempfile::tempdir().unwrap();
        assert_eq!(mounts_at_or_below(tmp.path()).unwrap(), Mounts::None);
    }
}
