//! The command line: one file per command; nothing else depends on it.

use std::process::ExitCode;

/// Parses, settles, runs and maps the outcome to an exit code.
pub fn main() -> ExitCode {
    ExitCode::from(crate::exit::DONE)
}
