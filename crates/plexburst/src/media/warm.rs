//! Warming: head and tail of the files that the next phase will open, read in parallel into the mount's cache, so that
//! Plex, which opens one after the other, does not wait for each.
//!
//! Bounded by time and by the cache; missing and unreadable files are counted apart, and prove nothing by themselves. The
//! first files are a measurement: where reading several at once gains nothing, or each takes next to no time, it is left
//! at that. Read in probe processes, as everything that may hang.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::probe;
use super::proof::{self, Outcome, Proof, Reading};
use super::{Opened, profile::Machine};

/// Files of one probe.
const BATCH: usize = 100;
/// Of the first one, which is a measurement.
const FIRST: usize = 24;
/// Faster than this a file needs no warming.
const QUICK: Duration = Duration::from_millis(5);
/// Reading several at once must be worth so many times reading one after the other.
const GAIN: f64 = 1.5;
/// What one file may take of the cache: head and tail, with what is read ahead.
const PER_FILE: u64 = 8 << 20;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warmed {
    /// Files whose ends are in the cache now.
    pub read: usize,
    /// Files that are not there.
    pub missing: usize,
    /// Files that are there and cannot be read, or not in time.
    pub unreadable: usize,
    /// Files that were not looked at, and why.
    pub left: Option<(usize, String)>,
}

impl fmt::Display for Warmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files warmed", self.read)?;
        if self.missing > 0 {
            write!(f, ", {} missing", self.missing)?;
        }
        if self.unreadable > 0 {
            write!(f, ", {} unreadable", self.unreadable)?;
        }
        if let Some((left, why)) = &self.left {
            write!(f, ", {left} left out: {why}")?;
        }
        Ok(())
    }
}

impl Opened {
    /// Warms these files (home's absolute paths) for at most `limit`. Nothing to do for a plain folder.
    ///
    /// # Errors
    /// A path outside of the media, or a probe that cannot be run.
    pub async fn warm(&self, files: &[String], limit: Duration) -> Result<Warmed, Error> {
        let mut warmed = Warmed::default();
        let Some(mount) = &self.mount else {
            return Ok(warmed);
        };
        let free = Machine::this(mount.cache())?.disk / 2 / PER_FILE;
        let fitting = usize::try_from(free).unwrap_or(usize::MAX).min(files.len());
        let place = |path: &String| Ok(self.base.join(self.media.folder_of(path)?));
        let places = files[..fitting]
            .iter()
            .map(place)
            .collect::<Result<Vec<PathBuf>, Error>>()?;
        let begun = Instant::now();
        let mut at = 0;
        let why = loop {
            if at == places.len() {
                break "the cache holds no more".to_owned();
            }
            let Some(left) = limit.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) else {
                break format!("{} s have passed", limit.as_secs());
            };
            let size = if at == 0 { FIRST } else { BATCH };
            let batch = &places[at..places.len().min(at + size)];
            let since = Instant::now();
            let reading = Reading::Ends { at_once: probe::MANY };
            let proof = proof::run(&self.program, batch, left, &reading).await?;
            warmed.count(&proof);
            let is_first = at == 0;
            at += batch.len();
            if is_first && let Some(why) = does_not_pay(&proof, since.elapsed()) {
                break why;
            }
        };
        if at < files.len() {
            warmed.left = Some((files.len() - at, why));
        }
        Ok(warmed)
    }
}

impl Warmed {
    fn count(&mut self, proof: &Proof) {
        for probed in &proof.files {
            match probed.outcome {
                Outcome::Read { .. } => self.read += 1,
                Outcome::Missing => self.missing += 1,
                Outcome::Unreadable { .. } | Outcome::TimedOut => self.unreadable += 1,
            }
        }
    }
}

/// Why the measurement speaks against going on.
fn does_not_pay(proof: &Proof, took: Duration) -> Option<String> {
    let each: u64 = proof.files.iter().map(|probed| probed.millis).sum();
    let mean = Duration::from_millis(each / (proof.files.len() as u64).max(1));
    if mean < QUICK {
        return Some(format!("a file opens in {} ms", mean.as_millis()));
    }
    let gain = Duration::from_millis(each).as_secs_f64() / took.as_secs_f64().max(0.001);
    (gain < GAIN).then(|| format!("reading several at once is only {gain:.1} times as fast"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::proof::Probed;

    fn proof(outcomes: &[(Outcome, u64)]) -> Proof {
        let probed = |(outcome, millis): &(Outcome, u64)| Probed {
            file: "/m/1.flac".into(),
            outcome: outcome.clone(),
            millis: *millis,
            changed_at: None,
        };
        Proof {
            files: outcomes.iter().map(probed).collect(),
        }
    }

    fn read(millis: u64) -> (Outcome, u64) {
        (Outcome::Read { bytes: 1, fresh: true }, millis)
    }

    #[test]
    fn missing_and_unreadable_are_counted_apart() {
        let mut warmed = Warmed::default();
        warmed.count(&proof(&[
            read(1),
            read(2),
            (Outcome::Missing, 1),
            (Outcome::TimedOut, 9),
        ]));
        warmed.left = Some((7, "60 s have passed".into()));
        assert_eq!(
            warmed.to_string(),
            "2 files warmed, 1 missing, 1 unreadable, 7 left out: 60 s have passed"
        );
    }

    #[test]
    fn a_measurement_decides() {
        let quick = does_not_pay(&proof(&[read(1), read(2)]), Duration::from_millis(3));
        assert_eq!(quick.as_deref(), Some("a file opens in 1 ms"));
        let many = proof(&vec![read(200); 24]);
        assert_eq!(does_not_pay(&many, Duration::from_millis(400)), None);
        let crowded = does_not_pay(&many, Duration::from_millis(4000)).unwrap();
        assert!(crowded.contains("1.2 times"), "{crowded}");
    }
}
