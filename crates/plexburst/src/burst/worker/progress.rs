//! The worker's proof of life in the depot: one line about what it does right now.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Worker;
use crate::burst::spec::{Progress, key};
use crate::depot::Status;

/// A line is put at most this often: each is a flushed file, or a request.
const EVERY: Duration = Duration::from_secs(1);

/// Puts lines into the depot, no more often than is useful.
pub(super) struct Teller<'a> {
    worker: &'a Worker,
    last: Mutex<Option<Instant>>,
    line: Status,
}

impl<'a> Teller<'a> {
    /// For this worker.
    pub(super) fn new(worker: &'a Worker) -> Self {
        Self {
            worker,
            last: Mutex::new(None),
            line: Status::new(worker.depot.clone(), key::WORKER_PROGRESS),
        }
    }

    /// Says what is going on. A depot that cannot be written is noticed by the journal; progress is not worth ending the
    /// work for.
    pub(super) fn tell(&self, text: &str) {
        self.put(text, Vec::new());
    }

    /// The same of what has several parts.
    pub(super) fn tell_all(&self, parts: Vec<String>) {
        self.put(&parts.join("; "), parts);
    }

    fn put(&self, text: &str, parts: Vec<String>) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        *last = Some(Instant::now());
        self.worker.side.printer.progress(text);
        let progress = Progress {
            at: jiff::Timestamp::now(),
            text: text.to_owned(),
            parts,
            program: Some(crate::burst::version::PROGRAM.to_owned()),
        };
        if let Ok(bytes) = serde_json::to_vec(&progress) {
            self.line.say(bytes);
        }
    }
}
