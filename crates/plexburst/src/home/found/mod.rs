//! Where Plex lies on the machines that people run it on, and how its server is stopped and started there.
//!
//! A place counts only when a library is really in it: names and images are hints, the file is the proof. Guarantees:
//! nothing is changed, nothing outside of the known places and the mounts of containers is walked through, and a
//! container is never taken for home on its name alone.

mod containers;
mod places;

use std::path::{Path, PathBuf};

pub use containers::{Container, containers};

use plex_library::LIBRARY_DB;

/// A Plex server's data that was found on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What kind of installation it is, in a person's words.
    pub what: String,
    /// The folder "Plex Media Server" (for some images the folder that stands for it).
    pub data_dir: PathBuf,
    /// The command that stops the server; `None` when it could not be told.
    pub stop: Option<Vec<String>>,
    /// The command that starts it.
    pub start: Option<Vec<String>>,
    /// Where it answers, when that is not the usual address.
    pub url: Option<String>,
    /// The command that runs its `Plex SQLite`, where that is known to lie.
    pub plex_sqlite: Option<Vec<String>>,
}

/// How deep a container's mount is searched for the library: facts/plex.md §4.1 (8 from the top, three of them known).
const DEPTH: usize = 5;

/// Every library of a Plex server below `root` (`/` on a real machine), with the containers that the machine has.
///
/// One that several ways lead to is listed once, as the one that can be stopped and started; the order is that of how
/// much is known, then of the paths.
#[must_use]
pub fn find(root: &Path, containers: &[Container]) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let of_containers = containers.iter().flat_map(|container| container.libraries(root));
    for new in of_containers.chain(places::libraries(root)) {
        let same = |old: &Found| same_folder(&old.data_dir, &new.data_dir);
        if !found.iter().any(same) {
            found.push(new);
        }
    }
    found.sort_by_key(|f| (f.stop.is_none(), f.data_dir.clone()));
    found
}

/// Fills what the configuration leaves open about home with what this machine shows: the data folder when there is just
/// one server, the commands that stop and start it, its address. Gives a line for each thing that was found out.
pub fn settle(home: &mut crate::config::Home) -> Vec<String> {
    if home.data_dir.is_some() && home.stop.is_some() && home.start.is_some() {
        return Vec::new();
    }
    let (containers, _) = containers();
    fill(home, &find(Path::new("/"), &containers))
}

/// [`settle`] from what was found.
fn fill(home: &mut crate::config::Home, all: &[Found]) -> Vec<String> {
    let mut notes = Vec::new();
    let found = match &home.data_dir {
        Some(data_dir) => all.iter().find(|found| same_folder(&found.data_dir, data_dir)),
        // Of several the user has to say which.
        None => all.first().filter(|_| all.len() == 1),
    };
    let Some(found) = found else { return notes };
    if home.data_dir.is_none() {
        notes.push(format!("home is {}: {}", found.what, found.data_dir.display()));
        home.data_dir = Some(found.data_dir.clone());
    }
    for (key, slot, command) in [
        ("home.stop", &mut home.stop, &found.stop),
        ("home.start", &mut home.start, &found.start),
    ] {
        if slot.is_none()
            && let Some(words) = command
        {
            notes.push(format!("{key}: {} ({})", words.join(" "), found.what));
            *slot = Some(words.clone());
        }
    }
    if home.url.is_none() {
        home.url.clone_from(&found.url);
    }
    if home.plex_sqlite.is_none() {
        home.plex_sqlite.clone_from(&found.plex_sqlite);
    }
    notes
}

/// What is known of the installation whose data is `data_dir`.
#[must_use]
pub fn of(data_dir: &Path, root: &Path, containers: &[Container]) -> Option<Found> {
    find(root, containers)
        .into_iter()
        .find(|found| same_folder(&found.data_dir, data_dir))
}

/// One folder may have several names (`/mnt/user` and `/mnt/cache` of Unraid, links of a NAS).
fn same_folder(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| std::fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
    one == other || id(one).is_some_and(|id_of_one| Some(id_of_one) == id(other))
}

/// Whether a library lies in `dir`.
fn is_data_dir(dir: &Path) -> bool {
    dir.join("Plug-in Support/Databases").join(LIBRARY_DB).is_file()
}

/// The folders below `dir` that hold a library, not deeper than [`DEPTH`]; symbolic links are not followed, so that no
/// circle is walked.
fn below(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if is_data_dir(dir) {
        found.push(dir.to_path_buf());
        return;
    }
    if depth == 0 {
        return;
    }
    // What may not be read holds nothing for us.
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            entry.file_type().ok()?.is_dir().then(|| entry.path())
        })
        .collect();
    folders.sort();
    for folder in folders {
        below(&folder, depth - 1, found);
    }
}

/// A command as a list of words.
fn words(command: &[&str]) -> Option<Vec<String>> {
    Some(command.iter().map(|word| (*word).to_owned()).collect())
}

#[cfg(test)]
mod tests;
