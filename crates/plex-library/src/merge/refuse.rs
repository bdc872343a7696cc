//! What a merge does not dare: tables that changed at home and that it does not know.

use rusqlite::Connection;

use super::context::Context;
use super::diff;
use super::fail::Step;
use super::mode::Mode;
use super::schema::Schema;
use super::sections;
use super::session::{BLOBS, LIBRARY, Three};
use super::tables::{Rule, rule};
use super::touched::Touched;
use crate::error::Error;

/// Refuses by name every table that changed at home and is not known. Looks only; nothing is written before.
pub(super) fn unknown(
    conn: &Connection,
    library: &Schema,
    blobs: &Schema,
    mode: Mode,
    touched: [Option<&Touched>; 2],
) -> Step<()> {
    let mut items = Vec::new();
    let sides = [(library, LIBRARY, ""), (blobs, BLOBS, "blobs.db: ")];
    for ((schema, three, place), touched) in sides.into_iter().zip(touched) {
        for table in schema.tables.values() {
            if touched.is_some_and(|touched| touched.rows(&table.name).is_none()) {
                continue;
            }
            // Without a base a table that is not known has to be the same on both sides.
            let before = if mode == Mode::TwoWay { three.theirs } else { three.base };
            if !is_known(&table.name, three) && !diff::same(conn, table, before, three.mine)? {
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

/// Refuses, without a base, sections that are the same on both sides and whose files lie in different folders: every file
/// would be there twice.
pub(super) fn other_folders(context: &Context<'_>) -> Step<()> {
    let items = sections::strangers(context)?;
    if items.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        what: "the result has the files of sections in other folders than home".into(),
        items,
        hint: "`plexburst remap` gives a library the paths of home; import what it makes".into(),
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
