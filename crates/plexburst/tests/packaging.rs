//! The Debian package: made of the program under test, installed by dpkg into a root of its own, used there, and removed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{PROGRAM, has, skip};

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Every file below `dir`, by its path there.
fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut all, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() && !path.is_symlink() {
                true => folders.push(path),
                false => all.push(path.strip_prefix(dir).unwrap().to_owned()),
            }
        }
    }
    all.sort();
    all
}

fn dpkg(root: &Path, args: &[&str]) -> Output {
    // Its libraries are not packages in this root.
    run(Command::new("dpkg")
        .arg(format!("--root={}", root.display()))
        .args(["--force-depends", "--force-not-root", "--force-bad-path"])
        .args(args))
}

#[test]
fn the_package_is_installed_used_and_removed() {
    if !has("dpkg-deb") || !has("dpkg") {
        return skip("the Debian package", "dpkg is not here");
    }
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/deb");
    // Its size does not matter here.
    let made = run(Command::new(script)
        .args([PROGRAM, "amd64"])
        .arg(dir.path())
        .env("LEVEL", "1"));
    let deb = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert!(
        deb.ends_with(&format!("plexburst_{}_amd64.deb", env!("CARGO_PKG_VERSION"))),
        "{deb}"
    );
    let info = run(Command::new("dpkg-deb").args(["--info", &deb]));
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(
        info.contains("Package: plexburst") && info.contains("Recommends: "),
        "{info}"
    );

    let root = dir.path().join("root");
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "tmp"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    dpkg(&root, &["--install", &deb]);
    let verified = dpkg(&root, &["--verify", "plexburst"]);
    assert!(
        verified.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&verified.stdout)
    );
    for file in [
        "usr/bin/plexburst",
        "usr/share/man/man1/plexburst.1.gz",
        "usr/share/man/man1/plexburst-sync.1.gz",
        "usr/share/bash-completion/completions/plexburst",
        "usr/share/zsh/vendor-completions/_plexburst",
        "usr/share/fish/vendor_completions.d/plexburst.fish",
        "usr/lib/systemd/system/plexburst-sync.timer",
        "usr/lib/systemd/system/plexburst-sweep.service",
        "usr/share/doc/plexburst/copyright",
        "usr/share/doc/plexburst/changelog.gz",
        "usr/share/doc/plexburst/README.md",
        "usr/share/doc/plexburst/docs/SUMMARY.md",
    ] {
        let path = root.join(file);
        assert!(
            path.metadata().is_ok_and(|meta| meta.len() > 0),
            "{file} is not installed"
        );
    }
    run(Command::new("bash")
        .arg("-n")
        .arg(root.join("usr/share/bash-completion/completions/plexburst")));
    used(&root);

    dpkg(&root, &["--purge", "plexburst"]);
    let left: Vec<_> = files(&root)
        .into_iter()
        .filter(|path| path.starts_with("usr"))
        .collect();
    assert!(
        left.iter()
            .all(|path| !path.display().to_string().contains("plexburst")),
        "{left:?}"
    );
}

/// The program in that root alone, with nothing but the libraries that it is linked against.
fn used(root: &Path) {
    let here = std::env::temp_dir();
    let linked = Command::new("ldd")
        .arg(root.join("usr/bin/plexburst"))
        .output()
        .unwrap();
    for word in String::from_utf8_lossy(&linked.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let to = root.join(word.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(word, to).unwrap();
    }
    let within = |args: &[&str]| {
        Command::new("chroot")
            .arg(root)
            .arg("/usr/bin/plexburst")
            .args(args)
            .env("HOME", "/root")
            .current_dir(&here)
            .output()
            .unwrap()
    };
    let version = within(&["--version"]);
    if !version.status.success() && !rustix::process::geteuid().is_root() {
        return skip("the installed program in its own root", "chroot is for root alone");
    }
    assert!(
        String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")),
        "{version:?}"
    );
    // Its own units are shown, and are apt's to remove.
    let said = |output: &Output| {
        let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        both.concat()
    };
    let timers = said(&within(&["timer", "show"]));
    assert!(
        timers.contains("02:30:00") && timers.contains("10min") && timers.contains("the package"),
        "{timers}"
    );
    let removed = within(&["timer", "remove", "sync", "-y"]);
    assert_eq!(removed.status.code(), Some(i32::from(plexburst::exit::USAGE)));
    assert!(said(&removed).contains("apt remove plexburst"), "{}", said(&removed));
    let uninstall = said(&within(&["uninstall", "--dry-run"]));
    assert!(
        uninstall.contains("stays  /usr/lib/systemd/system/plexburst-sync.timer"),
        "{uninstall}"
    );
    // No home here: said, with what helps.
    let doctor = within(&["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stderr).into_owned();
    assert_eq!(doctor.status.code(), Some(i32::from(plexburst::exit::USAGE)), "{said}");
    assert!(said.contains("hint: ") && said.contains("plexburst init"), "{said}");
}
