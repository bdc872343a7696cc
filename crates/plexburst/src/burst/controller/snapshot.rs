//! Snapshot and park: the consistent copy of home's library, and its way into the depot.

use std::fs::File;
use std::path::{Path, PathBuf};

use plex_library::Which;
use plex_library::gentle;
use plex_library::snapshot::{self, Options};
use serde::{Deserialize, Serialize};

use super::{Controller, Prepared, engine};
use crate::burst::kept::Kept;
use crate::burst::phase::Phase;
use crate::burst::spec::Parked;
use crate::depot::{Depot, Object};
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
pub(super) async fn take(c: &Controller, prepared: &Prepared) -> Result<()> {
    let home = c.home()?;
    let base = c.area.base();
    c.side
        .phase(Phase::Snapshot, "copying home's library while Plex runs", async || {
            crate::home::discard(base.dir())?;
            let packed = packed(c);
            crate::home::discard(&packed)?;
            let printer = c.printer().clone();
            let said = |what: &str, done: u64, total: u64| {
                printer.progress(&format!(
                    "snapshot: {} of {} of the {what} database",
                    crate::term::bytes(done),
                    crate::term::bytes(total)
                ));
            };
            let options = Options {
                plex_version: prepared.plex_version.clone(),
                bytes_per_second: c.request.config.home.limit_rate.map(crate::config::Rate::bytes),
                // Where the depot keeps a base, perhaps only what changed since then has to go there.
                packed: c.kept().is_none().then_some(packed.as_path()),
                ..Options::default()
            };
            let (from, to) = (home.databases(), base.dir());
            let manifest = engine(|| gentle::gently(|| snapshot::take_with(&from, to, &options, &said)))?.manifest;
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

/// Where the snapshot's one pass leaves both databases compressed.
fn packed(c: &Controller) -> PathBuf {
    c.dir.join("packed")
}

/// Brings the base into the depot: as a whole, or what changed since the one that the depot keeps.
pub(super) async fn park(c: &Controller) -> Result<Parked> {
    c.side
        .phase(Phase::Park, "parking the snapshot in the depot", async || {
            let temp =
                tempfile::tempdir_in(&c.dir).context(|| format!("cannot make a folder in {}", c.dir.display()))?;
            let parked = match c.kept() {
                Some(kept) => keep(c, &kept, temp.path()).await?,
                None => put_whole(c, &c.depot, temp.path()).await?,
            };
            let (sent, whole) = (parked.sent, parked.whole_bytes());
            let of = match sent < whole {
                true => format!(" instead of {}", crate::term::bytes(whole)),
                false => String::new(),
            };
            crate::home::discard(&packed(c))?;
            c.printer().say(&format!(
                "            {}{of} went to the depot",
                crate::term::bytes(sent)
            ));
            Ok(parked)
        })
        .await
}

async fn keep(c: &Controller, kept: &Kept, temp: &Path) -> Result<Parked> {
    let base = c.area.base();
    let longest = c.request.config.depot.longest_chain;
    match kept.go_on(&c.depot, &base, longest, temp).await? {
        Ok(parked) => Ok(parked),
        Err(why) => {
            let text = format!("the whole library goes to the depot: {why}");
            c.side.note(Phase::Park, text.clone())?;
            c.printer().say(&format!("            {text}"));
            kept.begin(&c.depot, c.id(), &base, async |depot| put_whole(c, depot, temp).await)
                .await
        }
    }
}

async fn put_whole(c: &Controller, depot: &Depot, temp: &Path) -> Result<Parked> {
    let base = c.area.base();
    let library = put_compressed(c, depot, Which::Library, temp).await?;
    let blobs = put_compressed(c, depot, Which::Blobs, temp).await?;
    let manifest = depot.put_file("base/manifest.json", &base.dir().join(MANIFEST)).await?;
    Ok(Parked {
        sent: library.bytes + blobs.bytes + manifest.bytes,
        library,
        blobs,
        manifest,
        kept: None,
        steps: Vec::new(),
    })
}

async fn put_compressed(c: &Controller, depot: &Depot, which: Which, temp: &Path) -> Result<Object> {
    let name = snapshot::packed_name(which);
    let key = format!("base/{name}");
    let ready = packed(c).join(&name);
    if ready.is_file() {
        return depot.put_file(&key, &ready).await;
    }
    // A base out of an archive, or one of which only the changes were meant to travel.
    let from = &c.area.base().path(which);
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
    depot.put_file(&key, &packed).await
}
