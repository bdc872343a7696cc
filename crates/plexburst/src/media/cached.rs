//! Which parts of a file the mount's cache holds, by what rclone itself has written down about it.
//!
//! A read that the cache answers says nothing about the store: a probe reads where nothing is cached. Only files of the
//! worker's own disk are looked at here, never the mount.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::sample::Random;

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

impl Uncached {
    /// Of a file of `length` bytes, by rclone's note about it; a file without a note is not cached at all.
    pub(super) fn of(note: &Path, length: u64) -> Self {
        let held = fs::read(note)
            .ok()
            .and_then(|text| serde_json::from_slice::<Meta>(&text).ok())
            .and_then(|meta| meta.rs)
            .unwrap_or_default();
        Self::without(length, held)
    }

    fn without(length: u64, mut held: Vec<Piece>) -> Self {
        held.sort_by_key(|piece| piece.pos);
        let mut free = Vec::new();
        let mut at = 0;
        for piece in held {
            if piece.pos > at {
                free.push(Range {
                    start: at,
                    end: piece.pos.min(length),
                });
            }
            at = at.max(piece.pos.saturating_add(piece.size));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rclone_has_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let note = dir.path().join("1.flac");
        assert_eq!(Uncached::of(&note, 100), Uncached(vec![Range { start: 0, end: 100 }]));
        let text = r#"{"Size": 100, "Rs": [{"Pos": 90, "Size": 10}, {"Pos": 0, "Size": 30}], "Dirty": false}"#;
        fs::write(&note, text).unwrap();
        let uncached = Uncached::of(&note, 100);
        assert_eq!(uncached, Uncached(vec![Range { start: 30, end: 90 }]));
        let mut random = Random::new(3);
        assert!((0..200).all(|_| (30..90).contains(&uncached.somewhere(&mut random).unwrap())));
        fs::write(&note, r#"{"Rs": [{"Pos": 0, "Size": 100}]}"#).unwrap();
        assert_eq!(Uncached::of(&note, 100).somewhere(&mut random), None);
        fs::write(&note, r#"{"Rs": null}"#).unwrap();
        assert!(Uncached::of(&note, 100).somewhere(&mut random).is_some());
    }
}
