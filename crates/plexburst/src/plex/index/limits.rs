//! How patient the watching is. The numbers are those of the earlier scripts (facts/legacy.md §4) unless said
//! otherwise.

use std::time::Duration;

use super::report::Step;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Intervals and limits of the steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Between two looks.
    pub interval: Duration,
    /// Idle looks in a row that end a step: one proves nothing, since an activity may show up late.
    pub idle_looks: u32,
    /// How long after its start a step that was never seen at work is not taken for over.
    pub grace: Duration,
    /// Looks in a row without any movement, while something claims to be at work, that make a stall.
    pub stall_looks: u32,
    /// The same for the refresh of all metadata, which waits for others' servers.
    pub refresh_stall_looks: u32,
    /// The same for Sonic, which takes long over a track.
    pub sonic_stall_looks: u32,
    /// Percent of one core below which Plex counts as idle.
    pub idle_cpu: f64,
    /// A scan.
    pub scan: Duration,
    /// The refresh of all metadata, and a deep scan, which is one as well.
    pub refresh: Duration,
    /// Analysis, loudness, previews and markers.
    pub analyse: Duration,
    /// Sonic, for the whole backlog.
    pub sonic: Duration,
    /// Between two calls of the caller's guard while a step runs.
    pub guard_every: Duration,
    /// Looks in a row that may fail before the failure counts.
    pub failing_looks: u32,
}

impl Limits {
    /// For a worker on this machine: a look a minute, a stall after ten.
    #[must_use]
    pub fn local() -> Self {
        Self {
            interval: MINUTE,
            idle_looks: 2,
            grace: Duration::from_secs(5),
            stall_looks: 10,
            refresh_stall_looks: 10,
            sonic_stall_looks: 10,
            idle_cpu: 10.0,
            scan: 4 * HOUR,
            refresh: 4 * HOUR,
            analyse: 8 * HOUR,
            sonic: 72 * HOUR,
            guard_every: MINUTE,
            failing_looks: 5,
        }
    }

    /// For a worker elsewhere: a look every two minutes, a stall after half an hour, in Sonic after an hour, in a refresh
    /// after two.
    #[must_use]
    pub fn cloud() -> Self {
        Self {
            interval: 2 * MINUTE,
            grace: MINUTE,
            stall_looks: 15,
            refresh_stall_looks: 60,
            sonic_stall_looks: 30,
            idle_cpu: 5.0,
            ..Self::local()
        }
    }

    /// With other looks, of which as many make a stall in every step.
    #[must_use]
    pub fn looking(self, interval: Duration, stall_looks: u32) -> Self {
        Self {
            interval,
            stall_looks,
            refresh_stall_looks: stall_looks,
            sonic_stall_looks: stall_looks,
            ..self
        }
    }

    /// As they are for one step; `is_deep`: the scan refreshes all metadata on its way.
    #[must_use]
    pub fn of_step(&self, step: Step, is_deep: bool) -> Self {
        Self {
            stall_looks: match step {
                Step::Sonic => self.sonic_stall_looks,
                Step::Refresh => self.refresh_stall_looks,
                Step::Idle | Step::Scan if is_deep => self.refresh_stall_looks,
                _ => self.stall_looks,
            },
            ..*self
        }
    }

    /// How long nothing may move, in words that a person compares with a clock.
    #[must_use]
    pub fn stall(&self) -> Duration {
        self.interval * self.stall_looks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_interval_times_looks() {
        assert_eq!(Limits::local().stall(), 10 * MINUTE);
        let cloud = |step, is_deep| Limits::cloud().of_step(step, is_deep).stall();
        assert_eq!(cloud(Step::Scan, false), 30 * MINUTE);
        assert_eq!(cloud(Step::Scan, true), 2 * HOUR);
        assert_eq!(cloud(Step::Refresh, false), 2 * HOUR);
        assert_eq!(cloud(Step::Sonic, true), HOUR);
        let limits = Limits::local().looking(Duration::from_secs(2), 300);
        assert_eq!((limits.stall(), limits.scan), (10 * MINUTE, 4 * HOUR));
    }
}
