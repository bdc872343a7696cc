//! Rolling back: a library that home had before becomes home's again, with what the household did since.
//!
//! The kept library stays where it is: a copy of it is staged, gets what the household did since it was replaced, and is
//! swapped in as a result is. Home's library of now is kept in its turn, so a rollback can be rolled back.

use plex_library::snapshot::Manifest;
use plex_library::{Which, delta};
use serde::{Deserialize, Serialize};

use super::{Controller, Prepared, engine, prepare};
use crate::burst::phase::Phase;
use crate::error::{Error, Result};
use crate::home::{Kept, Patience, discard, kept};

/// What `stage` knows.
#[derive(Debug, Serialize, Deserialize)]
struct Staged {
    /// The burst that put the library aside.
    from: String,
    bytes: u64,
}

/// Home as it stands, and whether what is asked for is there.
pub(super) async fn prepare(c: &Controller, to: &str, discard_since: bool) -> Result<Prepared> {
    let home = c.home()?;
    c.side
        .phase(Phase::Prepare, &format!("looking at home ({})", home.url()), async || {
            home.check_commands()?;
            let kept = find(c, to)?;
            if !discard_since && !kept.knows_since {
                return Err(Error::refused(format!(
                    "what the household did since burst {to} cannot be told from what that burst did, because plexburst was \
                     killed while it noted that"
                ))
                .hint(format!(
                    "`plexburst rollback {to} --discard-since` leaves it in the library of now, which is kept"
                )));
            }
            let mut prepared = prepare::of_library(c, &home.databases())?;
            if home.is_running().await? {
                let identity = home.client()?.identity().await?;
                prepared.plex_version = Some(identity.version);
                prepared.machine = Some(identity.machine_identifier);
            }
            if let (Some(then), Some(now)) = (&kept.note.plex_version, &prepared.plex_version)
                && then != now
            {
                c.printer().warn(&format!(
                    "that library was last used by Plex {then}; Plex {now} will bring it up to date when it starts"
                ));
            }
            Ok(prepared)
        })
        .await
}

fn find(c: &Controller, to: &str) -> Result<Kept> {
    kept::all(c.area.root())?
        .into_iter()
        .find(|kept| kept.burst == to)
        .ok_or_else(|| {
            Error::usage(format!("the library from before burst {to} is not kept any more"))
                .hint("`plexburst rollback --list` shows those that are")
        })
}

/// The copy that becomes home's, beside home's library.
pub(super) async fn stage(c: &Controller, to: &str) -> Result<()> {
    c.side
        .phase(Phase::Stage, "copying the library that is kept", async || {
            copy(c, to).map(|bytes| Staged {
                from: to.to_owned(),
                bytes,
            })
        })
        .await
        .map(drop)
}

fn copy(c: &Controller, to: &str) -> Result<u64> {
    let kept = find(c, to)?;
    let staged = c.area.staged();
    discard(staged.dir())?;
    let refused = |which| {
        Error::refused(format!(
            "{} is not what was put aside: it was changed, or is gone",
            kept.databases().path(which).display()
        ))
        .hint(format!(
            "`plexburst cancel {}` ends this rollback; `plexburst rollback --list` shows the other libraries that are kept",
            c.request.id
        ))
    };
    let gone = Which::BOTH
        .into_iter()
        .find(|&which| !kept.databases().path(which).is_file());
    if let Some(which) = gone {
        return Err(refused(which));
    }
    let manifest = engine(|| plex_library::snapshot::take(&kept.databases(), staged.dir(), &()))?;
    if let Some(which) = changed(&kept, &manifest)? {
        return Err(refused(which));
    }
    Ok(manifest.databases.values().map(|copied| copied.whole.bytes).sum())
}

/// Which database of a kept library is not what it was when it was put aside, if what was noted then tells it.
fn changed(kept: &Kept, copied: &Manifest) -> Result<Option<Which>> {
    if !kept.knows_since {
        return Ok(None);
    }
    let noted = engine(|| delta::Manifest::read(&kept.since()))?;
    Ok(noted.databases.into_iter().find_map(|(which, change)| {
        let is_same = copied
            .databases
            .get(&which)
            .is_some_and(|found| found.whole.blake3 == change.base.blake3);
        (!is_same).then_some(which)
    }))
}

/// What the household did since goes into the copy, while home goes on.
pub(super) async fn carry_back(c: &Controller, to: &str, discard_since: bool) -> Result<()> {
    if discard_since {
        return Ok(());
    }
    let home = c.home()?;
    c.side
        .phase(Phase::Merge, "carrying back what the household did since", async || {
            if c.side.attempts(Phase::Merge) > 1 {
                // An attempt that was killed may have left the copy half merged.
                copy(c, to)?;
            }
            let kept = find(c, to)?;
            let (base, mine) = (c.area.base(), c.area.mine());
            for dir in [base.dir(), mine.dir()] {
                discard(dir)?;
            }
            engine(|| plex_library::delta::apply(&kept.path, &kept.since(), base.dir(), &()))?;
            super::adopt::take_mine(c, home, &mine, true)?;
            let options = super::titles::options(c, Patience::BESIDE)?;
            let report = engine(|| plex_library::merge::carry_back(&base, &mine, &c.area.staged(), &options))?;
            super::adopt::note_kept_aside(c, Phase::Merge, &report)?;
            Ok(report)
        })
        .await?;
    super::adopt::one_copy_of_two(c)
}
