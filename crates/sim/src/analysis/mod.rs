//! What a server finds out by listening: containers and codecs, loudness, and the Sonic vectors.
//!
//! - [`basic`] and [`loudness`] are parts of `Plex Media Scanner`, [`sonic`] is `Plex Music Analyzer`;
//! - [`decode`] opens files, [`vector`] listens, [`backlog`] says what is to be done.
//!
//! Each file is one short transaction, so a child can be ended after any of them and goes on from there the next time. A
//! file that cannot be read or understood is logged and left for later; it is never an error of the run, and never a reason
//! to put something into the trash.

mod backlog;
pub(crate) mod basic;
mod decode;
pub(crate) mod loudness;
mod pace;
pub(crate) mod sonic;
#[cfg(test)]
mod tests;
mod vector;

use std::process::ExitCode;

pub(crate) use backlog::Backlog;

use crate::process::{Cancel, Process, Progress, log};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outcome {
    /// Files that have been analysed.
    pub(crate) done: usize,
    /// Files that could not be.
    pub(crate) skipped: usize,
}

/// What `Plex Music Analyzer` does: the Sonic backlog of the whole server, once.
pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(outcome) => {
            log(format_args!(
                "Sonic analysis: {} tracks, {} skipped",
                outcome.done, outcome.skipped
            ));
            ExitCode::SUCCESS
        }
        Err(error) => {
            log(error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<Outcome, Box<dyn std::error::Error>> {
    let support = std::env::var_os("PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR")
        .ok_or("PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR is not set")?;
    let mut process = Process::open(support.as_ref(), Cancel::on_terminate()?, Progress::standard())?;
    Ok(sonic::run(&mut process)?)
}
