//! The one way in which this crate writes a file: a temporary name in the same directory, write, verify, fsync, rename,
//! fsync of the directory.
//!
//! So a name that a reader may look for either does not exist or holds what was verified, whatever dies in between;
//! what a killed run leaves behind bears a temporary name and is removed by the next one ([`sweep`]). A pair of
//! databases is published as a folder, since only a folder's rename moves both at once.
//!
//! Must not: replace a folder that has something in it, or decide what a file should contain.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FlockOperation;

use crate::error::{At, Error, OPEN, Result};

/// What every temporary name contains.
const MARK: &str = ".plexburst-tmp-";

/// Bytes gathered before they are handed to the kernel: enough that 1 KiB pages cost no system call each.
const BUFFER: usize = 256 * 1024;

/// A file that is being written under a temporary name.
///
/// Dropping it unfinished removes it.
#[derive(Debug)]
pub struct FileWriter {
    target: PathBuf,
    temporary: PathBuf,
    out: Option<BufWriter<File>>,
    written: u64,
    /// Begun as a clone: what stays the same is passed over instead of being written.
    is_clone: bool,
    /// Bytes passed over since the last that were written.
    passed: u64,
}

impl FileWriter {
    /// Begins to write what shall become `target`. The file is readable by its owner alone.
    ///
    /// # Errors
    /// If the temporary file cannot be made beside `target`.
    pub fn create(target: &Path) -> Result<Self> {
        let temporary = temporary_name(target);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .at("create", &temporary)?;
        // Held until the file is published: tells `sweep` that somebody still works on it.
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).at("lock", &temporary)?;
        let out = Some(BufWriter::with_capacity(BUFFER, file));
        Ok(Self {
            target: target.to_owned(),
            temporary,
            out,
            written: 0,
            is_clone: false,
            passed: 0,
        })
    }

    /// As [`FileWriter::create`], for a file that is mostly what `model` is: where the file system can share blocks, those
    /// that are not written anew ([`FileWriter::append_same`]) take no room and no time.
    pub(crate) fn create_like(target: &Path, model: &File) -> Result<Self> {
        let mut writer = Self::create(target)?;
        if let Some(out) = &writer.out {
            // Another file system, or one that cannot: then all of it is written.
            writer.is_clone = rustix::fs::ioctl_ficlone(out.get_ref(), model).is_ok();
        }
        Ok(writer)
    }

    /// Appends what the model of [`FileWriter::create_like`] has at this very place.
    pub(crate) fn append_same(&mut self, bytes: &[u8]) -> Result<()> {
        if !self.is_clone {
            return self.append(bytes);
        }
        self.passed += bytes.len() as u64;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Appends.
    ///
    /// # Errors
    /// [`Error::NoSpace`] and the like, with the path of the final name.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).at("write", &self.target)
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Lets `verify` read the whole file from its beginning, makes it durable, and gives it its name, replacing what had
    /// it. If `verify` fails, nothing is left.
    ///
    /// # Errors
    /// Those of `verify`, and any failure to write, flush or rename.
    pub fn publish(mut self, verify: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
        let mut file = self.settle()?;
        file.seek(SeekFrom::Start(0)).at("read", &self.target)?;
        verify(&mut file)?;
        self.seal(&file)
    }

    /// Puts `head` in the place that was kept for it at the beginning, appends what `tail` makes of the whole, and
    /// publishes.
    pub(crate) fn publish_with(mut self, head: &[u8], tail: impl FnOnce(&mut File) -> Result<Vec<u8>>) -> Result<()> {
        let mut file = self.settle()?;
        file.seek(SeekFrom::Start(0)).at("write", &self.target)?;
        file.write_all(head).at("write", &self.target)?;
        file.seek(SeekFrom::Start(0)).at("read", &self.target)?;
        let tail = tail(&mut file)?;
        file.seek(SeekFrom::End(0)).at("write", &self.target)?;
        file.write_all(&tail).at("write", &self.target)?;
        self.seal(&file)
    }

    fn seal(&self, file: &File) -> Result<()> {
        file.sync_all().at("flush", &self.target)?;
        fs::rename(&self.temporary, &self.target).at("publish", &self.target)?;
        sync_parent(&self.target)
    }

    fn settle(&mut self) -> Result<File> {
        match self.out.take() {
            Some(out) => {
                let file = out
                    .into_inner()
                    .map_err(io::IntoInnerError::into_error)
                    .at("write", &self.target)?;
                if self.is_clone {
                    file.set_len(self.written).at("write", &self.target)?;
                }
                Ok(file)
            }
            None => Err(io::Error::other("already finished")).at("write", &self.target),
        }
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let out = self.out.as_mut().ok_or_else(|| io::Error::other("already finished"))?;
        if self.passed > 0 {
            let passed = i64::try_from(self.passed).map_err(io::Error::other)?;
            out.seek(SeekFrom::Current(passed))?;
            self.passed = 0;
        }
        let count = out.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        // After a successful rename the temporary name is gone, and this finds nothing.
        if let Some(out) = self.out.take() {
            drop(out.into_parts());
        }
        _ = fs::remove_file(&self.temporary);
    }
}

