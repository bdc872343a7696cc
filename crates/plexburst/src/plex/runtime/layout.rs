//! How the file system of a cell is put together: home's absolute paths lead to the media, everything else is the
//! host's, read-only but for the worker's own folders, and nothing is created on the host.
//!
//! The root of a cell is an empty file system in memory. Every entry of the host's `/` is bound into it. A section
//! root that the host lacks needs a folder to be bound on: where an ancestor exists on the host, that one is replaced
//! by an empty file system with the same children, so that the folder is made in memory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// More children than this are not bound one by one: the command line would be too long for the kernel.
const CHILDREN: usize = 4000;

/// A section root and the folder of the media that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Home's absolute path.
    pub root: PathBuf,
    /// Absolute path on this machine.
    pub media: PathBuf,
}

impl Bind {
    /// Whether the root is the very same folder already, so that nothing has to be bound.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        match (fs::canonicalize(&self.root), fs::canonicalize(&self.media)) {
            (Ok(root), Ok(media)) => root == media,
            _ => false,
        }
    }
}

/// Why a layout cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path that has to be absolute.
    #[error("section root {} is not an absolute path", .0.display())]
    NotAbsolute(PathBuf),
    /// A root below another root, in media that do not have that folder.
    #[error("section root {} lies inside {}, whose media have no such folder", inner.display(), outer.display())]
    Nested {
        /// The inner root.
        inner: PathBuf,
        /// The root around it.
        outer: PathBuf,
    },
    /// Too many siblings to bind one by one.
    #[error("{} has more than {CHILDREN} entries, so that {} cannot be laid over it", folder.display(), root.display())]
    Crowded {
        /// The existing folder.
        folder: PathBuf,
        /// The root that the host lacks.
        root: PathBuf,
    },
    /// The host's file system cannot be looked at.
    #[error("cannot look at {}", path.display())]
    Io {
        /// What was looked at.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    move |source| Error::Io {
        path: path.to_owned(),
        source,
    }
}

/// bubblewrap's options that lay out the file system: the host read-only, `writable` not, `binds` over it.
///
/// # Errors
/// [`Error`].
pub(super) fn options(binds: &[Bind], writable: &[PathBuf]) -> Result<Vec<OsString>, Error> {
    let mut options = Vec::new();
    let root = Path::new("/");
    for name in children(root)? {
        match name.to_str() {
            Some("proc") => push(&mut options, "--proc", &["/proc".as_ref()]),
            Some("dev") => devices(&mut options),
            _ => bind_entry(&mut options, &root.join(name)),
        }
    }
    let places = places(binds)?;
    let mut shadowed = BTreeSet::new();
    for place in places.iter().filter(|place| place.root != place.existing) {
        let inside = places
            .iter()
            .find(|other| other.root != place.root && place.root.starts_with(&other.root));
        if let Some(outer) = inside {
            return Err(Error::Nested {
                inner: place.root.clone(),
                outer: outer.root.clone(),
            });
        }
        // A root directly below `/` is made in the cell's own empty root.
        if place.existing == root || !shadowed.insert(place.existing.clone()) {
            continue;
        }
        let names = children(&place.existing)?;
        if names.len() > CHILDREN {
            return Err(Error::Crowded {
                folder: place.existing.clone(),
                root: place.root.clone(),
            });
        }
        push(&mut options, "--tmpfs", &[&place.existing]);
        for name in names {
            bind_entry(&mut options, &place.existing.join(name));
        }
    }
    // The roots before the writable folders: a worker's folder below a root's ancestor must end up on top.
    for place in &places {
        push(&mut options, "--ro-bind", &[&place.media, &place.root]);
    }
    for folder in writable {
        let folder = fs::canonicalize(folder).map_err(io_error(folder))?;
        push(&mut options, "--bind", &[&folder, &folder]);
    }
    Ok(options)
}

/// The devices that programs expect. Not `--dev`: its terminals make bubblewrap nest a second user namespace, which
/// an ordinary user's slirp4netns cannot reach the network through.
fn devices(options: &mut Vec<OsString>) {
    push(options, "--tmpfs", &["/dev".as_ref()]);
    for name in ["null", "zero", "full", "random", "urandom", "tty", "dri"] {
        let device = Path::new("/dev").join(name);
        push(options, "--dev-bind-try", &[&device, &device]);
    }
    push(options, "--tmpfs", &["/dev/shm".as_ref()]);
    for (target, link) in [("fd", "fd"), ("fd/0", "stdin"), ("fd/1", "stdout"), ("fd/2", "stderr")] {
        let target = Path::new("/proc/self").join(target);
        push(options, "--symlink", &[&target, &Path::new("/dev").join(link)]);
    }
}

struct Place {
    media: PathBuf,
    /// With the symlinks of its existing part resolved: bubblewrap would follow them out of the cell.
    root: PathBuf,
    /// The deepest ancestor (or itself) that the host has.
    existing: PathBuf,
}

