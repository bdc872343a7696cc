//! Which rows of a table differ between two databases.
//!
//! SQLite does the comparing, row by row in the order of ids, so that both files are read once and front to back; only
//! the ids of rows that differ come into memory.

use rusqlite::Connection;

use super::fail::Step;
use super::schema::{Table, quote};
use super::session::Three;
use super::touched::Touched;

/// Ids of the rows that home added, removed and changed since the base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) added: Vec<i64>,
    pub(super) removed: Vec<i64>,
    pub(super) changed: Vec<i64>,
}

impl Changes {
    /// Compares a table with an `id` between base and mine. `touched` are the rows that may differ, if that is known.
    pub(super) fn since_base(
        conn: &Connection,
        table: &Table,
        three: Three,
        without: &[&str],
        touched: Option<&Touched>,
    ) -> Step<Self> {
        let Three {
            base: old, mine: new, ..
        } = three;
        let mut changes = Self::default();
        let Some(from) = source(conn, &table.name, new, touched)? else {
            return Ok(changes);
        };
        // NOT INDEXED: on small tables SQLite would walk an index of a collation that it does not have (facts §1.4).
        let mut statement = conn.prepare(&format!(
            "SELECT n.id, o.id IS NULL FROM {from} LEFT JOIN {old}.{name} o NOT INDEXED ON o.id = n.id
             WHERE o.id IS NULL OR {}",
            table.differ("n", "o", without),
            name = quote(&table.name)
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
        changes.removed = removed(conn, &table.name, three, touched)?;
        Ok(changes)
    }

    /// Whether the two are equal.
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Where to look for differing rows of home's, as `n` in a FROM clause; nothing if there are none.
pub(super) fn source(conn: &Connection, table: &str, side: &str, touched: Option<&Touched>) -> Step<Option<String>> {
    let name = quote(table);
    let Some(touched) = touched else {
        return Ok(Some(format!("{side}.{name} n NOT INDEXED")));
    };
    let Some(ids) = touched.rows(table) else {
        return Ok(None);
    };
    conn.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS candidates(id INTEGER PRIMARY KEY); DELETE FROM temp.candidates;",
    )?;
    let mut insert = conn.prepare_cached("INSERT INTO temp.candidates VALUES (?1)")?;
    for id in ids {
        insert.execute([id])?;
    }
    Ok(Some(format!(
        "temp.candidates c CROSS JOIN {side}.{name} n NOT INDEXED ON n.id = c.id"
    )))
}

/// Ids that the base has and home has not.
pub(super) fn removed(conn: &Connection, table: &str, three: Three, touched: Option<&Touched>) -> Step<Vec<i64>> {
    let Some(from) = source(conn, table, three.base, touched)? else {
        return Ok(Vec::new());
    };
    let mut statement = conn.prepare(&format!(
        "SELECT n.id FROM {from} WHERE NOT EXISTS (SELECT 1 FROM {mine}.{name} t NOT INDEXED WHERE t.id = n.id)",
        mine = three.mine,
        name = quote(table)
    ))?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
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
pub(super) fn same(conn: &Connection, table: &Table, left: &'static str, right: &'static str) -> Step<bool> {
    if table.keyed {
        let three = Three {
            theirs: right,
            base: left,
            mine: right,
        };
        return Ok(Changes::since_base(conn, table, three, &[], None)?.is_empty());
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

    const A_TO_B: Three = Three {
        theirs: "b",
        base: "a",
        mine: "b",
    };

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
        let changes = Changes::since_base(&conn, &schema.tables["t"], A_TO_B, &["changed_at"], None).expect("diff");
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
