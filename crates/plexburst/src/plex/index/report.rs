//! What is said while a section is indexed, and what came of it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::complete::Completeness;
use super::counters::{CountError, Counts};
use crate::plex::client::Error as CallError;
use crate::plex::preferences::GuardError;
use crate::plex::runtime::Exit;

/// One step of a section's indexing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Whatever Plex was at before.
    Idle,
    /// Finding the files of some new folders.
    Folders,
    /// Finding files; with all metadata when it is a deep one.
    Scan,
    /// Asking again for all metadata, after a scan that did not.
    Refresh,
    /// Plex's own analysis of the files.
    Analyse,
    /// The loudness of tracks.
    Loudness,
    /// Sonic analysis of tracks.
    Sonic,
    /// Previews, chapter thumbnails and markers of what is no music.
    Extras,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "waiting for Plex to be idle",
            Self::Folders => "scanning new folders",
            Self::Scan => "scanning",
            Self::Refresh => "refreshing all metadata",
            Self::Analyse => "analysing",
            Self::Loudness => "measuring loudness",
            Self::Sonic => "Sonic analysis",
            Self::Extras => "making previews and markers",
        })
    }
}

/// How a step ended. Three different things, never mixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is over: idle looks in a row, by every signal.
    Done,
    /// Everything had it before: nothing was started.
    Complete {
        /// Of how many files or tracks.
        of: u64,
    },
    /// It cannot be done here.
    Skipped {
        /// Why.
        why: String,
    },
    /// Something claims to be at work, but nothing moves.
    Stalled {
        /// What was still at work, by its own word.
        busy: String,
        /// Since when nothing moved, seconds.
        seconds: u64,
    },
    /// It still moved when its limit passed.
    TimedOut {
        /// What was still at work.
        busy: String,
        /// The limit, seconds.
        seconds: u64,
    },
}

impl Outcome {
    /// Whether the next step may begin.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done | Self::Complete { .. } | Self::Skipped { .. })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Complete { of } => write!(f, "complete already ({of})"),
            Self::Skipped { why } => write!(f, "left out: {why}"),
            Self::Stalled { busy, seconds } => write!(f, "stalled: nothing moved for {} min ({busy})", seconds / 60),
            Self::TimedOut { busy, seconds } => {
                write!(f, "timed out after {} min ({busy})", seconds / 60)
            }
        }
    }
}

/// What the witnesses together say of a step while it runs. That it is over is an [`Outcome`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody is at work, and counters or activities move, or notifications tell of it.
    Working,
    /// Somebody is at work; neither moves, but there is computing or reading.
    Slow,
    /// Somebody claims to be at work, and nothing moves.
    Still,
    /// Nobody is at work.
    Quiet,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Working => "working",
            Self::Slow => "slow",
            Self::Still => "nothing moves",
            Self::Quiet => "quiet",
        })
    }
}

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// Which.
    pub step: Step,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, milliseconds.
    pub millis: u64,
    /// The section before it.
    pub before: Counts,
    /// The section after it.
    pub after: Counts,
    /// What the outcome was decided by.
    #[serde(default)]
    pub evidence: String,
}

impl StepReport {
    /// What the step is measured by, before and after it.
    #[must_use]
    pub fn gained(&self) -> String {
        let (before, after) = (self.before, self.after);
        match self.step {
            Step::Idle | Step::Folders | Step::Scan => format!("files {} → {}", before.files, after.files),
            Step::Refresh => format!("items {} → {}", before.items, after.items),
            Step::Extras => format!("of {} files", after.files),
            Step::Analyse => format!("analysed {} → {} of {}", before.analysed, after.analysed, after.files),
            Step::Loudness => format!("loudness {} → {} of {}", before.loudness, after.loudness, after.items),
            Step::Sonic => format!("Sonic {} → {} of {}", before.sonic, after.sonic, after.items),
        }
    }
}

