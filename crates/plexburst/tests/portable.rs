//! The programs that `./dev build` makes: linked against nothing, stripped, each for the architecture in its name. Building
//! them takes a quarter of an hour each, so what is looked at is what was built last.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![allow(clippy::print_stdout, reason = "a skip has to be seen")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// `./dev build` puts them beside what cargo builds.
fn built(arch: &str) -> PathBuf {
    let debug = Path::new(env!("CARGO_BIN_EXE_plexburst")).parent().unwrap();
    debug.parent().unwrap().join(format!("static/plexburst-{arch}"))
}

#[test]
fn the_static_programs_are_what_their_names_say() {
    for (arch, word) in [("x86_64", "x86-64"), ("aarch64", "aarch64")] {
        let program = built(arch);
        if !program.is_file() {
            println!("SKIPPED the static program for {arch}: `./dev build` (which takes zig from PyPI) was not run");
            continue;
        }
        let Ok(said) = Command::new("file").arg("-b").arg(&program).output() else {
            println!("SKIPPED the static program for {arch}: file is not installed");
            continue;
        };
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.starts_with("ELF 64-bit") && said.contains(word), "{said}");
        assert!(
            said.contains("statically linked") || said.contains("static-pie linked"),
            "{said}"
        );
        assert!(said.contains(", stripped"), "{said}");
        let bytes = std::fs::metadata(&program).unwrap().len();
        assert!(bytes < 60 << 20, "{bytes} bytes are too many to carry to a machine");
        if arch == std::env::consts::ARCH {
            let version = Command::new(&program).arg("--version").output().unwrap();
            let own = concat!("plexburst ", env!("CARGO_PKG_VERSION"));
            assert_eq!(String::from_utf8_lossy(&version.stdout).trim(), own);
        }
    }
}
