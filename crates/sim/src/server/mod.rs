//! The server process: start, phases, clean stop.
//!
//! Start: lock plexmediaserver.pid, bind the port, answer 503 while databases are made or opened, then serve. A taken port,
//! a second server on the same data directory and a database that cannot be opened end the process with exit code 1 and a
//! line on standard error.
//!
//! Stop (SIGTERM, SIGINT): no new requests; children get SIGTERM and are waited for; the write-ahead logs are checkpointed
//! and removed (which takes as long as they are large); the pid file goes last. A killed server leaves all of these, and the
//! next start recovers.
//!
//! A server never runs butler tasks or periodic scans by the clock: a simulator that changes its database at two in the
//! morning would make tests depend on the hour.

pub(crate) mod claim;
pub(crate) mod data_dir;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod pool;
pub(crate) mod random;
mod run;
pub(crate) mod tempo;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::log::Log;
use self::pool::Pool;
use self::tempo::Tempo;
use crate::activities::Activities;
use crate::butler::Butler;
use crate::household::sessions::Sessions;
use crate::jobs::Workers;
use crate::jobs::scans::Scans;
use crate::plextv::PlexTv;
use crate::prefs::Preferences;
pub use data_dir::DataDir;

/// The version that this server says it is: the newest that the facts know.
pub const VERSION: &str = "1.43.4.10903-e5521bd8c";
/// The version of the HTTP interface that such a server reports.
pub const API_VERSION: &str = "1.2.3";

/// What `Plex Media Server` does when it is started.
pub fn main() -> ExitCode {
    run::main()
}

/// How far the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The port is bound, the databases are not open yet.
    Starting,
    /// The databases are being brought to this version.
    Migrating,
    /// Everything is answered.
    Ready,
    /// A stop was asked for.
    Stopping,
}

/// Everything that requests and jobs share.
#[derive(Debug)]
pub(crate) struct Server {
    /// The data directory.
    pub(crate) data: DataDir,
    /// Its parent, which children get in their environment.
    pub(crate) support: PathBuf,
    /// Where the server's own program and its children's stand.
    pub(crate) programs: PathBuf,
    /// The server's log.
    pub(crate) log: Log,
    /// The token that is good for this process's life.
    pub(crate) local_token: String,
    /// The stand-in for plex.tv, if there is one.
    pub(crate) plextv: Option<PlexTv>,
    /// Connections to both databases.
    pub(crate) pool: Arc<Pool>,
    /// What is going on.
    pub(crate) activities: Arc<Activities>,
    /// Scans per section.
    pub(crate) scans: Scans,
    /// Maintenance tasks.
    pub(crate) butler: Butler,
    /// Who plays what.
    pub(crate) sessions: Sessions,
    /// Threads that do long work.
    pub(crate) workers: Workers,
    prefs: Mutex<Preferences>,
    tempo: Mutex<Tempo>,
    phase: Mutex<Phase>,
}

impl Server {
    /// The preferences; keep the guard short.
    pub(crate) fn prefs(&self) -> MutexGuard<'_, Preferences> {
        self.prefs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How slow and nasty to be.
    pub(crate) fn tempo(&self) -> Tempo {
        self.tempo.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How far the server is.
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_phase(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Whether a stop was asked for: nothing new is begun then.
    pub(crate) fn is_stopping(&self) -> bool {
        self.phase() == Phase::Stopping
    }

    /// Whether an account has claimed this server.
    pub(crate) fn is_claimed(&self) -> bool {
        self.prefs().online_token().is_some()
    }

    /// Whether the settings and tasks of a Plex Pass exist here.
    pub(crate) fn has_pass(&self) -> bool {
        self.owner().is_some_and(|account| account.pass)
    }

    /// The account that claimed the server, as far as the stand-in knows it.
    pub(crate) fn owner(&self) -> Option<crate::plextv::Account> {
        let (machine, token) = {
            let prefs = self.prefs();
            (prefs.machine_identifier().to_owned(), prefs.online_token()?.to_owned())
        };
        match self.plextv.as_ref()?.owner(&machine, &token) {
            Ok(owner) => owner,
            Err(error) => {
                self.log.warn(format_args!("MyPlex: {error}"));
                None
            }
        }
    }

    /// The name that people gave the server.
    pub(crate) fn friendly_name(&self) -> String {
        let prefs = self.prefs();
        match prefs.value("FriendlyName") {
            "" => "plex-sim".to_owned(),
            name => name.to_owned(),
        }
    }

    /// Whether a client at that address needs no token: this machine on a signed-out server, and the networks that the
    /// preference `allowedNetworks` names ("0.0.0.0/0.0.0.0" opens nothing, facts/plex.md §4.3).
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        let prefs = self.prefs();
        let signed_out = prefs.online_token().is_none();
        (signed_out && address.is_loopback()) || crate::http::auth::in_networks(prefs.value("allowedNetworks"), address)
    }

    /// Reads the tempo file again.
    pub(crate) fn reload_tempo(&self) {
        match Tempo::read(&self.data.tempo()) {
            Ok(tempo) => {
                self.log.set_limit(tempo.log_max_bytes);
                self.activities.set_delays(
                    std::time::Duration::from_millis(tempo.activity_delay_ms),
                    std::time::Duration::from_millis(tempo.activity_context_delay_ms),
                );
                *self.tempo.lock().unwrap_or_else(PoisonError::into_inner) = tempo;
            }
            Err(error) => self
                .log
                .warn(format_args!("cannot read {}: {error}", self.data.tempo().display())),
        }
    }
}
