//! Whole bursts whose worker runs the image.

use std::time::Duration;

use crate::common::{World, files, hold_everything, skip, wait_until};
use crate::daemon::{Daemon, IMAGE};

/// A home that knows the first 4 tracks; 4 more are in the media. Its worker runs in Docker.
pub(crate) async fn world(daemon: &Daemon) -> (World, i64) {
    let mut world = World::new();
    world.music(1, 1, 1, 4, 2.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 4).await;
    world.music(2, 1, 1, 4, 2.0);
    world.issue_claim();
    configure(&mut world, daemon, IMAGE);
    (world, section)
}

/// The configuration with an image in place of a binary.
pub(crate) fn configure(world: &mut World, daemon: &Daemon, image: &str) {
    let root = world.media().join("Music").display().to_string();
    world.worker_config = format!(
        "runtime = \"docker\"\nimage = {image:?}\ndocker_socket = {:?}\nmemory = 1.0\ncpus = 1.0\n",
        daemon.socket()
    );
    std::fs::create_dir_all(world.plextv()).unwrap();
    world.configure(&[(&root, "Music")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_goes_round_in_a_container() {
    const NAME: &str = "a_burst_goes_round_in_a_container";
    let daemon = match Daemon::start() {
        Ok(daemon) => daemon,
        Err(why) => return skip(NAME, &why),
    };
    daemon.image();
    // Home's own container is none of plexburst's business.
    daemon.ask(&["create", "--name", "plex", &format!("{IMAGE}:{}", sim::server::VERSION)]);
    let (mut world, section) = world(&daemon).await;
    let is_mounted = world.mount_media(NAME);
    configure(&mut world, &daemon, IMAGE);
    let before = files(&world.tracks(section).await);

    let mut burst = world
        .command(&["sync", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = String::new();
    wait_until("the worker's container", Duration::from_secs(300), || {
        let names = daemon.containers();
        if let Some(name) = names.iter().find(|name| name.starts_with("plexburst-")) {
            let output = daemon.docker(&["inspect", name]);
            if output.status.success() && String::from_utf8_lossy(&output.stdout).contains("\"Running\": true") {
                seen = String::from_utf8_lossy(&output.stdout).into_owned();
            }
        }
        !seen.is_empty() || burst.try_wait().unwrap().is_some()
    });
    let output = burst.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", world.logs());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["after"]["sections"][0]["counts"]["tracks"], 8);
    assert_eq!(report["after"]["sections"][0]["sonic_analysed"], 8);
    let now = files(&world.tracks(section).await);
    assert!(
        before.iter().all(|(id, file)| now.get(id) == Some(file)),
        "home's ids stay"
    );

    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    let host = &seen[0]["HostConfig"];
    assert_eq!(host["Memory"], 1 << 30);
    assert_eq!(host["NanoCpus"], 1_000_000_000);
    assert_eq!(host["RestartPolicy"]["Name"], "no");
    let ports = &seen[0]["NetworkSettings"]["Ports"]["32400/tcp"];
    assert_eq!(ports[0]["HostIp"], "127.0.0.1");
    let root = world.media().join("Music").display().to_string();
    let mounts = seen[0]["Mounts"].as_array().unwrap();
    let media = mounts
        .iter()
        .find(|mount| mount["Destination"] == root.as_str())
        .unwrap();
    assert_eq!(media["RW"], false);
    let env = seen[0]["Config"]["Env"].to_string();
    assert!(
        !env.contains("claim-"),
        "everybody in the docker group can read this: {env}"
    );
    // Nothing of it is left, and what is somebody else's is there.
    assert_eq!(daemon.containers(), ["plex"]);
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    let secrets = [
        read(world.path("claim")),
        read(world.data_dir().join(".LocalAdminToken")),
    ];
    hold_everything(&world.packed_logs(), is_mounted, &secrets);
}

/// The worker is killed while its container works: the container goes with it, and the next process of the worker makes
/// another and ends the burst.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_takes_its_container_along() {
    const NAME: &str = "a_killed_worker_takes_its_container_along";
    let daemon = match Daemon::start() {
        Ok(daemon) => daemon,
        Err(why) => return skip(NAME, &why),
    };
    daemon.image();
    let (world, _) = world(&daemon).await;
    let mut burst = world
        .command(&["sync", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let first = || {
        let text = daemon.ask(&["ps", "-q", "--filter", "label=plexburst.worker"]);
        text.lines().next().map(str::to_owned)
    };
    let mut id = None;
    wait_until("the worker's container", Duration::from_secs(300), || {
        id = first();
        id.is_some() || burst.try_wait().unwrap().is_some()
    });
    let id = id.expect("the burst ended before its container was seen");
    // The worker alone, not the guardian, whose command line names the folder as well.
    let workers: Vec<i32> = world
        .workers()
        .into_iter()
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(b"worker")
        })
        .collect();
    assert_eq!(workers.len(), 1, "{workers:?}");
    crate::common::kill(workers[0]);
    wait_until("the end of its container", Duration::from_secs(120), || {
        !daemon.docker(&["inspect", &id]).status.success()
    });
    let output = burst.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", world.logs());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["after"]["sections"][0]["sonic_analysed"], 8);
    assert!(daemon.containers().is_empty());
}

/// The worker's Plex takes more memory than its container may have: the kernel ends it, the burst fails with home unchanged, and
/// both the report and the logs say of what it died.
#[tokio::test(flavor = "multi_thread")]
async fn memory_that_runs_out_is_in_the_post_mortem() {
    const NAME: &str = "memory_that_runs_out_is_in_the_post_mortem";
    if crate::faults::has_swap() {
        return skip(NAME, "this machine swaps, so two GiB more would have to be eaten");
    }
    let daemon = match Daemon::start() {
        Ok(daemon) => daemon,
        Err(why) => return skip(NAME, &why),
    };
    daemon.image();
    let (world, section) = world(&daemon).await;
    let before = files(&world.tracks(section).await);
    let path = world.path("plexburst.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let eats = "env = { PLEX_SIM_TEMPO = '{\"eats_mib\": 700}', ";
    let text = text.replace("env = { ", eats).replace("memory = 1.0", "memory = 0.25");
    assert!(text.contains(eats) && text.contains("memory = 0.25"), "{text}");
    std::fs::write(&path, text).unwrap();
    let output = world.run(&["sync"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}\n{}", world.logs());
    assert!(
        said.contains("memory ran out") && said.contains("worker.memory"),
        "{said}"
    );
    let report = world.json(&["report", "--json"]);
    let memory = report["post_mortem"]["memory"].to_string();
    assert!(memory.contains("memory ran out (OOM)"), "{report:#}");
    let report = world.run(&["report"]);
    let told = String::from_utf8_lossy(&report.stdout);
    assert!(told.contains("out of memory:"), "{told}");
    let logs = world.packed_logs();
    assert!(
        logs.keys().any(|name| name.ends_with("Plex-Media-Server.log")),
        "{:?}",
        logs.keys()
    );
    let journal = logs
        .iter()
        .find(|(name, _)| name.ends_with("worker-journal.jsonl"))
        .unwrap();
    assert!(journal.1.contains("memory ran out"), "{}", journal.1);
    assert_eq!(files(&world.tracks(section).await), before, "home is what it was");
    assert!(daemon.containers().is_empty());
}
