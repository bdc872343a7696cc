//! The moment of the swap: the hour that was asked for, and nobody streaming or recording then.

use std::time::Duration;

use jiff::civil::Time;
use jiff::{Timestamp, ToSpan, ZonedDateTime};

use super::Controller;
use crate::burst::journal::{Entry, Event};
use crate::burst::phase::Phase;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::home::Home;

/// Between two looks at who is streaming.
const LOOK: Duration = Duration::from_secs(2);
/// The note of the moment that was chosen, so that a resumed burst does not wait for another day.
const CHOSEN: &str = "the swap waits until ";

/// Reads an hour of the day as `--swap-at` takes it.
///
/// # Errors
/// It is none.
pub fn hour(text: &str) -> Result<Time, String> {
    Time::strptime("%H:%M", text).map_err(|_| format!("{text:?} is no hour of the day; write it as 03:30"))
}

/// Waits for the moment.
pub(super) async fn wait(c: &Controller, home: &Home) -> Result<()> {
    if c.request.options.swap_now {
        return Ok(());
    }
    if let Some(at) = &c.request.options.swap_at {
        wait_for_hour(c, at, &SystemClock).await?;
    }
    if !home.is_running().await? {
        return Ok(());
    }
    wait_for_quiet(c, home, &SystemClock).await
}

async fn wait_for_hour(c: &Controller, at: &str, clock: &dyn Clock) -> Result<()> {
    let chosen = match chosen(c.side.journal().entries()) {
        Some(chosen) => chosen,
        None => {
            let time = hour(at).map_err(Error::usage)?;
            let chosen = next(&ZonedDateTime::now(), time)?;
            c.side.note(Phase::Swap, format!("{CHOSEN}{chosen}"))?;
            chosen
        }
    };
    c.printer().say(&format!(
        "            waiting until {at}; `plexburst resume {} --swap-now` swaps at once",
        c.id()
    ));
    loop {
        let left = chosen.as_millisecond() - Timestamp::now().as_millisecond();
        let Ok(left) = u64::try_from(left) else { return Ok(()) };
        let left = Duration::from_millis(left);
        c.printer().progress(&format!(
            "waiting for {at} to swap ({} left)",
            crate::term::duration(left)
        ));
        // By looks, since a machine that sleeps or is set right meanwhile has another idea of what is left.
        clock.sleep(left.min(LOOK)).await;
    }
}

/// The moment that an attempt before this one chose.
fn chosen(entries: &[Entry]) -> Option<Timestamp> {
    entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Note { text } if entry.phase == Phase::Swap => text.strip_prefix(CHOSEN)?.parse().ok(),
        _ => None,
    })
}

/// When it is `time` for the next time.
fn next(now: &ZonedDateTime, time: Time) -> Result<Timestamp> {
    let wrong = |e: jiff::Error| Error::unexpected("cannot tell when the swap is due").because(e);
    let today = now.with().time(time).build().map_err(wrong)?;
    if today > *now {
        return Ok(today.timestamp());
    }
    let tomorrow = now.date().checked_add(1.day()).map_err(wrong)?;
    let due = tomorrow
        .to_datetime(time)
        .to_zoned_datetime(now.time_zone().clone())
        .map_err(wrong)?;
    Ok(due.timestamp())
}

async fn wait_for_quiet(c: &Controller, home: &Home, clock: &dyn Clock) -> Result<()> {
    let since = clock.now();
    let limit = Duration::from_secs(c.request.config.limits.swap_wait);
    loop {
        let client = home.client()?;
        let streams = client.sessions().await?.len();
        let recordings = client
            .activities()
            .await?
            .iter()
            .filter(|a| is_recording(&a.kind))
            .count();
        if streams + recordings == 0 {
            return Ok(());
        }
        if clock.now() - since > limit {
            return Err(Error::failed(format!(
                "somebody was streaming from home, or it was recording, for all of {}",
                crate::term::duration(limit)
            ))
            .hint("`plexburst resume --swap-now` swaps all the same; `limits.swap_wait` waits longer"));
        }
        c.printer().progress(&format!(
            "waiting until nobody streams from home ({streams} now) and it records nothing ({recordings} now, {})",
            crate::term::duration(clock.now() - since)
        ));
        clock.sleep(LOOK).await;
    }
}

/// Plex shows a recording of its tuner as an activity of its grabber (`grabber.grab`); not seen on a real server.
fn is_recording(kind: &str) -> bool {
    kind.starts_with("grabber.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_that_is_over_today_is_tomorrow() {
        let now: ZonedDateTime = "2026-11-25T22:15[Europe/Paris]".parse().unwrap();
        let at = |text: &str| next(&now, hour(text).unwrap()).unwrap().to_string();
        assert_eq!(at("23:00"), "2026-11-25T22:00:00Z");
        assert_eq!(at("03:30"), "2026-11-26T02:30:00Z");
        assert_eq!(at("22:15"), "2026-11-26T21:15:00Z");
        // The clocks go forward that night: 02:30 is not there, and what comes instead of it counts.
        let spring: ZonedDateTime = "2026-03-28T22:00[Europe/Paris]".parse().unwrap();
        assert_eq!(
            next(&spring, hour("02:30").unwrap()).unwrap().to_string(),
            "2026-03-29T01:30:00Z"
        );
        for wrong in ["", "25:00", "3", "noon"] {
            assert!(hour(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_the_grabber_records() {
        assert!(is_recording("grabber.grab"));
        assert!(!is_recording("library.update.section"));
    }
}
