//! The controller's seat in the depot, and what it says there about the burst for other machines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Controller;
use crate::burst::elsewhere;
use crate::burst::phase::Phase;
use crate::burst::seat::Seat;
use crate::burst::spec::key;
use crate::depot::Status;
use crate::error::{Error, Result};

/// The seat with the journal that is kept under its name.
pub(super) struct Seated {
    seat: Seat,
    journal: Status,
    /// Nothing more is said: the burst's part of the depot is being cleared.
    is_left: AtomicBool,
}

impl Controller {
    /// Takes the burst's seat, once in a process, and says in the depot what the burst is and where it stands. A burst
    /// whose result is home needs none.
    pub(super) async fn take_seat(&self) -> Result<()> {
        if self.seat.initialized() || self.side.is_done(Phase::Fetch) {
            return Ok(());
        }
        if self.was_ended_elsewhere().await? {
            return Err(Error::refused(format!(
                "burst {} was ended by another machine, which took it over",
                self.id()
            ))
            .hint(format!(
                "`plexburst cancel {}` lets go of it here; home stays as it is",
                self.id()
            )));
        }
        let seat = Seat::take(&self.depot).await?;
        // Whoever goes on with a burst that was told to end has seen that it was.
        self.depot.remove(key::CANCEL).await?;
        let request = serde_json::to_vec(&self.request)
            .map_err(|e| Error::unexpected("cannot write down the burst for the depot").because(e))?;
        self.depot.put_bytes(elsewhere::REQUEST, &request).await?;
        self.depot.leave_own_keys(elsewhere::KEYS).await?;
        let journal = Status::new(self.depot.clone(), seat.journal());
        let seated = Arc::new(Seated {
            seat,
            journal,
            is_left: AtomicBool::new(false),
        });
        seated.journal.say(elsewhere::sealed(self.side.journal().entries())?);
        let said = Arc::clone(&seated);
        self.side.on_write(move |entries| {
            if !said.is_left.load(Ordering::SeqCst) {
                said.journal.say(elsewhere::sealed(entries)?);
            }
            Ok(())
        });
        // Nobody else sets it: the controller is one task.
        self.seat.set(seated).ok();
        Ok(())
    }

    /// Whether another machine has taken the burst over and ended it: what was parked is gone from the depot, with every seat.
    pub(super) async fn was_ended_elsewhere(&self) -> Result<bool> {
        let is_under_way = self.side.is_done(Phase::Park)
            && !self.side.is_done(Phase::Fetch)
            && self.side.attempts(Phase::Rollback) == 0
            && !self.seat.initialized();
        Ok(is_under_way && crate::burst::seat::newest(&self.depot).await?.is_none())
    }

    /// Says nothing more in the depot, and waits until nothing is on its way there.
    pub(super) async fn leave_seat(&self) {
        if let Some(seated) = self.seat.get() {
            seated.is_left.store(true, Ordering::SeqCst);
            // What could not be said any more is not missed in a folder that is cleared.
            seated.journal.settled().await.ok();
        }
    }

    /// Nobody has taken the burst over; has to hold before anything is done that cannot be taken back.
    pub(super) async fn still_seated(&self) -> Result<()> {
        match self.seat.get() {
            Some(seated) => seated.seat.keep().await,
            None => Ok(()),
        }
    }
}
