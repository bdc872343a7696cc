//! The scans of each section: one at a time, the next of the same section waits, an equal one that already waits is not
//! queued twice.
//!
//! After a scan the media analysis of the section runs (container, codecs, durations), and, when the settings say "asap",
//! loudness and Sonic analysis.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::Workers;
use super::child::{self, Outcome, Program};
use crate::activities::{Cancel, Handle, Subject};
use crate::butler;
use crate::server::Server;

/// What a scan is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Also refresh all metadata, and look into folders that have not changed.
    pub(crate) force: bool,
    /// Only this folder.
    pub(crate) path: Option<String>,
}

/// The queues of all sections.
#[derive(Debug, Default)]
pub(crate) struct Scans {
    sections: Mutex<HashMap<i64, Section>>,
}

/// A section that is being worked on.
#[derive(Debug, Default)]
struct Section {
    waiting: VecDeque<(Scan, Handle)>,
    /// What runs now: the scan, or the analysis after it.
    running: Option<Arc<Cancel>>,
    /// Whether what runs was cancelled, so that the analysis after it is not begun.
    cancelled: bool,
}

impl Scans {
    /// Whether a scan of the section runs or waits.
    pub(crate) fn is_refreshing(&self, section: i64) -> bool {
        self.lock().contains_key(&section)
    }

    /// Ends the scan that runs in the section and forgets those that wait.
    pub(crate) fn cancel(&self, section: i64) {
        let mut sections = self.lock();
        let Some(section) = sections.get_mut(&section) else {
            return;
        };
        let forgotten = std::mem::take(&mut section.waiting);
        section.cancelled = true;
        if let Some(running) = &section.running {
            running.cancel();
        }
        // Ending an activity writes its history, which must not happen under the lock.
        drop(sections);
        drop(forgotten);
    }

    /// The sections that are scanned or wait for it.
    pub(crate) fn sections(&self) -> Vec<i64> {
        self.lock().keys().copied().collect()
    }

    /// The next scan of the section, marked as running; without one the section is done.
    fn next(&self, id: i64) -> Option<(Scan, Handle)> {
        let mut sections = self.lock();
        let section = sections.get_mut(&id)?;
        match section.waiting.pop_front() {
            Some((scan, activity)) => {
                section.running = Some(Arc::clone(activity.cancel()));
                section.cancelled = false;
                Some((scan, activity))
            }
            None => {
                sections.remove(&id);
                None
            }
        }
    }

    /// Goes on with the analysis after a scan. False when it was cancelled.
    fn go_on(&self, id: i64, activity: &Handle) -> bool {
        match self.lock().get_mut(&id) {
            Some(section) if !section.cancelled => {
                section.running = Some(Arc::clone(activity.cancel()));
                true
            }
            _ => false,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i64, Section>> {
        self.sections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queues a scan; returns the uuid of its activity, or `None` when an equal one already waits.
pub(crate) fn request(server: &Arc<Server>, id: i64, name: &str, scan: Scan) -> Option<String> {
    let subject = Subject::new("library.update.section", format!("Scanning {name}")).in_section(id);
    let mut sections = server.scans.lock();
    let is_first = !sections.contains_key(&id);
    let section = sections.entry(id).or_default();
    if section.waiting.iter().any(|(waiting, _)| *waiting == scan) {
        return None;
    }
    let handle = server.activities.start(subject);
    let uuid = handle.uuid().to_owned();
    section.waiting.push_back((scan, handle));
    drop(sections);
    if is_first {
        let started = Workers::spawn(server, &format!("scan {id}"), move |server| drain(server, id));
        if let Err(error) = started {
            server.log.error(format_args!("cannot scan section {id}: {error}"));
            let lost = server.scans.lock().remove(&id);
            drop(lost);
        }
    }
    Some(uuid)
}

/// Works through the queue of a section until it is empty.
fn drain(server: &Arc<Server>, id: i64) {
    while let Some((scan, activity)) = server.scans.next(id) {
        let outcome = child::run(server, Program::Scanner, &arguments(id, &scan), &activity);
        drop(activity);
        if outcome == Outcome::Done && !server.is_stopping() {
            let subject = Subject::new("library.refresh.items", "Analyzing media").in_section(id);
            let activity = server.activities.start(subject);
            if server.scans.go_on(id, &activity) {
                let arguments = ["--analyze".to_owned(), "--section".to_owned(), id.to_string()];
                child::run(server, Program::Scanner, &arguments, &activity);
            }
        }
        crate::http::timeline::library_changed(server);
        if outcome == Outcome::Done && !server.is_stopping() {
            butler::after_scan(server);
        }
    }
}

fn arguments(section: i64, scan: &Scan) -> Vec<String> {
    let mut arguments = vec!["--scan".to_owned(), "--refresh".to_owned()];
    if scan.force {
        arguments.push("--force".to_owned());
    }
    arguments.extend(["--section".to_owned(), section.to_string()]);
    if let Some(path) = &scan.path {
        arguments.extend(["--directory".to_owned(), path.clone()]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_as_plex_gives_them() {
        let plain = Scan {
            force: false,
            path: None,
        };
        assert_eq!(arguments(3, &plain), ["--scan", "--refresh", "--section", "3"]);
        let all = Scan {
            force: true,
            path: Some("/music/A B".into()),
        };
        let expected = [
            "--scan",
            "--refresh",
            "--force",
            "--section",
            "3",
            "--directory",
            "/music/A B",
        ];
        assert_eq!(arguments(3, &all), expected);
    }
}
