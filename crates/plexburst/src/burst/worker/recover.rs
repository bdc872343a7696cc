//! Recovery, when it is proved that the media are dead or have deceived a scan: Plex is stopped, the mount taken away for
//! good, what the scan concluded thrown away, the media mounted anew and proved, and Plex started again.
//!
//! Bounded: three attempts to mount, ever further apart, and a few recoveries in a section. May be cancelled at each step:
//! whatever is under way ends with the future, and a worker that goes on begins with the same checkpoint. Must not: touch
//! a mount that Plex still reads, or run while a result is packed (there is no mount then).

use std::time::Duration;

use super::progress::Teller;
use super::watch::{self, Trouble};
use super::{Worker, checkpoint, plex};
use crate::burst::phase::Phase;
use crate::burst::spec::Section;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::media::Opened;
use crate::plex::client::Client;
use crate::plex::runtime::{Runtime, Server};

/// Attempts to mount.
const ATTEMPTS: u32 = 3;
/// How long Plex may take to end before it is killed: nothing hangs any more, and its library may be thrown away.
const STOP: Duration = Duration::from_secs(20);

/// Brings everything back to where the section can be begun again; gives the new server's client.
pub(super) async fn recover(
    w: &Worker,
    section: &Section,
    trouble: &Trouble,
    media: &mut Opened,
    server: &mut Server,
    teller: &Teller<'_>,
) -> Result<Client> {
    let phase = Phase::Index { section: section.id };
    let say = |text: String| {
        teller.tell(&text);
        w.side.note(phase, text)
    };
    say(format!("recovering: {}", trouble.why))?;
    watch::kill_scanners(server);
    w.keep_logs().await;
    media.give_up().await.map_err(Error::from)?;
    server.stop(STOP).await.map_err(Error::from)?;
    // With Plex gone nobody concludes anything any more: what it has concluded can be seen.
    if trouble.in_scan || !checkpoint::lost(w, section.id)?.is_empty() {
        checkpoint::go_back(w, section.id)?;
        say("the library is what it was before the scan".to_owned())?;
    }
    let pause = Duration::from_secs_f64(w.spec.limits.remount);
    // Its disk may be full, and what it holds may be what has deceived the scan.
    media.forget_cache().map_err(Error::from)?;
    let mounted = attempts(&SystemClock, pause, async |attempt| {
        say(format!("mounting again, attempt {attempt} of {ATTEMPTS}"))?;
        media.come_back(&SystemClock).await.map_err(Error::from)
    });
    mounted.await.map_err(|error| {
        Error::failed(format!("the media of {:?} do not come back", section.name))
            .because(error)
            .hint("check the media, then `plexburst resume`; the library is what it was before the scan")
    })?;
    let client = plex::begin(w, server, teller).await?;
    say("the media are back, and Plex begins this section again".to_owned())?;
    Ok(client)
}

/// A scan that was broken off by the end of the work may have missed files that are there: what it has concluded is thrown
/// away then. Plex has to be stopped.
pub(super) fn take_back_half_scans(w: &Worker) -> Result<()> {
    for section in w.selected() {
        let phase = Phase::Index { section: section.id };
        if w.side.is_done(phase) || !checkpoint::is_there(w, section.id) || checkpoint::lost(w, section.id)?.is_empty()
        {
            continue;
        }
        checkpoint::go_back(w, section.id)?;
        w.side
            .note(phase, "the library is what it was before the scan that was broken off")?;
    }
    Ok(())
}

/// Tries until it succeeds, with a longer pause before each attempt; the last failure when none does.
async fn attempts(clock: &dyn Clock, pause: Duration, mut attempt: impl AsyncFnMut(u32) -> Result<()>) -> Result<()> {
    let mut last = None;
    for number in 1..=ATTEMPTS {
        clock.sleep(pause * number).await;
        match attempt(number).await {
            Ok(()) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const PAUSE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn three_attempts_ever_further_apart() {
        let clock = ManualClock::new();
        let mut tried = Vec::new();
        let failed = attempts(&clock, PAUSE, async |number| {
            tried.push((number, clock.passed().as_secs()));
            Err(Error::failed(format!("attempt {number}")))
        });
        assert_eq!(failed.await.unwrap_err().to_string(), "attempt 3");
        assert_eq!(tried, [(1, 10), (2, 30), (3, 60)]);
    }

    #[tokio::test]
    async fn the_first_that_succeeds_is_the_last() {
        let clock = ManualClock::new();
        let done = attempts(&clock, PAUSE, async |number| match number {
            2 => Ok(()),
            _ => Err(Error::failed("not yet")),
        });
        assert!(done.await.is_ok());
        assert_eq!(clock.passed(), PAUSE * 3);
    }
}
