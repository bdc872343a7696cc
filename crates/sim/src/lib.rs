//! A stand-in of Plex Media Server that can be run on one machine: for the tests, for `plexburst demo`, for nothing else.
//!
//! It has the real one's databases, files, programs and HTTP API, so that whatever works on it has met the real shapes.
//! It depends on none of plexburst's own code.

pub mod fixture;
pub mod schema;
pub mod store;

pub(crate) mod activities;
pub(crate) mod butler;
pub(crate) mod household;
pub(crate) mod http;
pub(crate) mod items;
pub(crate) mod jobs;
pub mod plextv;
pub mod prefs;
pub(crate) mod process;
pub(crate) mod scanner;
pub mod server;

use std::path::Path;
use std::process::ExitCode;

/// Runs the program that this process was started as, if its name (`argv[0]`) is one of Plex's; `None` for any other.
pub fn dispatch() -> Option<ExitCode> {
    let own = std::env::args_os().next()?;
    match Path::new(&own).file_name()?.to_str()? {
        "Plex Media Server" => Some(server::main()),
        "Plex Media Scanner" => Some(scanner::main(std::env::args_os())),
        _ => None,
    }
}
