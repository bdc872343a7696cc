//! What was seen of the worker while it indexed, kept beside its journal: a line for each look, thinned out as a run grows
//! long, so that three days take no more room than an hour.

use std::path::PathBuf;
use std::sync::Mutex;

use super::Worker;
use crate::burst::spec::Sample;
use crate::media::health::Health;
use crate::plex::index::Progress;

/// Looks that are kept: more than a screen has columns.
const MOST: usize = 600;

/// The looks of a burst, those before a restart included.
pub(super) struct Series {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Vec<Sample>,
    /// Only each n-th look is kept.
    stride: u64,
    looks: u64,
}

impl Series {
    /// Goes on with what is there.
    pub(super) fn open(w: &Worker) -> Self {
        Self::at(w.dir.join("samples.json"))
    }

    fn at(path: PathBuf) -> Self {
        // A picture of the past: what cannot be read is begun anew.
        let kept: Vec<Sample> = std::fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self {
            path,
            state: Mutex::new(State {
                kept,
                stride: 1,
                looks: 0,
            }),
        }
    }

    /// One more look.
    pub(super) fn look(&self, section: i64, progress: &Progress, health: &Health) {
        self.push(Sample {
            at: jiff::Timestamp::now(),
            section,
            step: progress.step.to_string(),
            analysed: progress.counts.analysed,
            sonic: progress.counts.sonic,
            cpu: progress.cpu,
            throughput: health.throughput,
            answer_ms: u64::try_from(health.slowest.as_millis()).unwrap_or(u64::MAX),
        });
    }

    fn push(&self, sample: Sample) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.looks += 1;
        if !state.looks.is_multiple_of(state.stride) {
            return;
        }
        state.kept.push(sample);
        if state.kept.len() > MOST {
            let mut keep = false;
            state.kept.retain(|_| {
                keep = !keep;
                keep
            });
            state.stride *= 2;
        }
    }

    /// Writes them down. What fails costs a picture, not the work.
    pub(super) fn save(&self) {
        let state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Ok(bytes) = serde_json::to_vec(&state.kept) {
            plex_library::publish::file(&self.path, &bytes).ok();
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Sample> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .kept
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_takes_no_more_room_than_a_short_one() {
        let tmp = tempfile::tempdir().unwrap();
        let series = Series::at(tmp.path().join("s"));
        let at = |second: i64| jiff::Timestamp::from_second(1_790_000_000 + second).unwrap();
        for second in 0..100_000 {
            series.push(Sample {
                at: at(second),
                section: 1,
                step: "x".into(),
                analysed: 0,
                sonic: 0,
                cpu: None,
                throughput: None,
                answer_ms: 0,
            });
        }
        let kept = series.all();
        assert!(kept.len() <= MOST && kept.len() >= MOST / 3, "{}", kept.len());
        assert!(kept.is_sorted_by_key(|sample| sample.at));
        // Beginning and end are both there, and what lies between is spread.
        assert!(kept[0].at < at(1_000) && kept[kept.len() - 1].at > at(99_000));
        series.save();
        assert_eq!(Series::at(tmp.path().join("s")).all(), kept);
    }
}
