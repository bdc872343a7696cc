//! Swap and health: home stopped, caught up, exchanged and started again; undone by itself when it does not come up
//! healthy.

use std::time::Duration;

use plex_library::merge::CatchUp;
use serde::{Deserialize, Serialize};

use super::adopt::{BUNDLES, Verified};
use super::{Controller, Prepared, catch_up, engine, moment};
use crate::burst::journal::{Entry, Event, last_transition};
use crate::burst::phase::Phase;
use crate::burst::request::Source;
use crate::clock::{Clock as _, SystemClock};
use crate::error::{Error, Result};
use crate::exit;
use crate::home::Home;
use crate::plex::client::ItemKind;
use crate::plex::ready::Waiting;

/// How often it is looked whether a home that is stopping waits for its log.
const LOOK: Duration = Duration::from_millis(20);

/// The note from which on home counts as down.
const STOPPING: &str = "stopping home";
/// The note from which on it does not any more, after a swap that did not happen.
const STARTED_AGAIN: &str = "home is started again without a swap";

/// The note before home is started with its new library for the first time.
const STARTING: &str = "home is started with its new library";

/// What the swap cost the household.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Swapped {
    /// From the moment home was told to stop until its sections could be read again.
    pub downtime_ms: u64,
    /// Bundle files that were added.
    pub bundle_files: u64,
}

/// Exchanges home's library for the staged one.
pub(super) async fn swap_in(c: &Controller, prepared: &Prepared) -> Result<()> {
    let home = c.home()?;
    // Once the end has begun the pairs get their final names, and there is nothing left to look up.
    if c.side.is_done(Phase::Swap) && (c.side.attempts(Phase::Commit) > 0 || is_exchanged(c)?) {
        return Ok(());
    }
    let mut held = None;
    c.side
        .again(Phase::Swap, "swapping the result in", async || {
            let mut bundle_files = 0;
            if !is_exchanged(c)? {
                same_server(home, prepared).await?;
                bundle_files = add_bundles(c, home)?;
                super::end::refresh_mount(c, home).await;
                moment::wait(c, home).await?;
                let ahead = catch_up::ahead(c, home).await?;
                c.side.note(Phase::Swap, STOPPING)?;
                if let Err(error) = stop_and_exchange(c, home, ahead).await {
                    // Home must not stay down for a swap that did not happen.
                    if !is_exchanged(c)? {
                        start(c, home).await?;
                        c.side.note(Phase::Swap, STARTED_AGAIN)?;
                    }
                    return Err(error);
                }
            }
            // Once home may have run on it, it is not any more what was put in place.
            if !is_noted(c, STARTING) && !home.is_running().await? {
                held = hold(c, home);
            }
            c.side.note(Phase::Swap, STARTING)?;
            start(c, home).await?;
            Ok(Swapped {
                downtime_ms: downtime(c),
                bundle_files,
            })
        })
        .await?;
    match held {
        Some(held) => note_since(c, &held),
        None => Ok(()),
    }
}

fn is_noted(c: &Controller, wanted: &str) -> bool {
    let is_it = |event: &Event| matches!(event, Event::Note { text } if text == wanted);
    let journal = c.side.journal();
    journal
        .entries()
        .iter()
        .any(|e| e.phase == Phase::Swap && is_it(&e.event))
}

async fn stop_and_exchange(c: &Controller, home: &Home, mut ahead: Option<CatchUp>) -> Result<()> {
    stop(home, ahead.as_mut()).await?;
    c.printer().say("            home is stopped; catching up");
    catch_up::now(c, home, ahead)?;
    let plan = plan(c)?.ok_or_else(|| Error::unexpected("the swap was not prepared"))?;
    engine(|| plex_library::swap::exchange(&plan))?;
    Ok(())
}

/// Stops home, which may want its log to itself before it ends.
async fn stop(home: &Home, ahead: Option<&mut CatchUp>) -> Result<()> {
    let Some(ahead) = ahead else { return home.stop().await };
    let mut stopping = std::pin::pin!(home.stop());
    loop {
        tokio::select! {
            stopped = &mut stopping => return stopped,
            () = SystemClock.sleep(LOOK) => tokio::task::block_in_place(|| ahead.make_way()),
        }
    }
}

/// Keeps the pair that was put in place from being changed in its files, so that what the household does from now on can
/// be told apart later. A swap does not fail for want of it.
fn hold(c: &Controller, home: &Home) -> Option<plex_library::swap::Hold> {
    match engine(|| plex_library::swap::Hold::take(&home.databases(), &c.area.held())) {
        Ok(held) => Some(held),
        Err(error) => {
            c.printer().warn(&format!(
                "a rollback of this burst will not know what the household did since: {}",
                error.chain()
            ));
            None
        }
    }
}

/// What leads from the library before to the one that was put in place, for a rollback.
fn note_since(c: &Controller, held: &plex_library::swap::Hold) -> Result<()> {
    let Some(replaced) = replaced(c)? else { return Ok(()) };
    c.printer()
        .progress("noting what the household begins with, for a rollback");
    let since = c.area.since();
    crate::home::discard(&since)?;
    if let Err(error) = engine(|| held.lead_from(&replaced, &since, &())) {
        c.printer().warn(&format!(
            "a rollback of this burst will not know what the household did since: {}",
            error.chain()
        ));
    }
    Ok(())
}

