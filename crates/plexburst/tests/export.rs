//! `plexburst export` beside a server that is kept busy over HTTP, and interrupted at its worst.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{World, wait_until};
use plex_library::snapshot::Manifest;
use plex_library::verify::{Level, verify};
use plex_library::{LIBRARY_DB, archive};

/// A home with a library of 2,000 tracks, running.
fn busy_home() -> World {
    let world = World::new();
    sim::fixture::Builder::new(world.databases())
        .music("Music", "/music", 10, 10, 20)
        .household(200, 50, 3)
        .sonic(0.2)
        .build()
        .unwrap();
    world.start_home();
    world.configure(&[("/music", "Music")]);
    world
}

/// People who play and rate without a pause, until they are told to stop; returns how often they did.
fn household(world: &World, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<usize> {
    let (client, stop) = (world.client(), stop.clone());
    let db = sim::store::open_library(&world.databases()).unwrap();
    let tracks: Vec<i64> = db
        .prepare("SELECT id FROM metadata_items NOT INDEXED WHERE metadata_type = 10 LIMIT 50")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    tokio::spawn(async move {
        let mut done = 0;
        while !stop.load(Ordering::Relaxed) {
            let track = tracks[done % tracks.len()];
            client.scrobble(track).await.unwrap();
            client.rate(track, 8.0).await.unwrap();
            done += 1;
        }
        done
    })
}

fn check(world: &World, file: &Path) -> Manifest {
    let dir = tempfile::tempdir_in(world.dir.path()).unwrap();
    let unpacked = archive::unpack(file, dir.path()).unwrap();
    let verified = verify(unpacked.databases().dir(), Level::Full).unwrap();
    assert!(verified.ok, "{:#?}", verified.problems);
    assert!(unpacked.left_out.is_empty(), "{:?}", unpacked.left_out);
    Manifest::read(&unpacked.notes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_busy_server_every_way_gives_a_whole_library() {
    let world = busy_home();
    std::fs::write(world.databases().join(format!("{LIBRARY_DB}-2026-01-02")), [7; 5000]).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let people = [household(&world, &stop), household(&world, &stop)];
    let mut views = 0;
    for (name, option) in [
        ("one.tar.zst", "--full-speed"),
        ("two.tar.zst", "--limit-rate=500M"),
        ("three.tar.zst", "--plain"),
    ] {
        let said = world.json(&["export", "--json", option, name]);
        let manifest = check(&world, &world.path(name));
        assert_eq!(said["manifest"]["counts"]["media_parts"], 2000);
        assert_eq!(serde_json::to_value(&manifest).unwrap(), said["manifest"]);
        assert!(manifest.plex_version.is_some(), "home was asked for its version");
        assert!(manifest.counts["metadata_item_views"] >= views);
        views = manifest.counts["metadata_item_views"];
    }
    let parked = world.json(&["export", "--json", "--to-depot"]);
    assert!(parked["bytes"].as_u64().unwrap() > 100_000, "{parked}");
    stop.store(true, Ordering::Relaxed);
    for person in people {
        assert!(person.await.unwrap() > 0);
    }
    let dry = world.json(&["export", "--json", "--dry-run"]);
    assert_eq!(dry["backups"], 5000);
    assert!(dry["tables"][0]["bytes"].as_u64().unwrap() > 100_000, "{dry}");
    world.stop_home();
}

/// An export that takes long, in the middle of it.
fn slow_export(world: &World, file: &str) -> Child {
    let child = world
        .command(&["export", "--limit-rate=300K", file])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the archive being written", Duration::from_secs(60), || {
        leftovers(world).iter().any(|name| name.contains(file))
    });
    child
}

fn leftovers(world: &World) -> Vec<String> {
    std::fs::read_dir(world.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".plexburst-"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_export_leaves_nothing_under_its_name() {
    let world = busy_home();
    let end = |mut child: Child, signal: &str| -> Output {
        let status = std::process::Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
        child.stdin.take();
        child.wait_with_output().unwrap()
    };
    // Asked to end: it tidies up and says so.
    let output = end(slow_export(&world, "asked.tar.zst"), "-TERM");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("nothing was written") && said.contains("hint:"), "{said}");
    assert_eq!(leftovers(&world), [""; 0]);
    // Killed: what it wrote has no name that anybody would take for an archive, and the next one removes it.
    end(slow_export(&world, "killed.tar.zst"), "-KILL");
    assert!(!world.path("killed.tar.zst").exists());
    assert_eq!(leftovers(&world).len(), 1);
    world.json(&["export", "--json", "killed.tar.zst"]);
    check(&world, &world.path("killed.tar.zst"));
    assert_eq!(leftovers(&world), [""; 0]);
    // And it never writes over anything.
    let output = world.run(&["export", "killed.tar.zst"]);
    assert_eq!(output.status.code(), Some(2));
    world.stop_home();
}
