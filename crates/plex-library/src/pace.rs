//! Holds a pass over a library back to so many bytes a second, so that a disk or an uplink has room for others.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// How fast a pass may be; shared by everything that belongs to it.
#[derive(Debug)]
pub(crate) struct Pace {
    per_second: Option<NonZeroU64>,
    begun: Instant,
    done: u64,
}

impl Pace {
    /// As fast as it goes, without a limit.
    pub(crate) fn new(per_second: Option<NonZeroU64>) -> Self {
        Self {
            per_second,
            begun: Instant::now(),
            done: 0,
        }
    }

    /// Counts bytes that were read, and waits if they came too early.
    pub(crate) fn add(&mut self, bytes: usize) {
        let Some(per_second) = self.per_second else { return };
        self.done += bytes as u64;
        std::thread::sleep(early(self.done, per_second, self.begun.elapsed()));
    }
}

/// By how much `done` bytes came too early.
fn early(done: u64, per_second: NonZeroU64, elapsed: Duration) -> Duration {
    let due = Duration::from_secs_f64(done as f64 / per_second.get() as f64);
    due.saturating_sub(elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_too_early_waits() {
        let rate = NonZeroU64::new(1_000_000).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(early(3_000_000, rate, second), 2 * second);
        assert_eq!(early(3_000_000, rate, 5 * second), Duration::ZERO);
        assert_eq!(early(0, rate, Duration::ZERO), Duration::ZERO);
    }
}
