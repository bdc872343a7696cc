//! How long the work of a burst takes on a machine: from what earlier bursts took, else from documented defaults, always with
//! how far it may be off.

use serde::{Deserialize, Serialize};

/// What a worker has to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Files that Plex scans and analyses for the first time.
    pub files: u64,
    /// Tracks that Sonic analyses.
    pub sonic: u64,
}

/// What a worker did, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Worked {
    /// What.
    #[serde(flatten)]
    pub work: Work,
    /// On so many vCPUs.
    pub cpus: u32,
    /// For so long.
    pub seconds: f64,
}

/// Before anything was measured: seconds of one vCPU for scanning and analysing a file that lies in a bucket.
pub const FILE: f64 = 2.0;
/// The same for Sonic on a track: "several CPU-seconds" (facts: plex §10; no public figure exists).
pub const SONIC: f64 = 5.0;
/// A machine's boot, the library's way up and the result's way down.
pub const AROUND: f64 = 15.0 * 60.0;
/// How far the defaults may be off, either way.
const UNMEASURED: f64 = 3.0;
/// How far one measurement may be off, either way; several tell it themselves, and are believed no closer than the next.
const ONCE: f64 = 1.6;
const OFTEN: f64 = 1.2;
/// So many of the newest bursts count.
const COUNTED: usize = 5;
/// Less work than this tells nothing of a rate.
const LEAST: u64 = 50;

/// Seconds, most likely and at either end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Span {
    /// The best case that is likely.
    pub least: f64,
    /// What to expect.
    pub expected: f64,
    /// The worst that is likely.
    pub most: f64,
}

/// How the defaults compare with what was measured here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    factor: f64,
    least: f64,
    most: f64,
    /// How many earlier bursts it is from.
    pub bursts: usize,
}

fn by_default(work: Work, cpus: u32) -> f64 {
    // Far below 2^52.
    #[allow(clippy::cast_precision_loss)]
    let cpu_seconds = work.files as f64 * FILE + work.sonic as f64 * SONIC;
    cpu_seconds / f64::from(cpus.max(1))
}

impl Rates {
    /// From earlier bursts, newest first.
    #[must_use]
    pub fn of(earlier: &[Worked]) -> Self {
        let telling = earlier
            .iter()
            .filter(|one| one.work.files + one.work.sonic >= LEAST && one.seconds > 0.0);
        let ratios: Vec<f64> = telling
            .take(COUNTED)
            .map(|one| one.seconds / by_default(one.work, one.cpus))
            .collect();
        if ratios.is_empty() {
            return Self {
                factor: 1.0,
                least: 1.0 / UNMEASURED,
                most: UNMEASURED,
                bursts: 0,
            };
        }
        // Rates multiply, so their mean is the geometric one.
        #[allow(clippy::cast_precision_loss)]
        let factor = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
        let spread = if ratios.len() == 1 { ONCE } else { OFTEN };
        Self {
            factor,
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min) / spread,
            most: ratios.iter().copied().fold(0.0, f64::max) * spread,
            bursts: ratios.len(),
        }
    }

    /// How long `work` takes on so many vCPUs, with everything around it.
    #[must_use]
    pub fn time(&self, work: Work, cpus: u32) -> Span {
        let seconds = by_default(work, cpus);
        Span {
            least: AROUND + seconds * self.least,
            expected: AROUND + seconds * self.factor,
            most: AROUND + seconds * self.most,
        }
    }

    /// For a person: what it rests on.
    #[must_use]
    pub fn basis(&self) -> String {
        match self.bursts {
            0 => format!(
                "nothing was measured here yet: {FILE} s a new file and {SONIC} s a track of Sonic on one vCPU are assumed, \
                 and may be {UNMEASURED} times wrong"
            ),
            1 => "from the rate of one earlier burst".to_owned(),
            count => format!("from the rates of {count} earlier bursts"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Work = Work {
        files: 1000,
        sonic: 2000,
    };

    fn worked(seconds: f64) -> Worked {
        Worked {
            work: WORK,
            cpus: 4,
            seconds,
        }
    }

    #[test]
    fn defaults_are_wide_and_measurements_narrow_them() {
        let guess = Rates::of(&[]).time(WORK, 4);
        assert!((guess.expected - AROUND - 3000.0).abs() < 1e-6, "{guess:?}");
        assert!((guess.most - AROUND - 9000.0).abs() < 1e-6 && guess.least < guess.expected);
        let once = Rates::of(&[worked(6000.0)]);
        let time = once.time(WORK, 4);
        assert!((time.expected - AROUND - 6000.0).abs() < 1e-6, "{time:?}");
        assert!(time.least < time.expected && time.expected < time.most);
        let twice = Rates::of(&[worked(6000.0), worked(6000.0)]).time(WORK, 4);
        assert!(twice.most - twice.least < time.most - time.least);
        // Twice the machine takes half the time.
        let double = once.time(WORK, 8);
        assert!((double.expected - AROUND - 3000.0).abs() < 1e-6);
    }

    #[test]
    fn what_is_too_little_tells_nothing() {
        let tiny = Worked {
            work: Work { files: 4, sonic: 0 },
            cpus: 2,
            seconds: 60.0,
        };
        assert_eq!(Rates::of(&[tiny]), Rates::of(&[]));
        assert_eq!(Rates::of(&[tiny, worked(1.0)]).bursts, 1);
    }

    #[test]
    fn different_rates_widen_the_span() {
        let rates = Rates::of(&[worked(3000.0), worked(12_000.0)]);
        let time = rates.time(WORK, 4);
        assert!((time.expected - AROUND - 6000.0).abs() < 1e-6, "{time:?}");
        assert!(time.least < AROUND + 3000.0 && time.most > AROUND + 12_000.0);
    }
}
