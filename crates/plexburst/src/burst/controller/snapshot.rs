//! Snapshot and park: the consistent copy of home's library, and its way into the depot.

use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Controller, engine};
use crate::burst::phase::Phase;
use crate::burst::spec::Parked;
use crate::depot::Object;
use crate::error::{Context, Error, Result};
use crate::exit;

/// zstd's own default: three times faster than home's upload even on a ZimaBoard.
const LEVEL: i32 = 3;
const MANIFEST: &str = "manifest.json";

/// What the journal knows of the snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// Size of the pair.
    bytes: u64,
}

/// Takes the copy while home runs, and refuses to take a damaged library along.
pub(super) async fn take(c: &Controller) -> Result<()> {
    let home = c.home()?;
    let base = c.area.base();
    c.side
        .phase(Phase::Snapshot, "copying home's library while Plex runs", async || {
            crate::home::discard(base.dir())?;
            let said = |what: &str, done: u64, total: u64| {
                c.printer().progress(&format!(
                    "snapshot: {} of {} of the {what} database",
                    crate::term::bytes(done),
                    crate::term::bytes(total)
                ));
            };
            let manifest = engine(|| plex_library::snapshot::take(&home.databases(), base.dir(), &said))?;
            check(&base)?;
            Ok(Snapshot {
                bytes: manifest.databases.values().map(|copied| copied.whole.bytes).sum(),
            })
        })
        .await?;
    Ok(())
}

/// A library that is damaged is not taken along: what Plex would build on it comes home with it.
pub(super) fn check(base: &plex_library::Databases) -> Result<()> {
    let verification = engine(|| plex_library::verify::verify(base.dir(), plex_library::verify::Level::Full))?;
    if verification.ok {
        return Ok(());
    }
    let named: Vec<String> = verification.problems.iter().take(5).map(ToString::to_string).collect();
    Err(Error::new(
        exit::REFUSED,
        format!(
            "the library is damaged ({} problems), so it is not taken along: {}",
            verification.problems.len(),
            named.join("; ")
        ),
    )
    .hint("`plexburst verify` on the library lists everything; repair it before a burst"))
}

/// Compresses the base into the depot.
pub(super) async fn park(c: &Controller) -> Result<Parked> {
    let base = c.area.base();
    c.side
        .phase(Phase::Park, "parking the snapshot in the depot", async || {
            let temp =
                tempfile::tempdir_in(&c.dir).context(|| format!("cannot make a folder in {}", c.dir.display()))?;
            let parked = Parked {
                library: put_compressed(c, "base/library.db.zst", &base.library(), temp.path()).await?,
                blobs: put_compressed(c, "base/blobs.db.zst", &base.blobs(), temp.path()).await?,
                manifest: c
                    .depot
                    .put_file("base/manifest.json", &base.dir().join(MANIFEST))
                    .await?,
            };
            c.printer().say(&format!(
                "            {} in the depot",
                crate::term::bytes(parked.bytes())
            ));
            Ok(parked)
        })
        .await
}

async fn put_compressed(c: &Controller, key: &str, from: &Path, temp: &Path) -> Result<Object> {
    let packed = temp.join("object");
    let failed = || format!("cannot compress {}", from.display());
    tokio::task::block_in_place(|| -> Result<()> {
        let mut source = File::open(from).context(failed)?;
        let target = File::create(&packed).context(failed)?;
        let mut encoder = zstd::Encoder::new(target, LEVEL).context(failed)?;
        std::io::copy(&mut source, &mut encoder).context(failed)?;
        encoder.finish().context(failed)?;
        Ok(())
    })?;
    c.depot.put_file(key, &packed).await
}
