//! Restore: the worker's library out of the depot, its ids kept apart from those that home will give meanwhile. Where a
//! worker before this one was lost, it is the library of its last checkpoint.

use std::path::Path;

use plex_library::Databases;
use serde::{Deserialize, Serialize};

use super::saver::Saved;
use super::{Worker, checkpoint};
use crate::burst::journal::Event;
use crate::burst::parked::unpack;
use crate::burst::phase::Phase;
use crate::depot::Depot;
use crate::error::{Context, Error, Result};
use crate::home::discard;

/// What `restore` knows.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Restored {
    /// How far the sequences were moved up.
    pub(super) stride: plex_library::ids::Stride,
}

pub(super) async fn restore(w: &Worker) -> Result<()> {
    w.side
        .phase(Phase::Restore, "taking the library out of the depot", async || {
            act(w).await
        })
        .await?;
    Ok(())
}

async fn act(w: &Worker) -> Result<Restored> {
    // Whatever an attempt that was killed left is half done at best.
    discard(&w.support())?;
    discard(w.base().dir())?;
    let depot = w.spec.base_depot(&w.depot, &w.dir)?;
    let scratch = w.dir.join("base.parts");
    discard(&scratch)?;
    let whole = fetch_whole(w, &depot, &scratch.join("whole")).await?;
    let base = follow_steps(w, &depot, whole, &scratch).await?;
    std::fs::rename(base.dir(), w.base().dir())
        .context(|| format!("cannot move the base to {}", w.base().dir().display()))?;
    discard(&scratch)?;
    let saved = Saved::newest(&w.depot).await?;
    if let Some(saved) = &saved {
        fetch_checkpoint(w, saved, &scratch).await?;
    }
    let restored = tokio::task::block_in_place(|| prove_and_copy(w, saved.as_ref(), &scratch))?;
    discard(&scratch)?;
    if let Some(saved) = saved {
        go_on_from(w, saved)?;
    }
    Ok(restored)
}

/// What a worker before this one, of which nothing else is left, had made by then.
async fn fetch_checkpoint(w: &Worker, saved: &Saved, scratch: &Path) -> Result<()> {
    let folders = std::iter::once((scratch.join("delta"), &saved.delta)).chain(
        // The newest first: a file that is there already is left as it is.
        (0..)
            .map(|number| scratch.join(format!("bundles-{number}")))
            .zip(saved.bundles.iter().rev()),
    );
    for (dir, objects) in folders {
        std::fs::create_dir_all(&dir).context(|| format!("cannot make {}", dir.display()))?;
        for object in objects {
            let name = object.key.rsplit('/').next().unwrap_or(&object.key);
            w.depot.get(object, &dir.join(name)).await?;
        }
    }
    Ok(())
}

/// The sections that were done by then are not done again.
fn go_on_from(w: &Worker, saved: Saved) -> Result<()> {
    w.side.note(
        Phase::Restore,
        format!(
            "goes on from checkpoint {}, {} sections done",
            saved.number,
            saved.done.len()
        ),
    )?;
    for section in saved.refreshed {
        checkpoint::note_refresh(w, section)?;
    }
    for (section, facts) in saved.done {
        let phase = Phase::Index { section };
        w.side.write(phase, Event::Started)?;
        w.side.write(phase, Event::Done { facts })?;
    }
    Ok(())
}

/// The library as it was put into the depot as a whole.
async fn fetch_whole(w: &Worker, depot: &Depot, dir: &Path) -> Result<Databases> {
    std::fs::create_dir_all(dir).context(|| format!("cannot make {}", dir.display()))?;
    let base = Databases::at(dir);
    unpack(depot, &w.spec.base.library, &base.library()).await?;
    unpack(depot, &w.spec.base.blobs, &base.blobs()).await?;
    let last = w
        .spec
        .base
        .steps
        .last()
        .map_or(&w.spec.base.manifest, |step| &step.manifest);
    depot.get(last, &w.dir.join(plex_library::snapshot::MANIFEST)).await?;
    Ok(base)
}

/// Each step makes a new pair out of the one before; what home changed since the whole was put is in them.
async fn follow_steps(w: &Worker, depot: &Depot, whole: Databases, scratch: &Path) -> Result<Databases> {
    let mut base = whole;
    for (number, step) in w.spec.base.steps.iter().enumerate() {
        let delta = scratch.join(format!("delta-{number}"));
        std::fs::create_dir_all(&delta).context(|| format!("cannot make {}", delta.display()))?;
        for object in &step.delta {
            let name = object.key.rsplit('/').next().unwrap_or(&object.key);
            depot.get(object, &delta.join(name)).await?;
        }
        let next = scratch.join(format!("pair-{number}"));
        tokio::task::block_in_place(|| plex_library::delta::apply(base.dir(), &delta, &next, &()))?;
        discard(base.dir())?;
        discard(&delta)?;
        base = Databases::at(next);
    }
    Ok(base)
}

fn prove_and_copy(w: &Worker, saved: Option<&Saved>, scratch: &Path) -> Result<Restored> {
    let (base, live) = (w.base(), w.databases());
    std::fs::create_dir_all(live.dir()).context(|| format!("cannot make {}", live.dir().display()))?;
    let (from, to) = (
        w.dir.join(plex_library::snapshot::MANIFEST),
        base.dir().join(plex_library::snapshot::MANIFEST),
    );
    std::fs::rename(&from, &to).context(|| format!("cannot move {}", from.display()))?;
    // The index of pages is made anew: that it agrees with the manifest proves that the base is what home took.
    plex_library::pages::index_pair(&base, base.dir(), &())?;
    let manifest = plex_library::snapshot::Manifest::read(base.dir())?;
    for which in plex_library::Which::BOTH {
        let index = plex_library::pages::Index::open(&plex_library::pages::index_path(base.dir(), which))?;
        if *index.whole() != manifest.database(which)?.whole {
            return Err(Error::failed(format!(
                "the {} database out of the depot is not what home took",
                which.word()
            )));
        }
    }
    let stride = match saved {
        None => {
            for (from, to) in [(base.library(), live.library()), (base.blobs(), live.blobs())] {
                // A reflink where the file system can, else a copy.
                std::fs::copy(&from, &to).context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
            }
            plex_library::ids::keep_apart(&live, w.spec.number).map_err(Error::from)?
        }
        Some(saved) => {
            let made = Databases::at(scratch.join("made"));
            plex_library::delta::apply(base.dir(), &scratch.join("delta"), made.dir(), &())?;
            for (from, to) in [(made.library(), live.library()), (made.blobs(), live.blobs())] {
                std::fs::rename(&from, &to)
                    .context(|| format!("cannot move {} to {}", from.display(), to.display()))?;
            }
            for number in 0..saved.bundles.len() {
                plex_library::bundle::add(&scratch.join(format!("bundles-{number}")), &w.data_dir(), &())?;
            }
            // Its ids were kept apart when it began.
            saved.stride.clone()
        }
    };
    let mappings = crate::media::mappings::Mappings::of(&w.spec.media)?;
    crate::burst::remapped::onto_worker(&live, &mappings, &w.dir)?;
    Ok(Restored { stride })
}
