//! How fast the media were from a worker: what each burst leaves in its folder for the plans of later ones, since a worker
//! that is far from its media is best known before it is paid for.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::request::On;
use super::store;
use crate::error::{Context, Result};
use crate::media::speed::Speed;

/// In the burst's folder.
const FILE: &str = "speed.json";
/// Its format.
const VERSION: u32 = 1;

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Format.
    v: u32,
    /// The burst whose worker measured.
    pub burst: String,
    /// When it was noted.
    pub at: jiff::Timestamp,
    /// Where that worker was.
    pub on: On,
    /// Which media.
    pub media: String,
    /// What came of it.
    pub speed: Speed,
}

impl Measured {
    /// Of a burst, now.
    #[must_use]
    pub fn now(burst: &str, on: &On, media: &str, speed: Speed) -> Self {
        Self {
            v: VERSION,
            burst: burst.to_owned(),
            at: jiff::Timestamp::now(),
            on: on.clone(),
            media: media.to_owned(),
            speed,
        }
    }

    /// Leaves it in the burst's folder.
    ///
    /// # Errors
    /// The disk.
    pub fn keep(&self, dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        let text = serde_json::to_vec_pretty(self).context(|| "cannot note the media's speed".to_owned())?;
        plex_library::publish::file(&path, &text).context(|| format!("cannot write {}", path.display()))
    }

    /// The newest of these media from a worker there; none when nothing was measured yet.
    ///
    /// # Errors
    /// The folder with the bursts cannot be read.
    pub fn newest(state_dir: &Path, on: &On, media: &str) -> Result<Option<Self>> {
        // A burst that cannot be read, or of a newer program, tells nothing.
        let (bursts, _) = store::all(state_dir)?;
        let all = bursts.iter().filter_map(|burst| {
            let text = std::fs::read(burst.dir.join(FILE)).ok()?;
            serde_json::from_slice::<Self>(&text).ok()
        });
        Ok(all
            .filter(|measured| measured.v <= VERSION && measured.on == *on && measured.media == media)
            .max_by_key(|measured| measured.at))
    }

    /// Whether it is slower than is asked for.
    #[must_use]
    pub fn is_below(&self, least: Option<f64>) -> bool {
        self.speed.at_least(least).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::burst::request::{Options, Request, Source};

    #[test]
    fn the_newest_from_there_counts() {
        let state = tempfile::tempdir().unwrap();
        let newest = |on: &On, media: &str| Measured::newest(state.path(), on, media).unwrap();
        assert_eq!(newest(&On::Here, "s3:bucket"), None);
        let kept = |on: &On, rate: u64| {
            let request = Request::new(Source::Home, Options::default(), crate::config::Config::default());
            let dir = state.path().join("bursts").join(&request.id);
            std::fs::create_dir_all(&dir).unwrap();
            request.save(&dir).unwrap();
            let speed = Speed {
                listing: 0.1,
                bytes: rate * 1_000_000,
                reading: 1.0,
                failed: 0,
            };
            Measured::now(&request.id, on, "s3:bucket", speed).keep(&dir).unwrap();
        };
        kept(&On::Here, 20);
        kept(&On::Here, 3);
        kept(&On::Scaleway, 90);
        let here = newest(&On::Here, "s3:bucket").unwrap();
        assert_eq!(here.speed.to_string(), "listed in 0.1 s, read at 3.0 MB/s");
        assert!(here.is_below(Some(5.0)) && !here.is_below(Some(3.0)) && !here.is_below(None));
        assert!(!newest(&On::Scaleway, "s3:bucket").unwrap().is_below(Some(5.0)));
        assert_eq!(newest(&On::Scaleway, "s3:other"), None);
        assert_eq!(newest(&On::Host("ssh://a@b".to_owned()), "s3:bucket"), None);
    }
}
