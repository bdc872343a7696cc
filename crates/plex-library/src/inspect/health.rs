//! How much of a section has what Plex makes for it: pictures, bundles, analysis, Sonic data; and a verdict in a word.
//!
//! The limits are those that users of the earlier scripts know (facts/legacy §1): bundles for 70 % of the items are good,
//! for 30 % partial; music also needs Sonic data for 50 % and 10 % of its tracks.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};

use super::bundles::Present;
use super::sections::Section;
use crate::error::{At, READ, Result};

/// Some of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// How many have it.
    pub have: u64,
    /// How many there are.
    pub all: u64,
}

impl Share {
    fn add(&mut self, has: bool) {
        self.all += 1;
        self.have += u64::from(has);
    }

    /// In whole percent; `None` of nothing.
    #[must_use]
    pub fn percent(self) -> Option<u64> {
        (self.have * 100).checked_div(self.all)
    }
}

/// What the items and files of a section have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Items with a poster or cover.
    pub posters: Share,
    /// Items with a background picture.
    pub art: Share,
    /// Items with a bundle of their own on disk; `None` without bundle trees. Seasons, episodes and tracks have none.
    pub bundles: Option<Share>,
    /// Files with a bundle of thumbnails, chapters or previews; `None` without bundle trees.
    pub thumbnails: Option<Share>,
    /// Media that Plex has analysed.
    pub analysed: Share,
    /// Tracks with Sonic data.
    pub sonic: Share,
    /// All in a word.
    pub verdict: Verdict,
}

/// How far a section is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing is in it.
    Empty,
    /// Most is missing.
    Poor,
    /// Some is there.
    Partial,
    /// As it should be.
    Good,
    /// The bundles are not at hand, so that nothing can be said.
    #[default]
    Unknown,
}

impl Verdict {
    fn of(percent: u64, good: u64, partial: u64) -> Self {
        if percent >= good {
            Self::Good
        } else if percent >= partial {
            Self::Partial
        } else {
            Self::Poor
        }
    }

    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Poor => "poor",
            Self::Partial => "partial",
            Self::Good => "good",
            Self::Unknown => "unknown",
        }
    }
}

pub(super) fn read(db: &Connection, path: &Path, present: Option<&Present>, sections: &mut [Section]) -> Result<()> {
    let mut health: BTreeMap<i64, Health> = sections
        .iter()
        .map(|section| {
            let none = present.map(|_| Share::default());
            let empty = Health {
                bundles: none,
                thumbnails: none,
                ..Health::default()
            };
            (section.id, empty)
        })
        .collect();
    items(db, path, present, &mut health)?;
    files(db, path, present, &mut health)?;
    for section in sections {
        let Some(mut health) = health.remove(&section.id) else {
            continue;
        };
        health.sonic = Share {
            have: section.sonic_analysed,
            all: section.counts.tracks,
        };
        health.verdict = verdict(&health, section.kind == "artist");
        section.health = health;
    }
    Ok(())
}

fn verdict(health: &Health, is_music: bool) -> Verdict {
    if health.posters.all == 0 {
        return Verdict::Empty;
    }
    let Some(percent) = health.bundles.and_then(Share::percent) else {
        return Verdict::Unknown;
    };
    let bundles = Verdict::of(percent, 70, 30);
    match health.sonic.percent().filter(|_| is_music) {
        Some(sonic) => bundles.min(Verdict::of(sonic, 50, 10)),
        None => bundles,
    }
}

/// Items that have a bundle of their own.
fn items(db: &Connection, path: &Path, present: Option<&Present>, health: &mut BTreeMap<i64, Health>) -> Result<()> {
    let sql = "SELECT library_section_id, metadata_type, hash, user_thumb_url, user_art_url
               FROM metadata_items NOT INDEXED
               WHERE metadata_type IN (1, 2, 8, 9, 14) AND deleted_at IS NULL AND library_section_id > 0";
    if !has_columns(db, path, "metadata_items", &["hash", "user_thumb_url", "user_art_url"])? {
        return Ok(());
    }
    let mut statement = db.prepare(sql).at(READ, path)?;
    let mut rows = statement.query([]).at(READ, path)?;
    while let Some(row) = rows.next().at(READ, path)? {
        let section: i64 = row.get(0).at(READ, path)?;
        let Some(health) = health.get_mut(&section) else {
            continue;
        };
        let kind: i64 = row.get(1).at(READ, path)?;
        let text = |at: usize| text(row.get_ref(at).unwrap_or(ValueRef::Null));
        health.posters.add(!text(3).is_empty());
        health.art.add(!text(4).is_empty());
        if let (Some(share), Some(present)) = (&mut health.bundles, present) {
            share.add(present.has_item(kind, text(2)));
        }
    }
    Ok(())
}

fn files(db: &Connection, path: &Path, present: Option<&Present>, health: &mut BTreeMap<i64, Health>) -> Result<()> {
    if !has_columns(db, path, "media_items", &["media_analysis_version"])?
        || !has_columns(db, path, "media_parts", &["hash"])?
    {
        return Ok(());
    }
    let sql = "SELECT m.library_section_id, coalesce(m.media_analysis_version, 0), p.hash
               FROM media_parts p JOIN media_items m ON m.id = p.media_item_id
               WHERE p.file <> '' AND p.deleted_at IS NULL AND m.deleted_at IS NULL AND m.library_section_id > 0";
    let mut statement = db.prepare(sql).at(READ, path)?;
    let mut rows = statement.query([]).at(READ, path)?;
    while let Some(row) = rows.next().at(READ, path)? {
        let section: i64 = row.get(0).at(READ, path)?;
        let Some(health) = health.get_mut(&section) else {
            continue;
        };
        health.analysed.add(row.get::<_, i64>(1).at(READ, path)? > 0);
        if let (Some(share), Some(present)) = (&mut health.thumbnails, present) {
            share.add(present.has_file(text(row.get_ref(2).at(READ, path)?)));
        }
    }
    Ok(())
}

fn text(value: ValueRef<'_>) -> &str {
    match value {
        ValueRef::Text(text) => std::str::from_utf8(text).unwrap_or_default(),
        _ => "",
    }
}

/// Libraries of other ages lack some columns; what they are about is then not told.
fn has_columns(db: &Connection, path: &Path, table: &str, columns: &[&str]) -> Result<bool> {
    let known = crate::columns::of(db, path, table)?;
    Ok(columns
        .iter()
        .all(|name| known.iter().any(|column| column.name == *name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_the_worse_of_bundles_and_sonic() {
        let share = |have| Share { have, all: 100 };
        for (bundles, sonic, is_music, expected) in [
            (Some(70), 0, false, Verdict::Good),
            (Some(69), 0, false, Verdict::Partial),
            (Some(29), 90, true, Verdict::Poor),
            (Some(90), 50, true, Verdict::Good),
            (Some(90), 49, true, Verdict::Partial),
            (Some(90), 9, true, Verdict::Poor),
            (None, 90, true, Verdict::Unknown),
        ] {
            let health = Health {
                posters: share(50),
                bundles: bundles.map(share),
                sonic: share(sonic),
                ..Health::default()
            };
            assert_eq!(verdict(&health, is_music), expected, "{bundles:?} {sonic}");
        }
        assert_eq!(verdict(&Health::default(), false), Verdict::Empty);
    }
}
