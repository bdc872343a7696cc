//! How fast the media are from this machine: a listing and some reading, measured before hours are bought.
//!
//! Read past any mount and cache, straight from the store. Must not: take longer than its limit, or fetch more than it
//! says.

use std::fmt;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::remote::Remote;
use super::{Media, Source, sample};

/// Files that are read at the same time.
const FILES: usize = 4;
/// Bytes of each, at most.
const PIECE: u64 = 8 << 20;
/// The earlier scripts warned below 5 Mbit/s (facts/legacy.md §5).
const SLOW: f64 = 0.625;

/// What was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Seconds until the media's own top folder was listed.
    pub listing: f64,
    /// Bytes that came.
    pub bytes: u64,
    /// Seconds that they took, several files at the same time.
    pub reading: f64,
    /// Files that gave nothing in time.
    pub failed: usize,
}

impl Speed {
    /// MB/s.
    #[must_use]
    pub fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let bytes = self.bytes as f64;
        if self.reading > 0.0 {
            bytes / 1e6 / self.reading
        } else {
            0.0
        }
    }

    /// Whether a person should hear of it although nothing is asked for.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.rate() < SLOW
    }

    /// Refuses what is slower than `least` MB/s.
    ///
    /// # Errors
    /// [`Error::TooSlow`].
    pub fn at_least(&self, least: Option<f64>) -> Result<(), Error> {
        match least {
            Some(least) if self.rate() < least => Err(Error::TooSlow {
                rate: self.rate(),
                least,
            }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listed in {:.1} s, read at {:.1} MB/s", self.listing, self.rate())?;
        if self.failed > 0 {
            write!(f, ", {} files gave nothing", self.failed)?;
        }
        Ok(())
    }
}

impl Media {
    /// Measures listing and reading by some of these files (home's absolute paths); none for a plain folder.
    ///
    /// # Errors
    /// The store refuses the listing, or does not answer within `limit`.
    pub async fn speed(&self, files: &[String], limit: Duration) -> Result<Option<Speed>, Error> {
        let Source::Remote(remote) = &self.source else {
            return Ok(None);
        };
        let begun = Instant::now();
        let listed = tokio::time::timeout(limit, remote.check()).await;
        listed.map_err(|_| Error::Unreachable {
            remote: remote.name.clone(),
            said: format!("no listing in {} s", limit.as_secs()),
        })??;
        let listing = begun.elapsed().as_secs_f64();
        let chosen = sample::of(files, FILES, sample::seed());
        let places = chosen
            .iter()
            .map(|file| self.folder_of(file))
            .collect::<Result<Vec<_>, _>>()?;
        let begun = Instant::now();
        let all = places.iter().map(|place| fetch(remote, place, limit));
        let fetched = join_all(all).await;
        Ok(Some(Speed {
            listing,
            bytes: fetched.iter().flatten().sum(),
            reading: begun.elapsed().as_secs_f64(),
            failed: fetched.iter().filter(|bytes| bytes.is_none()).count(),
        }))
    }
}

async fn fetch(remote: &Remote, place: &str, limit: Duration) -> Option<u64> {
    match remote.read(place, PIECE, limit).await {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            tracing::debug!(%error, "a file gave nothing");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_and_what_is_asked_of_it() {
        let speed = Speed {
            listing: 0.31,
            bytes: 20_000_000,
            reading: 2.0,
            failed: 1,
        };
        assert_eq!(
            speed.to_string(),
            "listed in 0.3 s, read at 10.0 MB/s, 1 files gave nothing"
        );
        assert!(speed.at_least(None).is_ok() && speed.at_least(Some(10.0)).is_ok());
        let slow = speed.at_least(Some(25.0)).unwrap_err();
        assert_eq!(
            slow.to_string(),
            "the media are read at 10.0 MB/s, and 25.0 are asked for"
        );
        assert!(slow.hint().unwrap().contains("media.min_speed"));
        assert!(!speed.is_slow() && Speed::default().is_slow());
    }
}
