//! Who plays what right now: driven by timeline calls, forgotten when they stop coming.
//!
//! Nothing of it is in the database; a restart forgets every session, as a real server does.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::http::request::Client;

/// One player at work.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Its number, which clients see as sessionKey.
    pub(crate) key: i64,
    /// The account.
    pub(crate) account: i64,
    /// The item.
    pub(crate) item: i64,
    /// playing, paused or buffering.
    pub(crate) state: String,
    /// Milliseconds from the start.
    pub(crate) offset: i64,
    /// The device.
    pub(crate) client: Client,
    /// Where it is.
    pub(crate) address: String,
    seen: Instant,
}

/// All players.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    state: Mutex<(i64, Vec<Session>)>,
}

/// What a timeline call says.
#[derive(Debug)]
pub(crate) struct Report {
    /// The account.
    pub(crate) account: i64,
    /// The item.
    pub(crate) item: i64,
    /// playing, paused, buffering or stopped.
    pub(crate) state: String,
    /// Milliseconds from the start.
    pub(crate) offset: i64,
    /// The device.
    pub(crate) client: Client,
    /// Where it is.
    pub(crate) address: String,
}

impl Sessions {
    /// Takes a report in and returns the session as it is now (as it was last, when it stopped).
    pub(crate) fn report(&self, report: Report) -> Session {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, sessions) = &mut *guard;
        let same = |session: &Session| {
            session.account == report.account && session.client.identifier == report.client.identifier
        };
        let known = sessions.iter().position(same).map(|at| sessions.remove(at));
        let key = known.map_or_else(
            || {
                *last += 1;
                *last
            },
            |session| session.key,
        );
        let session = Session {
            key,
            account: report.account,
            item: report.item,
            state: report.state,
            offset: report.offset,
            client: report.client,
            address: report.address,
            seen: Instant::now(),
        };
        if session.state != "stopped" {
            sessions.push(session.clone());
        }
        session
    }

    /// Those that said something within `timeout`.
    pub(crate) fn current(&self, timeout: Duration) -> Vec<Session> {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        guard.1.retain(|session| session.seen.elapsed() < timeout);
        guard.1.clone()
    }

    /// Ends one.
    pub(crate) fn end(&self, key: i64) -> bool {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = guard.1.len();
        guard.1.retain(|session| session.key != key);
        guard.1.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(item: i64, state: &str) -> Report {
        let client = Client {
            identifier: "tv".into(),
            ..Client::default()
        };
        Report {
            account: 1,
            item,
            state: state.into(),
            offset: 5,
            client,
            address: "127.0.0.1".into(),
        }
    }

    #[test]
    fn one_session_per_player_until_it_stops_or_falls_silent() {
        let sessions = Sessions::default();
        let first = sessions.report(report(1, "playing"));
        assert_eq!(sessions.report(report(2, "paused")).key, first.key);
        assert_eq!(sessions.current(Duration::from_secs(60)).len(), 1);
        sessions.report(report(2, "stopped"));
        assert!(sessions.current(Duration::from_secs(60)).is_empty());
        assert_eq!(sessions.report(report(3, "playing")).key, first.key + 1);
        assert!(sessions.current(Duration::ZERO).is_empty());
    }
}
