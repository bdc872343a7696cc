//! A whole burst on a rented machine, against the simulator of Scaleway with instances that are machines: real SSH with a key
//! that the API vouches for, a real rclone mount of a real S3 server, Plex's simulator in it, and nothing billed afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{PROGRAM, World, files, has, skip};
use sim::scaleway::{Instances, Options, Pace, Scaleway, ScalewayError};

const KEY: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYxx");

/// The cloud, and a folder that its machines have as well: what an image would bring.
fn cloud(what: &str) -> Option<(Scaleway, tempfile::TempDir)> {
    for program in ["rclone", "fusermount3", "bwrap", "ssh-keyscan"] {
        if !has(program) {
            skip(what, &format!("{program} is not installed"));
            return None;
        }
    }
    let Ok(image) = tempfile::Builder::new()
        .prefix("plexburst-test-")
        .tempdir_in("/usr/local/lib")
    else {
        skip(what, "only root can put a server where the machines have it");
        return None;
    };
    let options = Options {
        pace: Pace::Auto { speed: 20.0 },
        instances: Instances::Namespace,
        ..Options::default()
    };
    match Scaleway::start(&options) {
        Ok(cloud) => Some((cloud, image)),
        Err(ScalewayError::Instances { reason, .. }) => {
            skip(what, &reason);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A home with 4 known tracks; 4 more are in the bucket. The depot is another bucket of the same server.
async fn world(image: &Path) -> (World, i64) {
    let mut world = World::new();
    world.music(1, 1, 1, 4, 2.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 4).await;
    world.music(2, 1, 1, 4, 2.0);
    std::fs::create_dir_all(world.path("s3/depot")).unwrap();
    std::fs::rename(world.media(), world.path("s3/media")).unwrap();
    std::os::unix::fs::symlink(world.path("s3/media"), world.media()).unwrap();
    let port = common::free_port();
    let server = Command::new("rclone")
        .args([
            "serve",
            "s3",
            "--addr",
            &format!("127.0.0.1:{port}"),
            "--dir-cache-time",
            "1ms",
        ])
        .args(["--auth-key", &format!("{},{}", KEY.0, KEY.1)])
        .arg(world.path("s3"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    world.keep(server);
    common::wait_until("rclone serves", std::time::Duration::from_secs(20), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let conf = world.path("rclone.conf");
    let text = format!(
        "[bucket]\ntype = s3\nprovider = Rclone\nendpoint = http://127.0.0.1:{port}\naccess_key_id = {}\n\
         secret_access_key = {}\n\n[foreign]\ntype = drive\ntoken = not-for-the-machine\n",
        KEY.0, KEY.1
    );
    std::fs::write(&conf, text).unwrap();
    world.media_config = format!("remote = \"bucket:media\"\nrclone_config = {conf:?}\n");
    world.depot_config = format!(
        "remote = \"s3://depot\"\nendpoint = \"http://127.0.0.1:{port}\"\nregion = \"us-east-1\"\n\
         rclone_remote = \"bucket\"\nrclone_config = {conf:?}\nidentity_file = {:?}",
        world.path("identity"),
    );
    world.configure(&[(&root, "Music")]);
    let init = world.run(&["depot", "init"]);
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    std::fs::copy(PROGRAM, image.join("plexburst")).unwrap();
    let server = sim::install(&image.join("pms"), &image.join("plexburst")).unwrap();
    // What lies on the household's machine alone is no matter of the rented one's.
    let path = world.path("plexburst.toml");
    let text: String = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .filter(|line| {
            !["directory = ", "claim_file", "writable", "env = "]
                .iter()
                .any(|key| line.starts_with(key))
        })
        .map(|line| {
            if line.starts_with("server = ") {
                format!("server = {server:?}\n")
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    std::fs::write(&path, text).unwrap();
    (world, section)
}

fn command(world: &World, cloud: &Scaleway, args: &[&str]) -> std::process::Output {
    prepared(world, cloud, args).output().unwrap()
}

fn prepared(world: &World, cloud: &Scaleway, args: &[&str]) -> Command {
    let access = cloud.access();
    let mut command = world.command(args);
    command
        .env("SCW_API_URL", &access.url)
        .env("SCW_SECRET_KEY", &access.secret_key)
        .env("SCW_DEFAULT_PROJECT_ID", &access.project_id)
        .env("SCW_DEFAULT_ZONE", "fr-par-1");
    command
}

/// Begins a burst and kills its controller as soon as the machine is at work.
fn begun_and_left(world: &World, cloud: &Scaleway) {
    let mut burst = prepared(
        world,
        cloud,
        &["sync", "--on", "scaleway", "--instance", "lite", "--quick"],
    )
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    common::wait_until("the machine is at work", std::time::Duration::from_secs(180), || {
        let burst_dir = std::fs::read_dir(world.path("state/bursts"))
            .ok()
            .and_then(|mut dirs| dirs.next());
        let journal = burst_dir.map(|dir| dir.unwrap().path().join("journal.jsonl"));
        let text = journal
            .and_then(|path| std::fs::read_to_string(path).ok())
            .unwrap_or_default();
        text.contains(r#""phase":"work","event":"started""#) || burst.try_wait().unwrap().is_some()
    });
    burst.kill().unwrap();
    burst.wait().unwrap();
    assert!(
        !cloud.bill()["open"].as_array().unwrap().is_empty(),
        "the machine is there"
    );
}

fn nothing_is_billed(cloud: &Scaleway) {
    let bill = cloud.bill();
    assert_eq!(bill["open"].as_array().unwrap().len(), 0, "{bill}");
    assert!(cloud.resources().is_empty(), "{:?}", cloud.resources());
}

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
        &["sync", "--on", "scaleway", "--instance", "lite", "--quick", "--json"],
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
    nothing_is_billed(&cloud);
    let sweep = command(&world, &cloud, &["sweep"]);
    let told = String::from_utf8_lossy(&sweep.stdout);
    assert!(
        sweep.status.success() && told.contains("nothing of plexburst's"),
        "{told}"
    );
    // No key is in anything that the burst keeps.
    let kept = Command::new("grep")
        .args(["-rlF", KEY.1])
        .arg(world.burst_dir())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&kept.stdout), "", "the secret key is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_goes_on_without_its_controller() {
    let Some((cloud, image)) = cloud("a rented machine without its controller") else {
        return;
    };
    let (world, _) = world(image.path()).await;
    begun_and_left(&world, &cloud);
    // A sweep in between lets it live.
    let sweep = command(&world, &cloud, &["sweep"]);
    let told = String::from_utf8_lossy(&sweep.stdout).into_owned();
    assert!(sweep.status.success() && told.contains("alive"), "{told}");
    let output = command(&world, &cloud, &["resume", "--json"]);
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        world.logs()
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["after"]["sections"][0]["counts"]["tracks"], 8);
    nothing_is_billed(&cloud);
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_deadline_a_forgotten_machine_is_swept_and_home_is_what_it_was() {
    let Some((cloud, image)) = cloud("a rented machine past its deadline") else {
        return;
    };
    let (world, section) = world(image.path()).await;
    begun_and_left(&world, &cloud);
    cloud.advance(97.0 * 3600.0);
    // From another machine: one that knows nothing of the burst.
    let mut elsewhere = prepared(&world, &cloud, &["sweep"]);
    elsewhere.env("PLEXBURST_STATE_DIR", world.path("other-state"));
    let sweep = elsewhere.output().unwrap();
    let told = String::from_utf8_lossy(&sweep.stdout).into_owned();
    assert!(
        sweep.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&sweep.stderr)
    );
    assert!(told.contains("its deadline was"), "{told}");
    nothing_is_billed(&cloud);
    assert_eq!(common::part_count(&world.tracks(section).await), 4);
    let cancel = command(&world, &cloud, &["cancel"]);
    assert!(cancel.status.success(), "{}", String::from_utf8_lossy(&cancel.stderr));
}
