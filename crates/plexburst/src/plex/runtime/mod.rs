//! Running a Plex server of the worker's own: start, look after, stop.
//!
//! [`Runtime`] is what a burst needs of one; [`native`] runs a server binary on this machine, inside a [`cell`] when
//! it would otherwise be in home's way. Guarantees: the server never outlives the worker; home's own server, which has
//! the same names and the same port, is never touched.

pub mod cell;
pub(crate) mod launch;
mod layout;
pub(crate) mod logs;
mod native;
pub mod processes;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use layout::Bind;
pub use logs::tail;
pub use native::{Confinement, Error, Native, Spec};
pub use processes::{CpuMeter, Process};

use super::client::Address;

/// The header by which the relay of a cell says that it, not Plex, has answered.
pub const CELL_HEADER: &str = "x-plexburst-cell";

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its status; 128 + n when signal n ended it.
    pub code: i32,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            code @ 129..=192 => write!(f, "ended by signal {}", code - 128),
            code => write!(f, "ended with status {code}"),
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
        assert_eq!(Exit { code: 137 }.to_string(), "ended by signal 9");
        assert_eq!(Exit { code: 3 }.to_string(), "ended with status 3");
    }
}
