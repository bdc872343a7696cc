//! The copy that is made of a library before a command changes it in place.

use std::path::PathBuf;

use plex_library::Databases;

use super::{Context, interrupt};
use crate::error::{Error, Result};

/// Where the backup of `databases` before `what` goes: beside the folder of the databases, out of Plex's way.
pub(super) fn place(databases: &Databases, what: &str) -> Result<PathBuf> {
    let dir = std::path::absolute(databases.dir())
        .map_err(|e| Error::usage(format!("cannot resolve {}", databases.dir().display())).because(e))?;
    let now = jiff::ZonedDateTime::now().strftime("%Y%m%d_%H%M%S").to_string();
    let parent = dir.parent().unwrap_or(&dir);
    // What one that was killed had begun has another time in its name.
    plex_library::publish::sweep(parent)?;
    let mut place = parent.join(format!("before-{what}-{now}"));
    // Two in one second.
    let mut number = 1;
    while place.exists() {
        number += 1;
        place = parent.join(format!("before-{what}-{now}-{number}"));
    }
    Ok(place)
}

/// Copies the pair, as a consistent snapshot with its manifest.
pub(super) fn make(databases: &Databases, to: &std::path::Path, context: &Context) -> Result<()> {
    context.printer.phase("backup", &to.display().to_string());
    interrupt::until_told(&context.printer, |progress| {
        plex_library::snapshot::take(databases, to, progress).map(drop)
    })?;
    interrupt::check()
}

/// Refuses while some process holds the databases.
pub(super) fn refuse_in_use(databases: &Databases) -> Result<()> {
    let by = plex_library::users::of(databases)?;
    if by.iter().any(|process| process.writes) {
        return Err(plex_library::Error::InUse {
            path: databases.dir().to_owned(),
            by,
        }
        .into());
    }
    Ok(())
}
