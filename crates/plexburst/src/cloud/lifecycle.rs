//! A machine for a burst, from the first call to the last 404.
//!
//! Guarantees: whatever instant a crash comes at, everything that was made can be found again: by an id in the ledger, or
//! by the burst's tags together with the intent that was written down before it was made. [`end`] comes back without an
//! error only when the provider has answered 404 for every one of them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::offer::Offer;
use super::provider::{Gone, Ledger, Machine, Order, Provider, Taken};
use super::resource::{Kind, Ownership, Resource};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::exit;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// A local disk that is archived, a hypervisor that is slow: ten minutes and more were seen (facts: cloud §1.5).
pub const BOOT: Duration = Duration::from_secs(15 * 60);
/// How long the end is tried in the foreground before it is handed over.
pub const END: Duration = Duration::from_secs(15 * 60);
/// How long lists may lag behind a creation whose answer was lost.
const LAG: Duration = Duration::from_secs(90);

/// What is known of a burst's resources, out of its journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Learnt and not confirmed gone.
    pub resources: BTreeSet<Resource>,
    /// Zones in which something was about to be made whose id was never learnt.
    pub open_intents: BTreeSet<String>,
    /// Every zone in which something was made or about to be.
    pub zones: BTreeSet<String>,
    /// What was settled for the server that was asked for last, unless it was refused or is gone.
    pub taken: Option<Taken>,
}

impl PartialOrd for Resource {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Resource {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Servers first: the rest can only go after them.
        (self.kind, &self.zone, &self.id).cmp(&(other.kind, &other.zone, &other.id))
    }
}

