//! The line between this machine and a remote depot, which a household shares: no more than so many bytes in a second, on
//! average.
//!
//! What travels in one request goes as fast as it goes, and the next request waits; parts are made small enough that each is
//! about a second of the line.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// A part is at least so large, in bytes: each is a request, and on a slow line most of it would be the asking.
const LEAST: usize = 256 << 10;

/// The line; without a limit it is as it is.
#[derive(Debug, Default)]
pub(super) struct Line {
    per_second: Option<NonZeroU64>,
    /// When all that travelled so far is paid for.
    free_at: Mutex<Option<Instant>>,
}

impl Line {
    pub(super) fn new(per_second: Option<NonZeroU64>) -> Self {
        Self {
            per_second,
            free_at: Mutex::default(),
        }
    }

    /// Bytes of a part on this line, where it would be `wanted` without a limit.
    pub(super) fn part(&self, wanted: usize) -> usize {
        let second = self
            .per_second
            .map_or(usize::MAX, |rate| usize::try_from(rate.get()).unwrap_or(usize::MAX));
        wanted.min(second.max(LEAST))
    }

    /// Waits for as long as `bytes`, which began to travel at `begun`, came too early.
    pub(super) async fn carried(&self, bytes: u64, begun: Instant, clock: &dyn Clock) {
        let Some(per_second) = self.per_second else { return };
        #[expect(clippy::cast_precision_loss, reason = "fractions of a second")]
        let takes = Duration::from_secs_f64(bytes as f64 / per_second.get() as f64);
        let free_at = {
            // A time is whole after every single assignment.
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            // Others on the line may have been ahead.
            let at = free_at.map_or(begun, |at| at.max(begun)) + takes;
            *free_at = Some(at);
            at
        };
        clock.sleep(free_at.saturating_duration_since(clock.now())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn what_came_too_early_waits_and_what_did_not_does_not() {
        let clock = ManualClock::new();
        let line = Line::new(NonZeroU64::new(1 << 20));
        let begun = clock.now();
        // Three seconds of the line, of which one has passed.
        clock.advance(Duration::from_secs(1));
        line.carried(3 << 20, begun, &clock).await;
        assert_eq!(clock.passed(), Duration::from_secs(3));
        // Two at a time share it.
        let begun = clock.now();
        line.carried(1 << 20, begun, &clock).await;
        line.carried(1 << 20, begun, &clock).await;
        assert_eq!(clock.passed(), Duration::from_secs(5));
        // One that was slow by itself waits for nothing.
        let begun = clock.now();
        clock.advance(Duration::from_secs(10));
        line.carried(1 << 20, begun, &clock).await;
        assert_eq!(clock.passed(), Duration::from_secs(15));
        assert_eq!((line.part(16 << 20), line.part(1024)), (1 << 20, 1024));
        let unlimited = Line::new(None);
        unlimited.carried(u64::MAX, begun, &clock).await;
        assert_eq!(clock.passed(), Duration::from_secs(15));
        assert_eq!(unlimited.part(16 << 20), 16 << 20);
    }
}
