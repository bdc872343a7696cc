//! Who holds a library's databases open.
//!
//! Answered from `/proc`: every descriptor of every process is compared by device and inode, so that containers, bind
//! mounts and deleted names make no difference. The descriptors of other users' processes can only be seen by root;
//! where they cannot, the locks that SQLite keeps on the `-shm` file still tell that somebody is there.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Flock, FlockOffsetType, FlockType};
use serde::{Deserialize, Serialize};

use crate::error::{At, OPEN, Result};
use crate::handles::Handle;
use crate::paths::Databases;

/// A process that holds one of the databases, its `-wal` or its `-shm` open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id, as this process sees it; 0 when it lives in another pid namespace.
    pub pid: i32,
    /// Its name (`/proc/PID/comm`, cut at 15 bytes by the kernel), or empty where that cannot be read.
    pub name: String,
    /// Whether it opened one of the files for writing, as every Plex and every SQLite connection of ours does; a plain
    /// copy or a backup program does not.
    pub writes: bool,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.as_str(), self.pid) {
            ("", 0) => f.write_str("a process that cannot be seen from here"),
            ("", pid) => write!(f, "process {pid}"),
            (name, pid) => write!(f, "{name} (pid {pid})"),
        }
    }
}

/// All processes, this one included, that hold the pair open, by pid.
///
/// # Errors
/// Only if `/proc` itself or the databases cannot be looked at. A file that is not there is held by nobody.
pub fn of(databases: &Databases) -> Result<Vec<Process>> {
    of_files(&databases.files())
}

/// All processes that hold one of `files` open, this one included.
///
/// # Errors
/// As [`of`].
pub fn of_files(files: &[PathBuf]) -> Result<Vec<Process>> {
    let wanted = inodes(files)?;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let proc = Path::new("/proc");
    let mut found = Vec::new();
    for entry in fs::read_dir(proc).at(OPEN, proc)? {
        let entry = entry.at(OPEN, proc)?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // A process may end while it is looked at, and other users' cannot be looked into: neither is an error.
        if let Some(writes) = holds_for_long(&entry.path(), &wanted) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            found.push(Process {
                pid,
                name: name.trim_end().to_owned(),
                writes,
            });
        }
    }
    for process in lock_holders(files)? {
        if !found
            .iter()
            .any(|known| known.pid == process.pid || process.pid == 0 && known.writes)
        {
            found.push(process);
        }
    }
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

fn inodes(files: &[PathBuf]) -> Result<HashSet<(u64, u64)>> {
    let mut wanted = HashSet::new();
    for file in files {
        match fs::metadata(file) {
            Ok(meta) => _ = wanted.insert((meta.dev(), meta.ino())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).at(OPEN, file),
        }
    }
    Ok(wanted)
}

/// How long a child of this very process may take to become the program that it was made for.
const BECOMING: Duration = Duration::from_secs(1);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(5);

/// [`holds`], but for a child that is just being made by another thread of this process: until it becomes its program it
/// has all that this process has open, and uses none of it.
fn holds_for_long(process: &Path, wanted: &HashSet<(u64, u64)>) -> Option<bool> {
    let begun = Instant::now();
    loop {
        let writes = holds(process, wanted)?;
        if !is_being_made(process) || begun.elapsed() >= BECOMING {
            return Some(writes);
        }
        std::thread::sleep(LOOK);
    }
}

/// Whether it is a child of this process that is still what this process is: the same program, called with the same words.
fn is_being_made(process: &Path) -> bool {
    let own = std::process::id().to_string();
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let is_child = parent.is_some_and(|parent| parent.trim() == own);
    let same = |what: &str| {
        let (its, ours) = (
            fs::read(process.join(what)),
            fs::read(Path::new("/proc/self").join(what)),
        );
        its.ok().is_some_and(|its| ours.ok() == Some(its))
    };
    let program = |path: &Path| fs::read_link(path.join("exe")).ok();
    is_child && program(process).is_some_and(|its| Some(its) == program(Path::new("/proc/self"))) && same("cmdline")
}

