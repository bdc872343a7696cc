//! Ending a burst early from a machine that does not control it: a wish in its mailbox, and, where this machine has the
//! account of the cloud, the end of what was rented.
//!
//! The worker obeys at its next look: it parks what it has, or leaves a checkpoint in the depot, and ends. A controller that
//! lives then ends the machine. Where none does, whoever cancels takes the burst's seat, so that one that comes back finds out, and ends the
//! machine in its place. Must not: end a machine that may hold work which is not in the depot; touch home.

use std::time::Duration;

use super::elsewhere::{self, KEYS};
use super::journal::{self, Entry, Event};
use super::ledger::{self, JournalLedger};
use super::phase::Phase;
use super::seat::Seat;
use super::side::Side;
use super::spec::Made;
use super::store::{self, Standing};
use crate::clock::{Clock, SystemClock};
use crate::cloud::Kind;
use crate::cloud::lease::GRACE;
use crate::cloud::lifecycle;
use crate::cloud::provider::Provider;
use crate::cloud::scaleway::{Client, Scaleway};
use crate::config::{Config, rented};
use crate::depot::{Depot, Status};
use crate::error::{Context, Error, Result};
use crate::exit;
use crate::term::Printer;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// How long a worker may take to end: its last checkpoint has to reach the depot.
const WORKER: Duration = Duration::from_secs(15 * 60);
/// How long a controller that lives may take to notice that its worker has ended.
const CONTROLLER: Duration = Duration::from_secs(20);

/// What became of the burst's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was rented, or nothing of it is there any more.
    None,
    /// This machine has no account of the cloud.
    Left,
    /// Its controller has ended it.
    ByController,
    /// It was ended from here.
    Ended,
}

impl Outcome {
    /// One word, for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Left => "left",
            Self::ByController => "ended-by-controller",
            Self::Ended => "ended",
        }
    }

    /// The beginning of a sentence for a person.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Left => format!(
                "this machine has no account of the cloud, so the rented machine is ended by whoever controls the burst, by \
                 itself if it has a key, or by `plexburst sweep` once it has been silent for {} min; ",
                GRACE.as_secs() / 60
            ),
            Self::ByController => "its controller has ended the rented machine; ".to_owned(),
            Self::Ended => "the rented machine is ended, and nothing of it is billed any more; ".to_owned(),
        }
    }
}

/// Leaves the wish `word` to the burst `id` of `depot` (all of it), and sees to the end of its machine.
///
/// # Errors
/// The burst has ended; the depot; [`exit::MAYBE_BILLED`] when the machine is still there.
pub async fn cancel(depot: &Depot, id: &str, word: &str, config: &Config, printer: &Printer) -> Result<Outcome> {
    let burst = elsewhere::look(depot, id).await?;
    if !matches!(burst.standing, Standing::Resumable { .. }) {
        return Err(Error::usage(format!("burst {id} has ended: {}", burst.standing.word()))
            .hint("`plexburst depot` lists what is in the depot"));
    }
    let part = depot.beside(id).taking_own_keys(KEYS).await?;
    elsewhere::wish(&part, word).await?;
    if !has_anything(&burst.controller) {
        return Ok(Outcome::None);
    }
    let provider = match rented::account(&config.scaleway) {
        Ok(account) => Scaleway::new(Client::new(&account)?),
        Err(error) => {
            tracing::debug!("{}", error.chain());
            return Ok(Outcome::Left);
        }
    };
    wait_for_worker(&part, id, &provider, printer).await?;
    if is_ended_by_controller(&part, burst.controller.len(), printer).await? {
        return Ok(Outcome::ByController);
    }
    end(&part, &provider, printer).await.map(|()| Outcome::Ended)
}

fn has_anything(entries: &[Entry]) -> bool {
    let known = ledger::known(entries);
    !known.resources.is_empty() || !known.open_intents.is_empty()
}

