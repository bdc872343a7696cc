//! The room that a burst needs, per file system, said before anything is taken.
//!
//! At home two copies of the library stand beside it while a result is imported: the base and the result. Home as the merge
//! saw it lies over the base and costs what changed ([`plex_library::layered`]). Where the file system can share blocks both
//! are no more than what differs. What is said is the most that is in use at one time, stage by stage: what one stage
//! gives back the next may have.
//!
//! Where there is room for the two copies and for nothing more, home is not copied for the merge: what the household did is
//! then merged while Plex is stopped, which takes seconds longer ([`Copies::Bare`]).

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
    /// Base and result share their blocks with it.
    Shared,
    /// Base and result, and what home changed.
    Two,
    /// Base and result alone.
    Bare,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The library goes to a worker and comes back.
    Burst,
    /// A result comes out of an archive.
    Import,
    /// A library that is kept is put in place.
    Rollback,
}

/// Where a burst writes.
#[derive(Debug, Clone)]
pub struct Places {
    /// What for.
    pub work: Work,
    /// Beside home's databases; `None` when there is no home.
    pub area: Option<PathBuf>,
    /// The depot, where it is a folder of this machine.
    pub depot: Option<PathBuf>,
    /// The worker, where it is this machine.
    pub worker: Option<PathBuf>,
    /// Its folder is kept when it is done.
    pub worker_stays: bool,
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
    /// The most that is in use at one time on the disk of the area; without one, of the burst's own folder.
    pub at_home: u64,
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

/// Whether what changed at home has room in the area, for the copy of home that lies over the base.
///
/// # Errors
/// The file system cannot be asked.
pub fn has_for_changes(area: &Path, library: u64) -> Result<bool> {
    Ok(free_bytes(&existing(area))? >= library / CHANGED + SPARE)
}

#[derive(Debug)]
struct Disk {
    device: u64,
    free: u64,
    path: PathBuf,
}

/// What lies where in one stage of a burst.
#[derive(Debug, Default)]
struct Stage {
    area: (u64, &'static str),
    depot: u64,
    worker: u64,
    state: (u64, &'static str),
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

/// The stages, from the first copy to the swap.
fn stages(copies: Copies, places: &Places, library: u64) -> Vec<Stage> {
    let changes = library / CHANGED;
    // Plex's databases come down to 40 % by zstd; half is on the safe side.
    let packed = library / 2;
    let unpacked = (library, "what is unpacked");
    let indexing = 2 * library + changes;
    let left = if places.worker_stays { indexing } else { 0 };
    let (one, two) = match copies {
        // What home writes meanwhile is no longer shared; of the result what the worker changed; and home over the base.
        Copies::Shared => (changes, (3 * changes, "copies at home, which share its blocks")),
        Copies::Two => (
            library,
            (
                2 * library + changes,
                "2 copies of the library at home, and what changed",
            ),
        ),
        Copies::Bare => (library, (2 * library, "2 copies of the library at home")),
    };
    match (places.work, &places.area) {
        (Work::Rollback, _) => vec![Stage {
            area: two,
            ..Stage::default()
        }],
        // What comes out of an archive shares nothing with home, whatever the file system can.
        (Work::Import, _) => vec![
            Stage {
                area: (library, "the result"),
                state: unpacked,
                ..Stage::default()
            },
            Stage {
                area: match copies {
                    Copies::Shared => (library + 2 * changes, "the result, and copies that share its blocks"),
                    Copies::Two | Copies::Bare => two,
                },
                state: (changes, "bundles"),
                ..Stage::default()
            },
        ],
        (Work::Burst, None) => vec![
            Stage {
                state: (2 * library, "what is unpacked, and its copy"),
                depot: packed,
                ..Stage::default()
            },
            Stage {
                state: (library, "the base"),
                depot: packed + changes,
                worker: indexing,
                ..Stage::default()
            },
            Stage {
                state: (2 * library + 2 * changes, "2 copies of the library, and what changed"),
                depot: packed + changes,
                worker: left,
                ..Stage::default()
            },
        ],
        (Work::Burst, Some(_)) => vec![
            Stage {
                area: (one, "the base at home"),
                state: (packed, "the library compressed"),
                depot: packed,
                ..Stage::default()
            },
            Stage {
                area: (one, "the base at home"),
                depot: packed + changes,
                worker: indexing,
                ..Stage::default()
            },
            Stage {
                area: two,
                state: (changes, "what comes home"),
                depot: packed + changes,
                worker: left,
            },
        ],
    }
}

/// `disks` are those of [`paths`], in that order.
fn settle(places: &Places, disks: &[Disk], library: u64, shares: bool) -> Result<Room> {
    let choices: &[Copies] = if shares {
        &[Copies::Shared]
    } else {
        &[Copies::Two, Copies::Bare]
    };
    let mut refused = Error::unexpected("there is no way to keep the copies of a library");
    for &copies in choices {
        match with(copies, places, disks, library) {
            Ok(room) => return Ok(room),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// The most that is in use on a disk at one time, and by what.
#[derive(Debug, Default)]
struct Peak {
    bytes: u64,
    by: Vec<String>,
}

fn peaks(copies: Copies, places: &Places, disks: &[Disk], library: u64) -> BTreeMap<u64, Peak> {
    let mut peaks: BTreeMap<u64, Peak> = BTreeMap::new();
    for stage in stages(copies, places, library) {
        let mut needs = Vec::new();
        if places.area.is_some() {
            needs.push(stage.area);
        }
        if places.depot.is_some() {
            needs.push((stage.depot, "the depot"));
        }
        if places.worker.is_some() {
            needs.push((stage.worker, "the worker"));
        }
        needs.push(stage.state);
        let mut here: BTreeMap<u64, Peak> = BTreeMap::new();
        for (disk, (bytes, what)) in disks.iter().zip(needs) {
            let peak = here.entry(disk.device).or_default();
            peak.bytes += bytes;
            if bytes > 0 {
                peak.by.push(format!("{what} {}", term::bytes(bytes)));
            }
        }
        for (device, peak) in here {
            let most = peaks.entry(device).or_default();
            if peak.bytes > most.bytes {
                *most = peak;
            }
        }
    }
    peaks
}

fn with(copies: Copies, places: &Places, disks: &[Disk], library: u64) -> Result<Room> {
    let mut lines = Vec::new();
    let peaks = peaks(copies, places, disks, library);
    let home = match places.area {
        Some(_) => disks.first(),
        None => disks.last(),
    };
    let at_home = home.map_or(0, |disk| peaks[&disk.device].bytes);
    for (device, peak) in peaks {
        let Some(disk) = disks.iter().find(|disk| disk.device == device) else {
            continue;
        };
        let (path, needed) = (disk.path.display(), peak.bytes + SPARE);
        if disk.free < needed {
            return Err(Error::refused(format!(
                "the disk of {path} has {} free, and a burst needs {} there at most ({})",
                term::bytes(disk.free),
                term::bytes(needed),
                peak.by.join(", ")
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
            peak.by.join(", ")
        ));
    }
    if copies == Copies::Bare {
        lines.push(
            "there is room for two copies at home and no more: what the household does is merged while Plex is stopped"
                .to_owned(),
        );
    }
    Ok(Room { copies, lines, at_home })
}

/// The folder itself, or what is there of the way to it.
fn existing(path: &Path) -> PathBuf {
    path.ancestors()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("/"))
        .to_owned()
}

/// Bytes that are free where `dir` is.
///
/// # Errors
/// The file system cannot be asked.
pub fn free_bytes(dir: &Path) -> Result<u64> {
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
            work: Work::Burst,
            area: Some("/home/area".into()),
            depot: Some("/depot".into()),
            worker: Some("/worker".into()),
            worker_stays: false,
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
        let one = |free| settle(&places(), &disks([free; 4], [1; 4]), library, false);
        // While the worker works: the base, 500 in the depot, 1700 for the worker, and the spare. The import needs less.
        let enough = 800 + 500 + 1700 + 64;
        let room = one(enough).unwrap();
        assert_eq!((room.copies, room.at_home), (Copies::Two, 3000 * MIB));
        assert!(room.lines[0].contains("the worker"), "{room:?}");
        let refused = one(enough - 1).unwrap_err();
        assert_eq!(refused.exit(), crate::exit::REFUSED);
        assert!(refused.chain().contains("/home/area"), "{}", refused.chain());
        // Each on a disk of its own: at home two copies and what changed, or two copies alone.
        let apart = |at_home, depot| {
            let disks = disks([at_home, depot, 1764, 464], [1, 2, 3, 4]);
            settle(&places(), &disks, library, false)
        };
        let two = apart(1764, 564).unwrap();
        assert_eq!((two.copies, two.lines.len(), two.at_home), (Copies::Two, 4, 1700 * MIB));
        let bare = apart(1763, 564).unwrap();
        assert_eq!((bare.copies, bare.at_home), (Copies::Bare, 1600 * MIB));
        assert!(bare.lines.last().unwrap().contains("while Plex is stopped"));
        assert_eq!(apart(1664, 564).unwrap().copies, Copies::Bare);
        assert!(apart(1663, 564).unwrap_err().chain().contains("/home/area"));
        assert!(apart(1764, 563).unwrap_err().chain().contains("/depot"));
        // Blocks that are shared cost only what differs.
        let disks = disks([364, 564, 1764, 464], [1, 2, 3, 4]);
        let shared = settle(&places(), &disks, library, true).unwrap();
        assert_eq!((shared.copies, shared.at_home), (Copies::Shared, 300 * MIB));
    }

    #[test]
    fn an_import_and_a_rollback_need_no_worker_and_no_depot() {
        let library = 800 * MIB;
        let at_home = |work, devices: [u64; 2], shares| {
            let places = Places {
                work,
                depot: None,
                worker: None,
                ..places()
            };
            let mut disks = disks([9000; 4], [devices[0], 0, 0, devices[1]]);
            disks.retain(|disk| disk.device > 0);
            settle(&places, &disks, library, shares).unwrap().at_home / MIB
        };
        // What is unpacked goes before the base is made.
        assert_eq!(at_home(Work::Import, [1, 1], false), 1800);
        assert_eq!(at_home(Work::Import, [1, 2], false), 1700);
        assert_eq!(at_home(Work::Import, [1, 2], true), 1000);
        assert_eq!(at_home(Work::Rollback, [1, 1], false), 1700);
        assert_eq!(at_home(Work::Rollback, [1, 1], true), 300);
    }

    #[test]
    fn a_place_that_is_not_made_yet_is_asked_for_where_it_will_be() {
        let tmp = tempfile::tempdir().unwrap();
        let places = Places {
            work: Work::Burst,
            area: None,
            depot: None,
            worker: None,
            worker_stays: false,
            state: tmp.path().join("not/yet"),
        };
        let room = check(&places, 1).unwrap();
        assert_eq!(room.lines.len(), 1);
        assert!(room.lines[0].contains(&tmp.path().display().to_string()), "{room:?}");
        assert!(has_for_changes(&places.state, 1).unwrap());
        assert!(!has_for_changes(&places.state, u64::MAX / 2).unwrap());
    }
}
