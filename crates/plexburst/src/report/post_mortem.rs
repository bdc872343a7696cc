//! What went wrong on the worker, gathered from what both sides have noted: memory, restarts, limits, files that failed, and
//! why Sonic did not move.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::burst::journal::{Entry, Event, Journal};
use crate::burst::phase::Phase;
use crate::burst::worker::Indexed;
use crate::plex::index::{Outcome, Step};

/// The worker's journal beside the controller's, as it was fetched last.
pub(crate) const WORKER_JOURNAL: &str = "worker-journal.jsonl";

/// Nothing of it: all went as it should.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PostMortem {
    /// The kernel ended Plex at its memory limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<String>,
    /// What was started again, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<String>,
    /// Steps that stalled or ran into their limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// Files without Sonic data after their section's analysis, by section.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failed_files: BTreeMap<String, usize>,
    /// Why Sonic was left out or brought nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sonic: Vec<String>,
}

impl PostMortem {
    /// Of the burst in `dir` with this journal of its controller.
    pub(super) fn of(dir: &Path, controller: &[Entry]) -> Self {
        // A burst without a worker has none; one that cannot be read tells nothing.
        let worker = Journal::read(&dir.join(WORKER_JOURNAL)).unwrap_or_default();
        let mut it = Self::default();
        it.look(controller, false);
        it.look(&worker, true);
        it
    }

    fn look(&mut self, entries: &[Entry], is_worker: bool) {
        let mut starts = 0;
        for entry in entries {
            let at = entry.at.strftime("%m-%d %H:%M UTC");
            match &entry.event {
                Event::Started if entry.phase == Phase::Start => starts += 1,
                // The controller repeats what its worker gave up with.
                Event::Failed { error, .. } if is_worker => {
                    let line = format!("{at}, {}: {error}", entry.phase);
                    if error.contains("memory ran out") {
                        self.memory.push(line);
                    } else if error.contains(" stalled: ") || error.contains(" timed out after ") {
                        self.limits.push(line);
                    }
                }
                Event::Note { text } if text.starts_with("the worker is gone") || text.starts_with("recovering: ") => {
                    self.restarts.push(format!("{at}: {text}"));
                }
                Event::Note { text } if is_worker && is_about_sonic(text) => self.sonic.push(format!("{at}: {text}")),
                Event::Done { facts } if matches!(entry.phase, Phase::Index { .. }) => {
                    if let Ok(indexed) = serde_json::from_value::<Indexed>(facts.clone()) {
                        self.section(&indexed);
                    }
                }
                _ => {}
            }
        }
        if starts > 1 {
            self.restarts.push(format!("Plex was started {starts} times"));
        }
    }

    fn section(&mut self, indexed: &Indexed) {
        let report = &indexed.report;
        if !report.failed.is_empty() {
            self.failed_files.insert(report.title.clone(), report.failed.len());
        }
        let sonic = report.steps.iter().find(|step| step.step == Step::Sonic);
        let Some(sonic) = sonic else { return };
        let gained = sonic.after.sonic > sonic.before.sonic;
        match &sonic.outcome {
            Outcome::Complete { .. } => {}
            Outcome::Done if gained => {}
            outcome => self.sonic.push(format!(
                "{}: {outcome}, {} of {} tracks before and {} after; as was seen: {}",
                report.title, sonic.before.sonic, sonic.before.items, sonic.after.sonic, sonic.evidence
            )),
        }
    }

    /// Each finding in a line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let named = |name: &str, lines: &[String]| -> Vec<String> {
            lines.iter().map(|line| format!("{name}: {line}")).collect()
        };
        let mut all = named("out of memory", &self.memory);
        all.extend(named("started again", &self.restarts));
        all.extend(named("too slow", &self.limits));
        let failed = self.failed_files.iter();
        all.extend(failed.map(|(section, files)| format!("not analysed: {files} tracks of {section}")));
        all.extend(named("Sonic did not move", &self.sonic));
        all
    }
}

/// A step's line, or what the claim came to, when it is why there is no Sonic data.
fn is_about_sonic(text: &str) -> bool {
    let is_step = text
        .strip_prefix("Sonic analysis: ")
        .is_some_and(|how| how.starts_with("stalled") || how.starts_with("timed out"));
    is_step || text.contains("Sonic is left out") || text.contains("Sonic analysis is left out")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(phase: Phase, event: Event) -> String {
        let entry = Entry {
            v: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            epoch: 1,
            phase,
            event,
        };
        serde_json::to_string(&entry).unwrap() + "\n"
    }

    #[test]
    fn what_both_sides_noted_is_sorted_by_what_it_means() {
        let dir = tempfile::tempdir().unwrap();
        let failed = |error: &str| Event::Failed {
            error: error.into(),
            hint: None,
            exit: 4,
        };
        let index = Phase::Index { section: 3 };
        let facts = serde_json::json!({"report": {
            "section": 3, "title": "Music", "failed": ["/m/a.flac", "/m/b.flac"], "notes": [],
            "steps": [{
                "step": "sonic", "outcome": "done", "millis": 5, "evidence": "nobody at work",
                "before": {"items": 9, "files": 9, "trashed": 0, "analysed": 9, "loudness": 9, "sonic": 4, "fingerprint": 0},
                "after": {"items": 9, "files": 9, "trashed": 0, "analysed": 9, "loudness": 9, "sonic": 4, "fingerprint": 0},
            }],
        }});
        let text = [
            entry(Phase::Start, Event::Started),
            entry(
                index,
                failed("the worker's Plex was ended by the kernel because its memory ran out (OOM)"),
            ),
            entry(Phase::Start, Event::Started),
            entry(
                index,
                failed("\"Music\": scanning stalled: nothing moved for 10 min (x)"),
            ),
            entry(
                index,
                Event::Note {
                    text: "recovering: the mount is gone".into(),
                },
            ),
            entry(index, Event::Started),
            entry(index, Event::Done { facts }),
        ];
        std::fs::write(dir.path().join(WORKER_JOURNAL), text.concat()).unwrap();
        let it = PostMortem::of(dir.path(), &[]);
        assert_eq!(
            (it.memory.len(), it.limits.len(), it.restarts.len()),
            (1, 1, 2),
            "{it:?}"
        );
        assert_eq!(it.failed_files["Music"], 2);
        assert!(
            it.sonic[0].contains("4 of 9 tracks before and 4 after; as was seen: nobody at work"),
            "{it:?}"
        );
        assert_eq!(it.lines().len(), 6);
        assert_eq!(PostMortem::of(Path::new("/no/such"), &[]), PostMortem::default());
    }
}
