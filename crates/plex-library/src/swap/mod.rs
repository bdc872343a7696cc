//! Putting a result in place of the home library, as a pair and at once, and taking it back.
//!
//! The result is staged as a folder beside `Databases`, made ready while Plex still runs ([`prepare`]), and exchanged with
//! it in one step of the file system ([`exchange`], `renameat2` with `RENAME_EXCHANGE`): at every instant, a power cut
//! included, home has the whole old pair or the whole new one. Where the folder cannot be exchanged (a mount of its own,
//! a file system without that step) the files are moved one by one behind a guard that no server gets past
//! ([`guard`], [`files`]). Which pair is live is told by inode numbers ([`state`]), so a resumed burst need not trust its
//! memory. What was replaced is kept ([`Plan::replaced`]), until somebody removes it; [`undo`] brings it back.
//!
//! Whatever else lies in `Databases` (dated backups, programme guides, `restore`, anything) belongs to home and not to a
//! pair: it is in the live folder before, during and after. A `-wal` or `-shm` never lies beside a database that it was
//! not written for: those of the old pair stay with the old pair, and a staged pair has none.
//!
//! Must not: start or stop Plex, or remove a pair.

mod carry;
mod files;
mod guard;
mod hold;
mod likeness;
mod place;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

use crate::error::{At, Error, OPEN, Result};
use crate::pages::index_name;
use crate::paths::{Databases, Which, journal_of, shm_of, wal_of};
use crate::publish::{parent_of, sync_folder};
use crate::snapshot::MANIFEST;
use crate::users;
use files::Pairs;

pub use hold::Hold;
pub use place::{area, can_exchange};

/// An exchange that is ready to be done. Written into the journal before it is, so that [`state`] can tell afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The real path of the folder that Plex uses.
    pub live: PathBuf,
    /// The folder with the other pair.
    pub staged: PathBuf,
    /// The folder that was live when the plan was made.
    pub before: Inode,
    /// The folder that was staged when the plan was made.
    pub after: Inode,
    /// How it is done.
    #[serde(default)]
    pub way: Way,
}

/// How the pairs change places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The folders are exchanged in one step.
    #[default]
    Exchange,
    /// The files are moved one by one, behind the start guard.
    Files {
        /// Where the pair from before goes.
        previous: PathBuf,
        /// Its library and blobs.
        before: [Inode; 2],
        /// Those of the result.
        after: [Inode; 2],
    },
}

impl Plan {
    /// Where the pair from before lies once the result is live.
    #[must_use]
    pub fn replaced(&self) -> &Path {
        match &self.way {
            Way::Exchange => &self.staged,
            Way::Files { previous, .. } => previous,
        }
    }

    fn pairs(&self) -> Option<Pairs<'_>> {
        match &self.way {
            Way::Exchange => None,
            Way::Files {
                previous,
                before,
                after,
            } => Some(Pairs {
                previous,
                before: *before,
                after: *after,
            }),
        }
    }
}

/// A file or folder, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inode {
    /// The file system.
    pub device: u64,
    /// Its number there.
    pub number: u64,
}

/// Which of the two pairs is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The one from before.
    NotYet,
    /// The result.
    Done,
    /// Neither: the files were being moved. No server can open them until [`exchange`] or [`undo`] has ended it.
    Between,
}

/// An exchange that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swapped {
    /// Where the previous pair is now.
    pub previous: PathBuf,
}

/// Makes a staged pair ready to go live: owner, modes and attributes as the live one's, everything durable. Plex may
/// still run. May be done again, as long as [`exchange`] was not. `previous` is where the replaced pair is kept if it has
/// to be moved file by file.
///
/// # Errors
/// [`Error::NotALibrary`] if one of the staged pair is missing, [`Error::Refused`] if a log lies beside it,
/// [`Error::ReadOnly`] if this user may not give files to Plex's user, [`Error::Unsupported`] if the staged files cannot
/// be renamed into the live folder.
pub fn prepare(live: &Databases, staged: &Path, previous: &Path) -> Result<Plan> {
    let can_exchange = can_exchange(live)?;
    let live = place::real(live)?;
    refuse_unready(staged)?;
    for own in [
        MANIFEST.to_owned(),
        index_name(Which::Library),
        index_name(Which::Blobs),
    ] {
        // A snapshot's own documents are none of Plex's.
        match fs::remove_file(staged.join(&own)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.at("remove", &staged.join(own))?,
        }
    }
    let pair = Databases::at(staged);
    for which in Which::BOTH {
        let (model, path) = (Databases::at(&live).path(which), pair.path(which));
        likeness::own_like(&model, &path)?;
        fs::File::open(&path).at(OPEN, &path)?.sync_all().at("flush", &path)?;
    }
    likeness::own_like(&live, staged)?;
    sync_folder(staged)?;
    place::probe_rename(staged, &live)?;
    let way = if can_exchange {
        Way::Exchange
    } else {
        Way::Files {
            previous: previous.to_owned(),
            before: files::inodes(&live)?,
            after: files::inodes(staged)?,
        }
    };
    Ok(Plan {
        before: inode(&live)?,
        after: inode(staged)?,
        live,
        staged: staged.to_owned(),
        way,
    })
}

