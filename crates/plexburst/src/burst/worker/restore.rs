//! Restore: the worker's library out of the depot, its ids kept apart from those that home will give meanwhile.

use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Worker;
use crate::burst::phase::Phase;
use crate::depot::Object;
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
    let base = w.base();
    let live = w.databases();
    for dir in [base.dir(), live.dir()] {
        std::fs::create_dir_all(dir).context(|| format!("cannot make {}", dir.display()))?;
    }
    let manifest = base.dir().join(plex_library::snapshot::MANIFEST);
    w.depot.get(&w.spec.base.manifest, &manifest).await?;
    unpack(w, &w.spec.base.library, &base.library()).await?;
    unpack(w, &w.spec.base.blobs, &base.blobs()).await?;
    tokio::task::block_in_place(|| prove_and_copy(w))
}

fn prove_and_copy(w: &Worker) -> Result<Restored> {
    let (base, live) = (w.base(), w.databases());
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
    for (from, to) in [(base.library(), live.library()), (base.blobs(), live.blobs())] {
        // A reflink where the file system can, else a copy.
        std::fs::copy(&from, &to).context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    let stride = plex_library::ids::keep_apart(&live, w.spec.number).map_err(Error::from)?;
    Ok(Restored { stride })
}

async fn unpack(w: &Worker, object: &Object, to: &Path) -> Result<()> {
    let packed = to.with_extension("zst");
    w.depot.get(object, &packed).await?;
    let failed = || format!("cannot unpack {} to {}", object.key, to.display());
    tokio::task::block_in_place(|| {
        let source = File::open(&packed).context(failed)?;
        let mut target = File::create(to).context(failed)?;
        zstd::stream::copy_decode(source, &mut target).context(failed)?;
        target.sync_all().context(failed)?;
        std::fs::remove_file(&packed).context(failed)
    })
}
