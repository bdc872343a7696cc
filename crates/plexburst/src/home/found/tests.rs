//! Every layout that we know, as a tree of folders.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;

use super::*;

/// An empty file is enough of a library to be found.
fn library(root: &Path, data_dir: &str) {
    let databases = root.join(data_dir).join("Plug-in Support/Databases");
    fs::create_dir_all(&databases).unwrap();
    fs::write(databases.join(LIBRARY_DB), "").unwrap();
}

fn inspected(name: &str, image: &str, source: &str, port: &str) -> Container {
    let json = serde_json::json!([{
        "Id": "0123", "Name": format!("/{name}"), "Config": {"Image": image, "Env": []},
        "Mounts": [
            {"Type": "bind", "Source": source, "Destination": "/config", "RW": true},
            {"Type": "bind", "Source": "/srv/media", "Destination": "/media", "RW": false},
        ],
        "HostConfig": {"PortBindings": {"32400/tcp": [{"HostIp": "", "HostPort": port}]}, "NetworkMode": "bridge"},
    }]);
    Container::read("docker", &json.to_string()).unwrap().remove(0)
}

fn stop(found: &Found) -> String {
    found.stop.as_ref().map(|words| words.join(" ")).unwrap_or_default()
}

const LINUX: &str = "Library/Application Support/Plex Media Server";

#[test]
fn every_layout_without_a_container_is_found() {
    let layouts = [
        (
            format!("var/lib/plexmediaserver/{LINUX}"),
            "Plex's package",
            "systemctl stop plexmediaserver",
        ),
        (
            format!("var/snap/plexmediaserver/common/{LINUX}"),
            "the snap",
            "snap stop plexmediaserver",
        ),
        (
            "volume1/PlexMediaServer/AppData/Plex Media Server".into(),
            "Synology's package (DSM 7)",
            "/usr/syno/bin/synopkg stop PlexMediaServer",
        ),
        (
            format!("volume2/Plex/{LINUX}"),
            "Synology's package (DSM 6)",
            "/usr/syno/bin/synopkg stop Plex Media Server",
        ),
        (
            "share/CACHEDEV1_DATA/.qpkg/PlexMediaServer/Library/Plex Media Server".into(),
            "QNAP's package",
            "/etc/init.d/plex.sh stop",
        ),
        (
            "share/ZFS18_DATA/.qpkg/PlexMediaServer/Library/Plex Media Server".into(),
            "QNAP's package",
            "/etc/init.d/plex.sh stop",
        ),
        (format!("mnt/user/appdata/plex/{LINUX}"), "a container's folder", ""),
        (
            "mnt/user/appdata/binhex-plexpass/Plex Media Server".into(),
            "a container's folder",
            "",
        ),
        ("mnt/cache/appdata/hotio-plex".into(), "a container's folder", ""),
        (
            format!("volume1/docker/plex/config/{LINUX}"),
            "a container's folder",
            "",
        ),
    ];
    for (dir, what, command) in layouts {
        let tmp = tempfile::tempdir().unwrap();
        library(tmp.path(), &dir);
        let found = find(tmp.path(), &[]);
        assert_eq!(found.len(), 1, "{dir}: {found:?}");
        assert_eq!(
            (found[0].what.as_str(), stop(&found[0]).as_str()),
            (what, command),
            "{dir}"
        );
        assert_eq!(found[0].data_dir, tmp.path().join(&dir));
        assert_eq!(found[0].stop.is_some(), found[0].start.is_some(), "{dir}");
    }
}

#[test]
fn every_image_is_found_by_its_mounts() {
    let images = [
        ("plexinc/pms-docker:1.43.4.10903-e5521bd8c", LINUX, "Plex's own image"),
        ("lscr.io/linuxserver/plex:latest", LINUX, "linuxserver's image"),
        ("ghcr.io/hotio/plex", "", "hotio's image"),
        ("binhex/arch-plexpass", "Plex Media Server", "binhex's image"),
        ("registry.local/my-plex", LINUX, "registry.local/my-plex"),
    ];
    for (image, inside, kind) in images {
        let tmp = tempfile::tempdir().unwrap();
        library(tmp.path(), &format!("data/config/{inside}"));
        let found = find(tmp.path(), &[inspected("tv", image, "/data/config", "32400")]);
        if image.starts_with("registry") {
            // Its image names Plex; that and the library are enough.
            assert_eq!(found.len(), 1);
        }
        assert_eq!(found[0].what, format!("docker's container tv ({kind})"));
        assert_eq!(stop(&found[0]), "docker stop --time 120 tv");
        assert_eq!(found[0].start, words(&["docker", "start", "tv"]));
        assert_eq!(found[0].url, None);
        let program = match kind {
            "Plex's own image" | "linuxserver's image" => Some("/usr/lib/plexmediaserver/Plex SQLite"),
            "hotio's image" => Some("/app/bin/usr/lib/plexmediaserver/Plex SQLite"),
            _ => None,
        };
        let inside = program.and_then(|program| words(&["docker", "exec", "--interactive", "tv", program]));
        assert_eq!(found[0].plex_sqlite, inside, "{image}");
        assert!(is_data_dir(&found[0].data_dir), "{image}");
    }
}

