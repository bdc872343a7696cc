//! Guids in home's user state, and what the same items are called in the result.
//!
//! Ratings and history are keyed by the text of a guid. When the worker matched an item that home had not (`local://5`
//! became `plex://…`), or when the same new file got a guid on both sides, what home attached to the old guid has to
//! follow, or it would belong to nothing. The temporary table `guids` says what became what; it is filled by
//! [`collect`] once the items of the result are in place.

use super::values::Value;
use rusqlite::{Connection, OptionalExtension};

use super::context::Context;
use super::fail::Step;
use super::missing;
use super::narrow;
use super::rows::Row;
use super::schema::{Table, quote};
use super::session::{MAIN, MINE};
use super::tables::COUNTERS;

/// Columns that hold guids of items.
const COLUMNS: [&str; 2] = ["guid", "grandparent_guid"];

/// Whether a guid is made of a row's number: `local://5`, or `com.plexapp.agents.none://5/1?lang=xn` (the number of a show
/// of a section without an agent, in the guids of its seasons and episodes too). Two libraries give the same such guid to
/// different things.
pub(super) fn is_numbered(guid: &Value) -> bool {
    matches!(guid, Value::Text(guid) if number(guid).is_some())
}

/// The number in such a guid, and where it stands.
pub(super) fn number(guid: &str) -> Option<(i64, std::ops::Range<usize>)> {
    let start = ["local://", "com.plexapp.agents.none://"]
        .into_iter()
        .find_map(|scheme| guid.starts_with(scheme).then_some(scheme.len()))?;
    let digits = guid[start..].bytes().take_while(u8::is_ascii_digit).count();
    let end = start + digits;
    let ends = matches!(guid.as_bytes().get(end), None | Some(b'/' | b'?'));
    // Longer ones are the hashes of files that the same agent makes of films.
    (ends && digits < 12).then_some(())?;
    Some((guid[start..end].parse().ok()?, start..end))
}

/// What an agent matched an item to: the agent's scheme, and its number there. None of what no agent found.
pub(super) fn matched(guid: &Value) -> Option<(&str, &str)> {
    let Value::Text(guid) = guid else { return None };
    let (agent, number) = guid.split_once("://")?;
    let number = number.split('?').next().unwrap_or(number);
    (!["local", "com.plexapp.agents.none"].contains(&agent) && !number.is_empty()).then_some((agent, number))
}

