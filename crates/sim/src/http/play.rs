//! `/:/scrobble`, `/:/unscrobble`, `/:/rate`, `/:/progress`, `/:/timeline`: what players report.

use super::element::Element;
use super::reply::{Failure, Reply};
use super::{Context, done, timeline as messages};
use crate::household::sessions::Report;
use crate::household::views::{self, Target, Who};
use crate::household::{accounts, now, statistics};

/// The item that a call names: a rating key, or the key of its metadata.
fn named(context: &Context<'_>) -> Result<i64, Failure> {
    let query = &context.request.query;
    let text = query
        .get("ratingKey")
        .or_else(|| query.get("key"))
        .ok_or_else(|| missing("key"))?;
    let number = text
        .trim_start_matches("/library/metadata/")
        .split(['/', '?'])
        .next()
        .unwrap_or("");
    number
        .parse()
        .map_err(|_| Failure::BadRequest(format!("{text} names no item")))
}

fn missing(name: &str) -> Failure {
    Failure::BadRequest(format!("{name} is missing"))
}

fn with_item(
    context: &Context<'_>,
    work: impl FnOnce(&rusqlite::Connection, Who<'_>, &Target) -> rusqlite::Result<()>,
) -> Result<Target, Failure> {
    let id = named(context)?;
    let who = Who {
        account: context.request.account,
        client: &context.request.client,
    };
    let target = context.write(|db| {
        let target = views::target(db, id)?.ok_or(Failure::NotFound)?;
        work(db, who, &target)?;
        Ok(target)
    })?;
    messages::processed(context.server, target.id);
    Ok(target)
}

/// Marks an item played.
pub(super) fn scrobble(context: &Context<'_>) -> Result<Reply, Failure> {
    with_item(context, views::scrobble)?;
    done()
}

/// Marks an item unplayed.
pub(super) fn unscrobble(context: &Context<'_>) -> Result<Reply, Failure> {
    with_item(context, views::unscrobble)?;
    done()
}

/// Rates an item 0..10, or takes the rating back (-1).
pub(super) fn rate(context: &Context<'_>) -> Result<Reply, Failure> {
    let text = context.request.query.need("rating")?;
    let rating: f64 = text
        .parse()
        .map_err(|_| Failure::BadRequest(format!("rating={text} is no number")))?;
    if !(-1.0..=10.0).contains(&rating) {
        return Err(Failure::BadRequest(format!("rating={text} is not between 0 and 10")));
    }
    with_item(context, |db, who, target| views::rate(db, who, target, rating))?;
    done()
}

/// Sets a position directly.
pub(super) fn progress(context: &Context<'_>) -> Result<Reply, Failure> {
    let time = context.request.query.number("time")?.ok_or_else(|| missing("time"))?;
    with_item(context, |db, who, target| views::keep_offset(db, who, target, time))?;
    done()
}

/// What a player says every few seconds. It drives `/status/sessions`; a position is kept from MinimumProgressTime on; past
/// LibraryVideoPlayedThreshold percent the item counts as played, once.
///
/// Positions of tracks are kept like those of videos, as in a music library that stores track progress.
pub(super) fn timeline(context: &Context<'_>) -> Result<Reply, Failure> {
    let query = &context.request.query;
    let state = query.need("state")?.to_owned();
    if !matches!(state.as_str(), "playing" | "paused" | "buffering" | "stopped") {
        return Err(Failure::BadRequest(format!("state={state} is unknown")));
    }
    let time = query.number("time")?.unwrap_or(0).max(0);
    let said = query.number("duration")?;
    let (least, threshold) = {
        let prefs = context.server.prefs();
        (
            prefs.number("MinimumProgressTime"),
            prefs.number("LibraryVideoPlayedThreshold"),
        )
    };
    let id = named(context)?;
    let request = context.request;
    let report = Report {
        account: request.account,
        item: id,
        state: state.clone(),
        offset: time,
        client: request.client.clone(),
        address: request.address.to_string(),
    };
    let who = Who {
        account: request.account,
        client: &request.client,
    };
    let local = request.address.is_loopback();
    context.write(|db| {
        let target = views::target(db, id)?.ok_or(Failure::NotFound)?;
        let duration = said.filter(|said| *said > 0).unwrap_or(target.duration);
        let finished = duration > 0 && time.saturating_mul(100) >= duration.saturating_mul(threshold);
        if finished && state == "stopped" {
            views::played(db, who, &target, false)?;
        } else if !finished && time >= least {
            views::keep_offset(db, who, &target, time)?;
        } else if !finished && state == "stopped" && target.kind == 10 {
            views::skipped(db, who, &target)?;
        }
        if state == "stopped" {
            let device = accounts::device(db, &request.client)?;
            let bytes: Option<i64> = db.query_row(
                "SELECT sum(p.size) FROM media_parts p JOIN media_items m ON m.id = p.media_item_id
                 WHERE m.metadata_item_id = ?1",
                [id],
                |row| row.get(0),
            )?;
            statistics::sent(db, request.account, device, local, bytes.unwrap_or(0), now())?;
        }
        Ok(())
    })?;
    let session = context.server.sessions.report(report);
    messages::playing(context.server, &session);
    Ok(Reply::tree(Element::container().attr("bandwidth", 0).sized()))
}
