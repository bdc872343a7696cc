//! Folders that were moved: the worker's copy has them where they are now, the result travels in home's paths, and what
//! was moved for good is written into it at the last moment.
//!
//! So merge, catch-up and the guards against losses see one set of paths, home's. Each step has its exact way back in a
//! file beside the journal and may be done again after it was killed.

use std::path::Path;

use plex_library::Databases;
use plex_library::remap::{self, Inverse};

use crate::config::MappingKind;
use crate::error::{Context, Error, Result};
use crate::media::mappings::Mappings;

/// The file with the way back, in a burst's or a worker's folder.
const FILE: &str = "remapped.json";

/// Gives the worker's copy the paths that the worker has; a copy that was made anew is begun anew.
///
/// # Errors
/// Mappings that contradict each other; the disk.
pub(super) fn onto_worker(databases: &Databases, mappings: &Mappings, dir: &Path) -> Result<()> {
    forget(dir)?;
    apply(
        databases,
        mappings.iter().map(|m| (m.from.as_str(), m.to.as_str())),
        dir,
    )
}

/// Writes what was moved for good into the result, just before it becomes home's.
///
/// # Errors
/// As [`onto_worker`].
pub(super) fn for_good(databases: &Databases, mappings: &Mappings, dir: &Path) -> Result<()> {
    apply(databases, mappings.of_kind(MappingKind::Permanent), dir)
}

/// Gives a library home's paths back, whatever was found in the moved folders since; nothing when it has them.
///
/// # Errors
/// The disk.
pub(super) fn back(databases: &Databases, dir: &Path) -> Result<()> {
    let file = dir.join(FILE);
    if !file.exists() {
        return Ok(());
    }
    let inverse = Inverse::read(&file)?;
    remap::undo(databases, &inverse).map(drop).map_err(Error::from)
}

fn apply<'m>(databases: &Databases, pairs: impl Iterator<Item = (&'m str, &'m str)>, dir: &Path) -> Result<()> {
    let mappings = pairs
        .map(|(from, to)| remap::Mapping::new(from, to))
        .collect::<plex_library::Result<Vec<_>>>()?;
    if mappings.is_empty() {
        return Ok(());
    }
    let plan = remap::plan(databases, &mappings)?;
    remap::apply_noted(databases, &plan, &dir.join(FILE))
        .map(drop)
        .map_err(Error::from)
}

fn forget(dir: &Path) -> Result<()> {
    let file = dir.join(FILE);
    match std::fs::remove_file(&file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}