/// `metadata_items.hash`: what the folder of an item's bundle is called.
pub(super) fn hash(guid: &str) -> String {
    use sha1::{Digest as _, Sha1};
    Sha1::digest(guid.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// An SQL expression for a column of home's row `m`, with guids as the result has them.
fn source(table: &Table, column: &str) -> String {
    let plain = format!("m.{}", quote(column));
    debug_assert!(table.has(column));
    if COLUMNS.contains(&column) {
        format!("coalesce((SELECT g.new FROM temp.guids g WHERE g.old = {plain}), {plain})")
    } else {
        plain
    }
}

/// Ids of home's rows that the result does not have in the very same form.
pub(super) fn differing(context: &Context<'_>, table: &Table) -> Step<Vec<i64>> {
    let conn = context.conn;
    let name = quote(&table.name);
    let from = match context.is_narrow() {
        true => {
            narrow::look(context, table, true)?;
            format!("temp.looked l CROSS JOIN {MINE}.{name} m NOT INDEXED ON m.id = l.id")
        }
        false => format!("{MINE}.{name} m NOT INDEXED"),
    };
    let terms: Vec<String> = table
        .columns
        .iter()
        .filter(|column| !COUNTERS.contains(&column.as_str()))
        .map(|column| format!("{} COLLATE BINARY IS NOT x.{}", source(table, column), quote(column)))
        .collect();
    let mut statement = conn.prepare(&format!(
        "SELECT m.id FROM {from} LEFT JOIN {MAIN}.{name} x NOT INDEXED ON x.id = m.id
         WHERE x.id IS NULL OR {} ORDER BY m.id",
        terms.join(" OR ")
    ))?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Puts the result's guids into a row of home's.
pub(super) fn translate(conn: &Connection, table: &Table, row: &mut Row) -> Step<()> {
    for column in COLUMNS {
        let Some(n) = table.at(column) else { continue };
        if let Value::Text(old) = &row[n] {
            let new: Option<String> = conn
                .prepare_cached("SELECT new FROM temp.guids WHERE old = ?1")?
                .query_row([old], |row| row.get(0))
                .optional()?;
            if let Some(new) = new {
                row[n] = Value::Text(new);
            }
        }
    }
    Ok(())
}

/// Finds the guids of home's user state whose items are called differently in the result.
///
/// A guid is not unique (facts §2): it is followed only if all of home's items that had it are now called the same, and
/// nothing in the result is called by the old name any more.
pub(super) fn collect(context: &mut Context<'_>) -> Step<()> {
    let kept = match context.is_narrow() {
        true => {
            narrow::all_names(context)?;
            "SELECT guid FROM temp.all_names".to_owned()
        }
        false => format!(
            "SELECT guid FROM {MINE}.metadata_item_settings WHERE guid IS NOT NULL
             UNION SELECT guid FROM {MINE}.metadata_item_views WHERE guid IS NOT NULL
             UNION SELECT grandparent_guid FROM {MINE}.metadata_item_views WHERE grandparent_guid IS NOT NULL"
        ),
    };
    to_heirs(context, &kept)?;
    context.conn.execute(
        &format!(
            "WITH kept(guid) AS ({kept})
             INSERT OR IGNORE INTO temp.guids(old, new)
             SELECT k.guid, min(t.guid) FROM kept k
             JOIN {MINE}.metadata_items m ON m.guid = k.guid JOIN {MAIN}.metadata_items t
               ON t.id = coalesce((SELECT f.new FROM temp.follow f WHERE f.target = 'metadata_items' AND f.old = m.id), m.id)
             GROUP BY k.guid
             HAVING count(DISTINCT t.guid) = 1 AND min(t.guid) IS NOT k.guid
                AND NOT EXISTS (SELECT 1 FROM {MAIN}.metadata_items o WHERE o.guid = k.guid)"
        ),
        [],
    )?;
    Ok(())
}

/// What home says by the name of an item that the worker merged into another is about that one, also where nothing else
/// of home's refers to the item.
fn to_heirs(context: &mut Context<'_>, kept: &str) -> Step<()> {
    let gone: Vec<i64> = context
        .conn
        .prepare(&format!(
            "WITH kept(guid) AS ({kept})
             SELECT DISTINCT m.id FROM kept k CROSS JOIN {MINE}.metadata_items m ON m.guid = k.guid
             WHERE NOT EXISTS (SELECT 1 FROM {MAIN}.metadata_items x NOT INDEXED WHERE x.id = m.id)
             AND NOT EXISTS (SELECT 1 FROM temp.follow f WHERE f.target = 'metadata_items' AND f.old = m.id)
             AND NOT EXISTS (SELECT 1 FROM temp.aside a WHERE a.target = 'metadata_items' AND a.id = m.id)
             ORDER BY m.id"
        ))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in gone {
        if let Some(heir) = missing::heir(context, id)? {
            missing::follow(context, id, heir)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_made_of_row_numbers_are_known() {
        assert_eq!(number("local://107"), Some((107, 8..11)));
        assert_eq!(
            number("com.plexapp.agents.none://122/1/2?lang=xn").map(|n| n.0),
            Some(122)
        );
        assert_eq!(number("com.plexapp.agents.none://122?lang=xn").map(|n| n.0), Some(122));
        for other in [
            "com.plexapp.agents.none://1681722dc7a93365712bf3dff379e967e31fb7c9261b2?lang=xn",
            "com.plexapp.agents.none://b6ff9c1e-0001-4f6e-8a51-000000000001",
            "plex://movie/5d7768352e80df001ebde4c9",
            "local://",
            "local://12x",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn the_hash_of_a_guid_is_plexs() {
        // As a real server has it (106 of 106 rows of the library of 2026 agree).
        assert_eq!(
            hash("plex://movie/61bd9c2dbbaecd52f2fc609f"),
            "479a4e175bdba02faf8a101fe14f3af0d96e7aed"
        );
    }
}
