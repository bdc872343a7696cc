//! What a burst brought: read off its journal, kept as `report.json` in its folder, shown as text or JSON.

mod page;
mod post_mortem;
mod text;
mod worked;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::burst::controller::{Ended, Prepared, Swapped};
use crate::burst::estimate::Worked;
use crate::burst::journal::{self, Entry, Event};
use crate::burst::phase::Phase;
use crate::burst::request::Request;
use crate::burst::spec::{Made, Parked, Sample};
use crate::error::{Error, Result};

pub use post_mortem::PostMortem;
pub(crate) use post_mortem::WORKER_JOURNAL;
pub use worked::earlier;

/// For scripts.
pub(crate) const FILE: &str = "report.json";
/// The same as a page.
pub const PAGE: &str = "report.html";
/// How the page looks.
pub(crate) const STYLE: &str = include_str!("page/style.css");
/// What stands before the cost in a note of the journal.
pub const COST: &str = "the rented machine came to ";

/// How a burst stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The result is home's library (or the archive that was asked for).
    Committed,
    /// Home has the library it had.
    RolledBack,
    /// It failed before the swap; home is what it was and `resume` goes on.
    Failed,
    /// The result waits in the depot.
    Parked,
}

impl Outcome {
    /// In a person's words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::RolledBack => "rolled back, home is what it was",
            Self::Failed => "failed, home is what it was",
            Self::Parked => "parked in the depot",
        }
    }
}

/// One phase on the time line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PhaseTime {
    /// Its name.
    pub phase: String,
    /// When it was begun last; not known of reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<jiff::Timestamp>,
    /// From its last start to its end.
    pub seconds: f64,
}

/// What was counted in a section before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) section: String,
    /// As in `tracks`.
    pub(crate) what: &'static str,
    pub(crate) before: u64,
    pub(crate) after: u64,
}

impl Row {
    pub(crate) fn change(&self) -> i64 {
        i64::try_from(self.after).unwrap_or(i64::MAX) - i64::try_from(self.before).unwrap_or(i64::MAX)
    }
}

/// The whole report. The first six keys are a promise to scripts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The burst's ULID.
    pub burst: String,
    /// How it ended.
    pub outcome: Outcome,
    /// `inspect` of the library before.
    pub before: Value,
    /// `inspect` of the library after.
    pub after: Value,
    /// What travelled to the depot.
    pub bytes_up: u64,
    /// What travelled home.
    pub bytes_down: u64,
    /// From the moment home was told to stop until it could be read again.
    pub home_downtime_ms: u64,
    /// What was carried over from the household.
    pub merge: Value,
    /// Warnings with what to do.
    pub warnings: Vec<String>,
    /// Tracks that could not be analysed.
    pub failed_tracks: Vec<String>,
    /// What did not have to travel to the depot, since it was there.
    #[serde(default)]
    pub bytes_saved_up: u64,
    /// What the library would have weighed more than the changes that travelled home.
    #[serde(default)]
    pub bytes_saved_down: u64,
    /// What a rented machine came to, by its price, without VAT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// The worker while it indexed, at most a few hundred looks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// What the worker did and how long that took: what later bursts are estimated from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worked: Option<Worked>,
    /// What went wrong on the worker.
    #[serde(default)]
    pub post_mortem: PostMortem,
    /// How long each phase took.
    pub phases: Vec<PhaseTime>,
    /// The failure, if it was one.
    pub error: Option<String>,
}

