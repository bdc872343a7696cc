//! `init`: a configuration from what is found and what is answered, with and without a terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use plexburst::exit;
use sim::fixture::Builder;

const PROGRAM: &str = env!("CARGO_BIN_EXE_plexburst");

/// A home with two sections and its media in a folder.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Self { dir };
        Builder::new(world.data_dir().join("Plug-in Support/Databases"))
            .music("Music", "/Media/Music", 1, 1, 2)
            .movies("Films", "/Media/Cinéma", 2)
            .build()
            .unwrap();
        for folder in ["files/Music", "files/archive/cinéma", "work"] {
            std::fs::create_dir_all(world.path(folder)).unwrap();
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn data_dir(&self) -> PathBuf {
        self.path("Plex Media Server")
    }

    fn toml(&self) -> toml::Table {
        std::fs::read_to_string(self.path("work/plexburst.toml"))
            .unwrap()
            .parse()
            .unwrap()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path("work"))
            .env_remove("PLEX_CLAIM")
            .env("HOME", self.dir.path())
            .env("RCLONE_CONFIG", self.path("no.conf"))
            .stdin(Stdio::null());
        command
    }

    fn init(&self, args: &[&str]) -> Output {
        let mut command = self.command(PROGRAM);
        command.arg("init").arg("--data-dir").arg(self.data_dir());
        command.args(args).output().unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn str_of<'a>(table: &'a toml::Table, section: &str, key: &str) -> &'a str {
    table[section]
        .get(key)
        .and_then(toml::Value::as_str)
        .unwrap_or_default()
}

#[test]
fn what_is_found_is_taken_without_questions() {
    let world = World::new();
    let media = world.path("files");
    let args = [
        "-y",
        "--no-doctor",
        "--media",
        media.to_str().unwrap(),
        "--stop",
        "systemctl stop plex",
        "--start",
        "systemctl start plex",
    ];
    let output = world.init(&args);
    assert_eq!(output.status.code(), Some(i32::from(exit::DONE)), "{}", said(&output));
    let toml = world.toml();
    assert_eq!(str_of(&toml, "home", "data_dir"), world.data_dir().to_str().unwrap());
    assert_eq!(toml["home"]["stop"].as_array().unwrap().len(), 3);
    assert_eq!(str_of(&toml, "media", "directory"), media.to_str().unwrap());
    let roots = toml["media"]["roots"].as_table().unwrap();
    assert_eq!(roots["/Media/Music"].as_str(), Some("Music"));
    assert_eq!(roots["/Media/Cinéma"].as_str(), Some("archive/cinéma"));

    // It is not written over unasked, and the program reads what it wrote.
    let again = world.init(&args);
    assert_eq!(again.status.code(), Some(i32::from(exit::USAGE)));
    assert!(said(&again).contains("--force"), "{}", said(&again));
    let runs = world.command(PROGRAM).arg("runs").output().unwrap();
    assert_eq!(runs.status.code(), Some(0), "{}", said(&runs));
}

#[test]
fn without_a_terminal_the_option_that_answers_is_named() {
    let world = World::new();
    let output = world.init(&["--no-doctor"]);
    assert_eq!(output.status.code(), Some(i32::from(exit::USAGE)));
    assert!(said(&output).contains("--media"), "{}", said(&output));
    let wrong = world.init(&[
        "-y",
        "--media",
        world.path("files").to_str().unwrap(),
        "--root",
        "/Media/Photos=x",
    ]);
    assert_eq!(wrong.status.code(), Some(i32::from(exit::USAGE)));
    assert!(said(&wrong).contains("/Media/Music"), "{}", said(&wrong));
    let none = world
        .command(PROGRAM)
        .args(["init", "-y", "--data-dir", "/nonexistent"])
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(i32::from(exit::USAGE)));
    assert!(!world.path("work/plexburst.toml").exists());
}

#[test]
fn what_cannot_be_found_is_left_open_and_said() {
    let world = World::new();
    std::fs::remove_dir_all(world.path("files/archive")).unwrap();
    let output = world.init(&["-y", "--no-doctor", "--media", world.path("files").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("/Media/Cinéma"), "{}", said(&output));
    let toml = world.toml();
    assert_eq!(toml["media"]["roots"].as_table().unwrap().len(), 1);
    assert!(toml["home"].get("stop").is_none());
    let text = std::fs::read_to_string(world.path("work/plexburst.toml")).unwrap();
    assert!(
        text.contains("# \"/Media/Cinéma\" = \"?\"") && text.contains("# stop = [\"systemctl\""),
        "{text}"
    );
}

#[test]
fn at_a_terminal_it_asks_and_ends_with_doctor() {
    let test = "at_a_terminal_it_asks_and_ends_with_doctor";
    if Command::new("script").arg("--version").output().is_err() {
        println!("SKIPPED {test}: script, which makes a terminal, is not installed");
        return;
    }
    let world = World::new();
    std::fs::write(world.path("work/rclone.conf"), "[mega]\ntype = alias\nremote = /\n").unwrap();
    let quoted = |path: &Path| format!("'{}'", path.display());
    let line = format!("{PROGRAM} init --data-dir {}", quoted(&world.data_dir()));
    let mut child = world
        .command("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A folder of this machine, its path, the first folder as guessed, the second by hand; both commands of home.
    let answers = format!(
        "7\n2\n{}\n\narchive/cinéma\ntrue stop\ntrue start\n",
        world.path("files").display()
    );
    child.stdin.as_mut().unwrap().write_all(answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let toml = world.toml();
    assert_eq!(
        str_of(&toml, "media", "directory"),
        world.path("files").to_str().unwrap(),
        "{shown}"
    );
    let roots = toml["media"]["roots"].as_table().unwrap();
    assert_eq!(roots["/Media/Music"].as_str(), Some("Music"), "{shown}");
    assert_eq!(roots["/Media/Cinéma"].as_str(), Some("archive/cinéma"), "{shown}");
    assert_eq!(toml["home"]["start"].as_array().unwrap().len(), 2);
    // Home does not answer: doctor says so, and what to do.
    assert!(
        shown.contains("home-healthy") && shown.contains("a burst would not begin"),
        "{shown}"
    );
    // The code is that of the first guard that refuses.
    assert_ne!(output.status.code(), Some(i32::from(exit::DONE)), "{shown}");
}
