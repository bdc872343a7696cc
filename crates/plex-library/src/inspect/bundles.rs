//! The bundle trees of a data directory: how many bundles of each kind, and which items and files have theirs.
//!
//! Only the two levels of folders above the bundles are listed, whatever they hold: trees of hundreds of thousands of
//! files take seconds.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{At, OPEN, Result};

const ENDING: &str = ".bundle";

/// Bundles by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundles {
    /// Of `Metadata`, by the name of their folder: `Movies`, `Artists` and so on.
    pub metadata: BTreeMap<String, u64>,
    /// Of `Media`: what an analysis made for a file (thumbnails, chapters, previews).
    pub media: u64,
}

/// The bundles that are there, by the hash of what they belong to.
#[derive(Debug, Default)]
pub(super) struct Present {
    metadata: HashMap<String, HashSet<String>>,
    media: HashSet<String>,
}

impl Present {
    /// `None` if neither tree is there: then nothing can be said about bundles.
    pub(super) fn of(data_dir: &Path) -> Result<Option<Self>> {
        let (metadata, media) = (data_dir.join("Metadata"), data_dir.join("Media").join("localhost"));
        if !metadata.is_dir() && !media.is_dir() {
            return Ok(None);
        }
        let mut present = Self::default();
        for kind in folders(&metadata)? {
            let name = kind.file_name().unwrap_or_default().to_string_lossy().into_owned();
            present.metadata.insert(name, hashes(&kind)?);
        }
        present.media = hashes(&media)?;
        Ok(Some(present))
    }

    pub(super) fn count(&self) -> Bundles {
        Bundles {
            metadata: self
                .metadata
                .iter()
                .map(|(kind, hashes)| (kind.clone(), hashes.len() as u64))
                .collect(),
            media: self.media.len() as u64,
        }
    }

    /// Whether an item of this type has its bundle.
    pub(super) fn has_item(&self, metadata_type: i64, hash: &str) -> bool {
        folder_of(metadata_type)
            .and_then(|folder| self.metadata.get(folder))
            .is_some_and(|hashes| hashes.contains(hash))
    }

    /// Whether a file has its bundle.
    pub(super) fn has_file(&self, hash: &str) -> bool {
        self.media.contains(hash)
    }
}

/// The folder of `Metadata` for items of a type (facts §4.2); seasons and episodes are in their show's bundle, tracks in
/// their album's.
fn folder_of(metadata_type: i64) -> Option<&'static str> {
    Some(match metadata_type {
        1 => "Movies",
        2 => "TV Shows",
        8 => "Artists",
        9 => "Albums",
        13 | 14 => "Photos",
        _ => return None,
    })
}

/// `h/ash….bundle` below a folder, put together again.
fn hashes(dir: &Path) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    for first in folders(dir)? {
        let begin = first.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for bundle in folders(&first)? {
            let name = bundle.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(rest) = name.strip_suffix(ENDING) {
                found.insert(format!("{begin}{rest}"));
            }
        }
    }
    Ok(found)
}

fn folders(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).at(OPEN, dir),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.at(OPEN, dir)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}
