//! Writing into the result's content tables, so that Plex's triggers, its collation and its search index come out as if
//! Plex had written.
//!
//! `metadata_items` and `tags` have triggers that feed the search index through Plex's tokenizer. They are taken off
//! before the first such row is written and put back with the very same text at the end, in the same transaction. What
//! they would have done is done by [`super::fts`] from terms that exist already, and only for rows whose words changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::values::Value;
use rusqlite::Connection;

use super::asked::Asked;
use super::collation::{self, Proof};
use super::fail::Step;
use super::fts::{self, Document, Edit, Found, Index};
use super::rows::{self, Row};
use super::schema::{Schema, Table, quote};
use super::session::{BASE, MAIN, MINE};
use crate::error::Error;

/// The tables with triggers.
pub(super) const SEARCHED: [&str; 2] = ["metadata_items", "tags"];

/// What is known about a searched table.
#[derive(Debug)]
struct Searched {
    indices: Result<Vec<Index>, String>,
    /// Columns whose text is searched.
    columns: Vec<String>,
    /// Triggers that were taken off: name and text.
    taken_off: Option<Vec<(String, String)>>,
    /// Words of every row that was touched, as the result had them; none if it had no such row.
    before: BTreeMap<i64, Option<Vec<Value>>>,
    /// Rows that got another id: new → old.
    came_from: HashMap<i64, i64>,
}

/// Writes rows of library.db.
#[derive(Debug)]
pub(super) struct Writer {
    searched: BTreeMap<&'static str, Searched>,
    proof: Option<Proof>,
    least_titles: usize,
    asked: Option<Asked>,
    /// Rows for whose place among the titles home's own program was asked.
    placed: BTreeSet<i64>,
    /// Why home's own program, which was at hand, is not asked.
    pub(super) unasked: Option<String>,
}

impl Writer {
    /// `proof` is what the collation has shown on these very indices before; `asked` is at hand where ours has nothing to show.
    pub(super) fn new(
        conn: &Connection,
        schema: &Schema,
        least_titles: usize,
        asked: Option<&Asked>,
        mut proof: Option<Proof>,
    ) -> Step<Self> {
        let mut searched = BTreeMap::new();
        for name in SEARCHED {
            let Some(table) = schema.get(name) else { continue };
            let indices = Index::all(conn, MAIN, name, &table.columns)?;
            let mut columns: Vec<String> = Vec::new();
            for column in indices.iter().flatten().flat_map(|index| &index.columns) {
                if !columns.contains(column) {
                    columns.push(column.clone());
                }
            }
            searched.insert(
                name,
                Searched {
                    indices,
                    columns,
                    taken_off: None,
                    before: BTreeMap::new(),
                    came_from: HashMap::new(),
                },
            );
        }
        match (&proof, asked) {
            (Some(Proof::Given), _) => collation::register(conn)?,
            (Some(Proof::Asked(names)), Some(asked)) => {
                for name in names {
                    asked.register(conn, name)?;
                }
            }
            (Some(Proof::Asked(_)), None) => {
                proof = Some(Proof::Lacking(
                    "home's Plex SQLite knows the order and does not answer".into(),
                ));
            }
            _ => {}
        }
        Ok(Self {
            searched,
            proof,
            least_titles,
            asked: asked.cloned(),
            placed: BTreeSet::new(),
            unasked: None,
        })
    }

    /// What the collation has to show for itself.
    pub(super) fn proof(&mut self, conn: &Connection) -> Step<Proof> {
        Ok(match &self.proof {
            Some(proof) => proof.clone(),
            None => {
                let mut proof = collation::prove(conn, &[MAIN, MINE], self.least_titles)?;
                if let (Proof::Lacking(why), Some(asked)) = (&proof, &self.asked) {
                    proof = match collation::ask(conn, &[MAIN, MINE], asked)? {
                        Proof::Lacking(unasked) => {
                            let lacking = Proof::Lacking(format!("{why}; home's Plex SQLite is of no help: {unasked}"));
                            self.unasked = Some(unasked);
                            lacking
                        }
                        answered => answered,
                    };
                }
                self.proof.insert(proof).clone()
            }
        })
    }

    /// How many rows home's own program was asked for.
    pub(super) fn placed(&self) -> u64 {
        self.placed.len() as u64
    }

    /// Why rows of `table` cannot be inserted, removed or renamed; `None` if they can.
    pub(super) fn obstacle(&mut self, conn: &Connection, table: &str) -> Step<Option<String>> {
        let Some(searched) = self.searched.get(table) else {
            return Ok(None);
        };
        if let Err(why) = &searched.indices {
            return Ok(Some(why.clone()));
        }
        if table != "metadata_items" {
            return Ok(None);
        }
        Ok(match self.proof(conn)? {
            Proof::Given | Proof::Asked(_) => None,
            Proof::Lacking(why) => Some(why),
        })
    }

