//! Playlists that only the result has, when there is no base: an old archive brought to a home that was set up anew.
//!
//! What belongs to a playlist is in tables that become home's as a whole; the rows of these playlists are kept there beside
//! home's, with numbers that home does not use. A playlist that home deleted since is not among them ([`super::two_way`]).

use super::context::Context;
use super::fail::Step;
use super::report::Decided;
use super::rows::{self, Row, int};
use super::schema::Table;
use super::session::{LIBRARY, MAIN, MINE};
use super::tables::{REFERENCES, Rule, rule};

/// What belongs to a playlist.
pub(super) const TABLES: [&str; 2] = ["play_queue_generators", "metadata_item_accounts"];

/// Finds what belongs to playlists that home does not have, for `temp.kept`. An entry whose item is not there, or whose
/// account home does not know, is not kept.
pub(super) fn keep(context: &mut Context<'_>) -> Step<()> {
    let playlists: Vec<(i64, String)> = context
        .conn
        .prepare(&format!(
            "SELECT t.id, coalesce(t.title, '') FROM {MAIN}.metadata_items t NOT INDEXED WHERE t.metadata_type = 15
             AND NOT EXISTS (SELECT 1 FROM {MINE}.metadata_items m NOT INDEXED WHERE m.id = t.id) ORDER BY t.id"
        ))?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (playlist, title) in playlists {
        for (name, column) in [(TABLES[0], "playlist_id"), (TABLES[1], "metadata_item_id")] {
            let Some(table) = context.table(name) else { continue };
            for id in rows::ids_where(context.conn, MAIN, name, column, &playlist.into())? {
                if let Some(row) = rows::get(context.conn, MAIN, &table, id)?
                    && leads(context, &table, &row)?
                {
                    one(context, name, id)?;
                }
            }
        }
        context.report.decided.push(Decided {
            table: "metadata_items".into(),
            id: playlist,
            about: format!("only the result has the playlist \"{title}\""),
            taken: "it is kept".into(),
        });
    }
    Ok(())
}

fn leads(context: &Context<'_>, table: &Table, row: &Row) -> Step<bool> {
    for reference in REFERENCES.iter().filter(|reference| reference.table == table.name) {
        if let Some(goal) = int(table, row, reference.column)
            && rule(reference.target) == Some(Rule::Content)
            && !rows::exists(context.conn, MAIN, reference.target, goal)?
        {
            return Ok(false);
        }
    }
    match int(table, row, "account_id") {
        Some(account) => rows::exists(context.conn, MINE, "accounts", account),
        None => Ok(true),
    }
}

/// Keeps a row, with a number of its own if home has a row of that number.
fn one(context: &mut Context<'_>, table: &str, id: i64) -> Step<()> {
    let id = match rows::exists(context.conn, MINE, table, id)? {
        true => context.renumber(LIBRARY, table, id)?,
        false => id,
    };
    context
        .conn
        .prepare_cached("INSERT OR IGNORE INTO temp.kept(target, id) VALUES (?1, ?2)")?
        .execute((table, id))?;
    Ok(())
}
