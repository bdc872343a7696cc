//! The simulator as a container image, made without a registry: one folder that becomes the image's file system.
//!
//! It is laid out as `plexinc/pms-docker` is (facts/plex.md §7.1): `/init` is the first process and starts the server
//! again when it dies, the programs lie in `/usr/lib/plexmediaserver`, the data below `/config`. What it lacks is an
//! operating system: there is one executable, and the libraries that it is linked against.

pub(crate) mod init;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Plex's package puts its programs.
const PROGRAMS: &str = "usr/lib/plexmediaserver";

/// Makes `root` the file system of an image with `exe`, which must call [`crate::dispatch`] before anything else, as all
/// of Plex's programs and as its `/init`. `docker import --change 'ENTRYPOINT ["/init"]'` of a tar of it is the image.
///
/// # Errors
/// A file cannot be made, or `ldd` does not say what the executable needs.
pub fn lay_out(root: &Path, exe: &Path) -> io::Result<()> {
    for folder in ["config", "transcode", "tmp", "proc", "sys", "dev", "etc", PROGRAMS] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/:/none\nplex:x:1000:1000::/config:/none\n",
    )?;
    let program = Path::new("/").join(PROGRAMS).join("plex-sim");
    fs::copy(exe, inside(root, &program))?;
    for name in crate::install::PROGRAMS {
        symlink(&program, root.join(PROGRAMS).join(name))?;
    }
    symlink(&program, root.join("init"))?;
    for library in libraries(exe)? {
        let to = inside(root, &library);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&library, to)?;
    }
    Ok(())
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The libraries of a dynamic executable, its loader among them; none of a static one.
fn libraries(exe: &Path) -> io::Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(exe).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if let Some(missing) = text.lines().find(|line| line.contains("not found")) {
        return Err(io::Error::other(format!(
            "{} lacks a library: {missing}",
            exe.display()
        )));
    }
    // `name => /path (address)`, or `/path (address)` for the loader.
    Ok(text
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_executable_is_everything_and_has_its_libraries() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let exe = std::env::current_exe().unwrap();
        lay_out(&root, &exe).unwrap();
        for name in ["init", "usr/lib/plexmediaserver/Plex Media Server"] {
            let target = fs::read_link(root.join(name)).unwrap();
            assert_eq!(
                fs::metadata(inside(&root, &target)).unwrap().len(),
                fs::metadata(&exe).unwrap().len()
            );
        }
        for library in libraries(&exe).unwrap() {
            assert!(inside(&root, &library).is_file(), "{}", library.display());
        }
    }
}
