//! Putting the simulator where a real installation has its programs, and being whichever of them was started.
//!
//! One executable is all of them: it looks at the name that it was started by.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::{analysis, scanner, server, shell};

/// The names of a real installation's programs, the server first.
pub(crate) const PROGRAMS: [&str; 4] = [
    "Plex Media Server",
    "Plex Media Scanner",
    "Plex Music Analyzer",
    "Plex SQLite",
];

/// Makes `dir` look like /usr/lib/plexmediaserver: links by the names of Plex's programs, all to `exe`, which must call
/// [`dispatch`] before anything else. Returns the path of the server. Doing it again points the links to the new `exe`.
///
/// # Errors
/// When the folder or a link cannot be made; a file that is no link is never replaced.
pub fn install(dir: &Path, exe: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let (dir, exe) = (std::path::absolute(dir)?, std::path::absolute(exe)?);
    for name in PROGRAMS {
        let link = dir.join(name);
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        symlink(&exe, &link)?;
    }
    Ok(dir.join(PROGRAMS[0]))
}

/// Runs the program that this process was started as, if its name (`argv[0]`) is one of Plex's; `None` for any other.
pub fn dispatch() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    let own = arguments.next()?;
    match Path::new(&own).file_name()?.to_str()? {
        "Plex Media Server" => Some(server::main()),
        "Plex Media Scanner" => Some(scanner::main(std::env::args_os())),
        "Plex Music Analyzer" => Some(analysis::main()),
        "Plex SQLite" => Some(shell::main(std::env::args_os())),
        // Only as the first process of a container of the image.
        "init" if std::process::id() == 1 => Some(crate::image::init::main()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_can_be_moved_to_a_newer_program() {
        let dir = tempfile::tempdir().unwrap();
        let programs = dir.path().join("lib/plex");
        for exe in ["old", "new"] {
            let exe = dir.path().join(exe);
            let server = install(&programs, &exe).unwrap();
            assert_eq!(server, programs.join("Plex Media Server"));
            for name in PROGRAMS {
                assert_eq!(fs::read_link(programs.join(name)).unwrap(), exe);
            }
        }
    }

    #[test]
    fn a_real_installation_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("Plex Media Scanner");
        fs::write(&real, b"a program").unwrap();
        let error = install(dir.path(), Path::new("/sim")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&real).unwrap(), b"a program");
    }
}
