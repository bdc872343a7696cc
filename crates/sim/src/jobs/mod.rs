//! Work that is done by child processes: scans, analyses, the Sonic backlog.
//!
//! The server starts the programs that stand beside it ("Plex Media Scanner", "Plex Music Analyzer"), reads their
//! progress lines and turns them into activities and timeline messages. It does none of their work itself, so a killed
//! child is what it is with Plex: a scan that ended early.
//!
//! - [`child`] runs one child to its end;
//! - [`scans`] keeps the queue of each section (one scan at a time).

pub(crate) mod child;
pub(crate) mod scans;

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use scans::Scan;

use crate::server::Server;

/// The threads that do the server's long work, so that a stop can wait for them.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    busy: Mutex<usize>,
    idle: Condvar,
}

impl Workers {
    /// Runs `work` in a thread of its own; when the system has no thread left, the error says so and nothing was done.
    pub(crate) fn spawn(
        server: &Arc<Server>,
        name: &str,
        work: impl FnOnce(&Arc<Server>) + Send + 'static,
    ) -> std::io::Result<()> {
        let guard = Busy::new(server);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&guard.server))
            .map(drop)
    }

    /// Waits until no work is left, at most `limit`. False when some is.
    pub(crate) fn wait_idle(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while *busy > 0 {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            busy = self
                .idle
                .wait_timeout(busy, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

/// Counts one thread in and, when dropped, out.
struct Busy {
    server: Arc<Server>,
}

impl Busy {
    fn new(server: &Arc<Server>) -> Self {
        *server.workers.busy.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self {
            server: Arc::clone(server),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.server.workers.busy.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.server.workers.idle.notify_all();
    }
}
