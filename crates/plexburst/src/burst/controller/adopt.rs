//! Fetch, stage, merge and verify: the result takes shape beside home's library, while home goes on.

use serde::{Deserialize, Serialize};

use super::{Controller, engine};
use crate::burst::guard::losses;
use crate::burst::phase::Phase;
use crate::burst::request::Source;
use crate::burst::spec::Made;
use crate::error::{Error, Result};
use crate::exit;
use crate::home::{Patience, discard, kept, room};

/// Folder of fetched bundles.
pub(super) const BUNDLES: &str = "bundles";
/// Folder of the fetched delta.
const DELTA: &str = "delta";

/// What `fetch` knows.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Fetched {
    bytes: u64,
}

/// Brings the delta out of the depot, each object verified.
pub(super) async fn fetch(c: &Controller, made: &Made) -> Result<()> {
    let dir = c.fetched();
    c.side
        .phase(Phase::Fetch, "bringing the changes home", async || {
            c.still_seated().await?;
            discard(&dir)?;
            for (folder, objects) in [(DELTA, &made.delta), (BUNDLES, &made.bundles)] {
                let to = dir.join(folder);
                std::fs::create_dir_all(&to)
                    .map_err(|e| Error::failed(format!("cannot make {}", to.display())).because(e))?;
                for object in objects {
                    let name = object.key.rsplit('/').next().unwrap_or(&object.key);
                    c.depot.get(object, &to.join(name)).await?;
                }
            }
            one_pack(c, made).await?;
            engine(|| plex_library::publish::sync_tree(&dir))?;
            engine(|| plex_library::publish::sync_folder(&c.dir))?;
            c.printer()
                .say(&format!("            {} came home", crate::term::bytes(made.bytes())));
            Ok(Fetched { bytes: made.bytes() })
        })
        .await?;
    Ok(())
}

/// The bundles of a checkpoint lie in several packs; of a file that is in several the newest counts. They become one.
async fn one_pack(c: &Controller, made: &Made) -> Result<()> {
    if made.older_bundles.is_empty() {
        return Ok(());
    }
    let (pack, scratch) = (c.fetched().join(BUNDLES), c.fetched().join("packs"));
    let all = scratch.join("all");
    let make = |dir: &std::path::Path| {
        std::fs::create_dir_all(dir).map_err(|e| Error::failed(format!("cannot make {}", dir.display())).because(e))
    };
    make(&all)?;
    // What is there already is left as it is, so the newest comes first.
    engine(|| plex_library::bundle::add(&pack, &all, &()))?;
    for (number, objects) in made.older_bundles.iter().enumerate() {
        let dir = scratch.join(number.to_string());
        make(&dir)?;
        for object in objects {
            let name = object.key.rsplit('/').next().unwrap_or(&object.key);
            c.depot.get(object, &dir.join(name)).await?;
        }
        engine(|| plex_library::bundle::add(&dir, &all, &()))?;
    }
    discard(&pack)?;
    engine(|| plex_library::bundle::pack(&all, &plex_library::bundle::Index::default(), &pack, &()))?;
    discard(&scratch)
}

/// Base and delta become the worker's library, beside home's.
pub(super) async fn stage(c: &Controller) -> Result<()> {
    c.side
        .phase(Phase::Stage, "putting base and changes together", async || apply(c))
        .await
}

fn apply(c: &Controller) -> Result<()> {
    discard(c.area.staged().dir())?;
    engine(|| {
        plex_library::delta::apply(
            c.area.base().dir(),
            &c.fetched().join(DELTA),
            c.area.staged().dir(),
            &(),
        )
    })
    .map(drop)
}

