//! `sim.json`: how slow and how nasty this server is to be. A real server has no such file.
//!
//! Read at the start and again on SIGHUP; a missing file means a fast and kind server, an unreadable one is an error at
//! the start and is ignored (with a log line) on SIGHUP.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::log::PLEX_LOG_BYTES;

/// What `sim.json` would say, for a server whose folder is not there before it is started.
const ENV: &str = "PLEX_SIM_TEMPO";

/// Tempo and faults of one server. Unknown members are left to the children, which read the same file.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Tempo {
    /// Seconds during which the port is not even bound.
    pub(crate) refusing_seconds: f64,
    /// Seconds during which every request is answered 503 after the port was bound.
    pub(crate) starting_seconds: f64,
    /// Seconds of 503 with the maintenance text, as while a database is migrated.
    pub(crate) migrating_seconds: f64,
    /// How long an activity is shown without its Context (a real server: up to a second).
    pub(crate) activity_context_delay_ms: u64,
    /// How long an activity stays unseen after the request that started it.
    pub(crate) activity_delay_ms: u64,
    /// Seconds without a timeline call after which a session is dropped.
    pub(crate) session_timeout_seconds: u64,
    /// Size at which the log is rotated.
    pub(crate) log_max_bytes: u64,
    /// Seconds by which a clean stop is longer than its work.
    pub(crate) stopping_seconds: f64,
    /// Seconds from an accepted claim to the moment at which the server shows that it belongs to the account.
    pub(crate) claim_delay_seconds: f64,
    /// Seconds from being ready to a crash; 0 is none.
    pub(crate) crash_seconds: f64,
    /// Mebibytes that the server takes when it is ready, and keeps.
    pub(crate) eats_mib: usize,
}

impl Default for Tempo {
    fn default() -> Self {
        Self {
            refusing_seconds: 0.0,
            starting_seconds: 0.0,
            migrating_seconds: 0.0,
            activity_context_delay_ms: 0,
            activity_delay_ms: 0,
            session_timeout_seconds: 180,
            log_max_bytes: PLEX_LOG_BYTES,
            stopping_seconds: 0.0,
            claim_delay_seconds: 0.0,
            crash_seconds: 0.0,
            eats_mib: 0,
        }
    }
}

impl Tempo {
    /// Reads the file; instead of a missing one counts what the environment says in [`ENV`], and without that the defaults.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match std::env::var(ENV) {
                Ok(text) => serde_json::from_str(&text).map_err(io::Error::from),
                Err(_) => Ok(Self::default()),
            },
            Err(error) => Err(error),
        }
    }
}

/// Seconds from a file; what is no duration counts as none.
pub(crate) fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_partial_and_broken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sim.json");
        assert_eq!(Tempo::read(&path).unwrap().session_timeout_seconds, 180);
        fs::write(&path, r#"{"starting_seconds":1.5,"analysis_delay_ms":3}"#).unwrap();
        assert_eq!(
            seconds(Tempo::read(&path).unwrap().starting_seconds),
            Duration::from_millis(1500)
        );
        fs::write(&path, "{").unwrap();
        assert!(Tempo::read(&path).is_err());
        assert_eq!(seconds(-1.0), Duration::ZERO);
    }
}