/// What became of a section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionReport {
    /// library_sections.id.
    pub section: i64,
    /// Its name.
    pub title: String,
    /// The steps, in order; one that is not done is the last.
    pub steps: Vec<StepReport>,
    /// Files of tracks that Sonic could not analyse.
    pub failed: Vec<String>,
    /// What a person should know besides.
    pub notes: Vec<String>,
    /// How far each kind is at the end, by each of its witnesses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<Completeness>,
    /// What was decided on the way, and by what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<String>,
    /// Preferences that were let on during its analysis, set and read back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
}

impl SectionReport {
    /// The step that was not done, if there is one.
    #[must_use]
    pub fn unfinished(&self) -> Option<&StepReport> {
        self.steps.iter().find(|step| !step.outcome.is_done())
    }

    /// The section at its end; nothing when no step was begun.
    #[must_use]
    pub fn after(&self) -> Counts {
        self.steps.last().map(|step| step.after).unwrap_or_default()
    }
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Which step.
    pub step: Step,
    /// The section's name.
    pub title: String,
    /// Since its start.
    pub elapsed: Duration,
    /// At most.
    pub limit: Duration,
    /// The section now.
    pub counts: Counts,
    /// What the step has done so far and has to do, in its own unit; none when that cannot be known.
    pub share: Option<(u64, u64)>,
    /// Of that unit a minute, since the start of the step.
    pub rate: f64,
    /// The same over the last looks alone.
    pub recent: f64,
    /// What the step has gained of that unit.
    pub gained: u64,
    /// What the witnesses say.
    pub verdict: Verdict,
    /// Each of them, in a few words.
    pub evidence: String,
    /// What is waited for: who is at work, by their own word. Empty when it is only waited whether all stays quiet.
    pub busy: Vec<String>,
    /// Plex's processes together, percent of one processor; none when nothing tells.
    pub cpu: Option<f64>,
    /// For how long nothing has moved.
    pub still: Duration,
}

impl Progress {
    /// When it will be over: at the soonest and at the latest that the rates so far make likely; none when nothing tells.
    ///
    /// The range is as wide as the rate is uncertain: by how much the last looks differ from the whole, and by how little
    /// was gained yet (the square root of a count).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn remaining(&self) -> Option<(Duration, Duration)> {
        /// With less nothing is said.
        const LEAST: u64 = 4;
        let (done, all) = self.share?;
        let left = all.saturating_sub(done) as f64;
        let (slow, fast) = (self.rate.min(self.recent), self.rate.max(self.recent));
        if self.gained < LEAST || slow <= 0.0 {
            return None;
        }
        let unsure = 1.0 / (self.gained as f64).sqrt();
        let at = |rate: f64| Duration::try_from_secs_f64(left / rate * 60.0).ok();
        let (soonest, latest) = (at(fast * (1.0 + unsure))?, at(slow * (1.0 - unsure))?);
        (latest < Duration::from_secs(365 * 24 * 3600)).then_some((soonest, latest))
    }
}

/// `3 to 5 min`, or hours where minutes say too much.
fn range((soonest, latest): (Duration, Duration)) -> String {
    let (from, to) = (soonest.as_secs() / 60, latest.as_secs().div_ceil(60));
    match (from, to) {
        (_, 0..=1) => "a minute at most".to_owned(),
        (0, 2..=180) => format!("{to} min at most"),
        (_, 2..=180) if from == to => format!("{to} min"),
        (_, 2..=180) => format!("{from} to {to} min"),
        _ => format!(
            "{:.1} to {:.1} h",
            soonest.as_secs_f64() / 3600.0,
            latest.as_secs_f64() / 3600.0
        ),
    }
}

impl Progress {
    /// How far it is, how fast, and how long it may take.
    #[must_use]
    pub fn counted(&self) -> String {
        let mut text = format!("{}: {}, ", self.title, self.step);
        match self.share {
            Some((done, all)) => text.push_str(&format!("{done} of {all}")),
            None => text.push_str(&format!("{} files", self.counts.files)),
        }
        if self.rate >= 0.1 {
            text.push_str(&format!(", {:.1}/min", self.rate));
        }
        if let Some(left) = self.remaining() {
            text.push_str(&format!(", {} to go", range(left)));
        }
        if matches!(self.verdict, Verdict::Slow | Verdict::Still) {
            text.push_str(&format!(", {}", self.verdict));
        }
        text
    }

