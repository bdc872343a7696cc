//! The health of the media as something that is measured while Plex works: evidence, a verdict over time, and who looks.
//!
//! [`Evidence`] is what one look finds; [`Judge`] turns looks into a [`Verdict`] and asks nobody; [`Monitor`] looks again
//! and again in the background. Guarantees: slow is not dead, however slow; dead is only said when it is proved (the
//! mount's process or its connection is gone, or nothing came through for a while, several times in a row). Must not:
//! change anything; recovery belongs to whoever drives Plex.

mod evidence;
mod judge;
mod monitor;

use std::fmt;
use std::time::Duration;

pub use evidence::{Direct, Evidence, Root, RootEvidence};
pub use judge::Judge;
pub use monitor::Monitor;

/// How patient the judging is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// One look: what has not been read by then was silent.
    pub probe: Duration,
    /// Between two looks while all is well.
    pub interval: Duration,
    /// How long nothing at all may come through before the media are dead.
    pub dead: Duration,
    /// An answer that takes longer is a slow one.
    pub slow: Duration,
}

impl Limits {
    /// As configured.
    #[must_use]
    pub fn of(limits: &crate::config::Limits) -> Self {
        Self {
            probe: Duration::from_secs_f64(limits.probe),
            interval: Duration::from_secs_f64(limits.watch),
            dead: Duration::from_secs_f64(limits.dead),
            slow: Duration::from_secs(1),
        }
    }

    /// Between two looks while something is suspected: several fit into the time that decides.
    fn hurried(&self) -> Duration {
        self.interval.min(self.dead / 6)
    }
}

/// What is known about the media.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// They answer, and fast.
    Healthy,
    /// They answer, late. No reason to stop anything.
    Slow,
    /// Something is wrong and it is not proved yet that it stays so: nothing may be concluded from what is seen.
    Suspect {
        /// What.
        why: String,
    },
    /// Proved: this mount will not come back.
    Dead {
        /// How it is known.
        why: String,
    },
}

impl Verdict {
    /// Whether Plex may go on.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self, Self::Healthy | Self::Slow)
    }
}

/// The verdict, and what was measured at the last look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Looks so far.
    pub looks: u64,
    /// What is to be made of it.
    pub verdict: Verdict,
    /// Files that showed real bytes, of how many.
    pub read: (usize, usize),
    /// The slowest answer.
    pub slowest: Duration,
    /// Bytes a second that came from the store since the look before; none when nothing tells.
    pub throughput: Option<f64>,
    /// What a person should know although it is no reason to stop.
    pub notes: Vec<String>,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Unknown => return f.write_str("media not looked at yet"),
            Verdict::Healthy => f.write_str("media healthy")?,
            Verdict::Slow => f.write_str("media slow")?,
            Verdict::Suspect { why } => write!(f, "media suspect ({why})")?,
            Verdict::Dead { why } => return write!(f, "media dead: {why}"),
        }
        let (read, of) = self.read;
        write!(f, ", {read} of {of} files read in {} ms", self.slowest.as_millis())?;
        if let Some(throughput) = self.throughput.filter(|bytes| *bytes >= 1e5) {
            write!(f, ", {:.1} MB/s", throughput / 1e6)?;
        }
        for note in &self.notes {
            write!(f, ", {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
