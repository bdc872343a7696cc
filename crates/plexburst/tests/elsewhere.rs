//! Bursts whose worker runs on another machine: reached over real SSH, with a depot that both sides reach.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;
#[path = "engine/daemon.rs"]
mod daemon;
mod sshd;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::{World, files, has, skip, wait_until};
use plexburst::host::keys;
use sshd::Sshd;

/// A home with 4 known tracks and 4 new ones in the media, a depot over SFTP, and a host to work on.
async fn world_with_a_host(what: &str) -> Option<(World, i64, Sshd)> {
    if !has("bwrap") {
        skip(what, "bubblewrap is not installed");
        return None;
    }
    let sshd = Sshd::start(what).await?;
    let mut world = World::new();
    world.music(1, 1, 1, 4, 2.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 4).await;
    world.music(2, 1, 1, 4, 2.0);
    world.issue_claim();
    keys::prove("127.0.0.1", sshd.port, &[sshd.fingerprint()], &sshd.path("known_hosts"))
        .await
        .unwrap();
    let config = sshd.config();
    world.depot_config = format!(
        "remote = \"sftp://{}:{}{}\"\nssh_key = {:?}\nknown_hosts = {:?}\nencryption = \"none\"",
        sshd.target().destination,
        sshd.port,
        world.path("depot").display(),
        sshd.path("user/id_ed25519"),
        sshd.path("known_hosts"),
    );
    std::fs::create_dir_all(world.path("depot")).unwrap();
    world.configure(&[(&root, "Music")]);
    let path = world.path("plexburst.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("\n[limits]", &format!("ssh_config = {config:?}\n\n[limits]"));
    std::fs::write(&path, text).unwrap();
    Some((world, section, sshd))
}

fn nothing_left(world: &World) {
    let left: Vec<_> = std::fs::read_dir(world.path("worker"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "bin")
        .collect();
    assert!(left.is_empty(), "left on the host: {left:?}");
    let mut secrets = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let id = world.burst_dir().file_name().unwrap().to_owned();
    let id = id.to_str().unwrap();
    assert!(
        !secrets.any(|e| e.file_name().to_string_lossy().contains(id)),
        "secrets left"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_ones_own_is_used_cleaned_and_left() {
    let Some((world, section, _sshd)) = world_with_a_host("a burst on a host over SSH").await else {
        return;
    };
    let before = files(&world.tracks(section).await);
    let report = world.json(&["sync", "--on", "ssh://nas", "--json"]);
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["after"]["sections"][0]["counts"]["tracks"], 8);
    assert_eq!(report["after"]["sections"][0]["sonic_analysed"], 8);
    let after = files(&world.tracks(section).await);
    assert!(
        before.iter().all(|(file, id)| after.get(file) == Some(id)),
        "ids of home changed"
    );
    nothing_left(&world);
}

/// A host without a binary of Plex runs the image: Docker and image are seen to before the worker begins.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_ones_own_runs_the_image() {
    const NAME: &str = "a host over SSH that runs the image";
    let daemon = match daemon::Daemon::start() {
        Ok(daemon) => daemon,
        Err(why) => return skip(NAME, &why),
    };
    let Some((world, _, _sshd)) = world_with_a_host(NAME).await else {
        return;
    };
    let binary = format!("server = {:?}", world.server);
    let socket = format!("{:?}", daemon.socket());
    let path = world.path("plexburst.toml");
    // Nobody serves that registry.
    let name = "127.0.0.1:1/plex";
    let image = format!("runtime = \"docker\"\nimage = {name:?}\ndocker_socket = {socket}\nmemory = 1.0");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(&binary));
    std::fs::write(&path, text.replace(&binary, &image)).unwrap();
    // Said while nothing has been begun on the host.
    let output = world.run(&["sync", "--on", "ssh://nas"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains("cannot run the image") && said.contains("hint:"),
        "{said}"
    );
    let made = daemon.image();
    daemon.ask(&["tag", &made, &format!("{name}:{}", sim::server::VERSION)]);
    let report = world.json(&["resume", "--json"]);
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["after"]["sections"][0]["sonic_analysed"], 8);
    nothing_left(&world);
    assert!(daemon.containers().is_empty());
}

/// The connection breaks once the worker's task lies there: while it is started, or right before or after.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_meanwhile_is_made_again() {
    const NAME: &str = "a connection that breaks while a worker is begun";
    if !has("python3") {
        return skip(NAME, "python3 is not installed");
    }
    let Some((world, _, sshd)) = world_with_a_host(NAME).await else {
        return;
    };
    let (broken, proxy) = (world.path("broken"), world.path("proxy.py"));
    let script = format!(
        "import glob, os, socket, threading, time\n\
         link = socket.create_connection(('127.0.0.1', {port}))\n\
         def send():\n    \
             while data := os.read(0, 65536): link.sendall(data)\n    \
             os._exit(0)\n\
         def watch():\n    \
             while not glob.glob('{tasks}'): time.sleep(0.01)\n    \
             open('{broken}', 'x')\n    \
             os._exit(1)\n\
         threading.Thread(target=send, daemon=True).start()\n\
         if not os.path.exists('{broken}'): threading.Thread(target=watch, daemon=True).start()\n\
         while data := link.recv(65536):\n    \
             while data: data = data[os.write(1, data):]\n",
        port = sshd.port,
        tasks = world.path("worker/*/").join(plexburst::burst::spec::FILE).display(),
        broken = broken.display(),
    );
    std::fs::write(&proxy, script).unwrap();
    let config = sshd.config();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}  ProxyCommand python3 {}\n", proxy.display())).unwrap();
    let report = world.json(&["sync", "--on", "ssh://nas", "--json"]);
    assert!(broken.exists(), "it did not break");
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["after"]["sections"][0]["sonic_analysed"], 8);
    nothing_left(&world);
}

