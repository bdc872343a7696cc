//! `cancel` that brings home what is done: the worker stops indexing and parks what it has, as it does when a machine's
//! time is up; where none works any more the last checkpoint is the result. From there on it is a burst like any other.
//!
//! The word for it lies in the burst's mailbox, so that it reaches a worker from any machine, and a controller that runs
//! in another process. Must not: begin a worker, or bring an unchanged library home.

use super::{Controller, work};
use crate::burst::journal::{Entry, Event};
use crate::burst::phase::Phase;
use crate::burst::spec::{Made, key};
use crate::burst::worker::Saved;
use crate::error::{Error, Result};
use crate::exit;

/// Has the burst end with what is done, by [`super::run`]; `false`: nothing is done that could be brought home.
///
/// # Errors
/// The depot.
pub async fn wind_up(c: &Controller) -> Result<bool> {
    if c.side.is_done(Phase::Work) && c.request.options.no_import {
        return Err(
            Error::usage(format!("the result of burst {} waits in the depot", c.id())).hint(format!(
                "`plexburst resume {id} --import` brings it home, `plexburst cancel --discard {id}` throws it away",
                id = c.id()
            )),
        );
    }
    if c.side.is_done(Phase::Work) {
        return Ok(!c.side.is_done(Phase::Health));
    }
    if !c.side.is_done(Phase::Park) || !is_begun(c, &work::worker_entries(c).await?).await? {
        return Ok(false);
    }
    let why = format!("at {}", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"));
    c.depot.put_bytes(key::WIND_UP, why.as_bytes()).await?;
    c.side.note(
        Phase::Work,
        "warning: the burst was cancelled: what is done so far comes home, the rest is for another burst",
    )?;
    Ok(true)
}

/// The burst goes on although it was cancelled before; what has been wound up already stays so.
///
/// # Errors
/// The depot.
pub async fn go_on(c: &Controller) -> Result<()> {
    if c.side.is_done(Phase::Work) || !c.side.is_done(Phase::Park) {
        return Ok(());
    }
    c.depot.remove(key::WIND_UP).await
}

/// Whether the burst was cancelled.
pub(super) async fn is_wanted(c: &Controller) -> Result<bool> {
    Ok(c.depot.read(key::WIND_UP).await?.is_some())
}

/// A worker that has not begun to index has nothing to wind up: a burst that is cancelled by then ends without a result.
pub(super) async fn nothing_lost_by_ending(c: &Controller, entries: &[Entry]) -> Result<()> {
    if is_begun(c, entries).await? || !is_wanted(c).await? {
        return Ok(());
    }
    Err(nothing(c))
}

/// What the depot has of a worker that is no more.
pub(super) async fn last_checkpoint(c: &Controller) -> Result<Made> {
    let Some(saved) = Saved::newest(&c.depot).await? else {
        return Err(nothing(c));
    };
    c.side.note(
        Phase::Work,
        format!("checkpoint {} is the result: no worker is there any more", saved.number),
    )?;
    let prepared: super::Prepared = c.side.facts(Phase::Prepare)?;
    let selected = prepared.sections.iter().filter(|s| prepared.selected.contains(&s.id));
    saved.into_made(selected, "the burst was cancelled")
}

async fn is_begun(c: &Controller, entries: &[Entry]) -> Result<bool> {
    let begun = |entry: &Entry| matches!(entry.phase, Phase::Index { .. }) && entry.event == Event::Started;
    Ok(entries.iter().any(begun) || c.depot.read(key::CHECKPOINT).await?.is_some())
}

fn nothing(c: &Controller) -> Error {
    Error::new(
        exit::RESUMABLE,
        "the burst was cancelled before anything was done that could be brought home",
    )
    .hint(format!(
        "`plexburst cancel {id}` takes everything back, `plexburst resume {id}` goes on after all",
        id = c.id()
    ))
}
