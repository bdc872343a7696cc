//! Which rows of a table differ between two databases.
//!
//! SQLite does the comparing, row by row in the order of ids, so that both files are read once and front to back; only
//! the ids of rows that differ come into memory.

use rusqlite::Connection;

use super::fail::Step;
use super::schema::{Table, quote};

/// Ids of the rows that home added, removed and changed since the base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) added: Vec<i64>,
    pub(super) removed: Vec<i64>,
    pub(super) changed: Vec<i64>,
}

impl Changes {
    /// Compares a table with an `id` between the databases attached as `old` and `new`.
    pub(super) fn between(conn: &Connection, table: &Table, old: &str, new: &str, without: &[&str]) -> Step<Self> {
        let name = quote(&table.name);
        let mut changes = Self::default();
        // NOT INDEXED: on small tables SQLite would walk an index of a collation that it does not have (facts §1.4).
        let mut statement = conn.prepare(&format!(
            "SELECT n.id, o.id IS NULL FROM {new}.{name} n NOT INDEXED LEFT JOIN {old}.{name} o NOT INDEXED ON o.id = n.id
             WHERE o.id IS NULL OR {}",
            table.differ("n", "o", without)
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            if row.get(1)? {
                changes.added.push(id);
            } else {
                changes.changed.push(id);
            }
        }
        changes.removed = missing(conn, &table.name, old, new)?;
        Ok(changes)
    }

    /// Whether the two are equal.
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Ids that `table` has in `here` and not in `there`.
pub(super) fn missing(conn: &Connection, table: &str, here: &str, there: &str) -> Step<Vec<i64>> {
    let name = quote(table);
    let mut statement = conn.prepare(&format!(
        "SELECT h.id FROM {here}.{name} h NOT INDEXED
         WHERE NOT EXISTS (SELECT 1 FROM {there}.{name} t NOT INDEXED WHERE t.id = h.id)"
    ))?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Whether a table has the same rows in both, however they are numbered: for tables without an `id`, which are small,
/// and for those that are only asked about.
pub(super) fn same(conn: &Connection, table: &Table, left: &str, right: &str) -> Step<bool> {
    if table.keyed {
        return Ok(Changes::between(conn, table, left, right, &[])?.is_empty());
    }
    let (name, columns) = (quote(&table.name), table.column_list());
    let grouped = |side: &str| {
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|column| format!("{} COLLATE BINARY", quote(column)))
            .collect();
        format!(
            "SELECT {list}, count(*) FROM {side}.{name} GROUP BY {list}",
            list = columns.join(",")
        )
    };
    debug_assert!(!columns.is_empty());
    let differing: bool = conn.query_row(
        &format!(
            "SELECT EXISTS (SELECT * FROM ({left} EXCEPT {right})) OR EXISTS (SELECT * FROM ({right} EXCEPT {left}))",
            left = grouped(left),
            right = grouped(right)
        ),
        [],
        |row| row.get(0),
    )?;
    Ok(!differing)
}

#[cfg(test)]
mod tests {
    use super::super::schema::Schema;
    use super::*;

    fn two(left: &str, right: &str) -> (Connection, Schema) {
        let conn = Connection::open_in_memory().expect("memory");
        conn.execute_batch(&format!(
            "ATTACH ':memory:' AS a; ATTACH ':memory:' AS b;
             CREATE TABLE a.t(id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, x TEXT COLLATE NOCASE, changed_at INTEGER);
             CREATE TABLE b.t(id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, x TEXT COLLATE NOCASE, changed_at INTEGER);
             CREATE TABLE a.p(x, y); CREATE TABLE b.p(x, y);
             {left} {right}"
        ))
        .expect("set up");
        let schema = Schema::read(&conn, "a").expect("schema");
        (conn, schema)
    }

    #[test]
    fn added_removed_and_changed_rows_are_told_apart() {
        let (conn, schema) = two(
            "INSERT INTO a.t VALUES (1,'one',1),(2,'two',1),(3,NULL,1),(4,'four',1);",
            "INSERT INTO b.t VALUES (1,'ONE',1),(3,NULL,9),(4,'four',1),(7,'new',1);",
        );
        let changes = Changes::between(&conn, &schema.tables["t"], "a", "b", &["changed_at"]).expect("diff");
        assert_eq!(changes.added, [7]);
        assert_eq!(changes.removed, [2]);
        assert_eq!(changes.changed, [1]);
        assert!(!same(&conn, &schema.tables["t"], "a", "b").expect("same"));
    }

    #[test]
    fn rows_without_an_id_are_compared_as_a_bag() {
        let rows = "VALUES (1,'a'),(1,'a'),(2,NULL);";
        let (conn, schema) = two(&format!("INSERT INTO a.p {rows}"), &format!("INSERT INTO b.p {rows}"));
        assert!(same(&conn, &schema.tables["p"], "a", "b").expect("same"));
        conn.execute_batch("DELETE FROM b.p WHERE rowid = 1").expect("delete");
        assert!(!same(&conn, &schema.tables["p"], "a", "b").expect("same"));
    }
}
