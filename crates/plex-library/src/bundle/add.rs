//! Adding packed files to the bundle trees.
//!
//! Pack by pack: everything is unpacked into a hidden folder inside the tree, made durable with one flush of the file
//! system (a flush per file would take hours for a big library), and then given its name, unless somebody has it
//! already. So a name is there with its whole content or not at all, also after a power cut.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, linkat, mkdirat, openat, renameat_with, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, inside, link_stays_inside};
use super::{Manifest, TREES, real_tree};
use crate::error::{At, Error, OPEN, READ, Result};
use crate::progress::{Meter, Progress};
use crate::publish::FolderWriter;

/// What adding did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// Files that home did not have.
    pub added: u64,
    /// Bytes of these files.
    pub added_bytes: u64,
    /// Files that home had with the very same content.
    pub same: u64,
    /// Files that home had with other content, which stayed: by path below the data directory, at most a thousand.
    pub kept: Vec<String>,
    /// How many these were.
    pub kept_count: u64,
}

/// Names of kept files that are listed.
const LISTED: usize = 1000;

/// Adds the files in `packs` to the trees below `data_dir`, which is given the trees that it lacks. Plex may run.
///
/// # Errors
/// [`Error::Damaged`] if a pack is not what was packed or names a place outside of the trees; what was added before stays,
/// which does no harm. [`Error::NoSpace`], [`Error::ReadOnly`], [`Error::Cancelled`].
pub fn add(packs: &Path, data_dir: &Path, progress: &dyn Progress) -> Result<Added> {
    let manifest = Manifest::read(packs)?;
    // All of them before the first is opened: half of a broken transfer is not worth adding.
    for pack in &manifest.packs {
        let path = packs.join(&pack.file);
        let mut hash = blake3::Hasher::new();
        hash.update_reader(File::open(&path).at(OPEN, &path)?).at(READ, &path)?;
        if hash.finalize().to_hex().as_str() != pack.blake3 {
            return Err(Error::damaged(&path, "its hash is not the one in the manifest"));
        }
    }
    let mut added = Added::default();
    let mut meter = Meter::new(progress, "bundles", manifest.raw_bytes);
    for pack in &manifest.packs {
        add_one(&packs.join(&pack.file), data_dir, &mut added, &mut meter)?;
    }
    Ok(added)
}

/// A tree, with the hidden folder in which files wait for their names.
struct Tree {
    name: &'static str,
    top: PathBuf,
    owner: (u32, u32),
    staging: FolderWriter,
    /// Where each staged file goes, below the top; the staged files are numbered.
    waiting: Vec<PathBuf>,
}

impl Tree {
    fn open(data_dir: &Path, name: &'static str) -> Result<Self> {
        let path = data_dir.join(name);
        let top = match real_tree(&path)? {
            Some(top) => top,
            None => {
                fs::create_dir(&path).at("create", &path)?;
                let like = fs::metadata(data_dir).at(OPEN, data_dir)?;
                give(&path, (like.uid(), like.gid()))?;
                fs::canonicalize(&path).at(OPEN, &path)?
            }
        };
        let meta = fs::metadata(&top).at(OPEN, &top)?;
        let staging = FolderWriter::create(&top.join("incoming"))?;
        Ok(Self {
            name,
            top,
            owner: (meta.uid(), meta.gid()),
            staging,
            waiting: Vec::new(),
        })
    }

    fn staged(&self, number: usize) -> PathBuf {
        self.staging.path().join(number.to_string())
    }
}

fn add_one(pack: &Path, data_dir: &Path, added: &mut Added, meter: &mut Meter<'_>) -> Result<()> {
    let file = File::open(pack).at(OPEN, pack)?;
    let mut input = zstd::Decoder::with_buffer(BufReader::new(file)).at(READ, pack)?;
    let mut trees: Vec<Tree> = Vec::new();
    while let Some(entry) = Entry::read(&mut input).map_err(|error| unreadable(pack, &error))? {
        let path = Path::new(OsStr::from_bytes(&entry.path));
        let Some((name, rest)) = inside(path) else {
            return Err(Error::damaged(
                pack,
                format!("it names {}, outside of {TREES:?}", path.display()),
            ));
        };
        let tree = match trees.iter().position(|tree| tree.name == name) {
            Some(at) => &mut trees[at],
            None => {
                trees.push(Tree::open(data_dir, name)?);
                let last = trees.len() - 1;
                &mut trees[last]
            }
        };
        unpack(&entry, path, rest, &mut input, pack, tree, added)?;
        meter.add(usize::try_from(entry.bytes).unwrap_or(usize::MAX))?;
    }
    for tree in trees {
        settle(&tree)?;
        name_all(&tree, added)?;
        settle(&tree)?;
    }
    Ok(())
}

fn unreadable(pack: &Path, error: &io::Error) -> Error {
    Error::damaged(pack, error.to_string())
}

