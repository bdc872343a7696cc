//! The proof that a collation is Plex's.
//!
//! Plex's collation lives in its server; ours ([`crate::collation`]) is another implementation of the same standard. It is
//! used for writing only after it has shown itself right on the indices at hand: every neighbour in the result's index and
//! in home's own, which holds the very titles that are to be written, has to stand in the order that it says, equal ones by
//! row id. One pair in the wrong order, and it is not used: a row written in another order than Plex's is one that Plex does
//! not find again ("database disk image is malformed", facts §1.4).
//!
//! Where ours does not pass, or the order is one that is not known here, home's own program is asked ([`super::asked`]). Its
//! word is held against every neighbour in the same way: it may be that of another server.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};

use rusqlite::Connection;

use super::asked::Asked;
use super::fail::Step;
use super::schema::quote;
use crate::collation::{ICU_ROOT as NAME, root};

/// The index that has it.
const INDEX: &str = "index_title_sort_icu";
/// Neighbours that are compared at a time.
const AT_ONCE: usize = 1024;

/// Whether rows of `metadata_items` may be inserted, removed and sorted anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// The collation is registered and right, or the table needs none.
    Given,
    /// Home's own program is asked for these collations; it is right on the indices at hand.
    Asked(BTreeSet<String>),
    /// Why not.
    Lacking(String),
}

/// An index of `metadata_items` whose collation SQLite does not bring along.
struct Foreign {
    index: String,
    collation: String,
    /// Its column, if it has just one, ascending, of every row.
    column: Option<String>,
}

/// Registers the collation and lets it prove itself on the index of each of `sides`.
pub(super) fn prove(conn: &Connection, sides: &[&str], least_titles: usize) -> Step<Proof> {
    let needed = foreign_collations(conn, sides)?;
    if needed.is_empty() {
        return Ok(Proof::Given);
    }
    if let Some(Foreign { index, collation, .. }) = needed
        .iter()
        .find(|foreign| foreign.index != INDEX || !foreign.collation.contains(NAME))
    {
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
    let mut compare = |pairs: &[(&str, &str)]| {
        for title in pairs.iter().flat_map(|(a, b)| [*a, *b]) {
            if titles.len() < least_titles {
                titles.insert(title.to_owned());
            }
        }
        Ok(pairs.iter().map(|(a, b)| collator.compare(a, b)).collect())
    };
    for side in sides {
        if let Walked::Wrong(before, after) = walk(conn, side, (INDEX, "title_sort", NAME), &mut compare)? {
            conn.remove_collation(NAME)?;
            return Ok(Proof::Lacking(format!(
                "the collation of this program would put \"{after}\" before \"{before}\", and Plex did not"
            )));
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

/// Lets home's own program prove itself on all such indices of each of `sides`, and registers what it is asked for.
pub(super) fn ask(conn: &Connection, sides: &[&str], asked: &Asked) -> Step<Proof> {
    let mut names = BTreeSet::new();
    for side in sides {
        for Foreign {
            index,
            collation,
            column,
        } in foreign_collations(conn, &[side])?
        {
            let Some(column) = column else {
                return give_up(
                    conn,
                    &names,
                    format!("the index {index} is laid out in a way that is not known"),
                );
            };
            if names.insert(collation.clone()) {
                asked.register(conn, &collation)?;
            }
            let mut compare = |pairs: &[(&str, &str)]| asked.compare(&collation, pairs);
            let why = match walk(conn, side, (&index, &column, &collation), &mut compare)? {
                Walked::Right => continue,
                Walked::Wrong(before, after) => {
                    format!("it would put \"{after}\" before \"{before}\", and the index {index} does not")
                }
                Walked::Unanswered(why) => why,
            };
            return give_up(conn, &names, why);
        }
    }
    Ok(Proof::Asked(names))
}

fn give_up(conn: &Connection, names: &BTreeSet<String>, why: String) -> Step<Proof> {
    for name in names {
        conn.remove_collation(name.as_str())?;
    }
    Ok(Proof::Lacking(why))
}

/// Makes the collation known to a connection, after it has proved itself on these indices before.
pub(super) fn register(conn: &Connection) -> Step<()> {
    if let Some(collator) = root() {
        conn.create_collation(NAME, move |a, b| collator.compare(a, b))?;
    }
    Ok(())
}

fn foreign_collations(conn: &Connection, sides: &[&str]) -> Step<Vec<Foreign>> {
    let mut found = Vec::new();
    for side in sides {
        let mut statement = conn.prepare(&format!(
            "SELECT s.name, x.coll,
                    iif(x.desc OR x.cid < 0 OR l.partial
                        OR (SELECT count(*) FROM pragma_index_xinfo(s.name, '{side}') o WHERE o.key) <> 1, NULL, x.name)
             FROM {side}.sqlite_schema s, pragma_index_xinfo(s.name, '{side}') x
             JOIN pragma_index_list(s.tbl_name, '{side}') l ON l.name = s.name
             WHERE s.type = 'index' AND s.tbl_name = 'metadata_items' AND x.coll IS NOT NULL
               AND upper(x.coll) NOT IN ('BINARY', 'NOCASE', 'RTRIM')"
        ))?;
        let rows: Vec<Foreign> = statement
            .query_map([], |row| {
                Ok(Foreign {
                    index: row.get(0)?,
                    collation: row.get(1)?,
                    column: row.get(2)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        found.extend(rows);
    }
    Ok(found)
}

/// What came of a walk.
enum Walked {
    Right,
    /// Two neighbours as they are stored, which should stand the other way round.
    Wrong(String, String),
    /// There was no answer.
    Unanswered(String),
}

/// Says of pairs how they stand to each other.
type Compare<'c> = dyn FnMut(&[(&str, &str)]) -> Result<Vec<Ordering>, String> + 'c;

/// Walks an index (its name, its column, its collation, which is registered) as it is stored, and holds it against `compare`.
fn walk(
    conn: &Connection,
    side: &str,
    (index, column, collation): (&str, &str, &str),
    compare: &mut Compare<'_>,
) -> Step<Walked> {
    let (index, column, collation) = (quote(index), quote(column), quote(collation));
    let mut statement = conn.prepare(&format!(
        "SELECT {column}, rowid FROM {side}.metadata_items INDEXED BY {index} ORDER BY {column} COLLATE {collation}"
    ))?;
    let mut rows = statement.query([])?;
    let mut entries: Vec<(String, i64)> = Vec::new();
    loop {
        let row = rows.next()?;
        let is_last = row.is_none();
        if let Some(row) = row
            && let (Some(title), id) = (row.get::<_, Option<String>>(0)?, row.get(1)?)
        {
            entries.push((title, id));
        }
        if entries.len() > AT_ONCE || is_last {
            let pairs: Vec<(&str, &str)> = entries
                .windows(2)
                .map(|pair| (pair[0].0.as_str(), pair[1].0.as_str()))
                .collect();
            let answers = match compare(&pairs) {
                Ok(answers) => answers,
                Err(why) => return Ok(Walked::Unanswered(why)),
            };
            for (pair, order) in entries.windows(2).zip(answers) {
                if order.then(pair[0].1.cmp(&pair[1].1)) != Ordering::Less {
                    return Ok(Walked::Wrong(pair[0].0.clone(), pair[1].0.clone()));
                }
            }
            entries.drain(..entries.len().saturating_sub(1));
        }
        if is_last {
            return Ok(Walked::Right);
        }
    }
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