/// What the household did since the snapshot goes into the staged copy.
pub(super) async fn merge(c: &Controller) -> Result<()> {
    let home = c.home()?;
    c.side
        .phase(
            Phase::Merge,
            "merging with what the household did meanwhile",
            async || {
                // First, since it may hold on to the blocks of a base that is made anew.
                let mine = c.area.mine();
                discard(mine.dir())?;
                if c.side.attempts(Phase::Merge) > 1 {
                    // An attempt that was killed may have left the copy half merged.
                    restage(c)?;
                }
                let has_base = c.area.base().library().is_file();
                if has_base && !has_room_for_mine(c, home)? {
                    return Ok(plex_library::merge::Report::default());
                }
                take_mine(c, home, &mine, has_base)?;
                ids_are_apart(c, &mine)?;
                let options = super::titles::options(c, Patience::BESIDE)?;
                let (base, staged) = (c.area.base(), c.area.staged());
                // An archive of the earlier scripts comes without its base.
                let report = engine(|| match has_base {
                    true => plex_library::merge::merge(&base, &mine, &staged, &options),
                    false => plex_library::merge::two_way(&mine, &staged, &options),
                })?;
                for (table, carried) in &report.carried {
                    c.printer().say(&format!(
                        "            {table}: {} added, {} changed, {} removed",
                        carried.inserted, carried.updated, carried.deleted
                    ));
                }
                note_kept_aside(c, Phase::Merge, &report)?;
                Ok(report)
            },
        )
        .await?;
    one_copy_of_two(c)
}

/// Home as it is now: over the base, so that the two take the room of one.
pub(super) fn take_mine(
    c: &Controller,
    home: &crate::home::Home,
    mine: &plex_library::Databases,
    has_base: bool,
) -> Result<()> {
    let (live, base) = (home.databases(), c.area.base());
    engine(|| match has_base {
        true => plex_library::layered::take(&live, &base, mine.dir(), &()).map(drop),
        false => plex_library::snapshot::take(&live, mine.dir(), &()).map(drop),
    })
}

/// Once home was merged what it was laid over is not needed any more: home as the merge saw it stands by itself. May be done again.
pub(super) fn one_copy_of_two(c: &Controller) -> Result<()> {
    let mine = c.area.mine();
    if !c.has_mine() || !plex_library::layered::is_one(&mine) {
        return Ok(());
    }
    discard(c.area.base().dir())?;
    engine(|| plex_library::layered::fold(&mine))
}

/// Whether home can be copied for the merge. If not, all of it is merged while home is stopped.
fn has_room_for_mine(c: &Controller, home: &crate::home::Home) -> Result<bool> {
    let has_room = room::has_for_changes(c.area.root(), kept::size(&home.databases()))?;
    if !has_room {
        let text = "there is no room for what changed at home: it is merged while home is stopped";
        c.printer().say(&format!("            {text}"));
        c.side.note(Phase::Merge, text)?;
    }
    Ok(has_room)
}

/// What of home's could not be written stands in the journal, and so in the report, by name; what the merge has said need
/// not be said again by what catches up with it.
pub(super) fn note_kept_aside(c: &Controller, phase: Phase, report: &plex_library::merge::Report) -> Result<()> {
    super::aside::note(c, phase, report)?;
    say_kept_aside(c, phase, report)
}

/// The same of what was merged after all with an attempt to swap that was cut short: it adds to what the merge has said.
pub(super) fn note_more_kept_aside(c: &Controller, report: &plex_library::merge::Report) -> Result<()> {
    super::aside::add(c, Phase::Merge, report)?;
    say_kept_aside(c, Phase::Swap, report)
}

fn say_kept_aside(c: &Controller, phase: Phase, report: &plex_library::merge::Report) -> Result<()> {
    super::titles::note(c, phase, report)?;
    let merged: Option<plex_library::merge::Report> = match phase {
        Phase::Merge => None,
        _ => c.side.journal().facts(Phase::Merge)?,
    };
    let said = merged.map(|merged| merged.kept_aside).unwrap_or_default();
    for kept in &report.kept_aside {
        if said.iter().any(|before| before.is_about_the_same(kept)) {
            continue;
        }
        let text = format!(
            "{} of home's is not in the result ({}): {}",
            kept.what, kept.why, kept.remedy
        );
        c.printer().warn(&text);
        c.side.note(phase, format!("warning: {text}"))?;
    }
    Ok(())
}

