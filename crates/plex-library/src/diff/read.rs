//! What is compared, and how each pair of rows counts.

use std::collections::BTreeMap;

use super::join::{Cell, Pair, Query, Row, Side};
use super::{Difference, Household, Only, SectionDifference};
use crate::error::Result;
use crate::inspect;

/// Every file of a section: path, section, whether it is not in the trash, how far it was analysed.
pub(super) const FILES: &Query<'static> = &Query {
    sql: "SELECT p.file, min(s.name), max(p.deleted_at IS NULL AND m.deleted_at IS NULL AND i.deleted_at IS NULL),
                 max(coalesce(m.media_analysis_version, 0))
          FROM media_parts p JOIN media_items m ON m.id = p.media_item_id
          JOIN metadata_items i NOT INDEXED ON i.id = m.metadata_item_id
          JOIN library_sections s ON s.id = coalesce(i.library_section_id, m.library_section_id)
          WHERE p.file <> '' GROUP BY p.file ORDER BY p.file COLLATE BINARY",
    key: 1,
};

/// The history.
pub(super) const VIEWS: &Query<'static> = &Query {
    sql: "SELECT account_id, guid, viewed_at FROM metadata_item_views ORDER BY 1, 2 COLLATE BINARY, 3 COLLATE BINARY",
    key: 3,
};

/// Playlists and collections.
pub(super) const LISTS: &Query<'static> = &Query {
    sql: "SELECT guid, metadata_type FROM metadata_items NOT INDEXED
          WHERE metadata_type IN (15, 18) AND deleted_at IS NULL ORDER BY 1 COLLATE BINARY, 2",
    key: 2,
};

/// Ratings, places and counts by account and guid; there may be several rows of each, without any harm.
pub(super) const SETTINGS: &Query<'static> = &Query {
    sql: "SELECT account_id, guid, max(rating), max(coalesce(view_offset, 0)), max(coalesce(view_count, 0))
          FROM metadata_item_settings GROUP BY 1, 2 ORDER BY 1, 2 COLLATE BINARY",
    key: 2,
};

pub(super) fn sections(sides: &[Side<'_>; 2], found: &mut Difference) -> Result<()> {
    let read = |side: usize| -> Result<BTreeMap<String, inspect::Section>> {
        let db = sides[side].db;
        let mut known: BTreeMap<String, inspect::Section> = BTreeMap::new();
        // Plex lets two sections have one name; their files are told by that name too.
        for section in inspect::sections_of(db, db.path())? {
            match known.get_mut(&section.name) {
                Some(other) => {
                    other.counts = other.counts + section.counts;
                    other.sonic_analysed += section.sonic_analysed;
                }
                None => _ = known.insert(section.name.clone(), section),
            }
        }
        Ok(known)
    };
    let (before, after) = (read(0)?, read(1)?);
    for name in before.keys().chain(after.keys()) {
        let (left, right) = (before.get(name), after.get(name));
        let only = match (left, right) {
            (Some(_), None) => Some(Only::Before),
            (None, Some(_)) => Some(Only::After),
            _ => None,
        };
        let counts = |side: Option<&inspect::Section>| side.map(|section| section.counts).unwrap_or_default();
        let sonic = |side: Option<&inspect::Section>| side.map_or(0, |section| section.sonic_analysed);
        let section = SectionDifference {
            only,
            before: counts(left),
            after: counts(right),
            sonic: (sonic(left), sonic(right)),
            ..SectionDifference::default()
        };
        found.sections.insert(name.clone(), section);
    }
    Ok(())
}

pub(super) fn file(pair: &Pair, sections: &mut BTreeMap<String, SectionDifference>) -> Result<()> {
    let Some(row) = pair.after.as_ref().or(pair.before.as_ref()) else {
        return Ok(());
    };
    let section = sections.entry(text(row, 1)).or_default();
    let path = text(row, 0);
    let is_live = |row: &Option<Row>| row.as_ref().is_some_and(|row| number(row, 2) != 0);
    match (is_live(&pair.before), is_live(&pair.after)) {
        (false, true) => section.added.add(path.as_bytes()),
        (true, false) if pair.after.is_some() => section.trashed.add(path.as_bytes()),
        (true, false) => section.removed.add(path.as_bytes()),
        (true, true) => {
            let version = |row: &Option<Row>| row.as_ref().map_or(0, |row| number(row, 3));
            if version(&pair.after) > version(&pair.before) {
                section.analysed.add(path.as_bytes());
            }
        }
        (false, false) => {}
    }
    Ok(())
}

pub(super) fn view(pair: &Pair, household: &mut Household) -> Result<()> {
    household.views_added += u64::from(pair.before.is_none());
    household.views_removed += u64::from(pair.after.is_none());
    Ok(())
}

pub(super) fn list(pair: &Pair, household: &mut Household) -> Result<()> {
    household.lists_added += u64::from(pair.before.is_none());
    household.lists_removed += u64::from(pair.after.is_none());
    Ok(())
}

pub(super) fn setting(pair: &Pair, household: &mut Household) -> Result<()> {
    let differs = |at: usize| {
        let of = |row: &Option<Row>| row.as_ref().map_or(Cell::Null, |row| row[at].clone());
        // None, 0 and no row at all mean the same to a person.
        let plain = |value: Cell| match value {
            Cell::Integer(0) => Cell::Null,
            Cell::Real(0.0) => Cell::Null,
            other => other,
        };
        plain(of(&pair.before)) != plain(of(&pair.after))
    };
    household.ratings += u64::from(differs(2));
    household.offsets += u64::from(differs(3));
    household.watched += u64::from(differs(4));
    Ok(())
}

fn text(row: &Row, at: usize) -> String {
    match &row[at] {
        Cell::Text(bytes) | Cell::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Null => String::new(),
    }
}

fn number(row: &Row, at: usize) -> i64 {
    match row[at] {
        Cell::Integer(number) => number,
        _ => 0,
    }
}
