//! Taking the entries of an archive out into a folder.
//!
//! Links are made last, when every file is there: no file is ever written through one. A symbolic link is taken only in
//! the bundle trees and only if it stays in its tree; a hard link becomes a copy of the file that it names.
//!
//! Must not: write outside of the destination, or begin a file for which there is no room.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use tar::EntryType;

use super::names::{Entry, Root, Why, judge};
use super::{Unpacked, broken, find_root, open};
use crate::bundle;
use crate::error::{At, Error, Result};
use crate::paths::DATABASES_DIR;

/// What is made at the end.
#[derive(Debug, Default)]
struct Links {
    /// Below the destination, and where they lead.
    symbolic: Vec<(PathBuf, PathBuf)>,
    /// Below the destination, both.
    hard: Vec<(PathBuf, PathBuf)>,
}

pub(super) fn take_out(archive: &Path, unpacked: &mut Unpacked) -> Result<()> {
    let root = find_root(archive)?;
    let dest = unpacked.root.clone();
    fs::create_dir_all(&dest).at("make", &dest)?;
    let mut links = Links::default();
    let mut roots = BTreeSet::from([plain(&root.at)]);
    let mut tar = open(archive)?;
    for entry in tar.entries().map_err(|e| broken(archive, &e))? {
        let mut entry = entry.map_err(|e| broken(archive, &e))?;
        let path = entry.path().map_err(|e| broken(archive, &e))?.into_owned();
        roots.extend(
            Root::shown_by(&path)
                .filter(|other| other.is_databases == root.is_databases)
                .map(|other| plain(&other.at)),
        );
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            continue;
        }
        let to = match judge(&path, &root) {
            Entry::Wanted(to) => to,
            Entry::Extra(to) => {
                if let Ok(below) = to.strip_prefix(DATABASES_DIR) {
                    unpacked.extras.push(below.to_path_buf());
                }
                to
            }
            Entry::LeftOut(why) => {
                unpacked.leave_out(why, &path);
                continue;
            }
        };
        match kind {
            // The reader fills the holes of a sparse one.
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                write(archive, &mut entry, &path, &dest.join(to))?;
                continue;
            }
            EntryType::Symlink | EntryType::Link => {}
            _ => {
                unpacked.leave_out(Why::NotLibrary, &path);
                continue;
            }
        }
        let target = entry.link_name().map_err(|e| broken(archive, &e))?;
        let target = target.map(|target| target.into_owned()).unwrap_or_default();
        if kind == EntryType::Symlink && bundle::link_stays_inside(&to, &target) {
            links.symbolic.push((to, target));
        } else if let (EntryType::Link, Entry::Wanted(from) | Entry::Extra(from)) = (kind, judge(&target, &root)) {
            links.hard.push((to, from));
        } else if to.starts_with(DATABASES_DIR) {
            return Err(Error::NotALibrary {
                path: archive.to_path_buf(),
                why: format!(
                    "{} is only a link to {} in it, and what that was is not",
                    path.display(),
                    target.display()
                ),
            });
        } else {
            unpacked.leave_out(Why::NotLibrary, &path);
        }
    }
    // To the very end: the checksum of the compression stands there, behind the last entry.
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(|e| broken(archive, &e))?;
    if roots.len() > 1 {
        return Err(several(archive, roots));
    }
    links.make(archive, unpacked)
}

/// Writes the content of an entry to `to`; `path` is its name.
fn write(archive: &Path, entry: &mut tar::Entry<'_, impl io::Read>, path: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).at("make", folder)?;
    // Not what stands in the header itself: that of a large or a sparse file is elsewhere.
    let expected = entry.size();
    let stat = rustix::fs::statvfs(folder).at("look at", folder)?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let full = |source: io::Error| Error::NoSpace {
        path: to.to_path_buf(),
        op: "unpack",
        source,
    };
    if expected > free {
        return Err(full(io::Error::new(
            io::ErrorKind::StorageFull,
            format!("it has {expected} bytes, and {free} are free"),
        )));
    }
    let mut out = File::create(to).at("create", to)?;
    let written = io::copy(entry, &mut out).map_err(|e| match e.kind() {
        io::ErrorKind::StorageFull => full(e),
        _ => broken(archive, &e),
    })?;
    if written == expected {
        return Ok(());
    }
    let why = io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("it ends in the middle of {}", path.display()),
    );
    Err(broken(archive, &why))
}

impl Links {
    fn make(self, archive: &Path, unpacked: &mut Unpacked) -> Result<()> {
        let dest = unpacked.root.clone();
        for (to, from) in self.hard {
            let (there, source) = (dest.join(&to), dest.join(&from));
            if there == source || there.exists() {
                continue;
            }
            if !source.is_file() {
                let why = format!("{} is a link to {}, which is not in it", to.display(), from.display());
                return Err(broken(archive, &io::Error::new(io::ErrorKind::InvalidData, why)));
            }
            let folder = there.parent().unwrap_or(&there);
            fs::create_dir_all(folder).at("make", folder)?;
            fs::copy(&source, &there).at("write", &there)?;
        }
        for (to, target) in self.symbolic {
            // A link below another one would lie, and lead, elsewhere than its name says.
            let is_below_a_link = to.ancestors().skip(1).any(|folder| dest.join(folder).is_symlink());
            let there = dest.join(&to);
            if is_below_a_link || fs::symlink_metadata(&there).is_ok() {
                unpacked.leave_out(Why::NotLibrary, &to);
                continue;
            }
            let folder = there.parent().unwrap_or(&there);
            fs::create_dir_all(folder).at("make", folder)?;
            std::os::unix::fs::symlink(&target, &there).at("create", &there)?;
        }
        Ok(())
    }
}

/// A root without what says nothing: `./a` and `a` are one.
fn plain(root: &Path) -> PathBuf {
    root.components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

fn several(archive: &Path, roots: BTreeSet<PathBuf>) -> Error {
    Error::Refused {
        what: format!(
            "{} holds {} libraries, and which is meant is not said",
            archive.display(),
            roots.len()
        ),
        items: roots
            .into_iter()
            .map(|root| match root.as_os_str().is_empty() {
                true => "one at its very top".into(),
                false => format!("one in {}", root.display()),
            })
            .collect(),
        hint: "unpack it, and pack the folder that is meant by itself: tar -czf ONE.tar.gz -C FOLDER .".into(),
    }
}
