//! Time as something that can be handed in, so that hours of waiting are tested in milliseconds.
//!
//! Whatever waits for Plex, for a mount or for a section takes a [`Clock`] and asks nobody else for the time. The
//! program uses [`SystemClock`]; tests use [`ManualClock`], whose sleep moves time on instead of spending it.
//! Instants are monotonic: a clock that is set back during a burst neither ends a wait early nor makes it endless.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What a clock's `sleep` returns.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Where waiting gets its time from.
pub trait Clock: Send + Sync {
    /// Now, monotonic.
    fn now(&self) -> Instant;
    /// Comes back when `duration` has passed on this clock.
    fn sleep(&self, duration: Duration) -> Sleep<'_>;
}

/// A moment as a person at this machine reads it: in its own time zone.
#[must_use]
pub fn local(at: jiff::Timestamp, format: &str) -> String {
    at.to_zoned_datetime(jiff::tz::TimeZone::system())
        .strftime(format)
        .to_string()
}

/// The machine's own monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that stands still until somebody sleeps on it: then it jumps.
///
/// A real server on the other side still needs real time to do its work, so a sleep may spend a short real pause.
#[derive(Debug)]
pub struct ManualClock {
    start: Instant,
    passed: Mutex<Duration>,
    pause: Duration,
}

impl ManualClock {
    /// A clock whose sleeps take no real time.
    #[must_use]
    pub fn new() -> Self {
        Self::with_pause(Duration::ZERO)
    }

    /// A clock whose sleeps take `pause` of real time each, whatever they are told to last.
    #[must_use]
    pub fn with_pause(pause: Duration) -> Self {
        Self {
            start: Instant::now(),
            passed: Mutex::new(Duration::ZERO),
            pause,
        }
    }

    /// How far this clock has been moved on.
    #[must_use]
    pub fn passed(&self) -> Duration {
        *self.lock()
    }

    /// Moves time on without anybody sleeping, as a suspended machine does.
    pub fn advance(&self, by: Duration) {
        *self.lock() += by;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Duration> {
        self.passed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + self.passed()
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Box::pin(async move {
            self.advance(duration);
            if self.pause.is_zero() {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(self.pause).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hours_pass_in_no_time() {
        let clock = ManualClock::new();
        let (real, before) = (Instant::now(), clock.now());
        clock.sleep(Duration::from_secs(72 * 3600)).await;
        assert_eq!(clock.now() - before, Duration::from_secs(72 * 3600));
        assert!(real.elapsed() < Duration::from_secs(5));
    }
}