/// Whether files in `dir` can share their blocks with each other: tried on two small ones that are never seen.
///
/// # Errors
/// No file can be made there.
pub fn can_share_blocks(dir: &Path) -> Result<bool> {
    let model = tempfile::tempfile_in(dir).at("create", dir)?;
    let copy = tempfile::tempfile_in(dir).at("create", dir)?;
    (&model).write_all(&[1; 4096]).at("write", dir)?;
    Ok(rustix::fs::ioctl_ficlone(&copy, &model).is_ok())
}

/// A small file in one go, verified by reading it back.
///
/// # Errors
/// As [`FileWriter::publish`].
pub fn file(target: &Path, bytes: &[u8]) -> Result<()> {
    let mut writer = FileWriter::create(target)?;
    writer.append(bytes)?;
    writer.publish(|file| {
        let mut back = Vec::with_capacity(bytes.len());
        file.read_to_end(&mut back).at("read", target)?;
        if back == bytes {
            Ok(())
        } else {
            Err(Error::damaged(target, "reads back other bytes than were written"))
        }
    })
}

/// A folder that is being filled under a temporary name; dropping it unfinished removes it with all that is in it.
#[derive(Debug)]
pub struct FolderWriter {
    target: PathBuf,
    temporary: PathBuf,
    lock: File,
}

impl FolderWriter {
    /// Begins to fill what shall become `target`, which must not exist or be an empty folder. Left-overs of killed runs
    /// with the same target are removed.
    ///
    /// # Errors
    /// [`Error::Refused`] if there is something in `target`; any failure to make the folder.
    pub fn create(target: &Path) -> Result<Self> {
        refuse_occupied(target)?;
        let parent = parent_of(target);
        fs::create_dir_all(parent).at("create", parent)?;
        sweep_of(parent, target.file_name())?;
        let temporary = temporary_name(target);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&temporary)
            .at("create", &temporary)?;
        let lock = File::open(&temporary).at(OPEN, &temporary)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).at("lock", &temporary)?;
        Ok(Self {
            target: target.to_owned(),
            temporary,
            lock,
        })
    }

    /// The folder to put files into, by [`FileWriter`], until it is published.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Gives the folder its name, with everything in it durable.
    ///
    /// # Errors
    /// [`Error::Refused`] if somebody else published there meanwhile; any failure to flush or rename.
    pub fn publish(self) -> Result<()> {
        self.lock.sync_all().at("flush", &self.target)?;
        // A rename onto an empty folder replaces it; onto anything else it fails.
        match fs::rename(&self.temporary, &self.target) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                return Err(occupied(&self.target));
            }
            renamed => renamed.at("publish", &self.target)?,
        }
        sync_parent(&self.target)
    }
}

impl Drop for FolderWriter {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.temporary);
    }
}

/// Removes what killed runs left in `dir` under temporary names; what somebody still works on stays. Returns the names
/// that were removed.
///
/// # Errors
/// If `dir` cannot be listed or a left-over cannot be removed.
pub fn sweep(dir: &Path) -> Result<Vec<PathBuf>> {
    sweep_of(dir, None)
}

fn sweep_of(dir: &Path, target: Option<&OsStr>) -> Result<Vec<PathBuf>> {
    let prefix = target.map(|name| format!(".{}{MARK}", name.to_string_lossy()));
    let mut removed = Vec::new();
    for entry in fs::read_dir(dir).at(OPEN, dir)? {
        let path = entry.at(OPEN, dir)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ours = match &prefix {
            Some(prefix) => name.starts_with(prefix.as_str()),
            None => name.starts_with('.') && name.contains(MARK),
        };
        if ours && is_abandoned(&path) {
            let removal = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removal.at("remove", &path)?;
            removed.push(path);
        }
    }
    Ok(removed)
}

fn is_abandoned(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

/// Makes the names in a folder durable.
///
/// # Errors
/// If the folder cannot be opened or flushed.
pub fn sync_folder(dir: &Path) -> Result<()> {
    File::open(dir).at(OPEN, dir)?.sync_all().at("flush", dir)
}

/// Makes everything below a folder durable, names and content: for what was put there by others than [`FileWriter`].
///
/// # Errors
/// If something cannot be opened or flushed.
pub fn sync_tree(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).at(OPEN, dir)? {
        let entry = entry.at(OPEN, dir)?;
        let path = entry.path();
        let kind = entry.file_type().at(OPEN, &path)?;
        if kind.is_dir() {
            sync_tree(&path)?;
        } else if kind.is_file() {
            File::open(&path).at(OPEN, &path)?.sync_all().at("flush", &path)?;
        }
    }
    sync_folder(dir)
}

