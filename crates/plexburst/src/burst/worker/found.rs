//! The guards that only the worker can look at, as entries of the one list: each look has one outcome, which stands in
//! the worker's journal in the list's own words, and a refusal ends the work.

use super::Worker;
use crate::burst::guard::{Finding, Guard, Outcome};
use crate::burst::phase::Phase;
use crate::error::{Error, Result};
use crate::media::proof::Proof;
use crate::plex::client::Client;
use crate::plex::index::Moment;

/// Whether the server offers itself to players.
const PUBLISH: &str = "PublishServerOnPlexOnlineKey";

impl Worker {
    /// Notes what a guard came to, and stops when it refused.
    pub(super) fn found(&self, phase: Phase, finding: &Finding) -> Result<()> {
        // What begins so is in the report as well.
        let warning = if finding.outcome == Outcome::Warned {
            "warning: "
        } else {
            ""
        };
        self.side.note(phase, format!("{warning}{}", finding.line()))?;
        finding.check()
    }
}

/// A moment in words.
fn when(moment: Moment) -> &'static str {
    match moment {
        Moment::Before => "before a scan",
        Moment::During => "during a scan",
        Moment::After => "after a scan",
        Moment::Refreshed => "after the refresh of all metadata",
    }
}

/// Real bytes were read.
pub(super) fn mount_proved(moment: Moment, proof: &Proof) -> Finding {
    Finding::passed(Guard::MountProved, format!("{}: {proof}", when(moment)))
}

/// They were not, or the scan was deceived.
pub(super) fn mount_refused(why: impl Into<String>) -> Finding {
    Finding::refused(
        Guard::MountProved,
        why,
        "a scan over unreadable files would throw them out of the library: check the media, then `plexburst resume`",
    )
}

/// Another version would rebuild the library into something that home cannot open.
pub(super) fn same_version(home: Option<&str>, worker: &str) -> Finding {
    match home {
        Some(home) if home != worker => Finding::refused(
            Guard::SameVersion,
            format!("home runs Plex {home}, the worker {worker}"),
            "give `worker.server` the same version as home's",
        ),
        Some(_) => Finding::passed(Guard::SameVersion, format!("both run Plex {worker}")),
        None => Finding::not_applicable(
            Guard::SameVersion,
            format!("the worker runs Plex {worker}, home's version is not known"),
        ),
    }
}

/// Has the server not offered to players, and reads it back: a claim may have turned it on again.
pub(super) async fn invisible(client: &Client) -> Result<Finding> {
    let published = async || {
        let setting = client.preference(PUBLISH).await.map_err(Error::from)?;
        Ok::<_, Error>(setting.is_some_and(|setting| !setting.is("0")))
    };
    if published().await? {
        client.set_preference(PUBLISH, "0").await.map_err(Error::from)?;
    }
    Ok(if published().await? {
        Finding::warned(
            Guard::WorkerInvisible,
            format!("{PUBLISH} stays on: players may show the worker for as long as it lives"),
            "remove it from the account's list of servers when the burst is over",
        )
    } else {
        Finding::passed(Guard::WorkerInvisible, "an identity of its own, not offered to players")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let refused = same_version(Some("1.41"), "1.43");
        assert_eq!(refused.outcome, Outcome::Refused);
        assert_eq!(refused.check().unwrap_err().exit(), crate::exit::REFUSED);
        assert_eq!(same_version(Some("1.43"), "1.43").outcome, Outcome::Passed);
        assert_eq!(same_version(None, "1.43").outcome, Outcome::NotApplicable);
    }
}
