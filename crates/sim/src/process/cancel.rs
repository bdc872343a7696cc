//! SIGTERM as a flag.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

/// Whether the child has been asked to end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// One that SIGTERM sets from now on, instead of ending the process.
    pub(crate) fn on_terminate() -> io::Result<Self> {
        let cancel = Self::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let mut terminate = {
            let _inside = runtime.enter();
            signal(SignalKind::terminate())?
        };
        let flag = cancel.clone();
        std::thread::Builder::new()
            .name("terminate".to_owned())
            .spawn(move || {
                runtime.block_on(terminate.recv());
                flag.cancel();
            })?;
        Ok(cancel)
    }

    /// Asks to end.
    pub(crate) fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has been asked to.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
