//! `/init` of the image: what s6 does for the official one.
//!
//! The first start makes the data directory the server's user's own, then the server is kept running: one that dies is
//! started again a second later, for ever. SIGTERM is passed on to the server, which gets as long as Docker gives the
//! container; then the container ends with the server's status.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const SERVER: &str = "/usr/lib/plexmediaserver/Plex Media Server";
const SUPPORT: &str = "/config/Library/Application Support";
/// The user of the image when nobody is named.
const USER: u32 = 1000;
/// Between a server's death and the next one.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs as the first process of a container until it is told to stop.
#[expect(clippy::print_stderr, reason = "what a container prints is its log")]
pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(status) => ExitCode::from(code(status)),
        Err(error) => {
            eprintln!("init: {error}");
            ExitCode::FAILURE
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[expect(clippy::print_stderr, reason = "what a container prints is its log")]
fn run() -> io::Result<ExitStatus> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGCHLD])?;
    let (user, group) = (number("PLEX_UID", USER), number("PLEX_GID", USER));
    first_run(user, group)?;
    let mut server = start(user, group)?;
    let mut is_stopping = false;
    for signal in signals.forever() {
        if signal != SIGCHLD {
            is_stopping = true;
            kill_process(server, Signal::TERM)?;
            continue;
        }
        // Whatever a server that died has left behind ends here as well.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid != server {
                continue;
            }
            let status = ExitStatus::from_raw(status.as_raw());
            if is_stopping {
                return Ok(status);
            }
            eprintln!("init: the server has died ({status}), and is started again");
            std::thread::sleep(PAUSE);
            server = start(user, group)?;
        }
    }
    Err(io::Error::other("no more signals"))
}

fn number(name: &str, default: u32) -> u32 {
    env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Once per container: what is below /config becomes the server's user's, unless that is so or not wanted.
fn first_run(user: u32, group: u32) -> io::Result<()> {
    let marker = Path::new("/.firstRunComplete");
    if marker.exists() {
        return Ok(());
    }
    let preferences = Path::new(SUPPORT).join("Plex Media Server/Preferences.xml");
    let is_owned = fs::metadata(&preferences).is_ok_and(|metadata| metadata.uid() == user);
    let is_wanted = env::var("CHANGE_CONFIG_DIR_OWNERSHIP").map_or(true, |text| text != "false");
    if is_wanted && !is_owned {
        give(Path::new("/config"), user, group)?;
    }
    fs::write(marker, "")
}

fn give(path: &Path, user: u32, group: u32) -> io::Result<()> {
    chown(path, Some(user), Some(group))?;
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user, group)?;
        }
    }
    Ok(())
}

fn start(user: u32, group: u32) -> io::Result<Pid> {
    let mut server = Command::new(SERVER);
    server
        .env("PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR", SUPPORT)
        .env("HOME", "/config");
    if env::var_os("PLEX_SIM_BIND").is_none() {
        // As a real one: who comes from outside of the container is no loopback.
        server.env("PLEX_SIM_BIND", "0.0.0.0");
    }
    let child = server.uid(user).gid(group).spawn()?;
    // It is waited for together with its orphans, so not through its handle.
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("the server has no process id"))
}
