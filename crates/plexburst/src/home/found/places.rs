//! The places of installations without a container (facts/plex.md §4.1), and the folders in which a NAS keeps those of
//! containers, for when Docker cannot be asked.

use std::path::{Path, PathBuf};

use super::{Found, is_data_dir, words};

/// Below an "Application Support" of Plex's own.
const LINUX: &str = "Library/Application Support/Plex Media Server";

struct Place {
    what: &'static str,
    /// From the top; a component may end in `*`.
    pattern: String,
    stop: &'static [&'static str],
    start: &'static [&'static str],
}

/// In the order in which they are looked at.
fn places() -> Vec<Place> {
    let place = |what, pattern: String, stop, start| Place {
        what,
        pattern,
        stop,
        start,
    };
    let mut places = vec![
        place(
            "Plex's package",
            format!("var/lib/plexmediaserver/{LINUX}"),
            &["systemctl", "stop", "plexmediaserver"][..],
            &["systemctl", "start", "plexmediaserver"][..],
        ),
        place(
            "the snap",
            format!("var/snap/plexmediaserver/common/{LINUX}"),
            &["snap", "stop", "plexmediaserver"],
            &["snap", "start", "plexmediaserver"],
        ),
        // DSM 7 made a share of its own for it and took the spaces out of the package's name; DSM 6 had "Plex".
        place(
            "Synology's package (DSM 7)",
            "volume*/PlexMediaServer/AppData/Plex Media Server".into(),
            &["/usr/syno/bin/synopkg", "stop", "PlexMediaServer"],
            &["/usr/syno/bin/synopkg", "start", "PlexMediaServer"],
        ),
        place(
            "Synology's package (DSM 6)",
            format!("volume*/Plex/{LINUX}"),
            &["/usr/syno/bin/synopkg", "stop", "Plex Media Server"],
            &["/usr/syno/bin/synopkg", "start", "Plex Media Server"],
        ),
    ];
    for volume in ["CACHEDEV*", "ZFS*", "MD*", "HDA*"] {
        places.push(place(
            "QNAP's package",
            format!("share/{volume}/.qpkg/PlexMediaServer/Library/Plex Media Server"),
            &["/etc/init.d/plex.sh", "stop"],
            &["/etc/init.d/plex.sh", "start"],
        ));
    }
    // Containers whose engine cannot be asked: found, but how they are stopped is for the user to say.
    for share in [
        "mnt/user",
        "mnt/cache",
        "volume*/docker",
        "share/Container",
        "opt",
        "srv",
        "home/*",
    ] {
        for image in ["appdata/*", "*"] {
            for inside in [
                LINUX,
                "config/Library/Application Support/Plex Media Server",
                "Plex Media Server",
            ] {
                places.push(place(
                    "a container's folder",
                    format!("{share}/{image}/{inside}"),
                    &[],
                    &[],
                ));
            }
        }
        // hotio's image has the data in /config itself.
        places.push(place("a container's folder", format!("{share}/appdata/*"), &[], &[]));
    }
    places
}

/// The libraries in the known places below `root`.
pub(super) fn libraries(root: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    for place in places() {
        for data_dir in expand(root, &place.pattern) {
            if is_data_dir(&data_dir) {
                found.push(Found {
                    what: place.what.to_owned(),
                    data_dir,
                    stop: words(place.stop).filter(|words| !words.is_empty()),
                    start: words(place.start).filter(|words| !words.is_empty()),
                    url: None,
                    plex_sqlite: None,
                });
            }
        }
    }
    found
}

/// The folders that match `pattern` below `root`.
fn expand(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut folders = vec![root.to_path_buf()];
    for component in pattern.split('/') {
        folders = match component.strip_suffix('*') {
            None => folders
                .iter()
                .map(|dir| dir.join(component))
                .filter(|dir| dir.is_dir())
                .collect(),
            Some(beginning) => {
                let mut next = Vec::new();
                for dir in &folders {
                    // What may not be read holds nothing for us.
                    let Ok(entries) = std::fs::read_dir(dir) else { continue };
                    next.extend(
                        entries
                            .filter_map(Result::ok)
                            .filter(|entry| entry.file_name().to_string_lossy().starts_with(beginning))
                            .map(|entry| entry.path())
                            .filter(|path| path.is_dir()),
                    );
                }
                next.sort();
                next
            }
        };
    }
    folders
}
