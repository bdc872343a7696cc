//! How long work says how far it is, and is told to stop.

use crate::error::{Error, Result};

/// Told about progress from the thread that does the work, at most some hundred times a second.
pub trait Progress {
    /// `done` of `total` bytes of `what` (a word such as "library") are finished.
    fn advance(&self, what: &str, done: u64, total: u64);

    /// Whether to stop; asked between pieces of work. What was begun is then given up, with nothing published.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Nobody listens.
impl Progress for () {
    fn advance(&self, _: &str, _: u64, _: u64) {}
}

impl<F: Fn(&str, u64, u64)> Progress for F {
    fn advance(&self, what: &str, done: u64, total: u64) {
        self(what, done, total);
    }
}

/// Bytes between two words to the listener.
const STRIDE: u64 = 4 * 1024 * 1024;

/// Counts the bytes of one piece of work.
pub(crate) struct Meter<'a> {
    progress: &'a dyn Progress,
    what: &'a str,
    done: u64,
    said: u64,
    total: u64,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(progress: &'a dyn Progress, what: &'a str, total: u64) -> Self {
        progress.advance(what, 0, total);
        Self {
            progress,
            what,
            done: 0,
            said: 0,
            total,
        }
    }

    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) fn add(&mut self, bytes: usize) -> Result<()> {
        self.done += bytes as u64;
        if self.done - self.said >= STRIDE || self.done >= self.total {
            self.said = self.done;
            self.progress.advance(self.what, self.done, self.total);
            if self.progress.is_cancelled() {
                return Err(Error::Cancelled);
            }
        }
        Ok(())
    }
}
