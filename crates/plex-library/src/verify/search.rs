//! The search tables against the titles: drift at most. They are Plex's to rebuild, and differ on healthy servers
//! (facts §1.4: gaps without any harm, triggers for some kinds of tags only, a trailing blank).

use super::{FindingKind, Findings};
use crate::error::{At, READ, Result};
use crate::open::Reader;
use crate::paths::Which;

pub(super) fn check(reader: &Reader, which: Which, found: &mut Findings) -> Result<()> {
    for (search, content) in [
        ("fts4_metadata_titles_icu", "metadata_items"),
        ("fts4_tag_titles_icu", "tags"),
    ] {
        let documents = format!("{search}_docsize");
        let exists = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN (?1, ?2)";
        let both: i64 = reader
            .query_row(exists, [documents.as_str(), content], |row| row.get(0))
            .at(READ, reader.path())?;
        if both < 2 {
            continue;
        }
        let count =
            |sql: String| -> Result<i64> { reader.query_row(&sql, [], |row| row.get(0)).at(READ, reader.path()) };
        let lacking = count(format!(
            "SELECT count(*) FROM {content} c NOT INDEXED
             WHERE NOT EXISTS (SELECT 1 FROM {documents} d WHERE d.docid = c.id)"
        ))?;
        let left_over = count(format!(
            "SELECT count(*) FROM {documents} d
             WHERE NOT EXISTS (SELECT 1 FROM {content} c NOT INDEXED WHERE c.id = d.docid)"
        ))?;
        if lacking > 0 || left_over > 0 {
            let message = format!("{lacking} rows of {content} cannot be searched, {left_over} entries have no row");
            found.drift(which, FindingKind::Search, search, message);
        }
    }
    Ok(())
}
