//! `plexburst container`: waits for the worker's end and takes its container away then. A container is no child of the
//! worker: without this it would live on when the worker is killed, and read from a mount that is gone.

use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};

use super::engine::Engine;
use crate::error::{Context, Result};
use crate::plex::runtime::cell;

/// Not for people.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The engine's socket.
    #[arg(long)]
    pub socket: PathBuf,
    /// The worker.
    #[arg(long)]
    pub parent: i32,
    /// The container's own id.
    pub id: String,
}

/// Waits until the parent dies (then the container goes) or says that it is not needed any more (SIGTERM).
///
/// # Errors
/// The parent cannot be watched, or the engine refuses.
pub async fn run(args: Args) -> Result<()> {
    let listening = || "cannot listen for signals".to_owned();
    let mut orphaned = signal(SignalKind::hangup()).context(listening)?;
    let mut done = signal(SignalKind::terminate()).context(listening)?;
    match cell::watch_parent(args.parent) {
        Ok(()) => tokio::select! {
            _ = orphaned.recv() => {}
            _ = done.recv() => return Ok(()),
        },
        // It died before this process was ready.
        Err(cell::Error::Orphan) => {}
        Err(error) => return Err(error.into()),
    }
    let engine = Engine::connect(&args.socket)
        .await
        .map_err(crate::plex::runtime::Error::from)?;
    engine
        .take_away(&args.id)
        .await
        .map_err(crate::plex::runtime::Error::from)?;
    Ok(())
}

/// Takes it away from where nothing asynchronous can run; what fails is left to the guardian.
pub(super) fn take_away_now(socket: &Path, name: &str) {
    let (socket, name) = (socket.to_owned(), name.to_owned());
    let thread = std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        let removed = runtime.block_on(async { Engine::connect(&socket).await?.take_away(&name).await });
        if let Err(error) = removed {
            tracing::warn!(%error, "the worker's container could not be removed");
        }
    });
    // A thread that panicked has said so.
    let _ = thread.join();
}
