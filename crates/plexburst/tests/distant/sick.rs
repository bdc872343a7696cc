//! A home that refuses to stop ends as it was, here and there; and home's mount is made to show what is new.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use plexburst::exit;

use crate::common::{World, files, has, look, skip};
use crate::support::{Distant, said};

/// What is asked of a home after it was not given anything.
struct AsItWas {
    files: BTreeMap<i64, String>,
}

impl AsItWas {
    async fn of(world: &World, section: i64) -> Self {
        world.client().set_preference("autoEmptyTrash", "true").await.unwrap();
        Self {
            files: files(&world.tracks(section).await),
        }
    }

    async fn check(&self, world: &World, section: i64) {
        assert_eq!(files(&world.tracks(section).await), self.files);
        let setting = world.client().preference("autoEmptyTrash").await.unwrap().unwrap();
        assert!(setting.is("true"), "home's preferences are back");
        assert_eq!(look("verify", &world.data_dir())["ok"], true);
    }
}

/// Changes the configuration of here, and of the world.
fn change(distant: &Distant, how: impl Fn(String) -> String) {
    for path in [
        distant.here.path().join("plexburst.toml"),
        distant.world.path("plexburst.toml"),
    ] {
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, how(text)).unwrap();
    }
}

/// A line of the configuration in place of the one that begins so.
fn with_line(text: &str, begins: &str, line: &str) -> String {
    let lines = text.lines().map(|old| if old.starts_with(begins) { line } else { old });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// Gives a command.
type Run<'a> = Box<dyn Fn(&[&str]) -> Output + 'a>;

/// The same command from this machine's own program, and from another one.
fn here_and_there(distant: &Distant) -> [Run<'_>; 2] {
    [
        Box::new(|args| distant.world.run(args)),
        Box::new(|args| distant.run(args)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_refuses_to_stop_is_left_as_it_was() {
    let Some(distant) = Distant::new("a home that refuses to stop").await else {
        return;
    };
    let (world, section) = (&distant.world, distant.section);
    distant.json(&["export", "--json", "home.tar.zst"]);
    let archive = distant.here.path().join("home.tar.zst").display().to_string();
    change(&distant, |text| {
        with_line(&text, "stop = ", "stop = [\"true\"]").replace("ready = 120", "ready = 120\nstop = 2")
    });
    let before = AsItWas::of(world, section).await;
    for run in here_and_there(&distant) {
        let output = run(&["import", "-y", &archive]);
        assert_eq!(
            output.status.code(),
            Some(i32::from(exit::HOME_UNCHANGED)),
            "{}",
            said(&output)
        );
        assert!(said(&output).contains("is still held open"), "{}", said(&output));
        before.check(world, section).await;
        let output = run(&["cancel"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        before.check(world, section).await;
    }
}

/// The command that makes home's mount show new files is run before the server is stopped for the swap, and what it says when
/// it fails stops nothing.
#[tokio::test(flavor = "multi_thread")]
async fn homes_mount_is_made_to_show_new_files() {
    let Some(distant) = Distant::new("a command that refreshes home's mount").await else {
        return;
    };
    distant.json(&["export", "--json", "home.tar.zst"]);
    let seen = distant.world.path("refreshed");
    let line = format!(
        "refresh_mount = [\"sh\", \"-c\", \"echo x >>{}; exit 1\"]\nstop = [",
        seen.display()
    );
    change(&distant, |text| text.replacen("stop = [", &line, 1));
    let output = distant.run(&["import", "-y", "home.tar.zst", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(&seen).unwrap(), "x\n");
    assert!(
        said(&output).contains("warning: `home.refresh_mount`"),
        "{}",
        said(&output)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_comes_up_sick_gets_its_old_library_back() {
    let what = "a home that comes up sick";
    if !has("python3") {
        return skip(what, "python3 is not installed");
    }
    let Some(distant) = Distant::new(what).await else {
        return;
    };
    let (world, section) = (&distant.world, distant.section);
    distant.json(&["export", "--json", "home.tar.zst"]);
    let archive = distant.here.path().join("home.tar.zst").display().to_string();
    // Its next start loses a section before the server sees it.
    let flag = world.path("sick");
    let script = world.path("start.sh");
    let database = world.databases().join(plex_library::LIBRARY_DB);
    let text = format!(
        "#!/bin/sh\nif [ -e {flag:?} ]; then\n  rm {flag:?}\n  python3 -c \"import sqlite3, sys\n\
         d = sqlite3.connect(sys.argv[1])\nd.execute('DELETE FROM library_sections')\nd.commit()\" {database:?} || exit 1\nfi\n\
         exec \"$@\"\n"
    );
    std::fs::write(&script, text).unwrap();
    let made = Command::new("chmod").arg("755").arg(&script).status().unwrap();
    assert!(made.success());
    change(&distant, |text| {
        text.replace("start = [", &format!("start = [{:?}, ", script.display().to_string()))
    });
    let before = AsItWas::of(world, section).await;
    for run in here_and_there(&distant) {
        std::fs::write(&flag, "").unwrap();
        let output = run(&["import", "-y", &archive]);
        assert_eq!(
            output.status.code(),
            Some(i32::from(exit::HOME_UNCHANGED)),
            "{}",
            said(&output)
        );
        assert!(said(&output).contains("home is not healthy"), "{}", said(&output));
        assert!(!flag.exists(), "it was started sick");
        before.check(world, section).await;
    }
}
