//! Which parts of a file the mount's cache holds.
//!
//! A read that the cache answers says nothing about the store: a probe reads where nothing is cached. Two things tell, and
//! what either of them names is held. rclone's note says what was held when the file was last closed, and rclone keeps it
//! open for seconds after its last reader (`--vfs-handle-caching`), for hours when Plex has it open. The cache's own file
//! has holes where nothing was fetched, at any moment; a disk that knows no holes makes all of it held. Only files of the
//! worker's own disk are looked at here, never the mount.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;
use serde::Deserialize;

use super::control::{CachePlaces, Control};
use super::proof::Cache;
use super::sample::Random;

/// A mount and its cache, by which a file's cached parts are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The mount point.
    pub(super) mount: PathBuf,
    /// The cache's folders.
    pub(super) places: CachePlaces,
}

/// Bytes from `start` up to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    start: u64,
    end: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    rs: Option<Vec<Piece>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Piece {
    pos: u64,
    size: u64,
}

/// The parts of a file that are not cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Uncached(Vec<Range>);

impl Held {
    /// What the cache of the mount at `mount` lets see of itself.
    pub(super) async fn of(mount: &Path, control: Option<&Control>) -> Cache {
        let places = match control {
            Some(control) => control.places().await,
            None => None,
        };
        places.map_or(Cache::Unseen, |places| {
            Cache::Seen(Self {
                mount: mount.to_owned(),
                places,
            })
        })
    }

    /// What is not cached of a file of the mount that is `length` bytes long.
    pub(super) fn uncached(&self, file: &Path, length: u64) -> Uncached {
        match file.strip_prefix(&self.mount) {
            Ok(inside) => Uncached::of(&self.places.data.join(inside), &self.places.notes.join(inside), length),
            Err(_) => Uncached::without(length, Vec::new()),
        }
    }

    /// Whether the cache has nothing of a file of the mount, or not all of it. The mount is not asked.
    pub(super) fn lacks(&self, file: &Path) -> bool {
        let Ok(inside) = file.strip_prefix(&self.mount) else {
            return true;
        };
        // It is as long as the file itself from the moment that it is opened.
        match fs::metadata(self.places.data.join(inside)) {
            Ok(metadata) => !self.uncached(file, metadata.len()).0.is_empty(),
            Err(_) => true,
        }
    }
}

impl Uncached {
    /// Of a file of `length` bytes; one of which there is neither a note nor a file in the cache is not cached at all.
    fn of(data: &Path, note: &Path, length: u64) -> Self {
        let mut held = noted(note);
        held.extend(written(data));
        Self::without(length, held)
    }

    fn without(length: u64, mut held: Vec<Range>) -> Self {
        held.sort_by_key(|range| range.start);
        let mut free = Vec::new();
        let mut at = 0;
        for range in held {
            if range.start > at && at < length {
                free.push(Range {
                    start: at,
                    end: range.start.min(length),
                });
            }
            at = at.max(range.end);
        }
        if at < length {
            free.push(Range { start: at, end: length });
        }
        Self(free)
    }

    /// Somewhere in it; none when everything is cached.
    pub(super) fn somewhere(&self, random: &mut Random) -> Option<u64> {
        let total: u64 = self.0.iter().map(|range| range.end - range.start).sum();
        if total == 0 {
            return None;
        }
        let mut at = random.below(total);
        for range in &self.0 {
            let size = range.end - range.start;
            if at < size {
                return Some(range.start + at);
            }
            at -= size;
        }
        None
    }
}

/// What rclone has written down. A note that is just being written says nothing.
fn noted(note: &Path) -> Vec<Range> {
    let pieces = fs::read(note)
        .ok()
        .and_then(|text| serde_json::from_slice::<Meta>(&text).ok())
        .and_then(|meta| meta.rs)
        .unwrap_or_default();
    let range = |piece: Piece| Range {
        start: piece.pos,
        end: piece.pos.saturating_add(piece.size),
    };
    pieces.into_iter().map(range).collect()
}

/// Where the cache's file is no hole.
fn written(data: &Path) -> Vec<Range> {
    let Ok(file) = File::open(data) else {
        return Vec::new();
    };
    let mut ranges = Vec::new();
    let mut at = 0;
    // Past the last byte there is neither data nor a hole.
    while let Ok(start) = rustix::fs::seek(&file, SeekFrom::Data(at)) {
        let Ok(end) = rustix::fs::seek(&file, SeekFrom::Hole(start)) else {
            break;
        };
        ranges.push(Range { start, end });
        at = end;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn range(start: u64, end: u64) -> Range {
        Range { start, end }
    }

    #[test]
    fn what_rclone_has_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let (data, note) = (dir.path().join("none"), dir.path().join("1.flac"));
        let uncached = || Uncached::of(&data, &note, 100);
        assert_eq!(uncached(), Uncached(vec![range(0, 100)]));
        let text = r#"{"Size": 100, "Rs": [{"Pos": 90, "Size": 10}, {"Pos": 0, "Size": 30}], "Dirty": false}"#;
        fs::write(&note, text).unwrap();
        assert_eq!(uncached(), Uncached(vec![range(30, 90)]));
        let mut random = Random::new(3);
        assert!((0..200).all(|_| (30..90).contains(&uncached().somewhere(&mut random).unwrap())));
        fs::write(&note, r#"{"Rs": [{"Pos": 0, "Size": 100}]}"#).unwrap();
        assert_eq!(uncached().somewhere(&mut random), None);
        fs::write(&note, r#"{"Rs": null}"#).unwrap();
        assert!(uncached().somewhere(&mut random).is_some());
    }

    #[test]
    fn what_is_not_written_down_yet_is_seen_in_the_file() {
        const LENGTH: u64 = 1 << 20;
        let dir = tempfile::tempdir().unwrap();
        let held = Held {
            mount: "/mount".into(),
            places: CachePlaces {
                data: dir.path().join("data"),
                notes: dir.path().join("notes"),
            },
        };
        fs::create_dir(&held.places.data).unwrap();
        let file = Path::new("/mount/1.flac");
        assert!(held.lacks(file));
        let data = File::create(held.places.data.join("1.flac")).unwrap();
        data.set_len(LENGTH).unwrap();
        data.write_all_at(&[0; 65536], 262_144).unwrap();
        if written(&held.places.data.join("1.flac")) == [range(0, LENGTH)] {
            println!("SKIPPED what_is_not_written_down_yet_is_seen_in_the_file: this disk knows no holes");
            return;
        }
        let mut random = Random::new(3);
        let mut somewhere = || held.uncached(file, LENGTH).somewhere(&mut random).unwrap();
        let is_free = |at: &u64| !(262_144..262_144 + 65536).contains(at);
        assert!((0..200).map(|_| somewhere()).all(|at| is_free(&at)));
        assert!(held.lacks(file));
        data.write_all_at(&vec![1; usize::try_from(LENGTH).unwrap()], 0)
            .unwrap();
        assert!(!held.lacks(file));
        assert_eq!(held.uncached(file, LENGTH), Uncached(Vec::new()));
    }
}
