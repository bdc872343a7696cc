//! Whatever else in a library speaks of a root that is mapped: counted, so that nothing stays behind in silence.

use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};

use super::mapping::{Mapping, Mappings};
use super::places;
use crate::error::{At, READ, Result};
use crate::open;
use crate::paths::{Databases, Which};

/// Rows of a column that is left as it is, although old roots stand in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Which database.
    pub database: Which,
    /// The table.
    pub table: String,
    /// Its column.
    pub column: String,
    /// Rows.
    pub rows: u64,
    /// One of their values.
    pub example: String,
}

/// How much of a value is shown.
const SHOWN: usize = 120;

/// Looks through every text of both databases for values that a mapping would cover and that [`super::apply`] leaves
/// alone: legacy guids, for instance.
///
/// # Errors
/// A library that cannot be read.
pub fn elsewhere(databases: &Databases, mappings: &[Mapping]) -> Result<Vec<Elsewhere>> {
    let mappings = Mappings::new(mappings)?;
    let mut found = Vec::new();
    for which in open::present(databases) {
        let path = databases.path(which);
        let reader = open::read_only(&path)?;
        let known = match which {
            Which::Library => places::present(&reader, &path)?,
            Which::Blobs => Vec::new(),
        };
        for (table, columns) in tables(&reader)? {
            let is_known = |column: &str| known.iter().any(|place| place.table == table && place.column == column);
            let list: Vec<&String> = columns.iter().filter(|column| !is_known(column)).collect();
            if list.is_empty() {
                continue;
            }
            let quoted: Vec<String> = list.iter().map(|column| quote(column)).collect();
            let sql = format!("SELECT {} FROM {} NOT INDEXED", quoted.join(","), quote(&table));
            let mut counts: Vec<(u64, String)> = vec![(0, String::new()); list.len()];
            let mut statement = reader.prepare(&sql).at(READ, &path)?;
            let mut rows = statement.query([]).at(READ, &path)?;
            while let Some(row) = rows.next().at(READ, &path)? {
                for (at, (count, example)) in counts.iter_mut().enumerate() {
                    if let ValueRef::Text(value) = row.get_ref(at).at(READ, &path)?
                        && mappings.rewrite(value).is_some()
                    {
                        if *count == 0 {
                            *example = String::from_utf8_lossy(value).chars().take(SHOWN).collect();
                        }
                        *count += 1;
                    }
                }
            }
            for (column, (rows, example)) in list.into_iter().zip(counts) {
                if rows > 0 {
                    found.push(Elsewhere {
                        database: which,
                        table: table.clone(),
                        column: column.clone(),
                        rows,
                        example,
                    });
                }
            }
        }
        reader.confirm()?;
    }
    Ok(found)
}

/// Ordinary tables with their columns of text.
fn tables(reader: &open::Reader) -> Result<Vec<(String, Vec<String>)>> {
    let sql = "SELECT s.name, c.name FROM sqlite_schema s, pragma_table_info(s.name) c
               WHERE s.type = 'table' AND s.rootpage > 0 AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                 AND (c.type LIKE '%char%' OR c.type LIKE '%text%' OR c.type LIKE 'string')
               ORDER BY s.name, c.cid";
    let mut statement = reader.prepare(sql).at(READ, reader.path())?;
    let mut rows = statement.query([]).at(READ, reader.path())?;
    let mut tables: Vec<(String, Vec<String>)> = Vec::new();
    while let Some(row) = rows.next().at(READ, reader.path())? {
        let (table, column): (String, String) =
            (row.get(0).at(READ, reader.path())?, row.get(1).at(READ, reader.path())?);
        match tables.last_mut() {
            Some((last, columns)) if *last == table => columns.push(column),
            _ => tables.push((table, vec![column])),
        }
    }
    Ok(tables)
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
