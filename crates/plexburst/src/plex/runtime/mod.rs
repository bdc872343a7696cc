//! Running a Plex server of the worker's own: start, look after, stop.
//!
//! [`Runtime`] is what a burst needs of one; [`native`] runs a server binary on this machine, inside a [`cell`] when
//! it would otherwise be in home's way, [`docker`] runs the official image. Which of them it is, [`Server`] alone knows.
//! Guarantees: the server never outlives the worker; home's own server, which has the same names and the same port, is
//! never touched.

pub mod cell;
pub mod docker;
pub(crate) mod launch;
mod layout;
pub(crate) mod logs;
mod native;
pub mod processes;
mod server;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use layout::Bind;
pub use logs::tail;
pub use native::{Confinement, Error, Native, Spec};
pub use processes::{CpuMeter, Process};
pub use server::Server;

use super::client::Address;

/// The header by which the relay of a cell says that it, not Plex, has answered.
pub const CELL_HEADER: &str = "x-plexburst-cell";

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its status; 128 + n when signal n ended it.
    pub code: i32,
    /// What is known of the reason.
    pub why: Why,
}

/// Why a server ended, as far as whoever ran it can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its status is all that is known.
    Itself,
    /// The kernel ended it at its memory limit.
    OutOfMemory,
    /// It comes up and dies again and again, so often.
    Loop(u32),
    /// Somebody took its container away.
    Removed,
    /// The engine that runs it has not answered for so long that nothing can be said of it.
    EngineGone,
}

impl Exit {
    /// With nothing known but its status.
    #[must_use]
    pub fn of(code: i32) -> Self {
        Self { code, why: Why::Itself }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self.why {
            Why::Itself => return None,
            Why::OutOfMemory => "give it more memory (`worker.memory`), or take a larger machine (`--instance`)",
            Why::Loop(_) => "its log says why it dies; is the library made by a newer version of Plex?",
            Why::Removed => "nobody but plexburst may touch its container; `plexburst resume` makes a new one",
            Why::EngineGone => "start the Docker engine (`systemctl start docker`), then `plexburst resume`",
        })
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.why, self.code) {
            (Why::OutOfMemory, _) => f.write_str("was ended by the kernel because its memory ran out (OOM)"),
            (Why::Loop(times), _) => write!(f, "crashes and starts again in a loop ({times} times)"),
            (Why::Removed, _) => f.write_str("is gone: its container was removed"),
            (Why::EngineGone, _) => f.write_str("cannot be looked after: the Docker engine is gone"),
            (Why::Itself, code @ 129..=192) => write!(f, "ended by signal {}", code - 128),
            (Why::Itself, code) => write!(f, "ended with status {code}"),
        }
    }
}

/// Whether a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not started, or stopped on purpose.
    Stopped,
    /// It runs.
    Running,
    /// It ended without having been told to.
    Crashed(Exit),
}

/// How a stop went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// It ended by itself in time.
    pub clean: bool,
    /// How long it took.
    pub took: Duration,
    /// Write-ahead logs that still hold something: the databases are whole only together with these.
    pub logs_left: Vec<PathBuf>,
}

/// A way to run a Plex server.
pub trait Runtime: Send {
    /// Starts it. It is not ready when this returns; see [`super::ready`].
    fn start(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Asks it to end, waits at most `limit`, then kills it. Stopping what does not run is fine.
    fn stop(&mut self, limit: Duration) -> impl Future<Output = Result<Stopped, Error>> + Send;

    /// Whether it runs.
    fn state(&self) -> State;

    /// Its processes, scanners among them; none when it does not run.
    ///
    /// # Errors
    /// The processes cannot be looked at.
    fn processes(&self) -> io::Result<Vec<Process>>;

    /// Where it listens.
    fn address(&self) -> Address;

    /// Its data directory, the one called `Plex Media Server`.
    fn data_dir(&self) -> &Path;
}

/// The write-ahead logs in a `Databases` folder that are not empty.
fn logs_left(data_dir: &Path) -> Vec<PathBuf> {
    let databases = data_dir.join("Plug-in Support/Databases");
    [
        "com.plexapp.plugins.library.db-wal",
        "com.plexapp.plugins.library.blobs.db-wal",
    ]
    .iter()
    .map(|name| databases.join(name))
    .filter(|path| std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_logs_that_hold_something_are_left() {
        let dir = tempfile::tempdir().unwrap();
        let databases = dir.path().join("Plug-in Support/Databases");
        std::fs::create_dir_all(&databases).unwrap();
        assert!(logs_left(dir.path()).is_empty());
        let log = databases.join("com.plexapp.plugins.library.db-wal");
        std::fs::write(&log, "").unwrap();
        assert!(logs_left(dir.path()).is_empty());
        std::fs::write(&log, "frames").unwrap();
        assert_eq!(logs_left(dir.path()), [log]);
    }

    #[test]
    fn how_a_server_ended_in_words() {
        assert_eq!(Exit::of(137).to_string(), "ended by signal 9");
        assert_eq!(Exit::of(3).to_string(), "ended with status 3");
        let exit = |why| Exit { code: 137, why };
        assert!(exit(Why::OutOfMemory).to_string().contains("memory ran out"));
        assert!(exit(Why::Loop(4)).to_string().contains("4 times"));
        for why in [Why::OutOfMemory, Why::Loop(3), Why::Removed, Why::EngineGone] {
            assert!(exit(why).hint().is_some());
        }
    }
}
