//! How much a mount may take: of the disk for its cache, of the memory for buffers, of the line for connections.
//!
//! Four profiles by name, with the cache sizes, transfers and checkers of the earlier scripts (facts/legacy.md §4), and one
//! made of the machine itself. Buffers and chunks are not theirs: 64M and 32M fetch whole files when a scan only wants
//! head and tail. Measured with rclone 1.75 on six files of 40 MB, 128 KiB read of each: 240 MB with their lite values,
//! 48 MB with 16M/4M, 10.6 MB with 4M/4M, 1.3 MB with 0/1M.

use std::path::Path;

use super::error::{Error, io_error};
use crate::config::MountProfile;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Free space that a cache leaves alone on a large disk, also for the databases beside it.
const FREE: u64 = 2 * GIB;
/// Files that Plex may have open at once: a scanner, a few analysers and its transcoder.
const OPEN: u64 = 16;

/// What the mount's options are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What a person calls it.
    pub name: &'static str,
    /// Bytes that the cache may take.
    pub cache: u64,
    /// Bytes that stay free on the cache's disk.
    pub free: u64,
    /// Memory per open file.
    pub buffer: u64,
    /// First piece that is asked for of a file.
    pub chunk: u64,
    /// Pieces of one file at the same time, for who reads it whole.
    pub streams: u32,
    /// rclone's transfers.
    pub transfers: u32,
    /// rclone's checkers: folders listed at the same time.
    pub checkers: u32,
}

/// A machine as far as a mount is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Bytes of memory.
    pub memory: u64,
    /// Processors that may be used.
    pub cpus: u32,
    /// Bytes that are free on the cache's disk.
    pub disk: u64,
}

impl Machine {
    /// This one, with the cache in `dir`.
    ///
    /// # Errors
    /// Its disk cannot be asked.
    pub fn this(dir: &Path) -> Result<Self, Error> {
        let doing = || format!("ask for the free space of {}", dir.display());
        let stat = rustix::fs::statvfs(dir).map_err(|error| io_error(doing())(error.into()))?;
        let text = std::fs::read_to_string("/proc/meminfo").map_err(io_error("read /proc/meminfo"))?;
        let kib = text.lines().find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse()
                .ok()
        });
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            memory: kib.unwrap_or(1 << 20) * 1024,
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
            disk: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

impl Profile {
    /// The named one, or one made of the machine; never more cache than half of what is free.
    #[must_use]
    pub fn of(named: Option<MountProfile>, machine: Machine) -> Self {
        // A disk of a few hundred megabytes cannot keep two gigabytes free.
        let free = FREE.min(machine.disk / 10);
        let most = (machine.disk / 2).min(machine.disk - free);
        let (name, cache, step) = match named {
            Some(MountProfile::Lite) => ("lite", 5 * GIB, 0),
            Some(MountProfile::Standard) => ("standard", 10 * GIB, 1),
            Some(MountProfile::Power) => ("power", 20 * GIB, 2),
            Some(MountProfile::Superpower) => ("superpower", 20 * GIB, 3),
            None => {
                let by_cpus = match machine.cpus {
                    0..=2 => 0,
                    3..=6 => 1,
                    7..=12 => 2,
                    _ => 3,
                };
                // No more than an eighth of the memory for buffers.
                let by_memory = match machine.memory / 8 / OPEN / MIB {
                    0..=3 => 0,
                    4..=15 => 1,
                    16..=63 => 2,
                    _ => 3,
                };
                ("by the machine", most, by_cpus.min(by_memory))
            }
        };
        let (buffer, chunk, streams, transfers, checkers) = match step {
            0 => (MIB, MIB, 1, 2, 4),
            1 => (2 * MIB, 2 * MIB, 2, 4, 8),
            2 => (4 * MIB, 4 * MIB, 4, 16, 32),
            _ => (4 * MIB, 4 * MIB, 8, 32, 64),
        };
        Self {
            name,
            cache: cache.min(most),
            free,
            buffer,
            chunk,
            streams,
            transfers,
            checkers,
        }
    }

    /// The same with at most so many connections; why is said in docs/media.md: a home router's table.
    #[must_use]
    pub fn capped(mut self, connections: u32) -> Self {
        self.streams = self.streams.min(connections);
        self.transfers = self.transfers.min(connections);
        self.checkers = self.checkers.min(connections);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: Machine = Machine {
        memory: 64 * GIB,
        cpus: 16,
        disk: 100 * GIB,
    };

    #[test]
    fn by_name_with_the_numbers_of_the_earlier_scripts() {
        let of = |named| Profile::of(Some(named), LARGE);
        let numbers = |profile: Profile| (profile.cache / GIB, profile.transfers, profile.checkers);
        assert_eq!(numbers(of(MountProfile::Lite)), (5, 2, 4));
        assert_eq!(numbers(of(MountProfile::Standard)), (10, 4, 8));
        assert_eq!(numbers(of(MountProfile::Power)), (20, 16, 32));
        assert_eq!(numbers(of(MountProfile::Superpower)), (20, 32, 64));
    }

    #[test]
    fn by_the_machine() {
        let of = |memory, cpus, disk| Profile::of(None, Machine { memory, cpus, disk });
        let small = of(2 * GIB, 2, 20 * GIB);
        assert_eq!((small.cache / GIB, small.transfers, small.free / GIB), (10, 2, 2));
        assert_eq!(of(64 * GIB, 16, 100 * GIB).transfers, 32);
        // Many processors with little memory are no large machine.
        assert_eq!(of(GIB, 16, 100 * GIB).transfers, 4);
        let tiny = of(2 * GIB, 2, 8 * MIB);
        assert!(tiny.cache + tiny.free <= 8 * MIB && tiny.free > 0, "{tiny:?}");
        let capped = Profile::of(Some(MountProfile::Superpower), LARGE).capped(16);
        assert_eq!((capped.transfers, capped.checkers, capped.streams), (16, 16, 8));
    }

    #[test]
    fn this_machine_can_be_asked() {
        let machine = Machine::this(Path::new("/")).unwrap();
        assert!(
            machine.memory > 1 << 26 && machine.cpus > 0 && machine.disk > 0,
            "{machine:?}"
        );
    }
}
