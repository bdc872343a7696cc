//! Where a pair can be staged, and what it has to look like there.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::error::{At, Error, OPEN, READ, Result};
use crate::paths::Databases;
use crate::publish::parent_of;

/// The folder in which a burst stages its result: beside the live one, on the same file system, under a hidden name. It
/// is not made here.
///
/// # Errors
/// [`Error::Refused`] for a burst whose id is no plain word, [`Error::Unsupported`] if the live folder is a mount.
pub fn stage_dir(live: &Databases, burst: &str) -> Result<PathBuf> {
    let is_word =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_word(burst) {
        return Err(Error::Refused {
            what: "an id of a burst has to be letters, digits and hyphens".into(),
            items: vec![burst.to_owned()],
            hint: "take the id that `plexburst runs` shows".into(),
        });
    }
    let live = real(live)?;
    refuse_mount(&live)?;
    Ok(parent_of(&live).join(format!(".Databases-{burst}")))
}

/// Tries on two empty folders beside the live one whether the file system can exchange folders, and removes them.
///
/// # Errors
/// [`Error::Unsupported`] if it cannot, [`Error::ReadOnly`] if this user may not.
pub fn probe(live: &Databases) -> Result<()> {
    let live = real(live)?;
    refuse_mount(&live)?;
    let parent = parent_of(&live);
    let name = |side: &str| parent.join(format!(".plexburst-probe-{}-{side}", std::process::id()));
    let (left, right) = (name("left"), name("right"));
    let make = |path: &Path| DirBuilder::new().mode(0o700).create(path).at("create", path);
    let tried = make(&left).and_then(|()| make(&right)).and_then(|()| {
        renameat_with(CWD, &left, CWD, &right, RenameFlags::EXCHANGE)
            .map_err(|errno| not_exchangeable(parent, errno.into()))
    });
    for path in [&left, &right] {
        _ = fs::remove_dir(path);
    }
    tried
}

/// The live folder without symbolic links: exchanging a link would leave the folder where it is.
pub(super) fn real(live: &Databases) -> Result<PathBuf> {
    fs::canonicalize(live.dir()).at(OPEN, live.dir())
}

/// A mount cannot be renamed, and neither can a folder that has one below it be given away.
pub(super) fn refuse_mount(live: &Path) -> Result<()> {
    let table = Path::new("/proc/self/mountinfo");
    let mounts = fs::read(table).at(READ, table)?;
    let is_mount = mounts.split(|&byte| byte == b'\n').any(|line| {
        line.split(|&byte| byte == b' ')
            .nth(4)
            .is_some_and(|point| Path::new(std::ffi::OsStr::from_bytes(&unescape(point))).starts_with(live))
    });
    if is_mount {
        return Err(not_exchangeable(live, io::ErrorKind::ResourceBusy.into()));
    }
    Ok(())
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
        hint: "its parent has to be an ordinary folder of the same file system (ext4, xfs, btrfs, zfs from 2.2, overlayfs); \
               where `Databases` itself is a mount or a bind mount, mount its parent \"Plug-in Support\" instead",
        source,
    }
}

/// Gives `path` the owner, group and mode of `model`.
pub(super) fn own_like(model: &Path, path: &Path) -> Result<()> {
    let (wanted, has) = (fs::metadata(model).at(OPEN, model)?, fs::metadata(path).at(OPEN, path)?);
    if (wanted.uid(), wanted.gid()) != (has.uid(), has.gid()) {
        chown(path, Some(wanted.uid()), Some(wanted.gid())).at("change the owner of", path)?;
    }
    let mode = wanted.permissions().mode() & 0o7777;
    // After the owner: giving a file away takes its special bits.
    if has.permissions().mode() & 0o7777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("change the mode of", path)?;
    }
    Ok(())
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
    fn a_mount_is_refused() {
        assert!(refuse_mount(Path::new("/proc")).is_err());
        let tmp = tempfile::tempdir().unwrap();
        refuse_mount(tmp.path()).unwrap();
    }
}
