//! The kinds of bad days.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::fixture::random::Random;

/// What is done to requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every request is answered with this status, and an S3 error that goes with it: 403, 429, 500, 503 (`SlowDown`).
    Status(u16),
    /// Connections are taken, and nothing is ever answered.
    Silent,
    /// Connections are taken and closed.
    Closed,
    /// Listings lack every second object and folder, and say that they are whole.
    HalfListing,
    /// Everything is listed, but no object has a body.
    NoBodies {
        /// Whether the connection is kept open after the headers; closed otherwise.
        hang: bool,
    },
    /// Answers come late, and some are errors.
    Slow {
        /// At least.
        from: Duration,
        /// At most.
        to: Duration,
        /// Of a thousand requests, answered 500.
        errors: u16,
    },
}

/// The same bad luck for the same seed.
#[derive(Debug)]
pub(super) struct Dice(Mutex<Random>);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(Random::new(seed)))
    }

    /// Whether bad luck strikes that comes so often in a thousand times.
    pub(super) fn strikes(&self, in_thousand: u16) -> bool {
        self.below(1000) < i64::from(in_thousand)
    }

    pub(super) fn between(&self, from: Duration, to: Duration) -> Duration {
        let span = i64::try_from(to.saturating_sub(from).as_millis()).unwrap_or(i64::MAX - 1);
        from + Duration::from_millis(self.below(span + 1).unsigned_abs())
    }

    fn below(&self, limit: i64) -> i64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).below(limit)
    }
}
