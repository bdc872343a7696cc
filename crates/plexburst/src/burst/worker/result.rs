//! Check, delta and park: what Plex made is verified, reduced to what changed, and put into the depot.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::plex::WARNING;
use super::restore::Restored;
use super::series::Series;
use super::{Indexed, Worker};
use crate::burst::guard::{Finding, Guard, losses};
use crate::burst::journal::Event;
use crate::burst::phase::Phase;
use crate::burst::remapped;
use crate::burst::spec::Made;
use crate::depot::{Depot, Object};
use crate::error::{Error, Result};
use crate::exit;
use crate::home::{discard, files_in};
use crate::media::Media;
use crate::media::mappings::Mappings;

/// What `check` found.
#[derive(Debug, Serialize, Deserialize)]
struct Checked {
    /// Files that were lost and accepted beforehand.
    losses: Vec<String>,
}

/// The result is whole and nothing that the base knew is lost from it (guard 5).
pub(super) async fn check(w: &Worker) -> Result<()> {
    w.side
        .phase(Phase::Check, "checking what Plex made", async || {
            let lost = tokio::task::block_in_place(|| {
                remapped::back(&w.databases(), &w.dir)?;
                let level = plex_library::verify::Level::Full;
                let verification = plex_library::verify::verify(w.databases().dir(), level)?;
                if !verification.ok {
                    let named: Vec<String> = verification.problems.iter().take(5).map(ToString::to_string).collect();
                    return Err(Error::new(
                        exit::REFUSED,
                        format!(
                            "the library that Plex left on the worker is damaged: {}",
                            named.join("; ")
                        ),
                    )
                    .hint("home is what it was; begin a new burst"));
                }
                plex_library::losses::of(&w.base(), &w.databases()).map_err(Error::from)
            })?;
            let gone = if lost.is_empty() {
                std::collections::BTreeSet::new()
            } else {
                let mappings = Mappings::of(&w.spec.media)?;
                losses::gone(&Media::of(&w.spec.media)?, &mappings, &lost, &w.spec.gone).await?
            };
            let losses = losses::judge(&lost, &gone, w.spec.options.accept_losses)?;
            let evidence = format!(
                "of the files that the library knew {} are gone, each proved or accepted beforehand",
                losses.len()
            );
            w.found(Phase::Check, &Finding::passed(Guard::NothingLost, evidence))?;
            Ok(Checked { losses })
        })
        .await?;
    Ok(())
}

/// What the delta holds.
#[derive(Debug, Serialize, Deserialize)]
struct Packed {
    bundle_files: u64,
}

/// Only changed pages and new bundle files go home.
pub(super) async fn delta(w: &Worker) -> Result<()> {
    w.side
        .phase(Phase::Delta, "finding what changed", async || {
            let dir = w.dir.join("delta");
            let pack = w.dir.join("bundles");
            tokio::task::block_in_place(|| {
                discard(&dir)?;
                plex_library::delta::make(w.base().dir(), &w.databases(), &dir, &())?;
                discard(&pack)?;
                // Bundles do not travel up, so whatever is there was made here.
                let packed =
                    plex_library::bundle::pack(&w.data_dir(), &plex_library::bundle::Index::default(), &pack, &())?;
                Ok(Packed {
                    bundle_files: packed.files,
                })
            })
        })
        .await?;
    Ok(())
}

/// Into the depot, where the controller takes it over.
pub(super) async fn park(w: &Worker) -> Result<()> {
    let packed: Packed = w.side.facts(Phase::Delta)?;
    w.side
        .phase(Phase::ParkResult, "parking the result in the depot", async || {
            let delta = put_folder(&w.depot, "result/delta", &w.dir.join("delta")).await?;
            let bundles = match packed.bundle_files {
                0 => Vec::new(),
                _ => put_folder(&w.depot, "result/bundles", &w.dir.join("bundles")).await?,
            };
            let why = why_over(w);
            let mut warnings = Vec::new();
            let mut failed_tracks = Vec::new();
            for section in w.selected() {
                let indexed: Option<Indexed> = w.side.journal().facts(Phase::Index { section: section.id })?;
                match indexed {
                    Some(indexed) => {
                        warnings.extend(indexed.warnings());
                        failed_tracks.extend(indexed.report.failed);
                    }
                    // What was done of it is in the result, and was checked like the rest.
                    None => warnings.push(unfinished(&section.name, &why)),
                }
            }
            let checked: Checked = w.side.facts(Phase::Check)?;
            warnings.extend(checked.losses.into_iter().map(|l| format!("lost, as accepted: {l}")));
            let restored: Restored = w.side.facts(Phase::Restore)?;
            Ok(Made {
                delta,
                bundles,
                older_bundles: Vec::new(),
                stride: restored.stride,
                warnings,
                failed_tracks,
                samples: Series::open(w).all(),
            })
        })
        .await?;
    Ok(())
}

/// What is said of a section that was not finished.
pub(in crate::burst) fn unfinished(name: &str, why: &str) -> String {
    format!("{name}: not finished, {why}; another burst goes on with it")
}

/// Why the work is over although sections are left, as was noted when Plex was stopped.
fn why_over(w: &Worker) -> String {
    let journal = w.side.journal();
    let noted = journal.entries().iter().rev().find_map(|entry| match &entry.event {
        Event::Note { text } if entry.phase == Phase::Stop => text.strip_prefix(WARNING)?.split(':').next(),
        _ => None,
    });
    noted.unwrap_or("the work was ended").to_owned()
}

/// Every file of a folder, under the same name.
pub(super) async fn put_folder(depot: &Depot, prefix: &str, dir: &Path) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    for path in files_in(dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        objects.push(depot.put_file(&format!("{prefix}/{name}"), &path).await?);
    }
    Ok(objects)
}
