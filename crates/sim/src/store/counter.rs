//! `changed_at`: the library-wide counter of changes (facts/plex.md §1.1). It is no time, it never goes back, and on some
//! servers it stands near the 64-bit limit.

use rusqlite::Connection;

/// The next value: one more than any row of the library has.
pub fn next(library: &Connection) -> rusqlite::Result<i64> {
    // max() of each table by its own index; the sum of all rows is never read.
    let highest: i64 = library
        .prepare_cached(
            "SELECT max(
                coalesce((SELECT max(changed_at) FROM metadata_items), 0),
                coalesce((SELECT max(resources_changed_at) FROM metadata_items), 0),
                coalesce((SELECT max(changed_at) FROM metadata_item_settings), 0),
                coalesce((SELECT max(changed_at) FROM media_part_settings), 0),
                coalesce((SELECT max(changed_at) FROM play_queue_generators), 0),
                coalesce((SELECT max(changed_at) FROM library_sections), 0),
                coalesce((SELECT max(content_changed_at) FROM library_sections), 0))",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(highest.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_stays_inside_the_range() {
        let dir = tempfile::tempdir().unwrap();
        crate::schema::create(dir.path(), crate::schema::Version::Plex2026).unwrap();
        let library = crate::store::open(dir.path()).unwrap().library;
        let first = next(&library).unwrap();
        library
            .execute(
                "INSERT INTO metadata_items (title, title_sort, resources_changed_at) VALUES ('a', 'a', ?1)",
                [first + 6],
            )
            .unwrap();
        assert_eq!(next(&library).unwrap(), first + 7);
        library
            .execute(
                "INSERT INTO metadata_item_settings (guid, changed_at) VALUES ('a', ?1)",
                [i64::MAX],
            )
            .unwrap();
        assert_eq!(next(&library).unwrap(), i64::MAX);
    }
}
