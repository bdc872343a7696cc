//! What a merge does not dare: tables that changed at home and that it does not know.

use rusqlite::Connection;

use super::diff;
use super::fail::Step;
use super::schema::Schema;
use super::session::{BLOBS, LIBRARY, Three};
use super::tables::{Rule, rule};
use super::touched::Touched;
use crate::error::Error;

/// Refuses by name every table that changed at home and is not known. Looks only; nothing is written before.
pub(super) fn unknown(conn: &Connection, library: &Schema, blobs: &Schema, touched: [Option<&Touched>; 2]) -> Step<()> {
    let mut items = Vec::new();
    let sides = [(library, LIBRARY, ""), (blobs, BLOBS, "blobs.db: ")];
    for ((schema, three, place), touched) in sides.into_iter().zip(touched) {
        for table in schema.tables.values() {
            if touched.is_some_and(|touched| touched.rows(&table.name).is_none()) {
                continue;
            }
            if !is_known(&table.name, three) && !diff::same(conn, table, three.base, three.mine)? {
                items.push(format!("{place}{}", table.name));
            }
        }
    }
    if items.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        what: "the household changed tables that this program does not know how to merge".into(),
        items,
        hint: "nothing was changed; update plexburst, or begin the burst again while these tables are at rest".into(),
    }
    .into())
}

fn is_known(table: &str, three: Three) -> bool {
    match rule(table) {
        None => false,
        Some(Rule::Ignored | Rule::Same | Rule::Home | Rule::Blobs) => true,
        // blobs.db has all tables of the library and uses hardly any (facts §1.5).
        Some(Rule::Settings | Rule::Views | Rule::Sections | Rule::Content) => three.theirs == LIBRARY.theirs,
    }
}