    /// Those of home's rows whose words cannot be carried over, because home's index does not have them whole.
    pub(super) fn unsearchable(&self, conn: &Connection, table: &str, ids: &[i64]) -> Step<BTreeSet<i64>> {
        let mut broken = BTreeSet::new();
        let Some(Searched {
            indices: Ok(indices), ..
        }) = self.searched.get(table)
        else {
            return Ok(broken);
        };
        for index in indices {
            for (id, found) in fts::find(conn, MINE, index, ids)? {
                if found == Found::Broken {
                    broken.insert(id);
                }
            }
        }
        Ok(broken)
    }

    /// Whether two rows differ in what is searched or sorted by a foreign collation.
    pub(super) fn words_differ(&self, table: &Table, old: &Row, new: &Row) -> bool {
        let Some(searched) = self.searched.get(table.name.as_str()) else {
            return false;
        };
        searched
            .columns
            .iter()
            .map(String::as_str)
            .chain(["title_sort"])
            .filter_map(|column| table.at(column))
            .any(|n| old[n] != new[n])
    }

    pub(super) fn insert(&mut self, conn: &Connection, table: &Table, row: &Row) -> Step<()> {
        if let Some(id) = rows::int(table, row, "id") {
            self.touch(conn, table, id)?;
        }
        rows::insert(conn, MAIN, table, row)
    }

    /// Writes what differs; says whether anything did.
    pub(super) fn update(&mut self, conn: &Connection, table: &Table, id: i64, old: &Row, new: &Row) -> Step<bool> {
        self.take_off(conn, &table.name)?;
        if self.words_differ(table, old, new) {
            self.touch(conn, table, id)?;
        }
        rows::update(conn, MAIN, table, id, old, new)
    }

    pub(super) fn delete(&mut self, conn: &Connection, table: &Table, id: i64) -> Step<bool> {
        self.touch(conn, table, id)?;
        rows::delete(conn, MAIN, &table.name, id)
    }

    /// Gives a row another id; the caller changes what refers to it.
    pub(super) fn renumber(&mut self, conn: &Connection, table: &Table, old: i64, new: i64) -> Step<()> {
        self.touch(conn, table, old)?;
        self.touch(conn, table, new)?;
        if let Some(searched) = self.searched.get_mut(table.name.as_str()) {
            let origin = searched.came_from.remove(&old).unwrap_or(old);
            searched.came_from.insert(new, origin);
        }
        conn.prepare_cached(&format!(
            "UPDATE {MAIN}.{} SET id = ?2 WHERE id = ?1",
            quote(&table.name)
        ))?
        .execute([old, new])?;
        Ok(())
    }

    /// Remembers the words of a row before it is written for the first time.
    fn touch(&mut self, conn: &Connection, table: &Table, id: i64) -> Step<()> {
        self.take_off(conn, &table.name)?;
        let Some(searched) = self.searched.get_mut(table.name.as_str()) else {
            return Ok(());
        };
        if !searched.before.contains_key(&id) {
            let words = words(conn, MAIN, table, &searched.columns, id)?;
            searched.before.insert(id, words);
            if table.name == SEARCHED[0] && matches!(self.proof, Some(Proof::Asked(_))) {
                self.placed.insert(id);
            }
        }
        Ok(())
    }

    /// Takes the triggers off a table, once.
    pub(super) fn take_off(&mut self, conn: &Connection, table: &str) -> Step<()> {
        let Some(searched) = self.searched.get_mut(table) else {
            return Ok(());
        };
        if searched.taken_off.is_some() {
            return Ok(());
        }
        let triggers: Vec<(String, String)> = conn
            .prepare(&format!(
                "SELECT name, sql FROM {MAIN}.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 ORDER BY rowid"
            ))?
            .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (name, _) in &triggers {
            conn.execute_batch(&format!("DROP TRIGGER {MAIN}.{}", quote(name)))?;
        }
        searched.taken_off = Some(triggers);
        Ok(())
    }

    /// Brings the search indices up to date and puts the triggers back.
    pub(super) fn finish(&mut self, conn: &Connection, schema: &Schema) -> Step<()> {
        for (name, searched) in &self.searched {
            let Some(table) = schema.get(name) else { continue };
            for index in searched.indices.iter().flatten() {
                searched.bring_up_to_date(conn, table, index)?;
            }
        }
        for searched in self.searched.values_mut() {
            for (_, sql) in searched.taken_off.take().into_iter().flatten() {
                conn.execute_batch(&sql)?;
            }
        }
        Ok(())
    }
}

