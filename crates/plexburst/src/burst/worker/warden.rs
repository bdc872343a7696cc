//! The warden of a rented machine: a process beside the worker, with a restricted key of the provider's, that ends the machine
//! when nobody else does. Past the deadline, some time after the result is parked or another machine cancelled the burst, or
//! when nobody has worked for an hour.
//!
//! It needs neither the controller nor the worker, which may both have been killed. Its times are the provider's, asked for at
//! each look. Must not: end a machine that works and has time, or one that is to be kept, before its deadline.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CANCELLED;
use crate::burst::elsewhere;
use crate::burst::journal::{self, Entry, Event, Journal};
use crate::burst::phase::Phase;
use crate::burst::{side, store};
use crate::clock::{Clock, SystemClock};
use crate::cloud::Kind;
use crate::cloud::provider::{Gone, Provider};
use crate::cloud::resource::{Ownership, Resource};
use crate::cloud::scaleway::{Account, Client, Scaleway};
use crate::error::{Error, Result};
use crate::secret::Token;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(10);
/// Seconds after the result is parked in which the controller usually ends the machine itself.
const HANDOVER: i64 = 10 * 60;
/// Seconds without a worker after which nobody is coming back soon: whoever resumes rents another.
const IDLE: i64 = 60 * 60;

/// What the warden is told, in a file that lies in memory: it has the key.
#[derive(Serialize, Deserialize)]
pub(crate) struct Warrant {
    pub(crate) burst: String,
    pub(crate) server: Resource,
    /// By the provider's clock.
    pub(crate) deadline: i64,
    /// `--keep`: nothing counts but the deadline.
    pub(crate) keep: bool,
    /// The machine's own address, which a key may be bound to.
    pub(crate) address: IpAddr,
    pub(crate) api_url: String,
    pub(crate) project: String,
    pub(crate) secret_key: String,
    /// The worker's folder.
    pub(crate) work_dir: PathBuf,
}

/// Watches until the machine is to be ended, and ends it.
///
/// # Errors
/// The warrant cannot be read. A provider that does not answer is asked again for as long as the machine lives.
pub(crate) async fn run(file: &Path) -> Result<()> {
    let bytes = std::fs::read(file).map_err(|e| Error::usage(format!("cannot read {}", file.display())).because(e))?;
    let warrant: Warrant = serde_json::from_slice(&bytes)
        .map_err(|e| Error::unexpected(format!("cannot understand {}", file.display())).because(e))?;
    let Some(_only_one) = side::lock(&warrant.work_dir.join("warden.lock"))? else {
        return Ok(());
    };
    let provider = Scaleway::new(client(&warrant)?);
    let mut watch = Watch::default();
    loop {
        // The answer brings the provider's time with it.
        match provider.machine(&warrant.server).await {
            Ok(None) => return Ok(()),
            Ok(Some(_)) => {
                let now = provider.now().await?;
                if let Some(why) = watch.judge(&look(&warrant, now), warrant.deadline, warrant.keep) {
                    tracing::warn!(why, "the machine ends itself");
                    return end(&provider, &warrant).await;
                }
            }
            Err(error) => tracing::warn!(error = error.chain(), "the provider does not answer; asked again"),
        }
        SystemClock.sleep(LOOK).await;
    }
}

fn client(warrant: &Warrant) -> Result<Client> {
    let account = Account {
        secret_key: Token::new(&warrant.secret_key),
        project: warrant.project.clone(),
        zone: warrant.server.zone.clone(),
        api_url: warrant.api_url.clone(),
        source: "the warrant".to_owned(),
    };
    // An address that is translated on the way is not the machine's to send from.
    let is_own = std::net::UdpSocket::bind((warrant.address, 0)).is_ok();
    Ok(if is_own {
        Client::from_address(&account, warrant.address)?
    } else {
        Client::new(&account)?
    })
}

fn look(warrant: &Warrant, now: i64) -> Seen {
    // What cannot be read counts as work that goes on: the deadline is still there.
    let entries = Journal::read(&store::journal_path(&warrant.work_dir)).unwrap_or_default();
    let is_over = journal::done(&entries, Phase::ParkResult).is_some() || is_cancelled(&entries);
    Seen {
        now,
        is_over,
        is_alive: side::holder(&warrant.work_dir.join("lock")).map_or(true, |holder| holder.is_some()),
    }
}

