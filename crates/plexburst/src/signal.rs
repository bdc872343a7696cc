//! Being told to end.

use tokio::signal::unix::{SignalKind, signal};

/// Comes back at SIGINT, SIGTERM, or when the terminal goes away (SIGHUP); never, if this process cannot listen for them.
pub async fn interrupted() {
    tokio::select! {
        () = one(SignalKind::interrupt()) => {}
        () = one(SignalKind::terminate()) => {}
        () = one(SignalKind::hangup()) => {}
    }
}

/// As [`interrupted`], for what needs no terminal: SIGHUP is noticed and changes nothing.
pub async fn told_to_end() {
    let hangups = async {
        loop {
            one(SignalKind::hangup()).await;
        }
    };
    tokio::select! {
        () = one(SignalKind::interrupt()) => {}
        () = one(SignalKind::terminate()) => {}
        () = hangups => {}
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
