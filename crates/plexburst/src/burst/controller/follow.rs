//! Following the worker to its end: what it says is shown, what it wishes is answered, and it is started again when it was
//! killed. A depot that is away is waited for: the worker goes on meanwhile, and its lock alone says nothing of its result.

use std::time::Instant;

use super::Controller;
use super::account::Desk;
use super::place::{Alive, Place};
use super::wind_up;
use super::work::{End, cancelled, parked_or_failed, worker_entries};
use crate::burst::journal::{self, Entry, Event};
use crate::burst::measured::Measured;
use crate::burst::phase::Phase;
use crate::burst::spec::{self, Made, Progress, key};
use crate::burst::tail::Tail;
use crate::clock::{Clock, SystemClock};
use crate::cloud::price::Euros;
use crate::error::{Error, Result};
use crate::term::whole;

/// How often a worker that was killed is started again before a person is asked.
const RESTARTS: u32 = 2;

/// A worker under way.
struct Following<'a> {
    c: &'a Controller,
    place: &'a Place,
    tail: &'a mut Tail,
    desk: Desk,
    restarts: u32,
    was_lost: bool,
    is_measured: bool,
    /// It has noted something since it is followed.
    has_spoken: bool,
    /// Since when the depot is away.
    away: Option<Instant>,
}

/// Shows what the worker does until its result is parked, starting it again when it was killed. What is before `tail` was
/// left by an attempt before this one, and must not be taken for this one's end.
pub(super) async fn follow(c: &Controller, place: &Place, tail: &mut Tail) -> Result<Made> {
    if let Some(End::Parked(made)) = parked_or_failed(&worker_entries(c).await?) {
        return Ok(made);
    }
    place.start(c).await?;
    let mut following = Following {
        c,
        place,
        tail,
        desk: Desk::default(),
        restarts: 0,
        was_lost: false,
        is_measured: false,
        has_spoken: false,
        away: None,
    };
    loop {
        if !following.waits_for_depot()? {
            match following.look().await {
                Ok(Some(made)) => return Ok(made),
                Ok(None) => {}
                // It went away in the middle of the look.
                Err(_) if c.depot.is_away() => {}
                Err(error) => return Err(error),
            }
        }
        SystemClock.sleep(place.patience()).await;
    }
}

impl Following<'_> {
    /// Whether the depot is a folder that is not there. It is given as long as a remote one that does not answer.
    fn waits_for_depot(&mut self) -> Result<bool> {
        let (depot, printer) = (&self.c.depot, self.c.printer());
        let now = SystemClock.now();
        if !depot.is_away() {
            if let Some(since) = self.away.take() {
                printer.say(&format!("the depot is there again, after {}", whole(now - since)));
            }
            return Ok(false);
        }
        if self.away.is_none() {
            printer.warn(&format!(
                "the depot at {} is not there; the worker goes on by itself, and the depot is waited for",
                depot.name()
            ));
        }
        let gone = now - *self.away.get_or_insert(now);
        if gone > depot.patience() {
            return Err(Error::failed(format!(
                "the depot at {} is not there since {}",
                depot.name(),
                whole(gone)
            ))
            .hint(
                "see that its disk is there, then `plexburst resume`; `depot.patience` says how long it is waited for",
            ));
        }
        printer.progress(&format!(
            "the depot at {} is not there since {}; waited for up to {}",
            depot.name(),
            whole(gone),
            whole(depot.patience())
        ));
        Ok(true)
    }

    /// One look; what the worker made, when it has parked it.
    async fn look(&mut self) -> Result<Option<Made>> {
        let (c, place) = (self.c, self.place);
        // The lock is looked at first: a worker that ends in between has written its last line before.
        let alive = place.is_alive(c).await?;
        let entries = worker_entries(c).await?;
        for entry in self.tail.take(&entries) {
            self.has_spoken = true;
            show(c, entry);
        }
        if !self.is_measured {
            self.is_measured = keep_speed(c, &entries)?;
        }
        if let Some(bytes) = c.depot.read(key::WORKER_PROGRESS).await?
            && let Ok(progress) = serde_json::from_slice::<Progress>(&bytes)
            && alive != Alive::No
        {
            let cost = match place.cost().await {
                Some(cost) => format!(", {} so far", Euros(cost)),
                None => String::new(),
            };
            c.printer().progress(&format!("worker: {}{cost}", progress.text));
        }
        if alive == Alive::Unknown && !self.was_lost && !place.is_seen_through_depot() {
            c.printer()
                .warn("the worker's machine does not answer; the worker goes on by itself, and is asked again");
        }
        self.was_lost = alive == Alive::Unknown;
        if alive == Alive::Yes {
            self.desk.attend(c, place).await?;
            wind_up::nothing_lost_by_ending(c, &entries).await?;
        }
        if alive != Alive::Yes
            && let Some(End::Parked(made)) = parked_or_failed(&entries)
        {
            return Ok(Some(made));
        }
        // A depot that has just gone shows no journal; that is not a worker without a word.
        if alive == Alive::No && !c.depot.is_away() {
            return self.ended(&entries).await;
        }
        Ok(None)
    }

    /// The worker lives no more and has parked nothing.
    async fn ended(&mut self, entries: &[Entry]) -> Result<Option<Made>> {
        let (c, place) = (self.c, self.place);
        match parked_or_failed(entries) {
            // It did what it was told to, so it is not started again.
            _ if let Some(why) = c.depot.read(key::CANCEL).await? => Err(cancelled(c, &why)),
            _ if wind_up::is_wanted(c).await? => wind_up::last_checkpoint(c).await.map(Some),
            Some(End::Failed(error)) if self.has_spoken || self.restarts > 0 => Err(error),
            _ if self.restarts < RESTARTS => {
                self.restarts += 1;
                let restarts = self.restarts;
                c.side.note(
                    Phase::Work,
                    format!("the worker is gone without a word; started again ({restarts} of {RESTARTS})"),
                )?;
                c.printer()
                    .warn("the worker is gone without a word; it is started again where it stopped");
                place.start(c).await?;
                Ok(None)
            }
            _ => Err(
                Error::failed(format!("the worker keeps dying: {}", place.last_words(c).await))
                    .hint("worker.log in its folder has all it said"),
            ),
        }
    }
}

/// Keeps what the worker measured of the media for the plans of later bursts; false while it has not yet.
fn keep_speed(c: &Controller, entries: &[Entry]) -> Result<bool> {
    // Those of a worker of before say nothing.
    let Ok(Some(Some(mounted))) = journal::facts::<Option<spec::Mounted>>(entries, Phase::Mount) else {
        return Ok(false);
    };
    if let Some(speed) = mounted.speed {
        let media = c.media()?.name();
        Measured::now(c.id(), &c.request.options.on, &media, speed).keep(c.dir())?;
    }
    Ok(true)
}

fn show(c: &Controller, entry: &Entry) {
    match &entry.event {
        Event::Started => c.printer().say(&format!("  worker    {}", entry.phase)),
        Event::Note { text } => c.printer().say(&format!("  worker    {}: {text}", entry.phase)),
        Event::Failed { error, .. } => c.printer().warn(&format!("worker: {} failed: {error}", entry.phase)),
        Event::Done { .. } | Event::Undone | Event::Resource(_) => {}
    }
}