/// An item that both sides found has home's guid, and its bundle that guid's name.
pub(super) fn rename_bundles(home: &Home, report: &plex_library::merge::Report) -> Result<()> {
    for moved in &report.bundles {
        engine(|| plex_library::bundle::rename(home.data_dir(), &moved.from, &moved.to))?;
    }
    Ok(())
}

/// Whether home may be down right now, by what the journal holds.
pub(super) fn is_down(entries: &[Entry]) -> bool {
    let mut is_down = false;
    for entry in entries {
        match (entry.phase, &entry.event) {
            (Phase::Swap, Event::Note { text }) if text == STOPPING => is_down = true,
            (Phase::Swap, Event::Note { text }) if text == STARTED_AGAIN => is_down = false,
            (Phase::Swap, Event::Done { .. }) => is_down = false,
            _ => {}
        }
    }
    is_down
}

/// Whether the swap is being taken back, or was.
pub(super) fn is_undone(c: &Controller) -> bool {
    last_transition(c.side.journal().entries(), Phase::Swap) == Some(&Event::Undone)
}

/// Whether the exchange has happened: looked up on the disk, never remembered.
pub(super) fn is_exchanged(c: &Controller) -> Result<bool> {
    match plan(c)? {
        Some(plan) => Ok(engine(|| plex_library::swap::state(&plan))? == plex_library::swap::State::Done),
        None => Ok(false),
    }
}

/// Ends a move that was cut off between its first file and its last: the old library is back then, and what follows finds
/// one of the two.
pub(super) fn settle(c: &Controller) -> Result<()> {
    let Some(home) = &c.home else { return Ok(()) };
    let Some(unfinished) = engine(|| plex_library::swap::unfinished(&home.databases()))? else {
        return Ok(());
    };
    if plan(c)?.as_ref() != Some(&unfinished) {
        // Another burst's, which knows what else there is to be done.
        return home.refuse_unfinished();
    }
    engine(|| plex_library::swap::undo(&unfinished)).map_err(|e| stuck(c, e))?;
    c.printer()
        .say("            home's library was half moved; its old library is back in place");
    Ok(())
}

/// Where the library from before lies after the swap.
pub(super) fn replaced(c: &Controller) -> Result<Option<plex_library::Databases>> {
    Ok(plan(c)?.map(|plan| plex_library::Databases::at(plan.replaced())))
}

fn plan(c: &Controller) -> Result<Option<plex_library::swap::Plan>> {
    let verified: Option<Verified> = c.side.journal().facts(Phase::Verify)?;
    Ok(verified.and_then(|v| v.plan))
}

async fn start(c: &Controller, home: &Home) -> Result<()> {
    home.start(&mut |w: &Waiting| c.printer().progress(&format!("home: {w}")))
        .await?;
    Ok(())
}

/// From the first note that home is being stopped, since it was last seen running, to now: a killed burst counts in full.
fn downtime(c: &Controller) -> u64 {
    let journal = c.side.journal();
    let mut since = None;
    for entry in journal.entries().iter().filter(|e| e.phase == Phase::Swap) {
        match &entry.event {
            Event::Note { text } if text == STOPPING => since = since.or(Some(entry)),
            Event::Note { text } if text == STARTED_AGAIN => since = None,
            _ => {}
        }
    }
    since.map_or(0, |entry| {
        let ms = jiff::Timestamp::now().as_millisecond() - entry.at.as_millisecond();
        u64::try_from(ms).unwrap_or(0)
    })
}

/// The server at home's address is the one that the burst began with, in the same version: another schema would make
/// Plex rebuild the library, or refuse it.
async fn same_server(home: &Home, prepared: &Prepared) -> Result<()> {
    if !home.is_running().await? {
        // Stopped by an attempt before this one (or by its owner): nothing to ask. Health is checked after the start.
        return Ok(());
    }
    let identity = home.client()?.identity().await?;
    let (Some(version), Some(machine)) = (&prepared.plex_version, &prepared.machine) else {
        return Ok(());
    };
    if identity.machine_identifier != *machine {
        return Err(Error::refused(format!(
            "another server answers at {} than when the burst began",
            home.url()
        ))
        .hint("correct `home.url`"));
    }
    if identity.version != *version {
        return Err(Error::refused(format!(
            "home was updated from Plex {version} to {} while the burst ran",
            identity.version
        ))
        .hint("begin a new burst: `plexburst sync`"));
    }
    Ok(())
}