/// The searched columns of a row.
fn words(conn: &Connection, side: &str, table: &Table, columns: &[String], id: i64) -> Step<Option<Vec<Value>>> {
    Ok(rows::get(conn, side, table, id)?
        .map(|row| columns.iter().map(|column| rows::value(table, &row, column)).collect()))
}

impl Searched {
    fn bring_up_to_date(&self, conn: &Connection, table: &Table, index: &Index) -> Step<()> {
        let mut pending = Vec::new();
        for (&id, before) in &self.before {
            let after = words(conn, MAIN, table, &self.columns, id)?;
            if *before != after || (after.is_some() && self.came_from.contains_key(&id)) {
                pending.push((id, before, after));
            }
        }
        if pending.is_empty() {
            return Ok(());
        }
        let mut wanted: Vec<i64> = pending.iter().map(|(id, ..)| *id).collect();
        let at_home = fts::find(conn, MINE, index, &wanted)?;
        let at_base = fts::find(conn, BASE, index, &wanted)?;
        wanted.extend(pending.iter().filter_map(|(id, ..)| self.came_from.get(id)));
        let here = fts::find(conn, MAIN, index, &wanted)?;
        let mut edits = Vec::new();
        let mut unreadable = Vec::new();
        for (id, before, after) in pending {
            let old = match (before, here.get(&id)) {
                (Some(text), Some(Found::Here(document))) => Some((document.clone(), self.of_index(index, text))),
                (_, Some(Found::Broken)) => {
                    unreadable.push(format!("{} {id}", table.name));
                    continue;
                }
                _ => None,
            };
            let new = match &after {
                None => None,
                Some(text) => {
                    let origin = self.came_from.get(&id).copied().unwrap_or(id);
                    let mine = words(conn, MINE, table, &self.columns, id)?;
                    let base = words(conn, BASE, table, &self.columns, id)?;
                    let theirs = self.before.get(&origin).cloned().flatten();
                    let sources = [
                        (theirs, here.get(&origin)),
                        (mine, at_home.get(&id)),
                        (base, at_base.get(&id)),
                    ];
                    match self.compose(index, text, &sources) {
                        Composed::Whole(documents) => Some((documents, self.of_index(index, text))),
                        Composed::NotSearched => None,
                        Composed::Missing => {
                            unreadable.push(format!("{} {id}", table.name));
                            continue;
                        }
                    }
                }
            };
            if old.is_some() || new.is_some() {
                edits.push(Edit { id, old, new });
            }
        }
        if !unreadable.is_empty() {
            return Err(Error::Refused {
                what: format!("the search index {} does not hold the words of rows that have to be written", index.name),
                items: unreadable,
                hint: "let Plex optimise its database (Settings, Troubleshooting) on the side that is named, and begin again".into(),
            }
            .into());
        }
        fts::apply(conn, MAIN, index, &edits)
    }

    /// Words in the order of an index's columns.
    fn of_index(&self, index: &Index, words: &[Value]) -> Vec<Value> {
        index
            .columns
            .iter()
            .map(|column| {
                self.columns
                    .iter()
                    .position(|known| known == column)
                    .map_or(Value::Null, |n| words[n].clone())
            })
            .collect()
    }

    /// For every column of an index, a document that was made from the same words.
    fn compose(&self, index: &Index, text: &[Value], sources: &[(Option<Vec<Value>>, Option<&Found>)]) -> Composed {
        let wanted = self.of_index(index, text);
        let (mut documents, mut unsearched) = (Vec::new(), false);
        for (column, words) in wanted.iter().enumerate() {
            let mut found = None;
            for (source, document) in sources {
                let Some(source) = source else { continue };
                if self.of_index(index, source)[column] != *words {
                    continue;
                }
                match document {
                    Some(Found::Here(document)) => {
                        found = Some(document.clone());
                        break;
                    }
                    // Plex has the row with these words and does not search it.
                    Some(Found::Absent) => unsearched = true,
                    _ => {}
                }
            }
            match found {
                Some(document) => documents.push(document),
                None if matches!(words, Value::Null) && !index.keeps_text => documents.push(Document::default()),
                None if unsearched => return Composed::NotSearched,
                None => return Composed::Missing,
            }
        }
        Composed::Whole(documents)
    }
}

/// The words of a row, put together from what the indices have.
enum Composed {
    Whole(Vec<Document>),
    NotSearched,
    Missing,
}
