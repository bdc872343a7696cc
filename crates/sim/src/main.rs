//! `plex-sim`: the simulator as a program of its own, or whichever of Plex's programs it was started as.

use std::process::ExitCode;

fn main() -> ExitCode {
    sim::dispatch().unwrap_or_else(|| sim::cli(std::env::args_os().skip(1)))
}