impl Report {
    /// Reads it off the journal.
    ///
    /// # Errors
    /// Facts that this program does not understand.
    pub fn build(dir: &Path, request: &Request, entries: &[Entry]) -> Result<Self> {
        let prepared: Option<Prepared> = journal::facts(entries, Phase::Prepare)?;
        let parked: Option<Parked> = journal::facts(entries, Phase::Park)?;
        let made: Option<Made> = journal::facts(entries, Phase::Work)?;
        let swapped: Option<Swapped> = journal::facts(entries, Phase::Swap)?;
        let committed: Option<Ended> = journal::facts(entries, Phase::Commit)?;
        let rolled_back: Option<Ended> = journal::facts(entries, Phase::Rollback)?;
        let before = prepared.map_or(Value::Null, |p| p.before);
        let outcome = match (&committed, &rolled_back) {
            (Some(_), _) => Outcome::Committed,
            (None, Some(_)) => Outcome::RolledBack,
            _ if request.options.no_import && made.is_some() => Outcome::Parked,
            _ => Outcome::Failed,
        };
        let after = committed
            .or(rolled_back)
            .map_or_else(|| before.clone(), |ended| ended.after);
        let times = times(entries);
        let mut warnings = made.as_ref().map(|m| m.warnings.clone()).unwrap_or_default();
        warnings.extend(entries.iter().filter_map(|e| match &e.event {
            Event::Note { text } if text.starts_with("warning: ") => Some(text["warning: ".len()..].to_owned()),
            _ => None,
        }));
        Ok(Self {
            burst: request.id.clone(),
            outcome,
            worked: worked::of(entries, &before, &after, &times),
            before,
            after,
            bytes_up: parked.as_ref().map_or(0, |p| p.sent),
            bytes_saved_up: parked.as_ref().map_or(0, |p| p.whole_bytes().saturating_sub(p.sent)),
            bytes_saved_down: match (&parked, &made) {
                (Some(parked), Some(made)) => parked.whole_bytes().saturating_sub(made.bytes()),
                _ => 0,
            },
            bytes_down: made.as_ref().map_or(0, Made::bytes),
            home_downtime_ms: swapped.map_or(0, |s| s.downtime_ms),
            merge: journal::done(entries, Phase::Merge).cloned().unwrap_or(Value::Null),
            warnings,
            samples: made.as_ref().map(|m| m.samples.clone()).unwrap_or_default(),
            failed_tracks: made.map(|m| m.failed_tracks).unwrap_or_default(),
            cost: entries.iter().rev().find_map(|e| match &e.event {
                Event::Note { text } => text.strip_prefix(COST).map(str::to_owned),
                _ => None,
            }),
            post_mortem: PostMortem::of(dir, entries),
            phases: times,
            error: entries.iter().rev().find_map(|e| match &e.event {
                Event::Failed { error, .. } if outcome != Outcome::Committed => Some(format!("{}: {error}", e.phase)),
                _ => None,
            }),
        })
    }

    /// Writes `report.json` and the page beside it.
    ///
    /// # Errors
    /// The disk.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let text =
            serde_json::to_vec_pretty(self).map_err(|e| Error::unexpected("cannot write the report").because(e))?;
        plex_library::publish::file(&dir.join(PAGE), self.to_html().as_bytes())?;
        plex_library::publish::file(&dir.join(FILE), &text).map_err(Error::from)
    }

    /// Reads `report.json` of a burst's folder.
    ///
    /// # Errors
    /// There is none yet.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let bytes = std::fs::read(&path).map_err(|e| {
            Error::usage(format!("there is no report in {} yet", dir.display()))
                .hint("the burst still runs, or was killed: `plexburst resume` goes on with it")
                .because(e)
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::unexpected(format!("cannot understand {}", path.display())).because(e))
    }

    /// For a script.
    ///
    /// # Errors
    /// Never in practice.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|e| Error::unexpected("cannot write the report").because(e))
    }
}

fn times(entries: &[Entry]) -> Vec<PhaseTime> {
    let mut times: Vec<PhaseTime> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if !matches!(entry.event, Event::Done { .. }) {
            continue;
        }
        let started = entries[..index]
            .iter()
            .rev()
            .find(|e| e.phase == entry.phase && e.event == Event::Started);
        let Some(started) = started else { continue };
        let span = entry.at.duration_since(started.at);
        let phase = entry.phase.to_string();
        times.retain(|t| t.phase != phase);
        times.push(PhaseTime {
            phase,
            begun: Some(started.at),
            seconds: span.as_secs_f64().max(0.0),
        });
    }
    times
}
