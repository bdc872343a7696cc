//! `plex-sim`: the simulator as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    sim::dispatch().unwrap_or(ExitCode::from(2))
}