/// `None`: holds none of them, or cannot be seen. `Some(true)`: holds one for writing.
fn holds(process: &Path, wanted: &HashSet<(u64, u64)>) -> Option<bool> {
    let mut writes = None;
    for fd in fs::read_dir(process.join("fd")).ok()?.flatten() {
        let info = fs::read_to_string(process.join("fdinfo").join(fd.file_name())).unwrap_or_default();
        // Asking for a file behind a mount that is stuck never comes back, and any process may have one open: the kernel's
        // own note of the inode (since 5.14) is looked at first, so that nothing else is ever asked for.
        if inode_of(&info).is_some_and(|inode| !wanted.iter().any(|(_, known)| *known == inode)) {
            continue;
        }
        let Ok(meta) = fs::metadata(fd.path()) else {
            continue;
        };
        if wanted.contains(&(meta.dev(), meta.ino())) {
            writes = Some(writes.unwrap_or(false) || opened_for_writing(&info));
        }
    }
    writes
}

/// `ino:` of fdinfo.
fn inode_of(info: &str) -> Option<u64> {
    let inode = info.lines().find_map(|line| line.strip_prefix("ino:"))?;
    inode.trim().parse().ok()
}

/// `flags:` of fdinfo is octal; its lowest two bits are the access mode, 0 being read-only.
fn opened_for_writing(info: &str) -> bool {
    info.lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & 3 != 0)
}

/// Byte of the `-shm` file on which every connection holds a shared lock while the database is open (SQLite's
/// `UNIX_SHM_DMS`: 22 + 8 words for the index header, then 8 lock bytes).
const SHM_DEAD_MAN_SWITCH: u64 = (22 + 8) * 4 + 8;

/// Who the kernel says holds SQLite's locks. POSIX locks of this very process are never shown.
fn lock_holders(files: &[PathBuf]) -> Result<Vec<Process>> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.to_string_lossy().ends_with("-shm")) {
        let Some(shm) = Handle::open_if_there(file)? else {
            continue;
        };
        if let Some(pid) = lock_holder(&shm, SHM_DEAD_MAN_SWITCH) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            found.push(Process {
                pid,
                name: name.trim_end().to_owned(),
                writes: true,
            });
        }
    }
    Ok(found)
}

/// Bytes of the `-shm` file whose locks a writer, and a checkpoint, hold (SQLite's `WAL_WRITE_LOCK`, `WAL_CKPT_LOCK`, counted
/// from `UNIX_SHM_BASE`).
const SHM_WRITE: u64 = (22 + 8) * 4;
const SHM_CHECKPOINT: u64 = SHM_WRITE + 1;

/// Whether another process is at a checkpoint of the kind that lets nobody write and waits for all readers.
pub(crate) fn waits_to_write_back(shm: &File) -> bool {
    [SHM_WRITE, SHM_CHECKPOINT]
        .into_iter()
        .all(|byte| lock_holder(shm, byte).is_some())
}

/// Another process that holds a lock on a byte of a `-shm` file.
fn lock_holder(shm: &File, byte: u64) -> Option<i32> {
    let probe = Flock {
        start: byte,
        length: 1,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    // A file system without locks answers with an error: then nobody can hold one.
    let held = rustix::process::fcntl_getlk(shm, &probe).ok()??;
    Some(held.pid.map_or(0, rustix::process::Pid::as_raw_pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_access_mode_is_read_from_fdinfo() {
        assert!(!opened_for_writing("pos:\t0\nflags:\t0100000\nmnt_id:\t29\n"));
        assert!(opened_for_writing("pos:\t0\nflags:\t0100002\n"));
        assert!(opened_for_writing("pos:\t0\nflags:\t02100001\n"));
        assert!(!opened_for_writing(""));
    }

    #[test]
    fn an_open_file_has_a_user() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        assert_eq!(of_files(std::slice::from_ref(&path)).unwrap(), []);
        let file = File::create(&path).unwrap();
        let users = of_files(std::slice::from_ref(&path)).unwrap();
        assert_eq!(users.len(), 1);
        assert_eq!(users[0].pid, i32::try_from(std::process::id()).unwrap());
        assert!(users[0].writes);
        drop(file);
        assert_eq!(of_files(&[path]).unwrap(), []);
    }
}