fn add_bundles(c: &Controller, home: &Home) -> Result<u64> {
    let packs = c.fetched().join(BUNDLES);
    if !packs.join(plex_library::bundle::MANIFEST).is_file() {
        return Ok(0);
    }
    let said = |_: &str, done: u64, total: u64| {
        c.printer().progress(&format!(
            "adding bundles: {} of {}",
            crate::term::bytes(done),
            crate::term::bytes(total)
        ));
    };
    let added = engine(|| plex_library::bundle::add(&packs, home.data_dir(), &said))?;
    let merged: Option<plex_library::merge::Report> = c.side.journal().facts(Phase::Merge)?;
    if let Some(report) = &merged {
        rename_bundles(home, report)?;
    }
    Ok(added.added)
}

/// Home answers with the sections and counts that its new library holds; otherwise the old one goes back.
pub(super) async fn check_health(c: &Controller) -> Result<()> {
    let home = c.home()?;
    c.side
        .phase(Phase::Health, "checking home's health", async || {
            start(c, home).await?;
            nothing_lost_by_starting(c, home)?;
            let expected = engine(|| plex_library::inspect::inspect(home.databases().dir()))?;
            let client = home.client()?;
            let sections = client.sections().await?;
            for wanted in &expected.sections {
                let found = sections.iter().find(|s| s.id == wanted.id);
                if found.is_none() {
                    return Err(sick(format!("section {:?} is missing", wanted.name)));
                }
                for (kind, count) in kinds(&wanted.counts).into_iter().filter(|(_, count)| *count > 0) {
                    let total = client.count(wanted.id, kind).await?;
                    // Home may already have found more by itself; less is a loss.
                    if total < count {
                        return Err(sick(format!(
                            "section {:?} shows {total} items of type {} instead of {count}",
                            wanted.name,
                            kind.number()
                        )));
                    }
                }
            }
            Ok(())
        })
        .await
}

/// What the server shows is held against its database; but it may have thrown something out of that as it came up. No file
/// may be gone that home had a moment before the swap, but for what guard 5 let go.
fn nothing_lost_by_starting(c: &Controller, home: &Home) -> Result<()> {
    if matches!(c.request.source, Source::Rollback { .. }) {
        // A library from before lacks what came since: that is what was asked for.
        return Ok(());
    }
    let Some(replaced) = replaced(c)?.filter(|replaced| replaced.library().is_file()) else {
        return Ok(());
    };
    let mut losses = engine(|| plex_library::losses::of(&replaced, &home.databases()))?;
    // What is in the trash is there: a scan at the start puts a file there that home's mount does not show yet.
    losses.retain(|lost| lost.how == plex_library::losses::How::Gone);
    // What was moved for good has another name now.
    let mappings = crate::media::mappings::Mappings::of(&c.request.config.media)?;
    losses.retain(|lost| {
        let file = std::path::Path::new(&lost.file);
        !mappings
            .of_kind(crate::config::MappingKind::Permanent)
            .any(|(from, _)| file.starts_with(from))
    });
    let verified: Option<Verified> = c.side.journal().facts(Phase::Verify)?;
    let gone = verified.map(|v| v.gone).unwrap_or_default();
    crate::burst::guard::losses::judge(&losses, &gone, c.request.options.accept_losses)
        .map(drop)
        .map_err(|error| sick(error.chain()))
}

/// What the API is asked for, of what was counted on disk.
fn kinds(counts: &plex_library::inspect::Counts) -> [(ItemKind, u64); 8] {
    [
        (ItemKind::Artist, counts.artists),
        (ItemKind::Album, counts.albums),
        (ItemKind::Track, counts.tracks),
        (ItemKind::Movie, counts.movies),
        (ItemKind::Show, counts.shows),
        (ItemKind::Season, counts.seasons),
        (ItemKind::Episode, counts.episodes),
        (ItemKind::Photo, counts.photos),
    ]
}

fn sick(what: String) -> Error {
    Error::failed(format!("home is not healthy after the swap: {what}"))
        .hint("home has its old library back; `plexburst report` has the details")
}

/// Puts the old library back, if the new one is in place, and sees to it that home runs. May be done again.
pub(super) async fn undo(c: &Controller) -> Result<()> {
    let home = c.home()?;
    if let Some(plan) = plan(c)?
        && is_exchanged(c)?
    {
        // Before anything is touched: an undo that is killed is finished, and never taken for a swap.
        c.side.write(Phase::Swap, Event::Undone)?;
        c.side.note(Phase::Swap, STOPPING)?;
        home.stop().await.map_err(|e| stuck(c, e))?;
        engine(|| plex_library::swap::undo(&plan)).map_err(|e| stuck(c, e))?;
    }
    start(c, home).await.map_err(|e| stuck(c, e))?;
    c.side.note(Phase::Swap, STARTED_AGAIN)
}

fn stuck(c: &Controller, cause: Error) -> Error {
    let hint = match is_exchanged(c) {
        Ok(false) => format!(
            "its old library is in place; start home by hand, then `plexburst cancel {}`",
            c.id()
        ),
        _ => format!(
            "its old library is in {}; `plexburst resume {}` tries again to put it back",
            replaced(c)
                .ok()
                .flatten()
                .unwrap_or_else(|| c.area.staged())
                .dir()
                .display(),
            c.id()
        ),
    };
    Error::new(exit::STUCK, "home could not be put back as it was")
        .hint(hint)
        .because(cause)
}
