//! SIGTERM as a flag.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGTERM;

/// Whether the child has been asked to end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// One that SIGTERM sets from now on, instead of ending the process. The handler itself sets it: no thread has to get
    /// its turn first.
    pub(crate) fn on_terminate() -> io::Result<Self> {
        let cancel = Self::default();
        signal_hook::flag::register(SIGTERM, Arc::clone(&cancel.0))?;
        Ok(cancel)
    }

    /// Asks to end.
    #[cfg(test)]
    pub(crate) fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has been asked to.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
