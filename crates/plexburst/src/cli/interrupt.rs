//! Work on a library's files that ends when the user says so, and leaves nothing half made behind.
//!
//! From the first piece of work on signals are this module's: while one runs it is told to give up, and between two of them
//! (at a question, or while something is only looked at) the program ends there and then, without what it had unpacked.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use plex_library::Progress;

use crate::error::{Error, Result};
use crate::exit;
use crate::term::{Printer, bytes};

static IS_WATCHED: AtomicBool = AtomicBool::new(false);
static IS_TOLD: AtomicBool = AtomicBool::new(false);
/// Whether a piece of work runs; held while it begins or ends, and while the program does.
static WORKING: Mutex<bool> = Mutex::new(false);
/// What goes when the program ends.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Says how far the work is, and tells it to stop.
struct Shown<'a> {
    printer: &'a Printer,
}

impl Progress for Shown<'_> {
    fn advance(&self, what: &str, done: u64, total: u64) {
        self.printer
            .progress(&format!("{what}: {} of {}", bytes(done), bytes(total)));
    }

    fn is_cancelled(&self) -> bool {
        IS_TOLD.load(Ordering::Relaxed)
    }
}

/// Runs work that gives up when it is told to.
pub(super) fn until_told<T>(
    printer: &Printer,
    work: impl FnOnce(&(dyn Progress + Sync)) -> plex_library::Result<T>,
) -> Result<T> {
    run(printer, work).map_err(|error| match error.kind() {
        plex_library::Kind::Cancelled => interrupted("nothing was written"),
        _ => Error::from(error),
    })
}

/// Goes no further when it was told to end in the last moment of work that is only a beginning.
pub(super) fn check() -> Result<()> {
    match IS_TOLD.load(Ordering::Relaxed) {
        true => Err(interrupted("the library is what it was")),
        false => Ok(()),
    }
}

/// Runs work that is too short, or too late, to be given up: the library is exchanged, or a transaction is committed.
pub(super) fn to_its_end<T>(printer: &Printer, work: impl FnOnce() -> plex_library::Result<T>) -> Result<T> {
    run(printer, |_| work()).map_err(Error::from)
}

/// Notes a folder that goes when the program is ended.
pub(super) fn forget_at_end(folder: &Path) {
    watch();
    FOLDERS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(folder.to_owned());
}

fn interrupted(what: &str) -> Error {
    Error::new(exit::RESUMABLE, format!("interrupted; {what}")).hint("run the same command again")
}

fn run<T>(
    printer: &Printer,
    work: impl FnOnce(&(dyn Progress + Sync)) -> plex_library::Result<T>,
) -> plex_library::Result<T> {
    watch();
    set_working(true);
    let done = tokio::task::block_in_place(|| work(&Shown { printer }));
    set_working(false);
    done
}

fn set_working(is_working: bool) {
    *WORKING.lock().unwrap_or_else(PoisonError::into_inner) = is_working;
}

/// Hears signals from now on.
fn watch() {
    if IS_WATCHED.swap(true, Ordering::Relaxed) {
        return;
    }
    tokio::spawn(async {
        let mut ear = crate::signal::Ear::open();
        loop {
            ear.next().await;
            IS_TOLD.store(true, Ordering::Relaxed);
            let is_working = WORKING.lock().unwrap_or_else(PoisonError::into_inner);
            if !*is_working {
                for folder in FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    // What cannot be removed is left to whoever clears that folder.
                    drop(std::fs::remove_dir_all(folder));
                }
                std::process::exit(i32::from(exit::RESUMABLE));
            }
        }
    });
}
