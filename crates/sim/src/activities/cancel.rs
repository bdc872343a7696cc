//! Asking running work to stop: a flag, and SIGTERM for the child process if there is one.
//!
//! A child's id is known here only while the child has not been waited for, so the signal can never reach a stranger that
//! got the same id.

use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

/// The request to stop one piece of work.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    child: Option<u32>,
}

impl Cancel {
    /// Asks the work to stop; its child, now or later, gets SIGTERM.
    pub(crate) fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        if let Some(child) = state.child {
            terminate(child);
        }
    }

    /// Whether it was asked to.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    /// Says which child does the work now.
    pub(crate) fn attach(&self, child: u32) {
        let mut state = self.lock();
        state.child = Some(child);
        if state.cancelled {
            terminate(child);
        }
    }

    /// Says that the child is about to be waited for.
    pub(crate) fn detach(&self) {
        self.lock().child = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn terminate(child: u32) {
    if let Some(pid) = i32::try_from(child).ok().and_then(Pid::from_raw) {
        // The only error possible is that the child has ended by itself.
        let _ = kill_process(pid, Signal::TERM);
    }
}
