//! The way where the folder itself cannot be exchanged: each file of the pair by itself, behind the start guard.
//!
//! Where `Databases` is a mount of its own, or its file system exchanges nothing, only files can be renamed. Between the
//! first and the last of them home has a mixture; so the guard ([`super::guard`]) goes up before and comes down after,
//! both durable. A pair that is not live lies whole in a folder of its own (`previous` the one from before, `staged` the
//! result), so where each file belongs is told by its inode, from any state in between, and in either direction.
//!
//! In `live` a log always belongs to the database beside it: it leaves before that, and comes after.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, linkat};
use rustix::io::Errno;

use super::{Inode, Plan, State, guard, refuse_users};
use crate::error::{At, Error, OPEN, Result};
use crate::paths::{Databases, Which, shm_of, wal_of};
use crate::publish::sync_folder;

/// The two pairs of a move, as the plan names them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pairs<'a> {
    pub(super) previous: &'a Path,
    /// The inodes of library and blobs.
    pub(super) before: [Inode; 2],
    pub(super) after: [Inode; 2],
}

/// One pair: what its files are, and where they lie while it is not live.
#[derive(Debug, Clone, Copy)]
struct Pair<'a> {
    files: [Inode; 2],
    dir: &'a Path,
}

impl<'a> Pairs<'a> {
    fn of(self, state: State, plan: &'a Plan) -> Pair<'a> {
        match state {
            State::Done => Pair {
                files: self.after,
                dir: &plan.staged,
            },
            _ => Pair {
                files: self.before,
                dir: self.previous,
            },
        }
    }
}

/// Which pair is live.
pub(super) fn state(plan: &Plan, pairs: Pairs<'_>) -> Result<State> {
    let live = Databases::at(&plan.live);
    let mut found = Vec::new();
    for (at, which) in Which::BOTH.into_iter().enumerate() {
        let [before, after] = [pairs.before[at], pairs.after[at]];
        found.push(match inode_if_there(&live.path(which))? {
            Some(inode) if inode == before => State::NotYet,
            Some(inode) if inode == after => State::Done,
            _ if guard::is_up(&plan.live) => State::Between,
            _ => {
                return Err(Error::mismatch(
                    &live.path(which),
                    "another file than before the swap and than the staged one",
                ));
            }
        });
    }
    match found.as_slice() {
        _ if guard::is_up(&plan.live) => Ok(State::Between),
        [one, other] if one == other => Ok(*one),
        _ => Ok(State::Between),
    }
}

/// Brings the pair that `target` names to life, from whatever state; nothing is left to do when it is alive.
pub(super) fn bring(plan: &Plan, pairs: Pairs<'_>, target: State) -> Result<()> {
    let was = state(plan, pairs)?;
    if was == target {
        return Ok(());
    }
    let other = if target == State::Done {
        State::NotYet
    } else {
        State::Done
    };
    let (comes, goes) = (pairs.of(target, plan), pairs.of(other, plan));
    refuse_users(&plan.live)?;
    guard::raise(&plan.live, plan)?;
    // A server that opened them in the instant before the guard.
    if let Err(error) = refuse_users(&plan.live) {
        if was != State::Between {
            guard::lift(&plan.live)?;
        }
        return Err(error);
    }
    // Both: one that was cut off may have come no further than the guard.
    for dir in [goes.dir, comes.dir] {
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.at("create", dir)?,
        }
    }
    for (at, which) in Which::BOTH.into_iter().enumerate() {
        replace(plan, which, (comes.files[at], comes.dir), (goes.files[at], goes.dir))?;
    }
    for dir in [goes.dir, comes.dir, &plan.live] {
        sync_folder(dir)?;
    }
    guard::lift(&plan.live)
}

type Side<'a> = (Inode, &'a Path);

fn replace(plan: &Plan, which: Which, comes: Side<'_>, goes: Side<'_>) -> Result<()> {
    let live = Databases::at(&plan.live).path(which);
    let (coming, going) = (Databases::at(comes.1).path(which), Databases::at(goes.1).path(which));
    let there = inode_if_there(&live)?;
    if there == Some(goes.0) {
        move_logs(&live, &going)?;
        keep(&live, &going, goes.0)?;
        sync_folder(goes.1)?;
        sync_folder(&plan.live)?;
    } else if let Some(inode) = there.filter(|&inode| inode != comes.0) {
        // All that a server leaves that was started against the guard while the name was free.
        let meta = fs::metadata(&live).at(OPEN, &live)?;
        if meta.len() > 0 {
            let what = format!(
                "file {} of device {}, which nobody put there",
                inode.number, inode.device
            );
            return Err(Error::mismatch(&live, what));
        }
        fs::remove_file(&live).at("remove", &live)?;
    }
    if there != Some(comes.0) {
        match inode_if_there(&coming)? {
            Some(inode) if inode == comes.0 => fs::rename(&coming, &live).at("put in place", &live)?,
            _ => return Err(Error::mismatch(&coming, "another file than the one that was staged")),
        }
    } else if inode_if_there(&coming)? == Some(comes.0) {
        // The second name that a move in the other direction gave it before it was cut off.
        fs::remove_file(&coming).at("remove", &coming)?;
    }
    sync_folder(&plan.live)?;
    move_logs(&coming, &live)
}

/// Gives the file a second name in its own folder, so that the first is never free; where there are no hard links it is
/// moved, and only the guard stands between a server and an empty library.
fn keep(live: &Path, own: &Path, inode: Inode) -> Result<()> {
    match inode_if_there(own)? {
        Some(there) if there == inode => return Ok(()),
        Some(_) => {
            return Err(Error::mismatch(
                own,
                "another file lies where the library from before is to be kept",
            ));
        }
        None => {}
    }
    match linkat(CWD, live, CWD, own, AtFlags::empty()) {
        Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK) => fs::rename(live, own).at("keep", own),
        linked => linked.at("keep", own),
    }
}

/// Moves the log and its index from beside `from` to beside `to`.
fn move_logs(from: &Path, to: &Path) -> Result<()> {
    for (from, to) in [(wal_of(from), wal_of(to)), (shm_of(from), shm_of(to))] {
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.at("move", &from)?,
        }
    }
    Ok(())
}

/// The files of a pair.
pub(super) fn inodes(dir: &Path) -> Result<[Inode; 2]> {
    let [library, blobs] = Which::BOTH.map(|which| super::inode(&Databases::at(dir).path(which)));
    Ok([library?, blobs?])
}

fn inode_if_there(path: &Path) -> Result<Option<Inode>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(Inode {
            device: meta.dev(),
            number: meta.ino(),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at(OPEN, path),
    }
}
