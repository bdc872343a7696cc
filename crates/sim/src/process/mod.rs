//! What the scanner and the music analyzer have in common: they are children of the server that write to its databases
//! themselves.
//!
//! A child says how far it is on its standard output (`progress <0..100 or -1> <ratingKey or 0> <text>`), ends at the next
//! file when it gets SIGTERM, and keeps every transaction short, so that the server and its household can write in between.

mod cancel;
mod place;
mod progress;

pub(crate) use cancel::Cancel;
pub(crate) use place::Place;
pub(crate) use progress::Progress;

use std::fmt::Display;
use std::path::Path;

use crate::store::{self, Pair, StoreError};

/// One running child: where it works, how it tells, whether it is to stop.
#[derive(Debug)]
pub(crate) struct Process {
    /// The server's data directory.
    pub(crate) place: Place,
    /// Both databases.
    pub(crate) db: Pair,
    /// Its standard output.
    pub(crate) progress: Progress,
    /// Set by SIGTERM.
    pub(crate) cancel: Cancel,
}

impl Process {
    /// For the server whose data directory is below `support`.
    pub(crate) fn open(support: &Path, cancel: Cancel, progress: Progress) -> Result<Self, StoreError> {
        let place = Place::below(support);
        let db = store::open(&place.databases())?;
        Ok(Self {
            place,
            db,
            progress,
            cancel,
        })
    }

    /// Whether to end at the next file: SIGTERM came, or nobody reads what this child says any more. An orphan must not
    /// go on writing into a library that may be about to be exchanged.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled() || self.progress.is_broken()
    }
}

/// Prints one line of the log on standard error, where the server picks it up.
#[expect(
    clippy::print_stderr,
    reason = "standard error is how a child reaches the server's log"
)]
pub(crate) fn log(line: impl Display) {
    eprintln!("{line}");
}