/// Makes the machine out of the first of `offers` that can be had, and waits until it runs and has an address; comes back
/// with what was settled for it. The server of a run that was killed is gone on with, as that run had settled it.
///
/// # Errors
/// None of them can be had; the provider fails for longer than a call is repeated; it does not come up.
pub async fn begin<P: Provider>(
    provider: &P,
    offers: &[Offer],
    order: impl Fn(&Offer) -> Order,
    known: &Known,
    ledger: &dyn Ledger,
    clock: &dyn Clock,
    say: &(dyn Fn(&str) + Sync),
) -> Result<(Machine, Taken)> {
    if let Some(taken) = &known.taken {
        let order = order(&taken.offer).as_taken(taken);
        if show_up(provider, &order.owner.burst, known, clock).await? {
            let machine = provider.make(&order, ledger).await?;
            return Ok((wait_running(provider, machine, clock).await?, taken.clone()));
        }
    }
    let mut refused = None;
    for offer in offers {
        let order = order(offer);
        match provider.make(&order, ledger).await {
            Ok(machine) => return Ok((wait_running(provider, machine, clock).await?, order.taken())),
            // Not to be had here: the next one is another type or another zone.
            Err(error) if error.exit() == exit::REFUSED => {
                say(&format!(
                    "{} in {}: {}",
                    offer.commercial_type,
                    offer.zone,
                    error.chain()
                ));
                refused = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| {
        Error::refused(format!("{} offers no machine that fits", provider.name()))
            .hint("take another --instance, or set another zone")
    }))
}

/// Whether the server that an earlier run asked for is there. That run may have been killed before it learnt the id, and
/// lists may not show the server yet: it is waited for, so that no second one is made.
async fn show_up<P: Provider>(provider: &P, burst: &str, known: &Known, clock: &dyn Clock) -> Result<bool> {
    let begun = clock.now();
    loop {
        let mut may_show = !known.open_intents.is_empty();
        for server in known.resources.iter().filter(|r| r.kind == Kind::Server) {
            may_show |= provider.machine(server).await?.is_some();
        }
        let found = listed(provider, burst, &known.zones).await?;
        if found.iter().any(|resource| resource.kind == Kind::Server) {
            return Ok(true);
        }
        if !may_show || clock.now() - begun >= LAG {
            return Ok(false);
        }
        clock.sleep(LOOK).await;
    }
}

async fn wait_running<P: Provider>(provider: &P, machine: Machine, clock: &dyn Clock) -> Result<Machine> {
    let begun = clock.now();
    let mut last;
    loop {
        // A look that fails is repeated like one that shows a machine still starting; the limit ends both.
        match provider.machine(&machine.server).await {
            Ok(Some(now)) if now.is_running && now.address.is_some() => return Ok(now),
            Ok(Some(now)) => last = now.state,
            Ok(None) => {
                return Err(Error::failed(format!("{} is gone before it ran", machine.server))
                    .hint("somebody else may have ended it; `plexburst resume` makes another"));
            }
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => last = error.chain(),
        }
        if clock.now() - begun > BOOT {
            return Err(Error::failed(format!(
                "{} does not come up within {} min; last: {last}",
                machine.server,
                BOOT.as_secs() / 60
            ))
            .hint("`plexburst cancel` ends it, `plexburst resume` looks again"));
        }
        clock.sleep(LOOK).await;
    }
}

/// Whether asking again cannot help: the key or the call is wrong.
fn is_final(error: &Error) -> bool {
    error.exit() == exit::USAGE
}

/// Ends everything of one burst and comes back when the provider answered 404 for all of it.
///
/// # Errors
/// [`exit::MAYBE_BILLED`] with what may still be there when `limit` is over.
pub async fn end<P: Provider>(
    provider: &P,
    burst: &str,
    known: &Known,
    ledger: &dyn Ledger,
    clock: &dyn Clock,
    limit: Duration,
) -> Result<()> {
    let begun = clock.now();
    let mut left = known.resources.clone();
    let mut gone = BTreeSet::new();
    let mut is_listed = false;
    let mut trouble = None;
    loop {
        // Found by tags as well: what a lost answer made, and what a killed program could not write down any more.
        match listed(provider, burst, &known.zones).await {
            Ok(found) => {
                // What a list that lags still shows was answered 404 for already.
                left.extend(found.into_iter().filter(|resource| !gone.contains(resource)));
                is_listed = true;
            }
            Err(error) => trouble = Some(error),
        }
        for resource in left.clone() {
            // Until it is gone the machine may still have to end itself.
            if resource.kind.is_key() && left.iter().any(|other| other.kind == Kind::Server) {
                continue;
            }
            match step(provider, burst, &resource, ledger, &mut left, &gone).await {
                Ok(Gone::Yes) => {
                    ledger.gone(&resource)?;
                    left.remove(&resource);
                    gone.insert(resource);
                }
                Ok(Gone::NotYet) => {}
                // One that cannot be ended must not keep the others.
                Err(error) => trouble = Some(error),
            }
        }
        let waited = clock.now() - begun;
        let may_still_show = !known.open_intents.is_empty() && waited < LAG;
        if left.is_empty() && is_listed && !may_still_show {
            return Ok(());
        }
        if waited > limit {
            return Err(still_there(provider.name(), burst, &left, trouble));
        }
        clock.sleep(LOOK).await;
    }
}

/// Before a server goes, what came with it is written down and marked as doomed: afterwards nothing would lead to it.
async fn step<P: Provider>(
    provider: &P,
    burst: &str,
    resource: &Resource,
    ledger: &dyn Ledger,
    left: &mut BTreeSet<Resource>,
    gone: &BTreeSet<Resource>,
) -> Result<Gone> {
    if resource.kind == Kind::Server {
        for volume in provider.attached(resource).await? {
            if gone.contains(&volume) {
                continue;
            }
            if left.insert(volume.clone()) {
                ledger.learn(&volume)?;
            }
            if volume.kind == Kind::BlockVolume {
                let doomed = Ownership {
                    burst: burst.to_owned(),
                    deadline: 0,
                    is_kept: false,
                };
                provider.retag(&volume, &doomed).await?;
            }
        }
    }
    provider.destroy(resource).await
}

async fn listed<P: Provider>(provider: &P, burst: &str, zones: &BTreeSet<String>) -> Result<Vec<Resource>> {
    let mut all = Vec::new();
    for zone in zones {
        let owned = provider.owned(zone).await?;
        all.extend(owned.into_iter().filter(|o| o.owner.burst == burst).map(|o| o.resource));
    }
    Ok(all)
}

fn still_there(provider: &str, burst: &str, left: &BTreeSet<Resource>, trouble: Option<Error>) -> Error {
    let named: Vec<String> = left.iter().map(ToString::to_string).collect();
    let what = if named.is_empty() {
        format!("what burst {burst} may have made at {provider}")
    } else {
        named.join(", ")
    };
    let error = Error::new(exit::MAYBE_BILLED, format!("may still be billed: {what}"))
        .hint("`plexburst sweep` ends it; run it until it says that nothing is left");
    match trouble {
        Some(trouble) => error.because(trouble),
        None => error,
    }
}
