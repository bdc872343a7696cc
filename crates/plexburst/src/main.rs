//! The program: what the command line says is parsed, settled and run; the exit code is one of [`plexburst::exit`].

use std::process::ExitCode;

fn main() -> ExitCode {
    plexburst::cli::main()
}