    /// What is waited for, and since when.
    #[must_use]
    pub fn waited(&self) -> String {
        let mut text = if self.busy.is_empty() {
            "waiting for Plex to stay quiet".to_owned()
        } else {
            format!("waiting for Plex: {}", self.busy.join(", "))
        };
        if let Some(percent) = self.cpu {
            text.push_str(&format!(", CPU {percent:.0} %"));
        }
        let most = match self.limit.as_secs() / 60 {
            minutes @ 0..=180 => format!("{minutes} min"),
            minutes => format!("{} h", minutes / 60),
        };
        format!("{text}, {} of at most {most}", crate::term::whole(self.elapsed))
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.counted(), self.waited())
    }
}

/// What ends a section's indexing before its time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Plex does not answer, or refuses.
    #[error("cannot index {title}")]
    Call {
        /// The section.
        title: String,
        /// What it said.
        #[source]
        call: CallError,
    },
    /// The worker's Plex ended.
    #[error("the worker's Plex {exit} while {title} was being indexed")]
    Died {
        /// The section.
        title: String,
        /// How.
        exit: Exit,
    },
    /// Nothing could be counted.
    #[error("cannot count what is in {title}")]
    Counters {
        /// The section.
        title: String,
        /// Why.
        #[source]
        source: CountError,
    },
    /// The processes of the worker's Plex cannot be looked at.
    #[error("cannot look at the processes of the worker's Plex")]
    Processes(#[source] std::io::Error),
    /// A preference that deletes is on.
    #[error("{title} is not scanned")]
    Deleting {
        /// The section.
        title: String,
        /// Which.
        #[source]
        source: GuardError,
    },
    /// The caller's guard refused.
    #[error("{title} is not indexed on")]
    Guard {
        /// The section.
        title: String,
        /// Why.
        #[source]
        source: CountError,
    },
    /// The server has no such section.
    #[error("the worker's Plex has no section {0}")]
    NoSection(i64),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Call { call, .. } => call.hint(),
            Self::Deleting { source, .. } => source.hint(),
            Self::Guard { source, .. } => source
                .downcast_ref::<crate::error::Error>()
                .and_then(|refused| refused.hint_text().map(str::to_owned)),
            Self::Died { .. } => Some("its log says why; `plexburst resume` starts it again".to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_in_one_line() {
        let mut progress = Progress {
            step: Step::Sonic,
            title: "Music".into(),
            elapsed: Duration::from_millis(600_400),
            limit: Duration::from_secs(72 * 3600),
            counts: Counts::default(),
            share: Some((100, 1100)),
            rate: 10.0,
            recent: 10.0,
            gained: 100,
            verdict: Verdict::Working,
            evidence: String::new(),
            busy: vec!["media.generate.music.analysis 9 %".into()],
            cpu: None,
            still: Duration::ZERO,
        };
        assert_eq!(
            progress.to_string(),
            "Music: Sonic analysis, 100 of 1100, 10.0/min, 90 to 112 min to go; waiting for Plex: \
             media.generate.music.analysis 9 %, 10 min 00 s of at most 72 h"
        );
        progress.cpu = Some(187.4);
        assert!(
            progress
                .to_string()
                .ends_with("analysis 9 %, CPU 187 %, 10 min 00 s of at most 72 h"),
            "{progress}"
        );
        // A rate that falls makes the range wide, and little that was gained makes it wider.
        progress.recent = 2.5;
        let (soonest, latest) = progress.remaining().unwrap();
        assert!(soonest < Duration::from_secs(100 * 60) && latest > Duration::from_secs(400 * 60));
        progress.gained = 3;
        assert_eq!(progress.remaining(), None);
        (progress.gained, progress.rate) = (100, 0.0);
        assert_eq!(progress.remaining(), None);
        progress.verdict = Verdict::Still;
        assert!(
            progress.to_string().contains("100 of 1100, nothing moves; waiting"),
            "{progress}"
        );
    }
}
