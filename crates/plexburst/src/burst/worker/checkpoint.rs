//! The worker's library as it was before the scan of a section: what is gone back to when that scan saw a dead mount.
//!
//! Taken beside the quiet server, complete or not there at all; kept until the section is done, also by a worker that was
//! killed in the middle and goes on. Going back exchanges the whole folder, so that a kill in its middle leaves one or
//! the other. Must not: be taken of a library in which a scan has already drawn conclusions.

use std::path::PathBuf;

use plex_library::losses::Lost;
use plex_library::{Databases, swap};

use super::Worker;
use crate::error::{Context, Result};
use crate::home::discard;

/// What the folder for going back is called while it is made.
const STAGED: &str = "checkpoint";

fn folder(w: &Worker, section: i64) -> PathBuf {
    w.dir.join("checkpoints").join(section.to_string())
}

/// Takes it, unless an earlier attempt at this section has.
pub(super) fn take(w: &Worker, section: i64) -> Result<()> {
    let folder = folder(w, section);
    if folder.exists() {
        return Ok(());
    }
    tokio::task::block_in_place(|| {
        let all = w.dir.join("checkpoints");
        // One of another section, left by an attempt that failed, would take back what was done since.
        discard(&all)?;
        std::fs::create_dir_all(&all).context(|| format!("cannot make {}", all.display()))?;
        plex_library::snapshot::take(&w.databases(), &folder, &())?;
        Ok(())
    })
}

/// Whether there is one.
pub(super) fn is_there(w: &Worker, section: i64) -> bool {
    folder(w, section).exists()
}

/// Files that it has and the library has not any more.
pub(super) fn lost(w: &Worker, section: i64) -> Result<Vec<Lost>> {
    tokio::task::block_in_place(|| {
        Ok(plex_library::losses::of(
            &Databases::at(folder(w, section)),
            &w.databases(),
        )?)
    })
}

/// Goes back to it. Plex has to be stopped.
pub(super) fn go_back(w: &Worker, section: i64) -> Result<()> {
    // A refresh is undone with the scan, also when this is killed in the middle.
    forget_refresh(w, section)?;
    tokio::task::block_in_place(|| {
        let (kept, live) = (Databases::at(folder(w, section)), w.databases());
        let staged = swap::area(&live)?.join(STAGED);
        discard(&staged)?;
        std::fs::create_dir_all(&staged).context(|| format!("cannot make {}", staged.display()))?;
        for which in plex_library::Which::BOTH {
            let (from, to) = (kept.path(which), Databases::at(&staged).path(which));
            // A reflink where the file system can, else a copy.
            std::fs::copy(&from, &to).context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        }
        let plan = swap::prepare(&live, &staged, &staged.with_extension("replaced"))?;
        let replaced = swap::exchange(&plan)?.previous;
        discard(&replaced)
    })
}

/// The section is done.
pub(super) fn drop(w: &Worker, section: i64) -> Result<()> {
    forget_refresh(w, section)?;
    discard(&folder(w, section))
}

fn refreshed(w: &Worker, section: i64) -> PathBuf {
    w.dir.join("refreshed").join(section.to_string())
}

/// All metadata of the section are refreshed: a worker that goes on with it need not do that again.
pub(super) fn note_refresh(w: &Worker, section: i64) -> Result<()> {
    let path = refreshed(w, section);
    let folder = w.dir.join("refreshed");
    std::fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
    plex_library::publish::file(&path, b"").context(|| format!("cannot write {}", path.display()))
}

/// Whether they are, in the library as it is now.
pub(super) fn is_refreshed(w: &Worker, section: i64) -> bool {
    refreshed(w, section).exists()
}

fn forget_refresh(w: &Worker, section: i64) -> Result<()> {
    let path = refreshed(w, section);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
