//! The room that a burst needs, per file system, said before anything is taken.
//!
//! At home three copies of the library stand beside it while a result is imported: the base, the result, and home as the
//! merge saw it. Where the file system can share blocks they are no more than what differs. Where there is room for two
//! only, the third is done without: what the household did is then merged while Plex is stopped, which takes seconds
//! longer ([`Copies::Two`]).

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::term;

/// Room left over on every disk that a burst writes to.
const SPARE: u64 = 64 << 20;
/// What a burst is taken to change, as a share of the library: the reference burst changes 3 % of the pages.
const CHANGED: u64 = 8;

/// How many copies of the library stand beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// Three that share their blocks with it.
    Shared,
    /// Base, result, and home as the merge saw it.
    Three,
    /// Base and result.
    Two,
}

/// Where a burst writes.
#[derive(Debug, Clone)]
pub struct Places {
    /// Beside home's databases; `None` when there is no home.
    pub area: Option<PathBuf>,
    /// The depot, where it is a folder of this machine.
    pub depot: Option<PathBuf>,
    /// The worker, where it is this machine.
    pub worker: Option<PathBuf>,
    /// The burst's own folder.
    pub state: PathBuf,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// How the copies at home are kept.
    pub copies: Copies,
    /// One line per file system.
    pub lines: Vec<String>,
}

/// Whether `places` have room for a burst on a library of so many bytes.
///
/// # Errors
/// One has not, with what would be enough; a file system cannot be asked.
pub fn check(places: &Places, library: u64) -> Result<Room> {
    let shares = match &places.area {
        Some(area) => plex_library::publish::can_share_blocks(&existing(area)).unwrap_or(false),
        None => false,
    };
    let mut disks = Vec::new();
    for path in paths(places) {
        let path = existing(path);
        let meta = std::fs::metadata(&path)
            .map_err(|e| Error::failed(format!("cannot look at {}", path.display())).because(e))?;
        disks.push(Disk {
            device: meta.dev(),
            free: free_bytes(&path)?,
            path,
        });
    }
    settle(places, &disks, library, shares)
}

/// Whether one more copy of the library has room in the area, with home as the merge sees it.
///
/// # Errors
/// The file system cannot be asked.
pub fn has_for_another(area: &Path, library: u64) -> Result<bool> {
    let area = existing(area);
    let needed = match plex_library::publish::can_share_blocks(&area) {
        Ok(true) => library / CHANGED,
        _ => library,
    };
    Ok(free_bytes(&area)? >= needed + SPARE)
}

#[derive(Debug)]
struct Disk {
    device: u64,
    free: u64,
    path: PathBuf,
}

fn paths(places: &Places) -> impl Iterator<Item = &Path> {
    [
        places.area.as_deref(),
        places.depot.as_deref(),
        places.worker.as_deref(),
        Some(places.state.as_path()),
    ]
    .into_iter()
    .flatten()
}