#[test]
fn a_container_is_preferred_to_its_folder_and_listed_once() {
    let tmp = tempfile::tempdir().unwrap();
    library(tmp.path(), &format!("mnt/user/appdata/plex/{LINUX}"));
    // The same share under its second name.
    fs::create_dir_all(tmp.path().join("mnt/cache")).unwrap();
    std::os::unix::fs::symlink(
        tmp.path().join("mnt/user/appdata"),
        tmp.path().join("mnt/cache/appdata"),
    )
    .unwrap();
    let container = inspected("plex", "lscr.io/linuxserver/plex", "/mnt/user/appdata/plex", "32401");
    let found = find(tmp.path(), std::slice::from_ref(&container));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].url.as_deref(), Some("http://127.0.0.1:32401"));
    let data_dir = tmp.path().join("mnt/cache/appdata/plex").join(LINUX);
    assert_eq!(of(&data_dir, tmp.path(), &[container]).unwrap().what, found[0].what);
    assert_eq!(of(&tmp.path().join("elsewhere"), tmp.path(), &[]), None);
}

#[test]
fn companions_of_plex_are_not_taken_for_it() {
    let tmp = tempfile::tempdir().unwrap();
    library(tmp.path(), &format!("data/plex/{LINUX}"));
    for image in [
        "lscr.io/linuxserver/tautulli",
        "kometateam/kometa:plex",
        "sctx/overseerr",
        "linuxserver/sonarr",
    ] {
        assert_eq!(
            find(tmp.path(), &[inspected("helper", image, "/data/plex", "8181")]),
            []
        );
    }
}

#[test]
fn several_are_all_listed_those_with_commands_first() {
    let tmp = tempfile::tempdir().unwrap();
    library(tmp.path(), &format!("home/ann/plex/{LINUX}"));
    library(tmp.path(), &format!("var/lib/plexmediaserver/{LINUX}"));
    let found = find(tmp.path(), &[]);
    assert_eq!(
        found.iter().map(|f| f.stop.is_some()).collect::<Vec<_>>(),
        [true, false]
    );
}

#[test]
fn what_only_looks_like_it_is_not_found() {
    let tmp = tempfile::tempdir().unwrap();
    // An installation that was never started has no library.
    fs::create_dir_all(
        tmp.path()
            .join(format!("var/lib/plexmediaserver/{LINUX}/Plug-in Support/Databases")),
    )
    .unwrap();
    assert_eq!(find(tmp.path(), &[]), []);
}

#[test]
fn what_the_configuration_leaves_open_is_filled() {
    let tmp = tempfile::tempdir().unwrap();
    library(tmp.path(), &format!("var/lib/plexmediaserver/{LINUX}"));
    let one = find(tmp.path(), &[]);
    let mut home = crate::config::Home::default();
    assert_eq!(fill(&mut home, &one).len(), 3);
    assert_eq!(home.data_dir.as_ref(), Some(&one[0].data_dir));
    assert_eq!(home.stop, one[0].stop);
    assert_eq!(fill(&mut home, &one), Vec::<String>::new());

    // What the user set stays; of two servers neither is taken unasked.
    library(tmp.path(), &format!("mnt/user/appdata/plex/{LINUX}"));
    let two = find(tmp.path(), &[]);
    let mut home = crate::config::Home::default();
    assert_eq!(fill(&mut home, &two), Vec::<String>::new());
    assert_eq!(home.data_dir, None);
    let mut home = crate::config::Home {
        data_dir: Some(one[0].data_dir.clone()),
        stop: words(&["true"]),
        ..Default::default()
    };
    assert_eq!(fill(&mut home, &two).len(), 1);
    assert_eq!((home.stop, home.start), (words(&["true"]), one[0].start.clone()));
    let mut elsewhere = crate::config::Home {
        data_dir: Some(tmp.path().to_path_buf()),
        ..Default::default()
    };
    assert_eq!(fill(&mut elsewhere, &two), Vec::<String>::new());
}