/// Exchanges the pairs. Plex has to be stopped. Safe to do again, whatever became of the last try.
///
/// # Errors
/// [`Error::InUse`] if a process holds a database for writing, [`Error::Refused`] if a log lies beside a staged one,
/// [`Error::Unsupported`] if the file system cannot exchange folders. As long as it fails, [`state`] is what it was,
/// except that a failure to flush or to tidy up may come after the exchange, and that files which are moved one by one may
/// be left in between.
pub fn exchange(plan: &Plan) -> Result<Swapped> {
    if state(plan)? == State::NotYet {
        // What home did last may have been merged into it since it was made ready.
        refuse_unready(&plan.staged)?;
        for which in Which::BOTH {
            let path = Databases::at(&plan.staged).path(which);
            fs::File::open(&path).at(OPEN, &path)?.sync_all().at("flush", &path)?;
        }
    }
    bring(plan, State::Done)?;
    Ok(Swapped {
        previous: plan.replaced().to_owned(),
    })
}

/// Exchanges the pairs back. Plex has to be stopped. Safe to do again, also when the exchange was never done.
///
/// What the household did since the exchange stays in the pair that goes: carrying it back is a merge.
///
/// # Errors
/// As [`exchange`].
pub fn undo(plan: &Plan) -> Result<()> {
    bring(plan, State::NotYet)
}

fn bring(plan: &Plan, target: State) -> Result<()> {
    if let Some(pairs) = plan.pairs() {
        return files::bring(plan, pairs, target);
    }
    if state(plan)? != target {
        swap(plan)?;
    }
    tidy(plan)
}

/// Which pair is live.
///
/// # Errors
/// [`Error::Mismatch`] if neither is: somebody replaced the folder.
pub fn state(plan: &Plan) -> Result<State> {
    if let Some(pairs) = plan.pairs() {
        return files::state(plan, pairs);
    }
    match (inode(&plan.live)?, inode(&plan.staged)?) {
        (live, staged) if (live, staged) == (plan.before, plan.after) => Ok(State::NotYet),
        (live, staged) if (live, staged) == (plan.after, plan.before) => Ok(State::Done),
        (live, _) if live == plan.before || live == plan.after => Err(Error::mismatch(
            &plan.staged,
            "another folder than the one that was staged",
        )),
        _ => Err(Error::mismatch(
            &plan.live,
            "another folder than before the exchange and than the staged one",
        )),
    }
}

/// Whether a move in `live` was cut off, so that no server can start there.
#[must_use]
pub fn is_guarded(live: &Databases) -> bool {
    guard::is_up(live.dir())
}

/// The plan of a move that was cut off in `live` ([`State::Between`]), whoever's it is; no server can start until it is
/// finished ([`exchange`]) or undone ([`undo`]).
///
/// # Errors
/// The live folder, or the plan in it, cannot be read.
pub fn unfinished(live: &Databases) -> Result<Option<Plan>> {
    guard::plan(live.dir())
}

/// The step itself, whichever way.
fn swap(plan: &Plan) -> Result<()> {
    refuse_users(&plan.live)?;
    // What is not the pair has to be in both folders in the instant of the exchange.
    carry::link_all(&plan.live, &plan.staged)?;
    sync_folder(&plan.staged)?;
    renameat_with(CWD, &plan.live, CWD, &plan.staged, RenameFlags::EXCHANGE).map_err(|errno| match errno {
        errno if place::is_inability(errno) => place::not_exchangeable(&plan.live, errno.into()),
        errno => Error::io(&plan.live, "exchange", errno.into()),
    })?;
    sync_folder(parent_of(&plan.live))?;
    sync_folder(parent_of(&plan.staged))
}

/// Takes what is not the pair out of the folder that is not live.
fn tidy(plan: &Plan) -> Result<()> {
    carry::unlink_all(&plan.live, &plan.staged)?;
    sync_folder(&plan.staged)
}

/// A staged pair has to be both files and no logs.
fn refuse_unready(staged: &Path) -> Result<()> {
    let pair = Databases::at(staged);
    for which in Which::BOTH {
        let path = pair.path(which);
        if !path.is_file() {
            let why = format!("{} is missing from what is staged", which.file_name());
            return Err(Error::NotALibrary {
                path: staged.to_owned(),
                why,
            });
        }
        for stale in [wal_of(&path), shm_of(&path), journal_of(&path)] {
            if stale.exists() {
                return Err(Error::Refused {
                    what: "a staged database has a log beside it, which Plex would replay".into(),
                    items: vec![stale.display().to_string()],
                    hint: "close what still writes to the staged databases, or stage the result again".into(),
                });
            }
        }
    }
    Ok(())
}

fn refuse_users(live: &Path) -> Result<()> {
    let mut by = users::of(&Databases::at(live))?;
    by.retain(|process| process.writes);
    if by.is_empty() {
        Ok(())
    } else {
        Err(Error::InUse {
            path: live.to_owned(),
            by,
        })
    }
}

fn inode(path: &Path) -> Result<Inode> {
    let meta = fs::metadata(path).at(OPEN, path)?;
    Ok(Inode {
        device: meta.dev(),
        number: meta.ino(),
    })
}
