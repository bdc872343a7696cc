//! A whole burst on a rented machine, against the simulator of Scaleway with instances that are machines: real SSH with a key
//! that the API vouches for, a real rclone mount of a real S3 server, Plex's simulator in it, and nothing billed afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;
mod errors;
mod kept;
mod limits;
mod other;
mod own_end;
mod price;
mod support;
mod time_up;

use std::process::Command;

use common::files;
use support::{KEY, cloud, command, nothing_is_billed, prepared, world};

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_a_merged_home_and_nothing_billed() {
    let Some((cloud, image)) = cloud("a burst on a rented machine") else {
        return;
    };
    let (world, section) = world(image.path()).await;
    let before = files(&world.tracks(section).await);
    let output = command(
        &world,
        &cloud,
        &[
            "sync",
            "--on",
            "scaleway",
            "--instance",
            "lite",
            "--quick",
            "-y",
            "--json",
        ],
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{}", world.logs());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["after"]["sections"][0]["counts"]["tracks"], 8);
    // A quarter of an hour at most, and a started hour is an hour: the machine, its volume and its address.
    assert_eq!(report["cost"], "EUR 0.014", "{report:#}");
    let after = files(&world.tracks(section).await);
    assert!(
        before.iter().all(|(file, id)| after.get(file) == Some(id)),
        "ids of home changed"
    );
    assert!(said.contains("DEV1-S in fr-par-1: EUR"), "the price is said: {said}");
    assert!(
        said.contains("cannot end itself"),
        "what that means is said beforehand: {said}"
    );
    // What it did is what the next burst is estimated from.
    assert_eq!(report["worked"]["files"], 4, "{report:#}");
    assert!(report["worked"]["seconds"].as_f64().unwrap() > 0.0);
    nothing_is_billed(&cloud);
    let sweep = command(&world, &cloud, &["sweep"]);
    let told = String::from_utf8_lossy(&sweep.stdout);
    assert!(
        sweep.status.success() && told.contains("nothing of plexburst's"),
        "{told}"
    );
    let identity = std::fs::read_to_string(world.path("identity")).unwrap();
    let mut secrets = vec![
        KEY.1.to_owned(),
        cloud.access().secret_key.clone(),
        "not-for-the-machine".to_owned(),
    ];
    secrets.push(identity.lines().last().unwrap().to_owned());
    common::hold_everything(&world.packed_logs(), true, &secrets);
    // No key is in anything that the burst keeps.
    let kept = Command::new("grep")
        .args(["-rlF", KEY.1])
        .arg(world.burst_dir())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&kept.stdout), "", "the secret key is kept");
}

/// `sweep` as the timer's service runs it, with the units that the program writes.
pub(crate) fn by_timer(world: &common::World, cloud: &sim::scaleway::Scaleway) -> std::process::Output {
    let units = world.path("units");
    let mut timer = prepared(world, cloud, &["timer", "add", "sweep", "--into"]);
    timer.arg(&units).env("PLEXBURST_STATE_DIR", world.path("other-state"));
    let written = timer.output().unwrap();
    let said = String::from_utf8_lossy(&written.stdout).into_owned();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    assert!(said.contains("enable --now"), "{said}");
    // The key is in this environment only, and that a timer does not have it is said.
    assert!(String::from_utf8_lossy(&written.stderr).contains("SCW_SECRET_KEY"));
    let unit = std::fs::read_to_string(units.join("plexburst-sweep.service")).unwrap();
    assert!(!unit.contains(&cloud.access().secret_key));
    if common::has("systemd-analyze") {
        let checked = Command::new("systemd-analyze")
            .arg("verify")
            .args(["plexburst-sweep.timer", "plexburst-sweep.service"].map(|name| units.join(name)))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        let about_ours: Vec<&str> = said.lines().filter(|line| line.contains("plexburst-sweep")).collect();
        assert!(about_ours.is_empty(), "{said}");
    } else {
        common::skip("systemd's own check of the timer", "systemd-analyze is not installed");
    }
    let line = |name: &str| {
        let found = unit
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .to_owned();
        found.replace("%%", "%").replace("$$", "$")
    };
    let state = line("Environment=");
    let script = format!("export {}; exec {}", state, line("ExecStart="));
    let access = cloud.access();
    Command::new("sh")
        .args(["-c", &script])
        .current_dir("/")
        .env("SCW_API_URL", &access.url)
        .env("SCW_SECRET_KEY", &access.secret_key)
        .env("SCW_DEFAULT_PROJECT_ID", &access.project_id)
        .output()
        .unwrap()
}
