//! When a machine's time is up, what is done by then comes home, and the rest is for another burst.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{self, PROGRAM, World, has, skip};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_by_then_comes_home() {
    if !has("bwrap") {
        return skip("a worker whose time is up", "bubblewrap is not installed");
    }
    let world = World::new();
    let roots: Vec<String> = ["Music", "More"]
        .iter()
        .map(|name| world.media().join(name).display().to_string())
        .collect();
    let more = |seed| {
        let spec = sim::music::Spec {
            artists: 1,
            albums: 1,
            tracks: 4,
            seconds: 2.0,
            seed,
            ..sim::music::Spec::default()
        };
        sim::music::synthesise(&world.media().join("More"), &spec).unwrap();
    };
    world.music(1, 1, 1, 4, 2.0);
    more(11);
    world.start_home();
    let first = world.create_music(&roots[0], 4).await;
    let second = world.create_music(&roots[1], 4).await;
    world.music(2, 1, 1, 4, 2.0);
    more(12);
    world.issue_claim();
    world.configure(&[(&roots[0], "Music"), (&roots[1], "More")]);
    let mut burst = world
        .command(&["sync", "--on", "here", "--quick"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Killed as soon as the first section is done, worker and controller.
    let done = format!(r#""phase":"index:{first}","event":"done""#);
    let journal = || {
        let burst_dir = std::fs::read_dir(world.path("worker")).ok()?.next()?.ok()?.path();
        std::fs::read_to_string(burst_dir.join("journal.jsonl")).ok()
    };
    common::wait_until("the first section is done", Duration::from_secs(180), || {
        journal().unwrap_or_default().contains(&done) || burst.try_wait().unwrap().is_some()
    });
    burst.kill().unwrap();
    for worker in world.workers() {
        common::kill(worker);
    }
    burst.wait().unwrap();
    let text = journal().unwrap();
    assert!(
        !text.contains(&format!(r#""phase":"index:{second}","event":"done""#)),
        "the second section was done before the worker could be killed: {text}"
    );

    // The worker goes on on a machine whose time for work is over.
    let id = world.burst_dir().file_name().unwrap().to_str().unwrap().to_owned();
    let work_dir = world.path("worker").join(&id);
    let path = work_dir.join("spec.json");
    let mut spec: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    spec["lease"] = json!({"burst": id, "deadline": now + 1800, "work_until": now - 1, "clock_offset": 0});
    std::fs::write(&path, spec.to_string()).unwrap();
    let worker = Command::new(PROGRAM)
        .arg("worker")
        .arg(&work_dir)
        // Nobody answers there, and that is no reason to stop.
        .env("SCW_METADATA_URL", "http://127.0.0.1:9")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(worker.status.success(), "{}", String::from_utf8_lossy(&worker.stderr));

    let report = world.json(&["resume", "--json"]);
    assert_eq!(report["outcome"], "committed");
    let tracks = |id: i64| {
        let sections = report["after"]["sections"].as_array().unwrap();
        let section = sections.iter().find(|s| s["id"] == id).unwrap();
        section["counts"]["tracks"].as_u64().unwrap()
    };
    assert_eq!(tracks(first), 8, "{report:#}");
    assert!(tracks(second) >= 4, "{report:#}");
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("not finished, the machine's time is up"),
        "{warnings}"
    );
}