/// Home must not have given so many ids meanwhile that it reached those of the worker.
pub(super) fn ids_are_apart(c: &Controller, mine: &plex_library::Databases) -> Result<()> {
    let made: Option<Made> = c.side.journal().facts(Phase::Work)?;
    // A result out of an archive has no worker of this burst; what meets is renumbered by the merge.
    let Some(made) = made else { return Ok(()) };
    let crowded = engine(|| plex_library::ids::check(&made.stride, mine))?;
    match crowded.first() {
        None => Ok(()),
        Some(first) => Err(Error::new(
            exit::REFUSED,
            format!(
                "home has given id {} in table {} while the burst ran; the worker's begin after {}",
                first.home, first.table, first.limit
            ),
        )
        .hint("begin a new burst: `plexburst sync`")),
    }
}

fn restage(c: &Controller) -> Result<()> {
    match &c.request.source {
        Source::Result { path } => super::archive::stage_again(c, path),
        _ => apply(c),
    }
}

/// What `verify` knows: how the exchange will be done, so that a killed burst can tell whether it was.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Verified {
    /// `None` when the result is packed instead.
    pub(super) plan: Option<plex_library::swap::Plan>,
    /// Files that are lost, as accepted beforehand.
    losses: Vec<String>,
    /// Files (as home has them) that were proved gone from the media.
    #[serde(default)]
    pub(super) gone: std::collections::BTreeSet<String>,
}

/// Checks the staged copy as a whole, and that nothing of home's was lost on the way.
pub(super) async fn verify(c: &Controller) -> Result<Verified> {
    let staged = c.area.staged();
    c.side
        .phase(Phase::Verify, "checking the result", async || {
            // A disk that failed may have left a log where a merge or a renaming was done with it.
            for which in plex_library::Which::BOTH {
                engine(|| plex_library::open::without_logs(&staged.path(which)))?;
            }
            let verification =
                engine(|| plex_library::verify::verify(staged.dir(), plex_library::verify::Level::Full))?;
            if !verification.ok {
                let named: Vec<String> = verification.problems.iter().take(5).map(ToString::to_string).collect();
                return Err(Error::new(
                    exit::REFUSED,
                    format!("the result is damaged, so it does not come home: {}", named.join("; ")),
                )
                .hint("`plexburst report` has the details; home is what it was"));
            }
            let (losses, gone) = nothing_lost(c).await?;
            let plan = match &c.home {
                Some(home) => Some(engine(|| {
                    plex_library::swap::prepare(&home.databases(), staged.dir(), c.area.previous().dir())
                })?),
                None => None,
            };
            Ok(Verified { plan, losses, gone })
        })
        .await
}

/// Guard 5: no file that home's library knew may be lost from the result, unless it is proved gone from the media.
async fn nothing_lost(c: &Controller) -> Result<(Vec<String>, std::collections::BTreeSet<String>)> {
    if matches!(c.request.source, Source::Rollback { .. }) {
        // A library from before lacks what came since: that is what was asked for.
        return Ok((Vec::new(), std::collections::BTreeSet::new()));
    }
    // What the household itself removed is no loss of the burst, so the merge's view of home counts when there is one.
    let known = if c.has_mine() { c.area.mine() } else { c.area.base() };
    let lost = engine(|| plex_library::losses::of(&known, &c.area.staged()))?;
    let gone = if lost.is_empty() {
        std::collections::BTreeSet::new()
    } else {
        let mappings = crate::media::mappings::Mappings::of(&c.request.config.media)?;
        // Media that cannot be asked prove nothing: an import may not even have them configured.
        match c.media() {
            Ok(media) => losses::gone(&media, &mappings, &lost, &c.gone()?)
                .await
                .unwrap_or_default(),
            Err(_) => c.gone()?.into_iter().collect(),
        }
    };
    Ok((losses::judge(&lost, &gone, c.request.options.accept_losses)?, gone))
}

impl Controller {
    /// Whether home was copied for the merge, so that only what came after that is left to be merged.
    pub(super) fn has_mine(&self) -> bool {
        self.area.mine().library().is_file()
    }

    /// Where fetched objects lie.
    pub(super) fn fetched(&self) -> std::path::PathBuf {
        self.dir.join("fetched")
    }
}
