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

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// SIGINT or SIGTERM.
    End,
    /// SIGHUP: the terminal went away.
    HungUp,
}

/// Hears every signal from its beginning on, also those that come while nobody waits.
pub struct Ear([Option<tokio::signal::unix::Signal>; 3]);

impl Ear {
    /// Listens from now on.
    #[must_use]
    pub fn open() -> Self {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Self(kinds.map(|kind| signal(kind).ok()))
    }

    /// The next one; never, if this process cannot listen.
    pub async fn next(&mut self) -> Heard {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            () = heard(interrupt) => Heard::End,
            () = heard(terminate) => Heard::End,
            () = heard(hangup) => Heard::HungUp,
        }
    }
}

async fn heard(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
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
