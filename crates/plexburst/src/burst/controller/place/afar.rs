//! A rented machine that this controller has no key to, since the burst was taken over from another one: its worker is
//! followed through the depot and its proof of life, and ended through its provider.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::Controller;
use super::rented::{Cloud, Rented};
use super::{Alive, forget};
use crate::burst::ledger;
use crate::burst::phase::Phase;
use crate::clock::{Clock, SystemClock};
use crate::cloud::lease::{GRACE, INTERVAL};
use crate::error::{Error, Result};

/// Between two looks at one that is silent.
const LOOK: Duration = Duration::from_secs(2);

/// The machine.
pub(super) struct Afar {
    pub(super) cloud: Cloud,
    pub(super) rented: Rented,
    /// Since when its proof of life is found too old, by this machine's clock: one look proves nothing.
    silent: Mutex<Option<Instant>>,
}

/// The machine of a controller before this one, when its worker is at work. Else whatever is left of it is ended, so that
/// another can be rented, and `cloud` comes back.
pub(super) async fn find(c: &Controller, cloud: Cloud) -> Result<std::result::Result<Afar, Cloud>> {
    let known = ledger::known(c.side.journal().entries());
    if known.resources.is_empty() && known.open_intents.is_empty() {
        return Ok(Err(cloud));
    }
    let rented: Option<Rented> = c.side.journal().facts(Phase::Provision)?;
    let cloud = match rented {
        Some(rented) => {
            let afar = Afar::of(cloud, rented);
            while afar.is_alive(c).await? != Alive::No {
                if !afar.is_silent() {
                    return Ok(Ok(afar));
                }
                c.printer().progress("waiting for the worker's next proof of life");
                SystemClock.sleep(LOOK).await;
            }
            afar.cloud
        }
        None => cloud,
    };
    c.printer().warn(
        "nobody works on the machine that was rented before, and this machine has no key to it; another is rented",
    );
    c.still_seated().await?;
    cloud.end(c, Phase::Provision).await?;
    forget(c).await?;
    Ok(Err(cloud))
}

impl Afar {
    pub(super) fn of(cloud: Cloud, rented: Rented) -> Self {
        Self {
            cloud,
            rented,
            silent: Mutex::default(),
        }
    }

    fn is_silent(&self) -> bool {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Never [`Alive::Yes`]: nothing can be left on it.
    pub(super) async fn is_alive(&self, c: &Controller) -> Result<Alive> {
        if super::super::work::has_ended(c).await? || self.cloud.is_running(&self.rented).await? == Alive::No {
            return Ok(Alive::No);
        }
        let grace = i64::try_from(GRACE.as_secs()).unwrap_or(i64::MAX);
        let is_heard = matches!(self.cloud.silent_for(&self.rented).await?, Some(silent) if silent <= grace);
        let now = SystemClock.now();
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if is_heard {
            *silent = None;
            return Ok(Alive::Unknown);
        }
        // As long as it takes to give two proofs.
        let since = *silent.get_or_insert(now);
        Ok(if now - since > INTERVAL * 2 {
            Alive::No
        } else {
            Alive::Unknown
        })
    }

    /// The worker goes on; it cannot be started from here.
    pub(super) async fn goes_on(&self, c: &Controller) -> Result<()> {
        match self.is_alive(c).await? {
            Alive::No => Err(
                Error::failed(format!("nobody works on {} any more", self.rented.server)).hint(format!(
                    "`plexburst resume {}` rents another machine, which goes on from the last checkpoint",
                    c.id()
                )),
            ),
            Alive::Yes | Alive::Unknown => Ok(()),
        }
    }

    pub(super) fn no_key(&self) -> Error {
        Error::failed(format!(
            "this machine has no key to {}: the burst was taken over",
            self.rented.server
        ))
    }
}
