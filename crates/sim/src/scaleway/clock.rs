//! The simulator's own time: moved by hand, or running at a chosen speed.
//!
//! Everything that takes time at Scaleway (booting, detaching, deleting, billing, keys that expire) is measured on this
//! clock alone, so that hours pass in a test without anybody waiting. It never runs backwards.

use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Microseconds since 1970.
pub(crate) type Micros = i64;

/// A second.
pub(crate) const SECOND: Micros = 1_000_000;

/// How time passes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Pace {
    /// Only when told to, and by `step_seconds` with each request to the API: a client that polls moves time on.
    Manual {
        /// How far each request moves it.
        #[serde(default)]
        step_seconds: f64,
    },
    /// By itself, `speed` times as fast as the real one.
    Auto {
        /// 1 is real time.
        speed: f64,
    },
}

/// The time of one simulator.
#[derive(Debug)]
pub(crate) struct Clock {
    pace: Pace,
    /// The time at `since`.
    anchor: Micros,
    since: Instant,
}

impl Clock {
    /// Begins now, by the machine's clock.
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            pace,
            anchor: Timestamp::now().as_microsecond(),
            since: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Micros {
        match self.pace {
            Pace::Manual { .. } => self.anchor,
            Pace::Auto { speed } => self.anchor + micros(self.since.elapsed().as_secs_f64() * speed),
        }
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// Moves on; a negative step is none.
    pub(crate) fn advance(&mut self, by: Micros) {
        self.anchor = self.now() + by.max(0);
        self.since = Instant::now();
    }

    /// What a request does to a clock that is moved by requests.
    pub(crate) fn request(&mut self) {
        if let Pace::Manual { step_seconds } = self.pace {
            self.advance(micros(step_seconds));
        }
    }

    pub(crate) fn set_pace(&mut self, pace: Pace) {
        self.advance(0);
        self.pace = pace;
    }
}

/// Seconds as microseconds.
pub(crate) fn micros(seconds: f64) -> Micros {
    // A cast of a float saturates; no test runs for 290,000 years.
    (seconds * 1e6).round() as Micros
}

/// As instance v1 writes a moment (facts/cloud.md §1.4).
pub(crate) fn instance_time(at: Micros) -> String {
    format!("{}+00:00", civil(at))
}

/// As the newer APIs write it.
pub(crate) fn api_time(at: Micros) -> String {
    format!("{}Z", civil(at))
}

/// As the `Date` header has it.
pub(crate) fn http_time(at: Micros) -> String {
    stamp(at).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A moment that a client wrote.
pub(crate) fn parse(text: &str) -> Option<Micros> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}

fn civil(at: Micros) -> String {
    stamp(at).strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

fn stamp(at: Micros) -> Timestamp {
    Timestamp::from_microsecond(at).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_were_recorded() {
        let at = parse("2025-11-04T10:18:25.155970+00:00").unwrap();
        assert_eq!(instance_time(at), "2025-11-04T10:18:25.155970+00:00");
        assert_eq!(api_time(at), "2025-11-04T10:18:25.155970Z");
        assert_eq!(http_time(at), "Tue, 04 Nov 2025 10:18:25 GMT");
        assert_eq!(parse("soon"), None);
    }

    #[test]
    fn a_manual_clock_moves_when_told_to_and_with_requests() {
        let mut clock = Clock::new(Pace::Manual { step_seconds: 2.0 });
        let began = clock.now();
        clock.advance(-5);
        assert_eq!(clock.now(), began);
        clock.request();
        clock.advance(3 * SECOND);
        assert_eq!(clock.now(), began + 5 * SECOND);
    }

    #[test]
    fn a_change_of_pace_does_not_turn_time_back() {
        let mut clock = Clock::new(Pace::Auto { speed: 1e6 });
        let before = clock.now();
        clock.set_pace(Pace::Manual { step_seconds: 0.0 });
        assert!(clock.now() >= before);
    }
}