fn sync_parent(path: &Path) -> Result<()> {
    sync_folder(parent_of(path))
}

pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn temporary_name(target: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    parent_of(target).join(format!(".{name}{MARK}{}-{number}", std::process::id()))
}

fn refuse_occupied(target: &Path) -> Result<()> {
    match fs::read_dir(target) {
        Ok(mut entries) => entries.next().map_or(Ok(()), |_| Err(occupied(target))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).at(OPEN, target),
    }
}

fn occupied(target: &Path) -> Error {
    Error::Refused {
        what: "would replace a folder that has something in it".into(),
        items: vec![target.display().to_string()],
        hint: "name a folder that does not exist yet, or empty this one".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_only_when_it_is_published() {
        let tmp = tempfile::tempdir().unwrap();
        let target = tmp.path().join("x");
        let mut writer = FileWriter::create(&target).unwrap();
        writer.append(b"abc").unwrap();
        assert!(!target.exists());
        writer.publish(|_| Ok(())).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"abc");
        assert_eq!(names(tmp.path()), ["x"]);
    }

    #[test]
    fn a_file_that_is_mostly_another_comes_out_whole_cloned_or_not() {
        // Where a btrfs or an xfs is at hand, PLEXBURST_TEST_CLONES names a folder on it.
        let dirs = [
            std::env::var_os("PLEXBURST_TEST_CLONES").map(PathBuf::from),
            Some(std::env::temp_dir()),
        ];
        for dir in dirs.into_iter().flatten() {
            let tmp = tempfile::tempdir_in(&dir).unwrap();
            println!(
                "{}: blocks shared: {}",
                dir.display(),
                can_share_blocks(tmp.path()).unwrap()
            );
            let model: Vec<u8> = (0..5 * BUFFER).map(|n| (n % 251) as u8).collect();
            fs::write(tmp.path().join("model"), &model).unwrap();
            for pages in [5 * BUFFER / 1024, 700, 5 * BUFFER / 1024 + 9] {
                let mut wanted = Vec::new();
                let file = File::open(tmp.path().join("model")).unwrap();
                let mut writer = FileWriter::create_like(&tmp.path().join("copy"), &file).unwrap();
                for page in 0..pages {
                    let same = model.get(page * 1024..(page + 1) * 1024);
                    match same {
                        Some(same) if page % 7 != 3 => {
                            writer.append_same(same).unwrap();
                            wanted.extend(same);
                        }
                        _ => {
                            writer.append(&[9; 1024]).unwrap();
                            wanted.extend([9; 1024]);
                        }
                    }
                }
                assert_eq!(writer.written(), wanted.len() as u64);
                writer.publish(|_| Ok(())).unwrap();
                assert!(fs::read(tmp.path().join("copy")).unwrap() == wanted, "{pages} pages");
            }
        }
    }

    #[test]
    fn what_fails_its_verification_leaves_the_old_file() {
        let tmp = tempfile::tempdir().unwrap();
        let target = tmp.path().join("x");
        file(&target, b"old").unwrap();
        let mut writer = FileWriter::create(&target).unwrap();
        writer.append(b"new").unwrap();
        let error = writer
            .publish(|_| Err(Error::damaged(Path::new("x"), "no")))
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Damaged);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(tmp.path()), ["x"]);
    }

    #[test]
    fn a_folder_is_never_published_over_something() {
        let tmp = tempfile::tempdir().unwrap();
        let target = tmp.path().join("pair");
        fs::create_dir(&target).unwrap();
        let first = FolderWriter::create(&target).unwrap();
        let second = FolderWriter::create(&target).unwrap();
        file(&first.path().join("one"), b"1").unwrap();
        first.publish().unwrap();
        assert_eq!(second.publish().unwrap_err().kind(), Kind::Refused);
        assert_eq!(FolderWriter::create(&target).unwrap_err().kind(), Kind::Refused);
        assert_eq!(names(tmp.path()), ["pair"]);
        assert_eq!(names(&target), ["one"]);
    }

    #[test]
    fn only_abandoned_left_overs_are_swept() {
        let tmp = tempfile::tempdir().unwrap();
        let live = FileWriter::create(&tmp.path().join("x")).unwrap();
        let left = tmp.path().join(format!(".y{MARK}1-0"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("z"), "z").unwrap();
        assert_eq!(sweep(tmp.path()).unwrap(), [left]);
        assert_eq!(names(tmp.path()).len(), 1);
        drop(live);
        assert!(names(tmp.path()).is_empty());
    }

    #[test]
    fn a_folder_that_may_not_be_written_is_said_to_be_so() {
        let error = FileWriter::create(Path::new("/proc/x")).unwrap_err();
        assert!(matches!(error.kind(), Kind::ReadOnly | Kind::Io), "{error:?}");
    }
}