/// Comes back when the worker has ended, or when nothing is to be heard of it any more; a result that it has parked is in
/// the depot then.
async fn wait_for_worker(part: &Depot, id: &str, provider: &Scaleway, printer: &Printer) -> Result<()> {
    let clock = SystemClock;
    let begun = clock.now();
    loop {
        let worker = elsewhere::entries_of_worker(part).await?;
        if let Some(made) = journal::facts::<Made>(&worker, Phase::ParkResult)? {
            for object in made.delta.iter().chain(&made.bundles) {
                if !part.is_there(object).await? {
                    return Err(billed(
                        id,
                        format!("{} is not in the depot as the worker put it", object.key),
                    ));
                }
            }
            return Ok(());
        }
        let last = worker.iter().rev().find(|e| e.event.is_transition());
        if matches!(last.map(|e| &e.event), Some(Event::Failed { .. })) || is_gone(part, provider).await? {
            return Ok(());
        }
        if clock.now() - begun > WORKER {
            let limit = WORKER.as_secs() / 60;
            return Err(billed(id, format!("the worker has not ended within {limit} min")));
        }
        printer.progress("waiting until the worker has left what it did in the depot");
        clock.sleep(LOOK).await;
    }
}

/// Whether the provider has no such machine, or one that gives no proof of life: nothing more comes of it.
async fn is_gone(part: &Depot, provider: &Scaleway) -> Result<bool> {
    let entries = elsewhere::entries_of_controller(part).await?;
    let known = ledger::known(&entries);
    let Some(server) = known.resources.iter().find(|r| r.kind == Kind::Server) else {
        // Not made yet, or its id was never learnt: no worker was begun on it.
        return Ok(true);
    };
    if provider.machine(server).await?.is_none() {
        return Ok(true);
    }
    let was_begun = entries
        .iter()
        .any(|e| e.phase == Phase::Work && e.event == Event::Started);
    let now = provider.now().await?;
    let grace = i64::try_from(GRACE.as_secs()).unwrap_or(i64::MAX);
    Ok(match provider.life(server).await? {
        Some(life) => now - life.at > grace,
        None => !was_begun,
    })
}

/// Whether a controller that lives has ended the machine.
async fn is_ended_by_controller(part: &Depot, seen: usize, printer: &Printer) -> Result<bool> {
    let clock = SystemClock;
    let begun = clock.now();
    loop {
        if part.read(elsewhere::REQUEST).await?.is_none() {
            return Ok(true);
        }
        let entries = elsewhere::entries_of_controller(part).await?;
        if !has_anything(&entries) {
            return Ok(true);
        }
        // One that goes on lives, and ends the machine itself, unless it dies over it.
        let limit = match entries.len() > seen {
            true => lifecycle::END,
            false => CONTROLLER,
        };
        if clock.now() - begun > limit {
            return Ok(false);
        }
        printer.progress("waiting for the burst's controller");
        clock.sleep(LOOK).await;
    }
}

/// Takes the seat and ends everything that was rented.
async fn end(part: &Depot, provider: &Scaleway, printer: &Printer) -> Result<()> {
    let seat = Seat::take(part).await?;
    // What the other one wrote until it was fenced out.
    let entries = elsewhere::entries_of_controller(part).await?;
    let dir = tempfile::tempdir().context(|| "cannot make a temporary folder".to_owned())?;
    let path = store::journal_path(dir.path());
    plex_library::publish::file(&path, &elsewhere::sealed(&entries)?)
        .context(|| format!("cannot write {}", path.display()))?;
    let side = Side::open(dir.path(), printer.clone())?;
    let said = Status::new(part.clone(), seat.journal());
    said.say(elsewhere::sealed(&entries)?);
    said.settled().await?;
    let said = std::sync::Arc::new(said);
    let sealed = std::sync::Arc::clone(&said);
    side.on_write(move |entries| {
        sealed.say(elsewhere::sealed(entries)?);
        Ok(())
    });
    printer.progress("ending the rented machine");
    let ledger = JournalLedger::new(&side, Phase::Provision);
    lifecycle::end(
        provider,
        part.id(),
        &ledger::known(&entries),
        &ledger,
        &SystemClock,
        lifecycle::END,
    )
    .await?;
    for phase in [Phase::Equip, Phase::Reach, Phase::Provision] {
        if side.attempts(phase) > 0 {
            side.write(phase, Event::Undone)?;
        }
    }
    said.settled().await
}

fn billed(id: &str, why: String) -> Error {
    Error::new(exit::MAYBE_BILLED, format!("{why}; the rented machine is kept")).hint(format!(
        "`plexburst cancel {id}` tries again; `plexburst sweep` ends the machine once it is silent or past its deadline"
    ))
}
