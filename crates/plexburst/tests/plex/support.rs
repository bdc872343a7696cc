//! Helpers: this test binary run again as another process, and waiting for conditions.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_plexburst");

/// What a test runs itself again as.
const ROLE: &str = "PLEXBURST_TEST_ROLE";

/// The arguments of a role, when this process is that role's.
pub(crate) fn role(name: &str) -> Option<Vec<OsString>> {
    if std::env::var_os(ROLE)? != name {
        return None;
    }
    let joined = std::env::var_os("PLEXBURST_TEST_ARGS").unwrap_or_default();
    Some(std::env::split_paths(&joined).map(PathBuf::into_os_string).collect())
}

/// This binary as the test `test`, playing its role.
pub(crate) fn play(test: &str, name: &str, args: &[&Path]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, name)
        .env("PLEXBURST_TEST_ARGS", std::env::join_paths(args).unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// A child that is killed when a test ends early.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn skip(test: &str, why: &str) {
    println!("SKIPPED {test}: {why}");
}

pub(crate) fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|dir| dir.join(program).is_file())
}

pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Whether a process is there and not a zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
