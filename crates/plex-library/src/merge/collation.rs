//! The proof that our `icu_root` is Plex's.
//!
//! Plex's collation lives in its server; ours ([`crate::collation`]) is another implementation of the same standard. It is
//! used for writing only after it has shown itself right on the indices at hand: every neighbour in the result's index and
//! in home's own, which holds the very titles that are to be written, has to stand in the order that it says, equal ones by
//! row id. One pair in the wrong order, and it is not used: a row written in another order than Plex's is one that Plex does
//! not find again ("database disk image is malformed", facts §1.4).

use std::collections::HashSet;

use icu_collator::CollatorBorrowed;
use rusqlite::Connection;

use super::fail::Step;
use crate::collation::{ICU_ROOT as NAME, is_ordered, root};

/// The index that has it.
const INDEX: &str = "index_title_sort_icu";

/// Whether rows of `metadata_items` may be inserted, removed and sorted anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// The collation is registered and right, or the table needs none.
    Given,
    /// Why not.
    Lacking(String),
}

/// Registers the collation and lets it prove itself on the index of each of `sides`.
pub(super) fn prove(conn: &Connection, sides: &[&str], least_titles: usize) -> Step<Proof> {
    let needed = foreign_collations(conn, sides)?;
    if needed.is_empty() {
        return Ok(Proof::Given);
    }
    if let Some((index, collation)) = needed.iter().find(|(index, sql)| index != INDEX || !sql.contains(NAME)) {
        return Ok(Proof::Lacking(format!(
            "the index {index} has a collation that is not known: {collation}"
        )));
    }
    let (Some(collator), Some(registered)) = (root(), root()) else {
        return Ok(Proof::Lacking(
            "this program lacks the tables of the root collation".into(),
        ));
    };
    // Needed already for walking the index; until the walk is over nothing is written.
    conn.create_collation(NAME, move |a, b| registered.compare(a, b))?;
    let mut titles = HashSet::new();
    for side in sides {
        if let Some(wrong) = walk(conn, side, &collator, least_titles, &mut titles)? {
            conn.remove_collation(NAME)?;
            return Ok(Proof::Lacking(wrong));
        }
    }
    if titles.len() < least_titles {
        conn.remove_collation(NAME)?;
        return Ok(Proof::Lacking(format!(
            "the index holds {} different titles, too few to prove a collation ({least_titles} are needed)",
            titles.len()
        )));
    }
    Ok(Proof::Given)
}

/// Makes the collation known to a connection, after it has proved itself on these indices before.
pub(super) fn register(conn: &Connection) -> Step<()> {
    if let Some(collator) = root() {
        conn.create_collation(NAME, move |a, b| collator.compare(a, b))?;
    }
    Ok(())
}

/// Indices of `metadata_items` whose collation SQLite does not bring along, and that collation.
fn foreign_collations(conn: &Connection, sides: &[&str]) -> Step<Vec<(String, String)>> {
    let mut found = Vec::new();
    for side in sides {
        let mut statement = conn.prepare(&format!(
            "SELECT s.name, x.coll FROM {side}.sqlite_schema s, pragma_index_xinfo(s.name, '{side}') x
             WHERE s.type = 'index' AND s.tbl_name = 'metadata_items' AND x.coll IS NOT NULL
               AND upper(x.coll) NOT IN ('BINARY', 'NOCASE', 'RTRIM')"
        ))?;
        let rows: Vec<(String, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        found.extend(rows);
    }
    Ok(found)
}

/// Walks the index as it is stored. Says what is wrong with it, seen with `collator`.
fn walk(
    conn: &Connection,
    side: &str,
    collator: &CollatorBorrowed<'static>,
    enough: usize,
    titles: &mut HashSet<String>,
) -> Step<Option<String>> {
    let mut statement = conn.prepare(&format!(
        "SELECT title_sort, rowid FROM {side}.metadata_items INDEXED BY {INDEX} ORDER BY title_sort COLLATE {NAME}"
    ))?;
    let mut rows = statement.query([])?;
    let mut before: Option<(String, i64)> = None;
    while let Some(row) = rows.next()? {
        let (Some(title), id) = (row.get::<_, Option<String>>(0)?, row.get::<_, i64>(1)?) else {
            continue;
        };
        if let Some((last, last_id)) = &before
            && !is_ordered(collator, (last, *last_id), (&title, id))
        {
            return Ok(Some(format!(
                "the collation of this program would put \"{title}\" before \"{last}\", and Plex did not"
            )));
        }
        if titles.len() < enough && !titles.contains(&title) {
            titles.insert(title.clone());
        }
        before = Some((title, id));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    fn library(compare: fn(&str, &str) -> Ordering, titles: &[&str]) -> Connection {
        let conn = Connection::open_in_memory().expect("memory");
        conn.create_collation(NAME, compare).expect("collation");
        conn.execute_batch(
            "CREATE TABLE metadata_items(id INTEGER PRIMARY KEY, title_sort TEXT COLLATE NOCASE);
             CREATE INDEX 'index_title_sort_icu' ON 'metadata_items' ('title_sort' COLLATE icu_root);
             CREATE INDEX plain ON metadata_items(title_sort COLLATE NOCASE);",
        )
        .expect("schema");
        for title in titles {
            conn.execute("INSERT INTO metadata_items(title_sort) VALUES (?1)", [title])
                .expect("insert");
        }
        conn
    }

    const TITLES: [&str; 7] = ["9 Songs", "10 Things", "Alien", "älter", "Äpfel", "zebra", "Zulu"];

    #[test]
    fn an_index_in_plex_order_proves_it() {
        let right = |a: &str, b: &str| root().expect("root").compare(a, b);
        assert_eq!(
            prove(&library(right, &TITLES), &["main"], 5).expect("prove"),
            Proof::Given
        );
    }

    #[test]
    fn an_index_in_another_order_does_not() {
        for wrong in [
            (|a: &str, b: &str| a.cmp(b)) as fn(&str, &str) -> Ordering,
            |a, b| b.cmp(a),
            |a, b| a.to_lowercase().cmp(&b.to_lowercase()),
        ] {
            let proof = prove(&library(wrong, &TITLES), &["main"], 5).expect("prove");
            assert!(matches!(proof, Proof::Lacking(_)), "{proof:?}");
        }
    }

    #[test]
    fn few_titles_prove_nothing() {
        let right = |a: &str, b: &str| root().expect("root").compare(a, b);
        let Proof::Lacking(why) = prove(&library(right, &["a", "b"]), &["main"], 5).expect("prove") else {
            panic!("proved by two titles");
        };
        assert!(why.contains("too few"), "{why}");
    }

    #[test]
    fn an_unknown_collation_is_not_guessed() {
        let conn = library(|a, b| a.cmp(b), &TITLES);
        conn.create_collation("naturalsort", |a: &str, b: &str| a.cmp(b))
            .expect("collation");
        conn.execute_batch(
            "CREATE INDEX index_title_sort_naturalsort ON metadata_items(title_sort COLLATE naturalsort)",
        )
        .expect("index");
        assert!(matches!(prove(&conn, &["main"], 5).expect("prove"), Proof::Lacking(_)));
    }
}
