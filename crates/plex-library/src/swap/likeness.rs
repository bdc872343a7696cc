//! What a file is besides its content: owner, group, mode, access control list and extended attributes.
//!
//! A result is written by whoever runs plexburst, and read by Plex, perhaps as another user, perhaps under SELinux: it
//! gets all of that from the file that it replaces.

use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use rustix::fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::Errno;

use crate::error::{At, READ, Result};

/// Most bytes that Linux lets a list of names, or a value, have (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const MOST: usize = 65536;

/// Gives `path` the owner, group, mode, access control list and extended attributes of `model`.
pub(super) fn own_like(model: &Path, path: &Path) -> Result<()> {
    let (wanted, has) = (fs::metadata(model).at(READ, model)?, fs::metadata(path).at(READ, path)?);
    if (wanted.uid(), wanted.gid()) != (has.uid(), has.gid()) {
        chown(path, Some(wanted.uid()), Some(wanted.gid())).at("change the owner of", path)?;
    }
    let mode = wanted.permissions().mode() & 0o7777;
    // After the owner: giving a file away takes its special bits.
    if has.permissions().mode() & 0o7777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("change the mode of", path)?;
    }
    // After the mode, which would change the mask of a list.
    attributes_like(model, path)
}

fn attributes_like(model: &Path, path: &Path) -> Result<()> {
    let (wanted, has) = (names(model)?, names(path)?);
    for name in has.iter().filter(|name| !wanted.contains(name) && is_removable(name)) {
        match removexattr(path, name.as_c_str()) {
            Err(Errno::NODATA) => {}
            removed => removed.at("remove an attribute of", path)?,
        }
    }
    for name in &wanted {
        let value = value(model, name)?;
        if value.is_some() && value != self::value(path, name)? {
            setxattr(path, name.as_c_str(), &value.unwrap_or_default(), XattrFlags::empty())
                .at("set an attribute of", path)?;
        }
    }
    Ok(())
}

/// Lists that a new file inherits from its folder, and what users write; labels of the kernel's are not taken away.
fn is_removable(name: &CStr) -> bool {
    let name = name.to_bytes();
    name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_")
}

fn names(path: &Path) -> Result<Vec<CString>> {
    let mut buffer = vec![0; MOST];
    let length = match listxattr(path, buffer.as_mut_slice()) {
        // A file system without attributes has none.
        Err(Errno::NOTSUP) => 0,
        listed => listed.at("list the attributes of", path)?,
    };
    Ok(buffer[..length]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
        .filter_map(|name| CString::new(name).ok())
        .collect())
}

fn value(path: &Path, name: &CStr) -> Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; MOST];
    match getxattr(path, name, buffer.as_mut_slice()) {
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        read => {
            buffer.truncate(read.at("read an attribute of", path)?);
            Ok(Some(buffer))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_follow_and_surplus_ones_go() {
        let tmp = tempfile::tempdir().unwrap();
        let (model, path) = (tmp.path().join("model"), tmp.path().join("new"));
        for file in [&model, &path] {
            fs::write(file, "x").unwrap();
        }
        fs::set_permissions(&model, fs::Permissions::from_mode(0o640)).unwrap();
        if setxattr(&model, "user.note", b"home's", XattrFlags::empty()) == Err(Errno::NOTSUP) {
            println!("SKIPPED attributes_follow_and_surplus_ones_go: this file system has no extended attributes");
            return;
        }
        setxattr(&path, "user.other", b"ours", XattrFlags::empty()).unwrap();
        // user::rw-, user:12345:r--, group::r--, mask::r--, other::---: version 2, then tag, permissions, id of each.
        let entries: [(u16, u16, u32); 5] = [(1, 6, !0), (2, 4, 12345), (4, 4, !0), (16, 4, !0), (32, 0, !0)];
        let mut list = 2u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            list.extend(tag.to_le_bytes());
            list.extend(permissions.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        let has_lists = setxattr(&model, "system.posix_acl_access", &list, XattrFlags::empty()).is_ok();

        own_like(&model, &path).unwrap();
        own_like(&model, &path).unwrap();
        assert_eq!(names(&path).unwrap(), names(&model).unwrap());
        assert_eq!(
            value(&path, c"user.note").unwrap().as_deref(),
            Some(b"home's".as_slice())
        );
        if has_lists {
            assert_eq!(value(&path, c"system.posix_acl_access").unwrap(), Some(list));
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    }
}
