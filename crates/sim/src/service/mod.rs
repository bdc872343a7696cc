//! Starting and stopping a server as a service manager does, for tests and the demo.
//!
//! [`start`] comes back when the server answers, [`stop`] when its process is gone: neither returns on a promise. Both
//! block. Which process it is, `plexmediaserver.pid` says; that it still is, its lock says, so a pid left by a killed
//! server is never signalled.

mod ready;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::server::DataDir;

/// How long a start may take. The tempo file makes a server as slow as a test wants it, so this is generous.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long a stop may take: what service managers give a database server.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Pause between two looks at a server that does not answer yet.
const LOOK: Duration = Duration::from_millis(20);
/// What the server prints goes there, beside its own logs.
const OUTPUT: &str = "plex-sim output.txt";
/// How many lines of it an error repeats.
const LAST_LINES: usize = 8;

/// Why a server could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A file of the server could not be read or made.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program could not be started.
    #[error("cannot run {}", path.display())]
    Spawn {
        /// The server's program.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process ended before it answered.
    #[error("the server on port {port} ended while it was starting ({status}); its last lines:\n{last_lines}")]
    Ended {
        /// Where it would have listened.
        port: u16,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        last_lines: String,
    },
    /// It did not answer in time, and has been ended.
    #[error("the server on port {port} did not answer within {} s; its last lines:\n{last_lines}", START_LIMIT.as_secs())]
    NotReady {
        /// Where it listens.
        port: u16,
        /// What it said.
        last_lines: String,
    },
    /// It was asked to stop and has not.
    #[error("the server (pid {pid}) did not end within {} s", STOP_LIMIT.as_secs())]
    StillRuns {
        /// Its process.
        pid: i32,
    },
    /// Its process could not be watched or signalled.
    #[error("cannot stop the server (pid {pid})")]
    Signal {
        /// Its process.
        pid: i32,
        /// What the system said.
        source: io::Error,
    },
}

impl ServiceError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ServiceError::Ended { .. } | ServiceError::NotReady { .. } => {
                Some("is the port taken, or a server already running on this data directory?".to_owned())
            }
            ServiceError::StillRuns { pid } => Some(format!(
                "look at its log; `kill -KILL {pid}` ends it without a clean stop"
            )),
            ServiceError::Io { .. } | ServiceError::Spawn { .. } | ServiceError::Signal { .. } => None,
        }
    }
}

/// Starts `server` (a program of [`crate::install`]) on the data directory below `support`, listening on `port`, with `env`
/// on top of this process's environment. Returns when `/identity` answers 200. The server outlives this process.
///
/// # Errors
/// [`ServiceError::Ended`] when it gave up, [`ServiceError::NotReady`] when it took too long (it is ended then).
pub fn start(server: &Path, support: &Path, port: u16, env: &[(OsString, OsString)]) -> Result<(), ServiceError> {
    let data = DataDir::below(support);
    let output = data.logs().join(OUTPUT);
    let in_output = |source| ServiceError::Io {
        path: output.clone(),
        source,
    };
    fs::create_dir_all(data.logs()).map_err(in_output)?;
    let log = File::create(&output).map_err(in_output)?;
    let errors = log.try_clone().map_err(in_output)?;
    let mut child = Command::new(server)
        .env("PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR", support)
        .env("PLEX_SIM_PORT", port.to_string())
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // A group of its own: an interrupt at the terminal is for whoever started it, not for the server.
        .process_group(0)
        .spawn()
        .map_err(|source| ServiceError::Spawn {
            path: server.to_owned(),
            source,
        })?;
    let address = SocketAddr::new(bound_to(env), port);
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(in_output)? {
            return Err(ServiceError::Ended {
                port,
                status,
                last_lines: last_lines(&output),
            });
        }
        // Another server may answer on the port: only one that runs on this data directory counts.
        if pid_of(&data.pid_file()) == i32::try_from(child.id()).ok() && ready::answers(address) {
            break;
        }
        if since.elapsed() > START_LIMIT {
            // It may just have ended by itself; then there is nothing left to kill.
            let _ = child.kill();
            child.wait().map_err(in_output)?;
            return Err(ServiceError::NotReady {
                port,
                last_lines: last_lines(&output),
            });
        }
        std::thread::sleep(LOOK);
    }
    // Its end has to be waited for by somebody, or it would stay in the process table for as long as this process lives.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Stops the server that runs on the data directory below `support` and returns when its process is gone. No server is no
/// error.
///
/// # Errors
/// [`ServiceError::StillRuns`] when it does not end in time.
pub fn stop(support: &Path) -> Result<(), ServiceError> {
    let path = DataDir::below(support).pid_file();
    let Some(pid) = running(&path)? else { return Ok(()) };
    let signal = |source: rustix::io::Errno| ServiceError::Signal {
        pid,
        source: source.into(),
    };
    let Some(process) = Pid::from_raw(pid) else {
        return Ok(());
    };
    let process = match pidfd_open(process, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        opened => opened.map_err(signal)?,
    };
    match pidfd_send_signal(&process, Signal::TERM) {
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        sent => sent.map_err(signal)?,
    }
    let since = Instant::now();
    loop {
        let left = STOP_LIMIT.saturating_sub(since.elapsed());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) => return Err(ServiceError::StillRuns { pid }),
            Ok(_) => return Ok(()),
            Err(error) => return Err(signal(error)),
        }
    }
}

/// The process that holds the pid file, if one does. One that has only just taken it is waited for until it says who it is.
fn running(path: &Path) -> Result<Option<i32>, ServiceError> {
    let in_file = |source| ServiceError::Io {
        path: path.to_owned(),
        source,
    };
    let since = Instant::now();
    while since.elapsed() < STOP_LIMIT {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(in_file)?,
        };
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(in_file(source)),
            Err(TryLockError::WouldBlock) => {}
        }
        if let Some(pid) = pid_of(path) {
            return Ok(Some(pid));
        }
        std::thread::sleep(LOOK);
    }
    Err(in_file(io::Error::other("it is locked and names no process")))
}

/// What the pid file says.
fn pid_of(path: &Path) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Where a server with that environment listens; one that listens everywhere is asked on the loopback.
fn bound_to(env: &[(OsString, OsString)]) -> IpAddr {
    let own = std::env::var_os("PLEX_SIM_BIND");
    let given = env
        .iter()
        .rev()
        .find(|(name, _)| name == "PLEX_SIM_BIND")
        .map(|(_, value)| value);
    given
        .or(own.as_ref())
        .and_then(|value| value.to_str()?.parse::<IpAddr>().ok())
        .filter(|address| !address.is_unspecified())
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn last_lines(path: &Path) -> String {
    let text = fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    match lines.len() {
        0 => "(it printed nothing)".to_owned(),
        count => lines[count.saturating_sub(LAST_LINES)..].join("\n"),
    }
}
