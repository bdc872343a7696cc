//! Every command that needs home, carried out there; archives on their way; and what keeps from reaching home.

use std::path::Path;
use std::process::Stdio;

use crate::common::{self, files, part_count};
use crate::served::Serving;
use crate::support::{Distant, said};

#[tokio::test(flavor = "multi_thread")]
async fn every_command_is_carried_out_where_home_is() {
    let Some(distant) = Distant::new("commands for a distant home").await else {
        return;
    };
    let before = files(&distant.world.tracks(distant.section).await);
    let doctor = distant.json(&["doctor", "--json"]);
    assert_eq!(doctor["ok"], true, "{doctor}");
    let plan = distant.json(&["plan", "--json"]);
    assert_eq!(plan["survey"]["sections"][0]["new"], 4, "{plan}");
    let inspected = distant.json(&["inspect", "--json"]);
    assert_eq!(inspected["sections"][0]["counts"]["tracks"], 4);
    assert_eq!(distant.json(&["verify", "--json"])["ok"], true);

    let serving = Serving::start(&distant);
    let mut sync = distant
        .command(&["sync", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let live = serving
        .live_while(&mut sync, |live| {
            let rows = live["rows"].as_array().unwrap();
            rows.iter().any(|row| row["label"] == "worker") && !live["notes"].as_array().unwrap().is_empty()
        })
        .await;
    assert_eq!(live["state"], "running", "{live:#}");
    let output = sync.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{}", said(&output), distant.world.logs());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "committed");
    assert_eq!(live["burst"], report["burst"]);
    let after = files(&distant.world.tracks(distant.section).await);
    assert_eq!(after.len(), 8);
    assert!(
        before.iter().all(|(file, id)| after.get(file) == Some(id)),
        "ids changed"
    );

    // Its journal and its report lie at home; whoever asks here is told.
    let id = report["burst"].as_str().unwrap();
    assert!(distant.world.path("state/bursts").join(id).is_dir());
    assert_eq!(distant.json(&["runs", "--json"])["runs"][0]["burst"], id);
    assert_eq!(distant.json(&["status", "--json"])["stands"], "committed");
    assert_eq!(distant.json(&["report", id, "--json"])["outcome"], "committed");

    let logs = distant.run(&["logs", id]);
    let told = String::from_utf8_lossy(&logs.stdout).into_owned();
    assert!(
        logs.status.success() && told.contains("snapshot") && told.contains("swap"),
        "{told}"
    );
    let attached = distant.run(&["attach", id]);
    let told = String::from_utf8_lossy(&attached.stdout).into_owned();
    assert!(
        attached.status.success() && told.contains("is committed"),
        "{told}{}",
        said(&attached)
    );
    let page = serving.get("").await;
    for part in [
        "plexburst on nas",
        "committed",
        "+4 tracks",
        &format!("href=\"burst/{id}\""),
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let kept = std::fs::read_to_string(distant.world.path("state/bursts").join(id).join("report.html")).unwrap();
    assert_eq!(serving.get(&format!("burst/{id}")).await, kept);
    let json = serving.get(&format!("burst/{id}/report.json")).await;
    assert!(json.contains("\"outcome\": \"committed\""), "{json}");
    serving.end();

    // Nobody agreed: nothing is even begun there.
    let unasked = distant.run(&["rollback"]);
    assert_eq!(unasked.status.code(), Some(2));
    assert!(said(&unasked).contains("hint: give -y"), "{}", said(&unasked));
    assert_eq!(distant.json(&["runs", "--json"])["runs"].as_array().unwrap().len(), 1);
    let list = distant.json(&["rollback", "--list", "--json"]);
    assert_eq!(list["kept"][0]["burst"], id);
    let back = distant.json(&["rollback", "-y", "--json"]);
    assert_eq!(back["outcome"], "committed");
    assert_eq!(part_count(&distant.world.tracks(distant.section).await), 4);
    // What fails there fails here, in its words and with its exit code.
    let wrong = distant.run(&["plan", "--section", "Musik"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        said(&wrong).contains("error: home has no section called \"Musik\""),
        "{}",
        said(&wrong)
    );
    assert!(
        said(&wrong).contains("hint: its sections are: Music"),
        "{}",
        said(&wrong)
    );
    distant.assert_tidy();
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_go_to_and_fro() {
    let Some(distant) = Distant::new("archives of a distant home").await else {
        return;
    };
    let exported = distant.json(&["export", "--json", "home.tar.zst"]);
    let archive = distant.here.path().join("home.tar.zst");
    assert_eq!(exported["file"], archive.display().to_string());
    assert_eq!(common::look("verify", &archive)["ok"], true);
    assert_eq!(
        exported["bytes"].as_u64().unwrap(),
        std::fs::metadata(&archive).unwrap().len()
    );
    assert_eq!(
        distant.run(&["export", "home.tar.zst"]).status.code(),
        Some(2),
        "never written over"
    );
    // The worker is this machine: a burst of an archive needs no home.
    let report = distant.json(&["sync", "--archive", "home.tar.zst", "--json"]);
    assert_eq!(report["outcome"], "committed");
    let brought = distant.json(&["import", "-y", "home-result.tar.zst", "--json"]);
    assert_eq!(brought["outcome"], "committed", "{brought}");
    assert_eq!(part_count(&distant.world.tracks(distant.section).await), 8);
    // Nothing of what was carried is left there.
    let left: Vec<_> = names(&distant.world.path("state"))
        .into_iter()
        .filter(|name| name.contains("export"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(names(&distant.world.path("state/incoming")), [""; 0]);
    // The burst of the archive is this machine's, and is found here; those of home there.
    let id = report["burst"].as_str().unwrap();
    assert_eq!(distant.json(&["status", id, "--json"])["burst"], id);
    assert_eq!(distant.json(&["--here", "runs", "--json"])["runs"][0]["burst"], id);
    assert_ne!(distant.json(&["runs", "--json"])["runs"][0]["burst"], id);
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_from_reaching_home_is_said() {
    let Some(mut distant) = Distant::new("what keeps from reaching home").await else {
        return;
    };
    let refused = |distant: &Distant, code: i32, needles: &[&str]| {
        let output = distant.run(&["plan"]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        for needle in needles {
            assert!(said.contains(needle), "{needle:?} is not in {said}");
        }
        assert!(said.contains("hint:"), "{said}");
    };
    // No such machine; nothing that names one; a folder that nobody may write to; a path that is not whole.
    distant.configure("nowhere.invalid", "");
    refused(&distant, 4, &["nowhere.invalid cannot be reached over SSH"]);
    distant.configure("-oProxyCommand=x", "");
    refused(&distant, 2, &["does not name a host", "home.host"]);
    distant.configure("nas", "");
    let path = distant.here.path().join("plexburst.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let directory = format!("directory = {:?}", distant.world.path("state"));
    std::fs::write(&path, text.replacen(&directory, "directory = \"/proc/plexburst\"", 1)).unwrap();
    refused(&distant, 4, &["/proc/plexburst", "home.directory"]);
    std::fs::write(&path, text.replacen(&directory, "directory = \"plexburst\"", 1)).unwrap();
    refused(&distant, 2, &["home.directory", "absolute"]);
    // Another machine at that address.
    distant.configure("nas", "");
    distant.sshd.change_key().await;
    refused(&distant, 3, &["the host key of nas is not the known one"]);
    assert!(!distant.world.path("state").exists(), "nothing was brought there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_found_out_there_and_written_here() {
    let Some(distant) = Distant::new("init for a distant home").await else {
        return;
    };
    let media = distant.world.media();
    let data_dir = distant.world.data_dir();
    let written = distant.here.path().join("written.toml");
    let (media, data_dir) = (media.to_str().unwrap(), data_dir.to_str().unwrap());
    let args = [
        "init",
        "--output",
        "written.toml",
        "--data-dir",
        data_dir,
        "--media",
        media,
        "--stop",
        "true",
    ];
    // How the machine is reached stands in the configuration that is there already.
    let output = distant.run(&[&args[..], &["--start", "true", "--no-doctor"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let toml: toml::Table = std::fs::read_to_string(&written).unwrap().parse().unwrap();
    assert_eq!(toml["home"]["host"].as_str(), Some("nas"));
    assert_eq!(toml["home"]["data_dir"].as_str(), Some(data_dir));
    assert_eq!(toml["media"]["roots"].as_table().unwrap().len(), 1);
    let state = distant.world.path("state");
    assert_eq!(toml["home"]["directory"].as_str(), state.to_str());
    assert_eq!(toml["home"]["ssh_config"].as_str(), distant.sshd.config().to_str());

    // It ends with what stands in the way, as found there: nobody said how this server is stopped. The remote is one of the
    // rclone.conf of here, and so it is written.
    if common::has("rclone") {
        let conf = distant.here.path().join("rclone.conf");
        std::fs::write(&conf, format!("[disk]\ntype = alias\nremote = {media}\n")).unwrap();
        let args = [
            "init",
            "--output",
            "remote.toml",
            "--data-dir",
            data_dir,
            "--media",
            "disk:",
        ];
        let output = distant.run(&args);
        let doctor = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(2), "{doctor}{}", said(&output));
        assert!(
            doctor.contains("REFUSED  home-healthy") && doctor.contains("a burst would not begin"),
            "{doctor}"
        );
        assert!(said(&output).contains("wrote "), "{}", said(&output));
        let text = std::fs::read_to_string(distant.here.path().join("remote.toml")).unwrap();
        let toml: toml::Table = text.parse().unwrap();
        assert_eq!(toml["media"]["rclone_config"].as_str(), conf.to_str());
        assert_eq!(toml["media"]["roots"].as_table().unwrap().len(), 1);
        assert!(!text.contains("/dev/shm"), "{text}");
    } else {
        common::skip("a remote of rclone for a distant home", "rclone is not installed");
    }

    let left: Vec<_> = std::fs::read_dir(&state).unwrap().collect();
    let names: Vec<String> = left
        .into_iter()
        .map(|entry| entry.unwrap().file_name().display().to_string())
        .collect();
    assert!(names.iter().all(|name| !name.starts_with("init-")), "{names:?}");

    // What cannot be found there is said as it is here, with the option.
    let output = distant.run(&[
        "init",
        "--output",
        "other.toml",
        "--data-dir",
        "/nowhere",
        "--media",
        media,
    ]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        said(&output).contains("no Plex library in /nowhere"),
        "{}",
        said(&output)
    );
    assert!(!distant.here.path().join("other.toml").exists());
}
