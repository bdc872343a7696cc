//! The scans of each section: one at a time, the next of the same section waits, an equal one that already waits is not
//! queued twice.
//!
//! After a scan the media analysis of the section runs (container, codecs, durations), and, when the settings say "asap",
//! loudness and Sonic analysis.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::Workers;
use super::child::{self, Outcome, Program};
use crate::activities::{Handle, Subject};
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
    queues: Mutex<HashMap<i64, VecDeque<(Scan, Handle)>>>,
    running: Mutex<HashMap<i64, String>>,
}

impl Scans {
    /// Whether a scan of the section runs or waits.
    pub(crate) fn is_refreshing(&self, section: i64) -> bool {
        self.queues().contains_key(&section)
    }

    /// Ends the scan that runs in the section and forgets those that wait.
    pub(crate) fn cancel(&self, server: &Server, section: i64) {
        if let Some(queue) = self.queues().get_mut(&section) {
            queue.clear();
        }
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&section)
            .cloned();
        if let Some(activity) = running.and_then(|uuid| server.activities.find(&uuid)) {
            activity.cancel.cancel();
        }
    }

    /// The sections that are scanned or wait for it.
    pub(crate) fn sections(&self) -> Vec<i64> {
        self.queues().keys().copied().collect()
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, HashMap<i64, VecDeque<(Scan, Handle)>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queues a scan; returns the uuid of its activity, or `None` when an equal one already waits.
pub(crate) fn request(
    server: &Arc<Server>,
    section: i64,
    name: &str,
    scan: Scan,
) -> Option<String> {
    let subject =
        Subject::new("library.update.section", format!("Scanning {name}")).in_section(section);
    let mut queues = server.scans.queues();
    let first = match queues.get(&section) {
        Some(queue) if queue.iter().any(|(waiting, _)| *waiting == scan) => return None,
        Some(_) => false,
        None => true,
    };
    let handle = server.activities.start(subject);
    let uuid = handle.uuid().to_owned();
    queues.entry(section).or_default().push_back((scan, handle));
    drop(queues);
    if first {
        let started = Workers::spawn(server, &format!("scan {section}"), move |server| {
            drain(server, section)
        });
        if let Err(error) = started {
            server
                .log
                .error(format_args!("cannot scan section {section}: {error}"));
            server.scans.queues().remove(&section);
        }
    }
    Some(uuid)
}

/// Works through the queue of a section until it is empty.
fn drain(server: &Arc<Server>, section: i64) {
    loop {
        let next = {
            let mut queues = server.scans.queues();
            match queues.get_mut(&section).and_then(VecDeque::pop_front) {
                Some(next) => next,
                None => {
                    queues.remove(&section);
                    return;
                }
            }
        };
        let (scan, activity) = next;
        let running = |uuid: Option<String>| {
            let mut running = server
                .scans
                .running
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match uuid {
                Some(uuid) => running.insert(section, uuid),
                None => running.remove(&section),
            }
        };
        running(Some(activity.uuid().to_owned()));
        let outcome = child::run(
            server,
            Program::Scanner,
            &arguments(section, &scan),
            &activity,
        );
        drop(activity);
        if outcome == Outcome::Done && !server.is_stopping() {
            let subject =
                Subject::new("library.refresh.items", "Analyzing media").in_section(section);
            let activity = server.activities.start(subject);
            running(Some(activity.uuid().to_owned()));
            let arguments = [
                "--analyze".to_owned(),
                "--section".to_owned(),
                section.to_string(),
            ];
            child::run(server, Program::Scanner, &arguments, &activity);
        }
        running(None);
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
        assert_eq!(
            arguments(3, &plain),
            ["--scan", "--refresh", "--section", "3"]
        );
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