/// Outer roots first, so that an inner one is bound over them; the same root twice counts once.
fn places(binds: &[Bind]) -> Result<Vec<Place>, Error> {
    let mut places = Vec::new();
    for Bind { root, media } in binds {
        if !root.is_absolute() {
            return Err(Error::NotAbsolute(root.clone()));
        }
        let media = fs::canonicalize(media).map_err(io_error(media))?;
        let mut existing = root.as_path();
        let mut missing = Vec::new();
        let found = loop {
            match (fs::canonicalize(existing), existing.parent(), existing.file_name()) {
                (Ok(found), ..) => break found,
                (Err(_), Some(parent), Some(name)) => {
                    missing.push(name);
                    existing = parent;
                }
                (Err(error), ..) => return Err(io_error(existing)(error)),
            }
        };
        let mut resolved = found.clone();
        resolved.extend(missing.iter().rev());
        places.push(Place {
            media,
            root: resolved,
            existing: found,
        });
    }
    places.sort_by(|a, b| a.root.cmp(&b.root));
    places.dedup_by(|a, b| a.root == b.root && a.media == b.media);
    Ok(places)
}

fn children(folder: &Path) -> Result<Vec<OsString>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error(folder))? {
        names.push(entry.map_err(io_error(folder))?.file_name());
    }
    names.sort();
    Ok(names)
}

/// One entry of the host, as it is; one that vanishes meanwhile is left out.
fn bind_entry(options: &mut Vec<OsString>, path: &Path) {
    match fs::read_link(path) {
        Ok(target) => push(options, "--symlink", &[&target, path]),
        Err(_) => push(options, "--ro-bind-try", &[path, path]),
    }
}

fn push(options: &mut Vec<OsString>, option: &str, paths: &[&Path]) {
    options.push(option.into());
    options.extend(paths.iter().map(|path| path.as_os_str().to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(options: &[OsString]) -> String {
        let words: Vec<_> = options.iter().map(|option| option.to_string_lossy()).collect();
        format!(" {} ", words.join(" "))
    }

    fn bind(root: impl Into<PathBuf>, media: &Path) -> Bind {
        Bind {
            root: root.into(),
            media: media.to_owned(),
        }
    }

    #[test]
    fn a_root_the_host_lacks_is_made_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        let (media, host) = (base.join("media"), base.join("host"));
        for path in [&media, &host.join("other"), &base.join("work")] {
            fs::create_dir_all(path).unwrap();
        }
        std::os::unix::fs::symlink("other", host.join("link")).unwrap();
        let binds = [
            bind("/no-such-folder/Music", &media),
            bind(host.join("deep/er/Films"), &media),
        ];
        let options = text(&options(&binds, &[base.join("work")]).unwrap());
        let (host, media, work) = (host.display(), media.display(), base.join("work"));
        let at = |what: String| options.find(&what).unwrap_or_else(|| panic!("{what} in {options}"));
        let shadow = at(format!(" --tmpfs {host} "));
        assert!(shadow < at(format!(" --ro-bind-try {host}/other {host}/other ")));
        assert!(shadow < at(format!(" --symlink other {host}/link ")));
        let root = at(format!(" --ro-bind {media} {host}/deep/er/Films "));
        assert!(root < at(format!(" --bind {} {} ", work.display(), work.display())));
        at(format!(" --ro-bind {media} /no-such-folder/Music "));
        assert!(!options.contains("--tmpfs / ") && !options.contains(" --ro-bind-try /proc "));
        assert!(!base.join("host/deep").exists());
    }

    #[test]
    fn an_existing_root_is_laid_over_through_its_symlinks() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(base.join("real/Music")).unwrap();
        fs::create_dir_all(base.join("media")).unwrap();
        std::os::unix::fs::symlink(base.join("real"), base.join("mnt")).unwrap();
        let binds = [bind(base.join("mnt/Music"), &base.join("media"))];
        let options = text(&options(&binds, &[]).unwrap());
        let want = format!(" --ro-bind {0}/media {0}/real/Music ", base.display());
        assert!(options.contains(&want), "{options}");
        assert!(!options.contains(&format!("--tmpfs {}", base.display())));
        assert!(!binds[0].is_in_place());
        assert!(bind(base.join("mnt/Music"), &base.join("real/Music")).is_in_place());
    }

    #[test]
    fn what_cannot_be_laid_out_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let media = dir.path();
        let nested = [bind("/no-such/a", media), bind("/no-such/a/b", media)];
        assert!(matches!(options(&nested, &[]), Err(Error::Nested { .. })));
        assert!(matches!(options(&[bind("a", media)], &[]), Err(Error::NotAbsolute(_))));
        assert!(matches!(
            options(&[bind("/a", &media.join("none"))], &[]),
            Err(Error::Io { .. })
        ));
    }
}
