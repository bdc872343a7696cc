//! The tables of a library as the database at hand has them.
//!
//! Column names and their order are read, never known beforehand: they differ between versions of Plex. What the merge
//! knows about a table is in [`super::tables`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rusqlite::Connection;

use super::fail::Step;
use super::mode::Mode;
use super::session::Three;
use crate::error::Error;

/// One ordinary table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    /// Whether `id` is the row id.
    pub(super) keyed: bool,
}

impl Table {
    /// Position of a column; versions of Plex differ in what they have.
    pub(super) fn at(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }

    /// Whether it has the column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.at(column).is_some()
    }

    /// `"a","b","c"`
    pub(super) fn column_list(&self) -> String {
        let quoted: Vec<String> = self.columns.iter().map(|name| quote(name)).collect();
        quoted.join(",")
    }

    /// An SQL condition that is true if the rows under the two aliases differ in any column but those left out.
    ///
    /// Compared byte by byte: titles and tags are declared NOCASE, and an edit from `abba` to `ABBA` is an edit.
    pub(super) fn differ(&self, left: &str, right: &str, without: &[&str]) -> String {
        let mut terms: Vec<String> = self
            .columns
            .iter()
            .filter(|name| !without.contains(&name.as_str()))
            .map(|name| {
                let name = quote(name);
                format!("{left}.{name} COLLATE BINARY IS NOT {right}.{name}")
            })
            .collect();
        if terms.is_empty() {
            terms.push("0".into());
        }
        format!("({})", terms.join(" OR "))
    }
}

/// A name as SQL wants it.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The ordinary tables of a database; shadow tables of virtual ones are not among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schema {
    pub(super) tables: BTreeMap<String, Table>,
}

impl Schema {
    /// Reads the tables of the database attached as `name`.
    pub(super) fn read(conn: &Connection, name: &str) -> Step<Self> {
        let mut statement = conn.prepare(&format!(
            "SELECT name, rootpage FROM {name}.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        ))?;
        let found: Vec<(String, i64)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.unwrap_or(0))))?
            .collect::<Result<_, _>>()?;
        let virtuals: Vec<&str> = found
            .iter()
            .filter(|(_, root)| *root == 0)
            .map(|(table, _)| table.as_str())
            .collect();
        let mut columns = conn.prepare("SELECT name, type, pk FROM pragma_table_info(?1, ?2)")?;
        let mut tables = BTreeMap::new();
        for (table, root) in &found {
            if *root == 0 || virtuals.iter().any(|owner| is_shadow(owner, table)) {
                continue;
            }
            let described: Vec<(String, String, i64)> = columns
                .query_map([table.as_str(), name], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?
                .collect::<Result<_, _>>()?;
            let keyed = described.iter().filter(|column| column.2 > 0).count() == 1
                && described
                    .iter()
                    .any(|(name, kind, pk)| name == "id" && *pk == 1 && kind.eq_ignore_ascii_case("integer"));
            let columns = described.into_iter().map(|(name, _, _)| name).collect();
            tables.insert(
                table.clone(),
                Table {
                    name: table.clone(),
                    columns,
                    keyed,
                },
            );
        }
        Ok(Self { tables })
    }

    /// A table by name.
    pub(super) fn get(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    /// The tables of the result, after making sure that all three sides have the same ones with the same columns and
    /// the same migrations.
    ///
    /// `mode` says whether there is a base to be looked at.
    pub(super) fn common(conn: &Connection, three: Three, mode: Mode, paths: [PathBuf; 3]) -> Step<Self> {
        let theirs = Self::read(conn, three.theirs)?;
        let migrations = migrations(conn, three.theirs)?;
        let [their_path, base_path, mine_path] = paths;
        for (side, path) in [(three.base, base_path), (three.mine, mine_path)] {
            if mode == Mode::TwoWay && side == three.base {
                continue;
            }
            let other = Self::read(conn, side)?;
            let mut what = sets_differ("migration", &migrations, &self::migrations(conn, side)?);
            what.extend(theirs.differences(&other));
            if !what.is_empty() {
                what.truncate(12);
                return Err(Error::SchemaDiffers {
                    left: path,
                    right: their_path,
                    what: what.join(", "),
                }
                .into());
            }
        }
        Ok(theirs)
    }

    fn differences(&self, other: &Self) -> Vec<String> {
        let names = |schema: &Self| schema.tables.keys().cloned().collect::<BTreeSet<_>>();
        let mut what = sets_differ("table", &names(self), &names(other));
        for (name, table) in &self.tables {
            if let Some(twin) = other.tables.get(name)
                && twin != table
            {
                let set = |table: &Table| table.columns.iter().cloned().collect::<BTreeSet<_>>();
                let columns = sets_differ("column", &set(table), &set(twin));
                what.push(format!("table {name} ({})", columns.join(", ")));
            }
        }
        what
    }
}

fn sets_differ(kind: &str, left: &BTreeSet<String>, right: &BTreeSet<String>) -> Vec<String> {
    left.symmetric_difference(right)
        .map(|name| format!("{kind} {name} is on one side only"))
        .collect()
}

fn migrations(conn: &Connection, name: &str) -> Step<BTreeSet<String>> {
    // Sets are compared, never the greatest: a special row like '500000000001.231' is greater than all (facts §1.1).
    let mut statement = conn.prepare(&format!("SELECT version FROM {name}.schema_migrations"))?;
    Ok(statement
        .query_map([], |row| {
            Ok(match row.get_ref(0)? {
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                other => format!("{other:?}"),
            })
        })?
        .collect::<Result<_, _>>()?)
}

/// Whether `table` is where the virtual table `owner` keeps its data (FTS4, R-tree, spellfix1).
fn is_shadow(owner: &str, table: &str) -> bool {
    table
        .strip_prefix(owner)
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|suffix| {
            matches!(
                suffix,
                "content" | "segments" | "segdir" | "docsize" | "stat" | "node" | "rowid" | "parent" | "vocab"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(sql: &str) -> Connection {
        let conn = Connection::open_in_memory().expect("memory");
        conn.execute_batch(sql).expect("schema");
        conn
    }

    #[test]
    fn shadow_tables_and_virtual_ones_are_left_out() {
        let conn = memory(
            "CREATE TABLE tags(id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, tag varchar(255) COLLATE NOCASE);
             CREATE TABLE pairs(a INTEGER, b TEXT);
             CREATE VIRTUAL TABLE fts USING fts4(tag);
             CREATE VIRTUAL TABLE 'locations' USING rtree(id, a, b);",
        );
        let schema = Schema::read(&conn, "main").expect("read");
        assert_eq!(schema.tables.keys().collect::<Vec<_>>(), ["pairs", "tags"]);
        assert!(schema.tables["tags"].keyed);
        assert!(!schema.tables["pairs"].keyed);
    }

    #[test]
    fn an_edit_of_case_is_a_difference() {
        let conn = memory(
            "CREATE TABLE l(id INTEGER PRIMARY KEY, tag TEXT COLLATE NOCASE);
             CREATE TABLE r(id INTEGER PRIMARY KEY, tag TEXT COLLATE NOCASE);
             INSERT INTO l VALUES (1, 'abba'); INSERT INTO r VALUES (1, 'ABBA');",
        );
        let table = Schema::read(&conn, "main").expect("read").tables["l"].clone();
        let query = format!(
            "SELECT count(*) FROM l JOIN r USING (id) WHERE {}",
            table.differ("l", "r", &[])
        );
        let differing: i64 = conn.query_row(&query, [], |row| row.get(0)).expect("query");
        assert_eq!(differing, 1);
    }
}
