//! What stops a burst before its first scan: media that are slower than asked for, and a mount that shows other times than
//! the media have. Each says what to change, and the same burst goes on when that is done.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::{Duration, SystemTime};

use plexburst::exit;

use crate::common::{World, has, skip};
use crate::support::{Store, rclone_conf};

/// More than any store gives, in MB/s.
const TOO_FAST: &str = "min_speed = 1000000.0\n";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_ended(output: &Output, code: u8, words: &[&str], world: &World) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(i32::from(code)), "{said}\n{}", world.logs());
    for word in words {
        assert!(said.contains(word), "{word:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_media_and_a_mount_with_other_times_stop_a_burst_before_its_scan() {
    let test = "slow_media_and_a_mount_with_other_times_stop_a_burst_before_its_scan";
    if !has("bwrap") {
        return skip(test, "bubblewrap is not installed");
    }
    let mut world = World::new();
    let media = world.media();
    let root = media.join("bucket/Music");
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(world.plextv()).unwrap();
    let Some(store) = Store::start(test, &media) else {
        return;
    };
    let spec = sim::music::Spec {
        artists: 1,
        albums: 2,
        tracks: 4,
        seconds: 1.0,
        seed: 9,
        ..Default::default()
    };
    sim::music::synthesise(&root, &spec).unwrap();
    for folder in fs::read_dir(&root).unwrap().flatten() {
        for album in fs::read_dir(folder.path()).unwrap().flatten() {
            for file in fs::read_dir(album.path()).unwrap().flatten() {
                let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
                let file = fs::File::options().append(true).open(file.path()).unwrap();
                file.set_modified(at).unwrap();
            }
        }
    }
    world.start_home();
    let root = root.display().to_string();
    world.create_music(&root, 8).await;
    let proxy = store.proxy(3).await;
    rclone_conf(&world.path("rclone.conf"), proxy.address());
    // An rclone that mounts without the files' own times.
    let wrapper = world.path("rclone");
    let wrap = |option: &str| {
        let text = format!(
            "#!/bin/sh\nif [ \"$1\" = mount ]; then shift; exec rclone mount {option} \"$@\"; fi\nexec rclone \"$@\"\n"
        );
        fs::write(&wrapper, text).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    };
    wrap("--no-modtime");
    world.media_config = format!(
        "{TOO_FAST}remote = \"s3:bucket\"\nrclone_config = {:?}\nrclone = {:?}\n",
        world.path("rclone.conf").display().to_string(),
        wrapper.display().to_string()
    );
    world.configure(&[(root.as_str(), "Music")]);
    let file = world.path("plexburst.toml");
    let configured = fs::read_to_string(&file)
        .unwrap()
        .replace("[limits]\n", "[limits]\ndead = 3.0\n");
    fs::write(&file, &configured).unwrap();

    // Nobody has measured yet: the worker does, and stops. From then on it is asked first.
    let text = String::from_utf8(world.run(&["plan", "--quick"]).stdout).unwrap();
    assert!(
        text.contains("not yet measured") && text.contains("stops below"),
        "{text}"
    );
    let slow = world.run(&["sync", "--quick"]);
    assert_ended(&slow, exit::REFUSED, &["MB/s", "media.min_speed"], &world);
    let plan = world.run(&["plan", "--quick", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert!(plan["speed"]["speed"]["bytes"].as_u64() > Some(0), "{plan:#}");
    assert_eq!(plan["todo"][0]["new"], 0, "{plan:#}");
    let asked = world.run(&["sync", "--quick"]);
    assert_ended(
        &asked,
        exit::USAGE,
        &["Go on all the same?", "give --allow-slow-media"],
        &world,
    );
    // What a machine may cost is another question.
    let agreed = world.run(&["sync", "--quick", "-y"]);
    assert_ended(&agreed, exit::USAGE, &["Go on all the same?"], &world);

    // The same burst goes on with a lower limit, and meets the mount.
    fs::write(&file, configured.replace(TOO_FAST, "")).unwrap();
    let times = world.run(&["resume"]);
    let words = [
        "8 of 8 sampled files have other times on the worker's mount",
        "RCLONE_NO_MODTIME",
    ];
    assert_ended(&times, exit::REFUSED, &words, &world);
    wrap("");
    let done = world.run(&["resume", "--json"]);
    assert_ended(&done, exit::DONE, &[], &world);
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["outcome"], "committed", "{report:#}");
    // Plex was made quiet by each of the two attempts that came so far; what it lacks was said by the first.
    let log = fs::read_to_string(world.burst_dir().join("log.txt")).unwrap();
    assert_eq!(log.matches("quiet: passed   deleting-off").count(), 2, "{log}");
    assert_eq!(log.matches("this version has no preference").count(), 1, "{log}");
    let before = &report["before"]["sections"][0]["files"];
    assert_eq!(&report["after"]["sections"][0]["files"], before, "{report:#}");

    // Agreed beforehand, slow media are worth a warning.
    fs::write(&file, &configured).unwrap();
    let report = world.json(&["sync", "--quick", "--allow-slow-media", "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    world.stop_home();
}