/// The controller is killed while the host works; the worker goes on, and a controller that comes back finds its result.
#[tokio::test(flavor = "multi_thread")]
async fn the_worker_there_needs_nobody() {
    let Some((world, _, sshd)) = world_with_a_host("a worker over SSH without its controller").await else {
        return;
    };
    let mut burst = world
        .command(&["sync", "--on", "ssh://nas", "--json"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the worker begins", Duration::from_secs(120), || {
        let journal = std::fs::read_dir(world.path("state/bursts"))
            .ok()
            .and_then(|mut d| d.next());
        let text = journal.and_then(|e| std::fs::read_to_string(e.unwrap().path().join("journal.jsonl")).ok());
        text.unwrap_or_default().contains(r#""phase":"work","event":"started""#) || burst.try_wait().unwrap().is_some()
    });
    burst.kill().unwrap();
    burst.wait().unwrap();
    let id = world.burst_dir().file_name().unwrap().to_str().unwrap().to_owned();
    let work = world.path("worker").join(&id);
    wait_until(
        "the worker parks its result by itself",
        Duration::from_secs(180),
        || {
            std::fs::read_to_string(work.join("journal.jsonl"))
                .unwrap_or_default()
                .contains(r#""phase":"park-result","event":"done""#)
        },
    );
    let report = world.json(&["resume", "--json"]);
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["after"]["sections"][0]["counts"]["tracks"], 8);
    nothing_left(&world);
    drop(sshd);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_key_is_not_the_known_one_gets_nothing() {
    let Some((world, _, mut sshd)) = world_with_a_host("a host whose key changed").await else {
        return;
    };
    let before = common::part_count(&world.tracks(1).await);
    // The depot stays reachable only as long as the key is: it is moved to a folder that both have.
    sshd.change_key().await;
    let output = world.run(&["sync", "--on", "ssh://nas"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.to_lowercase().contains("host key"), "{said}");
    assert!(said.contains("hint:"), "{said}");
    assert_eq!(common::part_count(&world.tracks(1).await), before);
    assert!(!Path::new(&world.path("worker")).exists());
}
