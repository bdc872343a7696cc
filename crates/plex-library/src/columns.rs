//! The columns of a table, and what SQLite can have stored in each (sqlite.org, "Determination Of Column Affinity").

use std::path::Path;

use rusqlite::Connection;

use crate::error::{At, READ, Result};
use crate::format::row::Stored;

/// How SQLite converts what is stored in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Affinity {
    Text,
    Integer,
    Real,
    Numeric,
    Blob,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The declared type, in lower case.
    pub(crate) declared: String,
    pub(crate) affinity: Affinity,
    /// The row id under another name; its place in a record is empty.
    pub(crate) is_row_id: bool,
    pub(crate) is_required: bool,
}

/// The columns of a table, in their order.
pub(crate) fn of(db: &Connection, path: &Path, table: &str) -> Result<Vec<Column>> {
    let mut statement = db
        .prepare(
            "SELECT name, type, pk AND (SELECT count(*) FROM pragma_table_info(?1) WHERE pk > 0) = 1, \"notnull\"
             FROM pragma_table_info(?1) ORDER BY cid",
        )
        .at(READ, path)?;
    statement
        .query_map([table], |row| {
            let declared = row.get::<_, String>(1)?.to_ascii_lowercase();
            Ok(Column {
                name: row.get(0)?,
                affinity: affinity(&declared),
                is_row_id: row.get::<_, bool>(2)? && declared == "integer",
                is_required: row.get(3)?,
                declared,
            })
        })
        .and_then(Iterator::collect)
        .at(READ, path)
}

impl Column {
    /// Whether SQLite can have left a value so in this column.
    pub(crate) fn can_hold(&self, value: &Stored<'_>) -> bool {
        match *value {
            Stored::Null => !self.is_required || self.is_row_id,
            // The id is the row's own.
            _ if self.is_row_id => false,
            Stored::Integer(_) | Stored::Real(_) if self.affinity == Affinity::Text => false,
            // Beyond that SQLite keeps the real number, since it could not give it back.
            Stored::Real(number) if matches!(self.affinity, Affinity::Integer | Affinity::Numeric) => {
                number == 0.0 || number.fract() != 0.0 || number.abs() >= 140_737_488_355_328.0
            }
            Stored::Text(text) if matches!(self.affinity, Affinity::Integer | Affinity::Numeric | Affinity::Real) => {
                text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit)
            }
            _ => true,
        }
    }
}

fn affinity(declared: &str) -> Affinity {
    let has = |word: &str| declared.contains(word);
    if has("int") {
        Affinity::Integer
    } else if has("char") || has("clob") || has("text") {
        Affinity::Text
    } else if has("blob") || declared.is_empty() {
        Affinity::Blob
    } else if has("real") || has("floa") || has("doub") {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinities_are_those_of_sqlite() {
        for (declared, expected) in [
            ("integer(8)", Affinity::Integer),
            ("dt_integer(8)", Affinity::Integer),
            ("varchar(255)", Affinity::Text),
            ("text", Affinity::Text),
            ("float", Affinity::Real),
            ("boolean", Affinity::Numeric),
            ("string", Affinity::Numeric),
            ("timestamp", Affinity::Numeric),
            ("blob", Affinity::Blob),
            ("", Affinity::Blob),
        ] {
            assert_eq!(affinity(declared), expected, "{declared}");
        }
    }

    #[test]
    fn what_sqlite_leaves_in_a_column_is_what_it_can_hold() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a varchar(255), b integer, c float, d boolean NOT NULL, e blob);
             INSERT INTO t(a, b, c, d, e) VALUES (7, '7', 7.0, 't', '7'), ('x', 'x', 1.5, 1, x'00'), (1.5, 1e20, 1e15, 0, 0);",
        )
        .unwrap();
        let columns = of(&db, Path::new("t"), "t").unwrap();
        let mut statement = db.prepare("SELECT NULL, a, b, c, d, e FROM t").unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for (at, column) in columns.iter().enumerate() {
                let value = match row.get_ref(at).unwrap() {
                    rusqlite::types::ValueRef::Null => Stored::Null,
                    rusqlite::types::ValueRef::Integer(number) => Stored::Integer(number),
                    // What is a whole number again when it is read was stored as one.
                    rusqlite::types::ValueRef::Real(number) if number.fract() == 0.0 && number < 1e14 => continue,
                    rusqlite::types::ValueRef::Real(number) => Stored::Real(number),
                    rusqlite::types::ValueRef::Text(text) => Stored::Text(text),
                    rusqlite::types::ValueRef::Blob(bytes) => Stored::Blob(bytes),
                };
                assert!(column.can_hold(&value), "{column:?} {value:?}");
            }
        }
        assert!(!columns[1].can_hold(&Stored::Integer(7)));
        assert!(!columns[2].can_hold(&Stored::Text(b"7")));
        assert!(!columns[4].can_hold(&Stored::Null));
    }
}
