//! Putting a result in place of the home library, as a pair and at once, and taking it back.
//!
//! The result is staged as a folder beside `Databases`, made ready while Plex still runs ([`prepare`]), and exchanged with
//! it in one step of the file system ([`exchange`], `renameat2` with `RENAME_EXCHANGE`): at every instant, a power cut
//! included, home has the whole old pair or the whole new one. Which of them is told by inode numbers ([`state`]), so a
//! resumed burst need not trust its memory. What was replaced stays where the result was staged, until somebody removes
//! it; [`undo`] exchanges back.
//!
//! Whatever else lies in `Databases` (dated backups, programme guides, `restore`, anything) belongs to home and not to a
//! pair: it is in the live folder before, during and after. A `-wal` or `-shm` never lies beside a database that it was
//! not written for: those of the old pair stay with the old pair, and a staged pair has none.
//!
//! Must not: start or stop Plex, or remove a pair.

mod carry;
mod place;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{At, Error, OPEN, Result};
use crate::paths::{Databases, Which, journal_of, shm_of, wal_of};
use crate::publish::{parent_of, sync_folder};
use crate::users;

pub use place::{probe, stage_dir};

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
}

/// An exchange that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swapped {
    /// Where the previous pair is now.
    pub previous: PathBuf,
}

/// Makes a staged pair ready to go live: owner and modes as the live one's, everything durable. Plex may still run. May be
/// done again.
///
/// # Errors
/// [`Error::NotALibrary`] if one of the staged pair is missing, [`Error::Refused`] if a log lies beside it,
/// [`Error::ReadOnly`] if this user may not give files to Plex's user, [`Error::Unsupported`] if the folders cannot be
/// exchanged.
pub fn prepare(live: &Databases, staged: &Path) -> Result<Plan> {
    let live = place::real(live)?;
    place::refuse_mount(&live)?;
    refuse_unready(staged)?;
    let pair = Databases::at(staged);
    for which in Which::BOTH {
        let (model, path) = (Databases::at(&live).path(which), pair.path(which));
        place::own_like(&model, &path)?;
        fs::File::open(&path).at(OPEN, &path)?.sync_all().at("flush", &path)?;
    }
    place::own_like(&live, staged)?;
    sync_folder(staged)?;
    let (before, after) = (inode(&live)?, inode(staged)?);
    if before.device != after.device {
        return Err(place::not_exchangeable(staged, io::ErrorKind::CrossesDevices.into()));
    }
    Ok(Plan {
        live,
        staged: staged.to_owned(),
        before,
        after,
    })
}

/// Exchanges the pairs. Plex has to be stopped. Safe to do again, whatever became of the last try.
///
/// # Errors
/// [`Error::InUse`] if a process holds a database for writing, [`Error::Refused`] if a log lies beside a staged one,
/// [`Error::Unsupported`] if the file system cannot exchange folders. As long as it fails, [`state`] is what it was,
/// except that a failure to flush or to tidy up may come after the exchange.
pub fn exchange(plan: &Plan) -> Result<Swapped> {
    if state(plan)? == State::NotYet {
        // What home did last may have been merged into it since it was made ready.
        refuse_unready(&plan.staged)?;
        for which in Which::BOTH {
            let path = Databases::at(&plan.staged).path(which);
            fs::File::open(&path).at(OPEN, &path)?.sync_all().at("flush", &path)?;
        }
        swap(plan)?;
    }
    tidy(plan)?;
    Ok(Swapped {
        previous: plan.staged.clone(),
    })
}

/// Exchanges the pairs back. Plex has to be stopped. Safe to do again, also when the exchange was never done.
///
/// What the household did since the exchange stays in the pair that goes: carrying it back is a merge.
///
/// # Errors
/// As [`exchange`].
pub fn undo(plan: &Plan) -> Result<()> {
    if state(plan)? == State::Done {
        swap(plan)?;
    }
    tidy(plan)
}

/// Which pair is live.
///
/// # Errors
/// [`Error::Mismatch`] if neither is: somebody replaced the folder.
pub fn state(plan: &Plan) -> Result<State> {
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

/// The step itself, whichever way.
fn swap(plan: &Plan) -> Result<()> {
    refuse_users(&plan.live)?;
    // What is not the pair has to be in both folders in the instant of the exchange.
    carry::link_all(&plan.live, &plan.staged)?;
    sync_folder(&plan.staged)?;
    renameat_with(CWD, &plan.live, CWD, &plan.staged, RenameFlags::EXCHANGE).map_err(|errno| match errno {
        Errno::XDEV | Errno::BUSY | Errno::INVAL | Errno::NOSYS | Errno::NOTSUP => {
            place::not_exchangeable(&plan.live, errno.into())
        }
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
