//! How slow an analysis is to be: `analysis_delay_ms` of `sim.json`, on top of its work, per file.

use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::process::{Process, log};

/// How often a pause looks whether it is to end.
const LOOK: Duration = Duration::from_millis(10);

/// The pause of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pace(Duration);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tempo {
    analysis_delay_ms: u64,
}

impl Pace {
    /// Reads the file; one that is missing or broken makes nothing slower.
    pub(super) fn of(process: &Process) -> Self {
        let path = process.place.tempo();
        let tempo = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                log(format_args!("cannot understand {}: {error}", path.display()));
                Tempo::default()
            }),
            Err(_) => Tempo::default(),
        };
        Self(Duration::from_millis(tempo.analysis_delay_ms))
    }

    /// Waits, unless the run is to end.
    pub(super) fn keep(self, process: &Process) {
        let since = Instant::now();
        while !process.is_cancelled() {
            match self.0.checked_sub(since.elapsed()) {
                Some(left) if !left.is_zero() => std::thread::sleep(left.min(LOOK)),
                _ => return,
            }
        }
    }
}
