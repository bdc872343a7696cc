//! Being told to end.

use tokio::signal::unix::{SignalKind, signal};

/// Comes back at SIGINT or SIGTERM; never, if this process cannot listen for them.
pub async fn interrupted() {
    tokio::select! {
        () = one(SignalKind::interrupt()) => {}
        () = one(SignalKind::terminate()) => {}
    }
}

async fn one(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}
