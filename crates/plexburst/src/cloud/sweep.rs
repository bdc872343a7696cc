//! Finding and destroying what no live burst owns, in every zone.
//!
//! Never something that is not ours (tags with a burst's ULID, or an id out of one of our journals), never something that
//! is alive: a server with time left and a fresh proof of life stays, and so does everything of its burst. A zone that
//! does not answer is reported and does not keep the others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lease::{self, Reason, Verdict};
use super::lifecycle::{self, Known};
use super::provider::{Ledger, Owned, Provider};
use super::resource::{GLOBAL, Kind, Resource};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// One thing of ours, and what is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The burst that it belongs to.
    pub burst: String,
    /// The thing.
    pub resource: Resource,
    /// What is to become of it.
    pub verdict: Verdict,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Everything of ours.
    pub found: Vec<Found>,
    /// Zones that did not answer, and why.
    pub unanswered: Vec<(String, Error)>,
}

impl Findings {
    /// Lets what was kept go as well: the user asked for it.
    pub fn doom_kept(&mut self) {
        for found in &mut self.found {
            if matches!(found.verdict, Verdict::Kept { .. }) {
                found.verdict = Verdict::Destroy(Reason::Asked);
            }
        }
    }

    /// What has to go.
    pub fn doomed(&self) -> impl Iterator<Item = &Found> {
        self.found
            .iter()
            .filter(|found| matches!(found.verdict, Verdict::Destroy(_)))
    }
}

/// What this machine's journals know of a burst.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// It has ended: whatever it still has must go.
    pub has_ended: bool,
    /// What it made and was not confirmed gone.
    pub known: Known,
}

/// Looks into every zone and judges what is ours.
///
/// # Errors
/// The provider's time cannot be told; without it nothing is judged.
pub async fn look<P: Provider>(provider: &P, local: &BTreeMap<String, Local>) -> Result<Findings> {
    let now = provider.now().await?;
    let mut findings = Findings::default();
    let mut zones = provider.zones();
    // What is in no zone is judged by its burst's machine, wherever that is.
    zones.sort_by_key(|zone| zone == GLOBAL);
    for zone in zones {
        match look_into(provider, &zone, local, now, &findings).await {
            Ok(found) => findings.found.extend(found),
            Err(error) => findings.unanswered.push((zone, error)),
        }
    }
    Ok(findings)
}

async fn look_into<P: Provider>(
    provider: &P,
    zone: &str,
    local: &BTreeMap<String, Local>,
    now: i64,
    before: &Findings,
) -> Result<Vec<Found>> {
    let owned = provider.owned(zone).await?;
    let mut bursts: BTreeMap<&str, Vec<&Owned>> = BTreeMap::new();
    for one in &owned {
        bursts.entry(&one.owner.burst).or_default().push(one);
    }
    let mut all = Vec::new();
    for (burst, things) in bursts {
        let has_ended = local.get(burst).is_some_and(|l| l.has_ended);
        let mut verdicts = Vec::new();
        for server in things.iter().filter(|one| one.resource.kind == Kind::Server) {
            verdicts.push(judge(provider, server, has_ended, now).await?);
        }
        let alive = verdicts.iter().find(|verdict| !matches!(verdict, Verdict::Destroy(_)));
        let elsewhere = || {
            let lives = before
                .found
                .iter()
                .find(|found| found.burst == burst && !matches!(found.verdict, Verdict::Destroy(_)));
            match lives {
                Some(found) => Some(found.verdict.clone()),
                // Its machine may be where nobody answered.
                None if !before.unanswered.is_empty() => {
                    let left = things.iter().map(|one| one.owner.deadline - now).max().unwrap_or(0);
                    (left > 0).then_some(Verdict::Alive { left })
                }
                None => None,
            }
        };
        let rest = match (alive, verdicts.first()) {
            (Some(alive), _) => Some(alive.clone()),
            (None, Some(doomed)) => Some(doomed.clone()),
            (None, None) if zone == GLOBAL => elsewhere(),
            (None, None) => None,
        };
        let mut verdicts = verdicts.into_iter();
        for one in things {
            let verdict = if one.resource.kind == Kind::Server {
                verdicts.next()
            } else {
                rest.clone()
                    .or_else(|| Some(without_server(one, has_ended, now, provider.boot_grace())))
            };
            if let Some(verdict) = verdict {
                all.push(Found {
                    burst: burst.to_owned(),
                    resource: one.resource.clone(),
                    verdict,
                });
            }
        }
    }
    // Ids out of journals whose things carry no tags (the volumes of a machine's own): only once their burst is over, and
    // unless its machine was kept.
    for (burst, local) in local.iter().filter(|(_, l)| l.has_ended) {
        let stays = before.found.iter().chain(&all).find_map(|found| match &found.verdict {
            Verdict::Destroy(_) => None,
            lives => (found.burst == *burst).then(|| lives.clone()),
        });
        for resource in local.known.resources.iter().filter(|r| r.zone == zone) {
            let is_listed = all
                .iter()
                .any(|found| found.resource.kind == resource.kind && found.resource.id == resource.id);
            // What was ended from elsewhere, or by an earlier sweep, stands in the journal for ever.
            if !is_listed && provider.is_there(resource).await? {
                all.push(Found {
                    burst: burst.clone(),
                    resource: resource.clone(),
                    verdict: stays.clone().unwrap_or(Verdict::Destroy(Reason::Ended)),
                });
            }
        }
    }
    Ok(all)
}

async fn judge<P: Provider>(provider: &P, server: &Owned, has_ended: bool, now: i64) -> Result<Verdict> {
    if has_ended && !server.owner.is_kept {
        return Ok(Verdict::Destroy(Reason::Ended));
    }
    let life = provider.life(&server.resource).await?;
    Ok(lease::judge(server, life.as_ref(), now, provider.boot_grace()))
}

/// Something whose server is not there: it may be one that is just being made.
fn without_server(one: &Owned, has_ended: bool, now: i64, boot_grace: Duration) -> Verdict {
    let left = one.owner.deadline - now;
    let age = now - one.made_at;
    if has_ended {
        Verdict::Destroy(Reason::Ended)
    } else if left <= 0 {
        Verdict::Destroy(Reason::PastDeadline(-left))
    } else if one.made_at > 0 && age > i64::try_from(boot_grace.as_secs()).unwrap_or(i64::MAX) {
        Verdict::Destroy(Reason::Orphan)
    } else {
        Verdict::Alive { left }
    }
}

/// Destroys what has to go; everything is tried, and the first failure is told at the end.
///
/// # Errors
/// [`crate::exit::MAYBE_BILLED`] with what may still be there.
pub async fn destroy<P: Provider>(
    provider: &P,
    findings: &Findings,
    ledger: &dyn Ledger,
    clock: &dyn Clock,
    limit: Duration,
) -> Result<()> {
    let mut bursts: BTreeMap<&str, Known> = BTreeMap::new();
    for found in findings.doomed() {
        let known = bursts.entry(&found.burst).or_default();
        known.resources.insert(found.resource.clone());
        // What else the burst has in that zone goes with it, unless a part of the burst is alive.
        let is_alive = findings
            .found
            .iter()
            .any(|other| other.burst == found.burst && !matches!(other.verdict, Verdict::Destroy(_)));
        if !is_alive {
            known.zones.insert(found.resource.zone.clone());
        }
    }
    let mut failed = None;
    for (burst, known) in bursts {
        if let Err(error) = lifecycle::end(provider, burst, &known, ledger, clock, limit).await {
            failed.get_or_insert(error);
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
