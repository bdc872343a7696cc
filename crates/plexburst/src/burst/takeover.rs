//! Taking a burst over: a machine that knows it only through the depot, and has the same home, becomes its controller.
//!
//! Whoever had the burst is fenced out by its seat before its journal is read for the last time, so what the new
//! controller goes on with is the end of what the old one did. What lay only in the old controller's folder is made anew
//! (what was fetched), put together from the journal (home's preferences), or done without (the key to a rented machine).
//! Must not: take a burst from a controller that runs at this home, or one whose library is being exchanged.

use std::path::{Path, PathBuf};

use super::elsewhere::{self, KEYS};
use super::journal::{self, Entry, Event};
use super::phase::Phase;
use super::request::{On, Request, Source};
use super::seat::Seat;
use super::side::Side;
use super::store::Standing;
use crate::config::Settings;
use crate::depot::Depot;
use crate::error::{Context, Error, Result};
use crate::home::{Area, Home};
use crate::term::Printer;

/// Phases whose work lies in the folder of whoever did it; done again, they come to the same.
const DONE_ANEW: [Phase; 4] = [Phase::Verify, Phase::Merge, Phase::Stage, Phase::Fetch];
/// Where home's preferences are noted in a burst's folder.
pub(crate) const PREFERENCES: &str = "home-preferences.json";

/// Makes this machine the controller of the burst `id` of `depot` (all of it); comes back with who it was before.
///
/// # Errors
/// The burst has ended, or cannot be gone on with from here; the depot; somebody else takes it at this very moment.
pub async fn take_over(depot: &Depot, id: &str, settings: &Settings) -> Result<String> {
    let burst = elsewhere::look(depot, id).await?;
    if !matches!(burst.standing, Standing::Resumable { .. }) {
        return Err(Error::usage(format!("burst {id} has ended: {}", burst.standing.word()))
            .hint("`plexburst depot` lists what is in the depot"));
    }
    let mut request = burst.request;
    let encryption = request.config.depot.settled_encryption();
    // Paths and addresses are this machine's.
    request.config = settings.config.clone();
    request.config.depot.encryption = encryption;
    let from = burst
        .holder
        .map_or_else(|| "another machine".to_owned(), |holder| holder.machine);
    let is_parked = journal::done(&burst.worker, Phase::ParkResult).is_some();
    can_go_on(&request, &burst.controller, is_parked, &from)?;

    let part = depot.beside(id).taking_own_keys(KEYS).await?;
    let seat = Seat::take(&part).await?;
    // What it wrote until it was fenced out.
    let entries = elsewhere::entries_of_controller(&part).await?;
    can_go_on(&request, &entries, is_parked, &from)?;
    part.put_bytes(&seat.journal(), &elsewhere::sealed(&entries)?).await?;
    make(&request, &entries, &part, settings)?;
    Ok(from)
}

/// Whether the burst can be gone on with on this machine.
fn can_go_on(request: &Request, entries: &[Entry], is_parked: bool, from: &str) -> Result<()> {
    let id = &request.id;
    let refused =
        |why: &str, hint: String| Err(Error::refused(format!("burst {id} cannot be taken over: {why}")).hint(hint));
    let there = format!("go on with it on {from}; `plexburst cancel {id}` ends its worker");
    if !matches!(request.source, Source::Home) {
        return refused("its library comes from an archive on the machine that began it", there);
    }
    let has_begun = |phase: Phase| entries.iter().any(|e| e.phase == phase && e.event.is_transition());
    if has_begun(Phase::Swap) {
        return refused("home was about to be given its library", there);
    }
    if request.options.on == On::Here && has_begun(Phase::Work) && !is_parked {
        return refused("its worker is on the machine that began it", there);
    }
    let home = Home::of(&request.config)?;
    let area = Area::of(&home.databases(), id)?;
    if journal::done(entries, Phase::Snapshot).is_some() && !area.base().library().is_file() {
        return refused(
            "the copy that it began with is not beside this machine's library",
            format!(
                "give this where its home is, or where `home.host` names that home; `plexburst cancel {id}` ends its worker"
            ),
        );
    }
    if area.home_lock().exists() && super::side::lock(&area.home_lock())?.is_none() {
        return refused(
            "a burst of this home is running right now",
            "it may be this one, under another state folder (`state_dir`)".to_owned(),
        );
    }
    Ok(())
}

/// The burst's folder on this machine: whole or not at all.
fn make(request: &Request, entries: &[Entry], part: &Depot, settings: &Settings) -> Result<()> {
    let making: PathBuf = settings.state_dir.join("taking-over").join(&request.id);
    let target = settings.burst_dir(&request.id);
    crate::home::discard(&making)?;
    for dir in [Some(making.as_path()), target.parent()].into_iter().flatten() {
        make_private(dir)?;
    }
    request.save(&making)?;
    let put = |name: &str, bytes: &[u8]| {
        let path = making.join(name);
        plex_library::publish::file(&path, bytes).context(|| format!("cannot write {}", path.display()))
    };
    put("journal.jsonl", &elsewhere::sealed(entries)?)?;
    part.save_own_keys(&making.join("depot.key"))?;
    let quieted = entries.iter().rev().find_map(|e| match &e.event {
        Event::Done { facts } if e.phase == Phase::QuietHome => Some(facts),
        _ => None,
    });
    if let Some(before) = quieted {
        // Home's own choice: what it has now is what the burst turned off.
        let text = serde_json::to_vec(before).context(|| "cannot note home's preferences".to_owned())?;
        put(PREFERENCES, &text)?;
    }
    let side = Side::open(&making, Printer::new(true))?;
    for phase in DONE_ANEW {
        if side.attempts(phase) > 0 {
            side.write(phase, Event::Undone)?;
        }
    }
    drop(side);
    std::fs::rename(&making, &target)
        .and_then(|()| std::fs::remove_dir(settings.state_dir.join("taking-over")).or(Ok(())))
        .context(|| format!("cannot make {}", target.display()))
}

fn make_private(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| {
            Error::failed(format!("cannot make {}", dir.display()))
                .hint("set `state_dir` to a folder that can be written")
                .because(e)
        })
}