fn unpack(
    entry: &Entry,
    path: &Path,
    rest: PathBuf,
    input: &mut impl Read,
    pack: &Path,
    tree: &mut Tree,
    added: &mut Added,
) -> Result<()> {
    let there = tree.top.join(&rest);
    if fs::symlink_metadata(&there).is_ok() {
        let hash = entry
            .read_content(input, &mut io::sink())
            .map_err(|error| unreadable(pack, &error))?;
        count_existing(entry, path, &there, hash, added);
        return Ok(());
    }
    let staged = tree.staged(tree.waiting.len());
    if entry.is_link {
        let mut target = Vec::new();
        entry
            .read_content(input, &mut target)
            .map_err(|error| unreadable(pack, &error))?;
        let target = Path::new(OsStr::from_bytes(&target));
        if !link_stays_inside(path, target) {
            let message = format!(
                "it links {} to {}, outside of its tree",
                path.display(),
                target.display()
            );
            return Err(Error::damaged(pack, message));
        }
        symlink(target, &staged).at("create", &staged)?;
    } else {
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&staged)
            .at("create", &staged)?;
        entry
            .read_content(input, &mut out)
            .map_err(|error| match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::io(&staged, "write", error),
                _ => unreadable(pack, &error),
            })?;
        // Never executable, never set-id, always readable by Plex.
        let mode = entry.mode & 0o666 | 0o600;
        out.set_permissions(fs::Permissions::from_mode(mode))
            .at("change the mode of", &staged)?;
        if let Some(modified) = time(entry.modified) {
            out.set_times(FileTimes::new().set_modified(modified))
                .at("change the time of", &staged)?;
        }
    }
    give(&staged, tree.owner)?;
    tree.waiting.push(rest);
    added.added_bytes += entry.bytes;
    Ok(())
}

fn count_existing(entry: &Entry, path: &Path, there: &Path, hash: blake3::Hash, added: &mut Added) {
    // One that cannot be read is not the same, and stays all the more.
    let is_same = if entry.is_link {
        fs::read_link(there).is_ok_and(|target| blake3::hash(target.as_os_str().as_bytes()) == hash)
    } else {
        fs::symlink_metadata(there).is_ok_and(|meta| meta.is_file() && meta.len() == entry.bytes)
            && File::open(there).is_ok_and(|file| {
                let mut own = blake3::Hasher::new();
                own.update_reader(file).is_ok() && own.finalize() == hash
            })
    };
    if is_same {
        added.same += 1;
    } else {
        keep(path, added);
    }
}

fn keep(path: &Path, added: &mut Added) {
    added.kept_count += 1;
    if added.kept.len() < LISTED {
        added.kept.push(path.display().to_string());
    }
}

/// Gives every staged file its name, if nobody has it.
fn name_all(tree: &Tree, added: &mut Added) -> Result<()> {
    let mut last: Option<(PathBuf, OwnedFd)> = None;
    for (number, rest) in tree.waiting.iter().enumerate() {
        let parent = rest.parent().unwrap_or(Path::new(""));
        let folder = match last.take() {
            Some((known, folder)) if known == parent => folder,
            _ => folder_at(tree, parent)?,
        };
        let name = rest.file_name().unwrap_or_default();
        if take_name(&tree.staged(number), &folder, name).at("name", &tree.top.join(rest))? {
            added.added += 1;
        } else {
            keep(&Path::new(tree.name).join(rest), added);
        }
        last = Some((parent.to_owned(), folder));
    }
    Ok(())
}

/// Opens a folder below the top, making what is missing, through no symbolic link.
fn folder_at(tree: &Tree, below: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = openat(CWD, &tree.top, flags & !OFlags::NOFOLLOW, Mode::empty()).at(OPEN, &tree.top)?;
    let mut path = tree.top.clone();
    for part in below {
        path.push(part);
        folder = match openat(&folder, part, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                match mkdirat(&folder, part, Mode::from_raw_mode(0o755)) {
                    Ok(()) => give(&path, tree.owner)?,
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno).at("create", &path),
                }
                openat(&folder, part, flags, Mode::empty()).at(OPEN, &path)?
            }
            opened => opened.at(OPEN, &path)?,
        };
    }
    Ok(folder)
}

/// `false` if the name is taken.
fn take_name(staged: &Path, folder: &OwnedFd, name: &OsStr) -> rustix::io::Result<bool> {
    match renameat_with(CWD, staged, folder, name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        // Not every file system knows that kind of renaming; a second name is refused by all that have them.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            match linkat(CWD, staged, folder, name, rustix::fs::AtFlags::empty()) {
                Ok(()) => unlinkat(CWD, staged, rustix::fs::AtFlags::empty()).map(|()| true),
                Err(Errno::EXIST) => Ok(false),
                Err(errno) => Err(errno),
            }
        }
        Err(errno) => Err(errno),
    }
}

/// Flushes the whole file system of the tree.
fn settle(tree: &Tree) -> Result<()> {
    let top = File::open(&tree.top).at(OPEN, &tree.top)?;
    rustix::fs::syncfs(&top).at("flush", &tree.top)
}

/// Gives a file to the tree's owner, if it is not theirs already.
fn give(path: &Path, owner: (u32, u32)) -> Result<()> {
    let meta = fs::symlink_metadata(path).at(OPEN, path)?;
    if (meta.uid(), meta.gid()) == owner {
        return Ok(());
    }
    let (uid, gid) = (Some(owner.0), Some(owner.1));
    let given = if meta.is_symlink() {
        lchown(path, uid, gid)
    } else {
        chown(path, uid, gid)
    };
    given.at("change the owner of", path)
}

/// `None` for times that no file system has.
fn time((seconds, nanoseconds): (i64, i64)) -> Option<SystemTime> {
    let nanoseconds = Duration::from_nanos(u64::try_from(nanoseconds).ok()?);
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)?
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)?
    };
    base.checked_add(nanoseconds)
}
