//! Another machine: one that reaches the depot, and perhaps the cloud's account or home, and knows nothing else of the burst.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use sim::scaleway::Scaleway;

use crate::common::{self, PROGRAM, World, files};
use crate::support::{begun_and_left, cloud, command, nothing_is_billed, prepared, slow_down, world};

/// A machine with the depot's part of the configuration alone.
struct Other {
    dir: tempfile::TempDir,
}

impl Other {
    fn of(world: &World) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(world.path("plexburst.toml")).unwrap();
        let depot = text.split("[depot]").nth(1).unwrap().split("[worker]").next().unwrap();
        let config = format!("state_dir = {:?}\n[depot]{depot}", dir.path().join("state"));
        std::fs::write(dir.path().join("plexburst.toml"), config).unwrap();
        Self { dir }
    }

    /// With the account of the cloud.
    fn command(&self, cloud: &Scaleway, args: &[&str]) -> Command {
        let access = cloud.access();
        let mut command = Command::new(PROGRAM);
        command
            .arg("--config")
            .arg(self.dir.path().join("plexburst.toml"))
            .args(args)
            .env("SCW_API_URL", &access.url)
            .env("SCW_SECRET_KEY", &access.secret_key)
            .env("SCW_DEFAULT_PROJECT_ID", &access.project_id)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Watches without naming a burst until one of `words` is said, and leaves; what was seen.
    fn attached_until(&self, cloud: &Scaleway, words: &str) -> String {
        let mut attach = self.command(cloud, &["attach"]);
        let mut child: Child = attach.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut seen = String::new();
        let mut is_said = false;
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            seen.push_str(&line);
            seen.push('\n');
            if line.contains(words) {
                is_said = true;
                break;
            }
        }
        assert!(is_said, "{words:?} was not seen: {seen}");
        let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let left = child.wait_with_output().unwrap();
        assert!(left.status.success(), "leaving ends nothing");
        assert!(String::from_utf8_lossy(&left.stdout).contains("goes on"));
        seen
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The controller is gone, and its state with it. Another machine watches through the depot and ends the rented one early; one
/// that has the same home takes the burst over and brings home what was done.
#[tokio::test(flavor = "multi_thread")]
async fn it_watches_and_later_brings_the_result_home() {
    let Some((cloud, image)) = cloud("a burst that another machine takes over") else {
        return;
    };
    let (world, section) = world(image.path()).await;
    let before = files(&world.tracks(section).await);
    slow_down(image.path(), 3);
    begun_and_left(&world, &cloud);
    // A sweep in between lets it live, and an hour goes by.
    let sweep = command(&world, &cloud, &["sweep"]);
    assert!(text(&sweep.stdout).contains("alive"), "{}", text(&sweep.stdout));
    cloud.advance(3600.0);
    let id = world.burst_dir().file_name().unwrap().to_str().unwrap().to_owned();
    let other = Other::of(&world);
    let seen = other.attached_until(&cloud, "checkpoint 1 in the depot");
    assert!(seen.contains("home    provision: done"), "{seen}");
    // It ends the machine early; what is done by then is parked.
    let ended = other.command(&cloud, &["cancel", &id, "--json"]).output().unwrap();
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    let ended: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(
        (&ended["machine"], &ended["mailbox"]),
        (&"ended".into(), &"wind-up".into()),
        "{ended:#}"
    );
    nothing_is_billed(&cloud);
    let logs = other.command(&cloud, &["logs", &id]).output().unwrap();
    assert!(
        text(&logs.stdout).contains("worker  park-result: done"),
        "{}",
        text(&logs.stdout)
    );
    let status = other.command(&cloud, &["status", &id, "--json"]).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["stands"], "resumable", "{status:#}");
    // It has no home, so it cannot bring anything there.
    let resume = other.command(&cloud, &["resume", &id]).output().unwrap();
    assert_eq!(resume.status.code(), Some(2), "{}", text(&resume.stderr));
    assert!(text(&resume.stderr).contains("hint:"), "{}", text(&resume.stderr));

    let taken = prepared(&world, &cloud, &["resume", &id, "--json"])
        .env("PLEXBURST_STATE_DIR", world.path("other-state"))
        .output()
        .unwrap();
    let said = text(&taken.stderr);
    assert!(taken.status.success(), "{said}\n{}", world.logs());
    assert!(said.contains("is taken over from"), "{said}");
    let report: Value = serde_json::from_slice(&taken.stdout).unwrap();
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["after"]["sections"][0]["counts"]["tracks"], 8);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("the burst was cancelled"), "{warnings}");
    let after = files(&world.tracks(section).await);
    assert!(
        before.iter().all(|(file, id)| after.get(file) == Some(id)),
        "ids of home changed"
    );
    nothing_is_billed(&cloud);

    // The one that comes back begins nothing anew, and lets go without touching what the other one kept.
    let back = command(&world, &cloud, &["resume"]);
    assert_eq!(back.status.code(), Some(3), "{}", text(&back.stderr));
    assert!(
        text(&back.stderr).contains("ended by another machine"),
        "{}",
        text(&back.stderr)
    );
    let cancel = command(&world, &cloud, &["cancel", "--discard"]);
    assert!(cancel.status.success(), "{}", text(&cancel.stderr));
    assert_eq!(files(&world.tracks(section).await), after);
    let kept = prepared(&world, &cloud, &["rollback", "--list", "--json"])
        .output()
        .unwrap();
    assert!(
        text(&kept.stdout).contains(&id),
        "the library from before is kept: {}",
        text(&kept.stdout)
    );
    assert!(cloud.resources().is_empty());
}

/// The controller is gone. Another machine, without a home, cancels without wanting a result: the worker leaves a checkpoint, the machine is ended,
/// and home goes on from there with another one.
#[tokio::test(flavor = "multi_thread")]
async fn it_cancels_and_what_was_done_is_not_lost() {
    let Some((cloud, image)) = cloud("a burst that another machine cancels") else {
        return;
    };
    let (world, section) = world(image.path()).await;
    slow_down(image.path(), 3);
    begun_and_left(&world, &cloud);
    let id = world.burst_dir().file_name().unwrap().to_str().unwrap().to_owned();
    let other = Other::of(&world);
    other.attached_until(&cloud, "checkpoint 1 in the depot");
    // Without the account it can only ask; the machine is left to others, which is said.
    let asked = other
        .command(&cloud, &["cancel", "--discard", &id])
        .env_remove("SCW_SECRET_KEY")
        .env("HOME", other.dir.path())
        .env_remove("XDG_CONFIG_HOME")
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", text(&asked.stderr));
    assert!(
        text(&asked.stdout).contains("plexburst sweep"),
        "{}",
        text(&asked.stdout)
    );
    assert!(cloud.resources().iter().any(|r| r["kind"] == "server"));
    let ended = other
        .command(&cloud, &["cancel", "--discard", &id, "--json"])
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    let ended: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(ended["machine"], "ended", "{ended:#}");
    nothing_is_billed(&cloud);
    let logs = other.command(&cloud, &["logs", &id]).output().unwrap();
    let logs = text(&logs.stdout);
    assert!(logs.contains("as the worker is told to end"), "{logs}");
    assert_eq!(
        common::part_count(&world.tracks(section).await),
        4,
        "home is what it was"
    );

    slow_down(image.path(), 0);
    let output = command(&world, &cloud, &["resume", "--json"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", world.logs());
    assert!(said.contains("goes on from checkpoint"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["after"]["sections"][0]["counts"]["tracks"], 8);
    nothing_is_billed(&cloud);
}