/// Whether the worker has ended because another machine cancelled the burst: whoever goes on rents another.
fn is_cancelled(entries: &[Entry]) -> bool {
    let last = entries.iter().rev().find(|e| e.event.is_transition());
    let Some(Event::Failed { error, .. }) = last.map(|e| &e.event) else {
        return false;
    };
    error
        .strip_prefix(CANCELLED)
        .is_some_and(|why| elsewhere::is_by_another(why.trim_start_matches([':', ' '])))
}

/// Told to go again and again: this process goes with the machine. What outlives it is marked, so that the next sweep
/// takes it.
async fn end(provider: &Scaleway, warrant: &Warrant) -> Result<()> {
    let doomed = Ownership {
        burst: warrant.burst.clone(),
        deadline: 0,
        is_kept: false,
    };
    loop {
        let step = async {
            for volume in provider.attached(&warrant.server).await? {
                if volume.kind == Kind::BlockVolume {
                    provider.retag(&volume, &doomed).await?;
                }
            }
            provider.destroy(&warrant.server).await
        };
        match step.await {
            Ok(Gone::Yes) => return Ok(()),
            Ok(Gone::NotYet) => {}
            Err(error) => tracing::warn!(error = error.chain(), "the machine could not be ended; told again"),
        }
        SystemClock.sleep(LOOK).await;
    }
}

/// What a look showed.
struct Seen {
    now: i64,
    /// Everything that comes of it is in the depot.
    is_over: bool,
    is_alive: bool,
}

/// Since when what holds.
#[derive(Default)]
struct Watch {
    over: Option<i64>,
    idle: Option<i64>,
}

impl Watch {
    fn judge(&mut self, seen: &Seen, deadline: i64, keep: bool) -> Option<&'static str> {
        let since = |was: Option<i64>, holds: bool| holds.then(|| was.unwrap_or(seen.now));
        self.over = since(self.over, seen.is_over);
        self.idle = since(self.idle, !seen.is_alive);
        let for_long = |since: Option<i64>, limit: i64| since.is_some_and(|since| seen.now - since >= limit);
        if seen.now >= deadline {
            Some("its deadline has come")
        } else if keep {
            None
        } else if for_long(self.over, HANDOVER) {
            Some("what comes of it is in the depot, and nobody has ended it")
        } else if for_long(self.idle, IDLE) {
            Some("nobody works on it any more")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: i64, is_alive: bool, is_over: bool) -> Seen {
        Seen { now, is_over, is_alive }
    }

    #[test]
    fn only_what_another_machine_cancelled_is_over() {
        let failed = |error: &str| Entry {
            v: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            epoch: 1,
            phase: Phase::Index { section: 1 },
            event: Event::Failed {
                error: error.to_owned(),
                hint: None,
                exit: 6,
            },
        };
        let by = |why: &str| failed(&format!("{CANCELLED}: {why}"));
        assert!(is_cancelled(&[by(
            "by another machine (desk), at 2026-01-01 00:00 UTC"
        )]));
        assert!(!is_cancelled(&[by("the controller removes the worker")]));
        assert!(!is_cancelled(&[failed("the media are dead")]));
        let mut started = failed("");
        started.event = Event::Started;
        assert!(
            !is_cancelled(&[by("by another machine (desk), at x"), started]),
            "it was begun again"
        );
    }

    #[test]
    fn it_ends_what_is_done_idle_or_past_its_time_and_nothing_else() {
        let mut watch = Watch::default();
        assert_eq!(watch.judge(&at(0, true, false), 90_000, false), None);
        assert_eq!(watch.judge(&at(80_000, true, false), 90_000, false), None);
        // A worker that was started again is no idle one.
        assert_eq!(watch.judge(&at(80_010, false, false), 90_000, false), None);
        assert_eq!(watch.judge(&at(83_600, true, false), 90_000, false), None);
        assert_eq!(watch.judge(&at(83_620, false, false), 90_000, false), None);
        assert!(watch.judge(&at(83_620 + IDLE, false, false), 90_000, false).is_some());
        assert!(watch.judge(&at(90_000, true, false), 90_000, false).is_some());
        let mut parked = Watch::default();
        assert_eq!(parked.judge(&at(10, false, true), 90_000, false), None);
        assert!(parked.judge(&at(10 + HANDOVER, false, true), 90_000, false).is_some());
        let mut kept = Watch::default();
        assert_eq!(kept.judge(&at(10, false, true), 90_000, true), None);
        assert_eq!(kept.judge(&at(80_000, false, true), 90_000, true), None);
        assert!(kept.judge(&at(90_001, false, true), 90_000, true).is_some());
    }
}
