//! The cloud, a home whose media and depot are buckets of one server, and the program beside them.

use std::path::Path;
use std::process::{Command, Stdio};

use sim::scaleway::{Instances, Options, Pace, Scaleway, ScalewayError};

use crate::common::{self, PROGRAM, World, has, skip};

pub(crate) const KEY: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYxx");

/// The cloud, and a folder that its machines have as well: what an image would bring.
pub(crate) fn cloud(what: &str) -> Option<(Scaleway, tempfile::TempDir)> {
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
pub(crate) async fn world(image: &Path) -> (World, i64) {
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
    common::wait_until("rclone serves", std::time::Duration::from_secs(120), || {
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
    // The server as it is, with a tempo of its own where there is one.
    let server = {
        let wrapped = image.join("pms/server");
        let script = format!(
            "#!/bin/sh\ndata=$PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR/'Plex Media Server'\n\
             [ ! -e '{slow}' ] || cp '{slow}' \"$data/sim.json\"\nexec '{server}' \"$@\"\n",
            slow = image.join("slow.json").display(),
            server = server.display(),
        );
        std::fs::write(&wrapped, script).unwrap();
        std::fs::set_permissions(&wrapped, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        wrapped
    };
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

pub(crate) fn command(world: &World, cloud: &Scaleway, args: &[&str]) -> std::process::Output {
    prepared(world, cloud, args).output().unwrap()
}

pub(crate) fn prepared(world: &World, cloud: &Scaleway, args: &[&str]) -> Command {
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
pub(crate) fn begun_and_left(world: &World, cloud: &Scaleway) {
    begun_and_left_with(world, cloud, &[], r#""phase":"work","event":"started""#);
}

/// The worker's Plex takes so many seconds for each file that it analyses (four in the scan, eight afterwards), on machines
/// that are started from now on.
pub(crate) fn slow_down(image: &Path, seconds: u32) {
    let tempo = format!(r#"{{"analysis_delay_ms": {}}}"#, seconds * 1000);
    std::fs::write(image.join("slow.json"), tempo).unwrap();
}

/// The same with more options, and as soon as the burst's journal has `words`.
pub(crate) fn begun_and_left_with(world: &World, cloud: &Scaleway, more: &[&str], words: &str) {
    let folders = std::fs::read_dir(world.path("state/bursts")).into_iter().flatten();
    let known: Vec<std::path::PathBuf> = folders.map(|dir| dir.unwrap().path()).collect();
    let mut args = vec!["sync", "--on", "scaleway", "--instance", "lite", "--quick", "-y"];
    args.extend(more);
    let mut burst = prepared(world, cloud, &args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    common::wait_until(words, std::time::Duration::from_secs(300), || {
        // The newest by its name: others may have ended before.
        let bursts = std::fs::read_dir(world.path("state/bursts")).ok();
        let newest = bursts.and_then(|dirs| dirs.map(|dir| dir.unwrap().path()).max());
        let journal = newest
            .filter(|dir| !known.contains(dir))
            .map(|dir| dir.join("journal.jsonl"));
        let text = journal
            .and_then(|path| std::fs::read_to_string(path).ok())
            .unwrap_or_default();
        text.contains(words) || burst.try_wait().unwrap().is_some()
    });
    burst.kill().unwrap();
    burst.wait().unwrap();
    assert!(
        !cloud.bill()["open"].as_array().unwrap().is_empty(),
        "the machine is there"
    );
}

pub(crate) fn nothing_is_billed(cloud: &Scaleway) {
    let bill = cloud.bill();
    assert_eq!(bill["open"].as_array().unwrap().len(), 0, "{bill}");
    assert!(cloud.resources().is_empty(), "{:?}", cloud.resources());
}
