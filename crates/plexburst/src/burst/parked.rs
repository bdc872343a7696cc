//! A library that is parked in the depot as a whole: the note that stands beside it, and the way out again.

use std::fs::File;
use std::path::Path;

use plex_library::Databases;
use plex_library::snapshot::MANIFEST;

use super::spec::Parked;
use crate::depot::{Depot, Object};
use crate::error::{Context, Error, Result};

/// Where it is noted what a parked library consists of, when no burst knows.
const NOTE: &str = "base/parked.json";

/// Notes what was put there.
///
/// # Errors
/// The depot.
pub async fn note(depot: &Depot, parked: &Parked) -> Result<()> {
    let text = serde_json::to_vec(parked).map_err(|e| Error::unexpected("cannot note what is parked").because(e))?;
    depot.put_bytes(NOTE, &text).await
}

/// What was noted; `None`: nothing.
///
/// # Errors
/// The depot; the note cannot be understood.
pub async fn noted(depot: &Depot) -> Result<Option<Parked>> {
    let Some(text) = depot.read(NOTE).await? else {
        return Ok(None);
    };
    let parked = serde_json::from_slice(&text)
        .map_err(|e| Error::unexpected(format!("cannot understand {NOTE} in the depot")).because(e))?;
    Ok(Some(parked))
}

/// Fetches pair and manifest into the folder `dir`.
///
/// # Errors
/// The depot, the disk.
pub async fn fetch(depot: &Depot, parked: &Parked, dir: &Path) -> Result<Databases> {
    let databases = Databases::at(dir);
    unpack(depot, &parked.library, &databases.library()).await?;
    unpack(depot, &parked.blobs, &databases.blobs()).await?;
    depot.get(&parked.manifest, &dir.join(MANIFEST)).await?;
    Ok(databases)
}

/// One compressed database out of the depot.
///
/// # Errors
/// The depot, the disk.
pub(super) async fn unpack(depot: &Depot, object: &Object, to: &Path) -> Result<()> {
    let packed = to.with_extension("zst");
    depot.get(object, &packed).await?;
    let failed = || format!("cannot unpack {} to {}", object.key, to.display());
    tokio::task::block_in_place(|| {
        let source = File::open(&packed).context(failed)?;
        let mut target = File::create(to).context(failed)?;
        zstd::stream::copy_decode(source, &mut target).context(failed)?;
        target.sync_all().context(failed)?;
        std::fs::remove_file(&packed).context(failed)
    })
}