/// `disks` are those of [`paths`], in that order.
fn settle(places: &Places, disks: &[Disk], library: u64, shares: bool) -> Result<Room> {
    let choices: &[Copies] = if shares {
        &[Copies::Shared]
    } else {
        &[Copies::Three, Copies::Two]
    };
    let mut refused = Error::unexpected("there is no way to keep the copies of a library");
    for &copies in choices {
        match with(copies, places, disks, library) {
            Ok(lines) => return Ok(Room { copies, lines }),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn with(copies: Copies, places: &Places, disks: &[Disk], library: u64) -> Result<Vec<String>> {
    let changes = library / CHANGED;
    let at_home = match copies {
        Copies::Shared => 3 * changes,
        Copies::Three => 3 * library,
        Copies::Two => 2 * library,
    };
    let mut needs = Vec::new();
    if places.area.is_some() {
        let what = match copies {
            Copies::Shared => "copies at home, which share its blocks",
            Copies::Three => "3 copies of the library at home",
            Copies::Two => "2 copies of the library at home",
        };
        needs.push((at_home, what));
    }
    if places.depot.is_some() {
        // Plex's databases come down to 40 % by zstd; half is on the safe side.
        needs.push((library / 2 + changes, "the depot"));
    }
    if places.worker.is_some() {
        needs.push((2 * library + changes, "the worker"));
    }
    // Without a home the copies stand in the burst's own folder.
    let (state, what) = match places.area {
        Some(_) => (changes, "what comes home"),
        None => (2 * library + changes, "the copies of the library"),
    };
    needs.push((state, what));

    let mut by_disk: BTreeMap<u64, (&Disk, u64, Vec<String>)> = BTreeMap::new();
    for (disk, (bytes, what)) in disks.iter().zip(needs) {
        let entry = by_disk.entry(disk.device).or_insert((disk, SPARE, Vec::new()));
        entry.1 += bytes;
        entry.2.push(format!("{what} {}", term::bytes(bytes)));
    }
    let mut lines = Vec::new();
    for (disk, needed, what) in by_disk.into_values() {
        let path = disk.path.display();
        if disk.free < needed {
            return Err(Error::refused(format!(
                "the disk of {path} has {} free, and a burst needs {} there at most ({})",
                term::bytes(disk.free),
                term::bytes(needed),
                what.join(", ")
            ))
            .hint(
                "free some space there (`plexburst rollback --list` shows the libraries that are kept, `home.keep_previous` \
                 how many), or put `depot.directory`, `worker.directory` or `state_dir` on another disk",
            ));
        }
        lines.push(format!(
            "{} free on the disk of {path}, {} needed at most ({})",
            term::bytes(disk.free),
            term::bytes(needed),
            what.join(", ")
        ));
    }
    if copies == Copies::Two {
        lines.push(
            "there is no room for a third copy at home: what the household does is merged while Plex is stopped"
                .to_owned(),
        );
    }
    Ok(lines)
}

/// The folder itself, or what is there of the way to it.
fn existing(path: &Path) -> PathBuf {
    path.ancestors()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("/"))
        .to_owned()
}

fn free_bytes(dir: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(dir).map_err(|e| {
        Error::failed(format!("cannot ask for the free space of {}", dir.display())).because(std::io::Error::from(e))
    })?;
    Ok(stat.f_bavail * stat.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn places() -> Places {
        Places {
            area: Some("/home/area".into()),
            depot: Some("/depot".into()),
            worker: Some("/worker".into()),
            state: "/state".into(),
        }
    }

    fn disks(free: [u64; 4], devices: [u64; 4]) -> Vec<Disk> {
        let names = ["/home/area", "/depot", "/worker", "/state"];
        (0..4)
            .map(|at| Disk {
                device: devices[at],
                free: free[at] * MIB,
                path: names[at].into(),
            })
            .collect()
    }

    #[test]
    fn each_disk_is_counted_once_for_all_that_lies_on_it() {
        let library = 800 * MIB;
        // 2400 at home, 500 in the depot, 1700 for the worker, 100 of what comes, and the spare.
        let one = |free| settle(&places(), &disks([free; 4], [1; 4]), library, false);
        let enough = 2400 + 500 + 1700 + 100 + 64;
        assert_eq!(one(enough).unwrap().copies, Copies::Three);
        let less = one(enough - 1).unwrap();
        assert_eq!(less.copies, Copies::Two);
        assert!(less.lines.last().unwrap().contains("while Plex is stopped"));
        assert_eq!(one(enough - 800).unwrap().copies, Copies::Two);
        let refused = one(enough - 801).unwrap_err();
        assert_eq!(refused.exit(), crate::exit::REFUSED);
        assert!(refused.chain().contains("/home/area"), "{}", refused.chain());
        // Blocks that are shared cost only what differs.
        let shared = settle(&places(), &disks([2664; 4], [1; 4]), library, true).unwrap();
        assert_eq!(shared.copies, Copies::Shared);
        // A depot elsewhere makes room here, and is counted there.
        let apart = settle(&places(), &disks([2464, 564, 1964, 1964], [1, 2, 3, 3]), library, false).unwrap();
        assert_eq!((apart.copies, apart.lines.len()), (Copies::Three, 3));
        let refused = settle(&places(), &disks([2464, 563, 1964, 1964], [1, 2, 3, 3]), library, false).unwrap_err();
        assert!(refused.chain().contains("/depot"), "{}", refused.chain());
    }

    #[test]
    fn a_place_that_is_not_made_yet_is_asked_for_where_it_will_be() {
        let tmp = tempfile::tempdir().unwrap();
        let places = Places {
            area: None,
            depot: None,
            worker: None,
            state: tmp.path().join("not/yet"),
        };
        let room = check(&places, 1).unwrap();
        assert_eq!(room.lines.len(), 1);
        assert!(room.lines[0].contains(&tmp.path().display().to_string()), "{room:?}");
        assert!(has_for_another(&places.state, 1).unwrap());
        assert!(!has_for_another(&places.state, u64::MAX / 2).unwrap());
    }
}
