//! The container's recipe (`packaging/Containerfile`), built by Docker and used. Its base is a Debian root of this machine, since
//! no test fetches an image; what the recipe has apt install is in there already.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use plexburst::exit;
use sim::fixture::Builder;

use crate::common::{PROGRAM, has, skip};
use crate::daemon::Daemon;

const WHAT: &str = "the container's recipe";
const BASE: &str = "debian:bookworm-slim";
const IMAGE: &str = "plexburst-test/recipe";

/// The root that `./dev test` makes.
fn root() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")))?;
    let root = cache.join("plexburst/debian");
    root.join(".made").is_file().then_some(root)
}

fn text(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    both.concat()
}

fn docker(daemon: &Daemon, args: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command
        .env("DOCKER_HOST", format!("unix://{}", daemon.socket().display()))
        // The builder that needs no plugin.
        .env("DOCKER_BUILDKIT", "0")
        .args(args);
    command
}

fn import(daemon: &Daemon, root: &Path) {
    let mut tar = Command::new("tar")
        .arg("-C")
        .arg(root)
        // Without sources apt has nothing to ask for, and finds what it needs installed.
        .args([
            "--exclude=./etc/apt/sources.list",
            "--exclude=./var/cache/apt/archives/*",
        ])
        .args(["--exclude=./var/lib/apt/lists/*", "--exclude=./usr/share/locale/*"])
        .args(["--exclude=./usr/share/doc/*", "--exclude=./.made", "-c", "."])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let imported = docker(daemon, &["import", "-", BASE])
        .stdin(tar.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(
        tar.wait().unwrap().success() && imported.status.success(),
        "{}",
        text(&imported)
    );
}

#[test]
fn an_image_is_made_of_it_and_works() {
    let Some(root) = root() else {
        return skip(WHAT, "there is no Debian root; `./dev first-hour` makes it");
    };
    if !has("dpkg-deb") {
        return skip(WHAT, "dpkg is not here");
    }
    let daemon = match Daemon::start() {
        Ok(daemon) => daemon,
        Err(why) => return skip(WHAT, &why),
    };
    import(&daemon, &root);
    let dir = tempfile::tempdir().unwrap();
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    let arch = Command::new("dpkg").arg("--print-architecture").output().unwrap();
    let made = Command::new(packaging.join("deb"))
        .args([PROGRAM, text(&arch).trim()])
        .arg(dir.path())
        .env("LEVEL", "1")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let recipe = packaging.join("Containerfile");
    let built = docker(
        &daemon,
        &[
            "build",
            "--network",
            "none",
            "-t",
            IMAGE,
            "-f",
            recipe.to_str().unwrap(),
        ],
    )
    .arg(dir.path())
    .output()
    .unwrap();
    assert!(built.status.success(), "{}", text(&built));

    let within = |options: &[&str], args: &[&str]| {
        let options = [&["run", "--rm", "--network", "none"], options, &[IMAGE], args].concat();
        docker(&daemon, &options).output().unwrap()
    };
    let version = within(&[], &["--version"]);
    assert!(text(&version).contains(env!("CARGO_PKG_VERSION")), "{}", text(&version));
    let doctor = within(&[], &["doctor"]);
    assert_eq!(doctor.status.code(), Some(i32::from(exit::USAGE)), "{}", text(&doctor));
    assert!(text(&doctor).contains("plexburst init"), "{}", text(&doctor));
    // Every program that it calls came with it.
    for program in ["rclone", "fusermount3", "bwrap", "slirp4netns", "ssh"] {
        let found = within(&["--entrypoint", "/bin/sh"], &["-c", &format!("command -v {program}")]);
        assert!(found.status.success(), "{program} is not in the image");
    }

    // A library of this machine, into an archive of this machine.
    let home = tempfile::tempdir().unwrap();
    Builder::new(home.path().join("Plex Media Server/Plug-in Support/Databases"))
        .music("Music", "/Media/Music", 1, 1, 2)
        .build()
        .unwrap();
    let volume = format!("{}:/home-of-plex", home.path().display());
    let exported = within(
        &["-v", &volume],
        &[
            "export",
            "--home",
            "/home-of-plex/Plex Media Server",
            "/home-of-plex/library.tar.zst",
        ],
    );
    assert!(exported.status.success(), "{}", text(&exported));
    let archive = home.path().join("library.tar.zst");
    assert_eq!(crate::common::look("verify", &archive)["ok"], true);
}
