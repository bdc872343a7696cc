//! What a manifest says of a database, learned while its pages pass by: how many rows its tables have, its migrations, the
//! numbers of its header.
//!
//! Counting by SQL would read every leaf again, at a moment that may be another one. Here the leaves' own counts of cells
//! are kept as they pass (2 bytes a page), and only the pages above them are looked up afterwards.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::format::btree::{self, PageKind};
use crate::format::header::{Header, LENGTH};
use crate::format::record::{self, Value};
use crate::format::{be16, be32};
use crate::schema::Migrations;
use crate::source::Source;

/// Stands for a page that is no leaf of a table.
const NO_LEAF: u16 = u16::MAX;
const LEAF: u8 = 13;

/// What is collected while the pages pass.
#[derive(Debug)]
pub(crate) struct Cells {
    page_size: usize,
    cells: Vec<u16>,
}

impl Cells {
    pub(crate) fn of(source: &Source) -> Self {
        Self {
            page_size: source.page_size() as usize,
            cells: Vec::with_capacity(source.pages() as usize),
        }
    }

    /// Takes the next pages, in order.
    pub(crate) fn add(&mut self, pages: &[u8]) {
        for page in pages.chunks_exact(self.page_size) {
            let head = if self.cells.is_empty() { LENGTH } else { 0 };
            self.cells.push(match page[head] {
                LEAF => be16(page, head + 3),
                _ => NO_LEAF,
            });
        }
    }
}

/// The small tables and the counts of a database whose pages have passed.
pub(crate) struct Contents<'a> {
    source: &'a Source,
    cells: Cells,
    usable: usize,
    header: Header,
    roots: BTreeMap<String, u32>,
}

impl<'a> Contents<'a> {
    /// # Errors
    /// [`Error::Damaged`] if header or schema cannot be read.
    pub(crate) fn read(source: &'a Source, cells: Cells) -> Result<Self> {
        let mut first = vec![0; source.page_size() as usize];
        source.read_page(1, &mut first)?;
        let mut head = [0; LENGTH];
        head.copy_from_slice(&first[..LENGTH]);
        let header = Header::parse(&head).map_err(|what| Error::damaged(source.path(), what))?;
        let mut contents = Self {
            source,
            cells,
            usable: first.len() - usize::from(header.reserved),
            header,
            roots: BTreeMap::new(),
        };
        for row in contents.rows(1)? {
            // type, name, tbl_name, rootpage, sql
            if let [kind, name, _, root, ..] = row.as_slice()
                && kind.text() == Some("table")
                && let (Some(name), Some(root)) = (name.text(), root.integer())
                && let Ok(root @ 1..) = u32::try_from(root)
            {
                contents.roots.insert(name.to_owned(), root);
            }
        }
        Ok(contents)
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The migrations that the database went through.
    ///
    /// # Errors
    /// [`Error::NotALibrary`] if it has no such table: another program's database.
    pub(crate) fn migrations(&self) -> Result<Migrations> {
        let Some(&root) = self.roots.get("schema_migrations") else {
            return Err(crate::schema::not_plex(self.source.path()));
        };
        let rows = self.rows(root)?;
        let versions = rows.into_iter().filter_map(|row| match row.into_iter().next() {
            Some(Value::Text(version)) => Some(version),
            Some(Value::Integer(version)) => Some(version.to_string()),
            _ => None,
        });
        Ok(versions.collect())
    }

    /// Rows of a table; `None` if there is no such table.
    ///
    /// # Errors
    /// [`Error::Damaged`] if its tree cannot be followed.
    pub(crate) fn count(&self, table: &str) -> Result<Option<u64>> {
        let Some(&root) = self.roots.get(table) else {
            return Ok(None);
        };
        let mut rows = 0;
        self.leaves(root, |_, cells| {
            rows += u64::from(cells);
            Ok(())
        })?;
        Ok(Some(rows))
    }

    fn rows(&self, root: u32) -> Result<Vec<Vec<Value>>> {
        let mut rows = Vec::new();
        let mut page = vec![0; self.source.page_size() as usize];
        self.leaves(root, |number, _| {
            self.source.read_page(number, &mut page)?;
            let payloads = record::payloads(number, &page, self.usable).map_err(|what| self.broken(number, &what))?;
            for payload in payloads {
                let whole = self.whole(&payload, number)?;
                let columns = record::columns(&whole).ok_or_else(|| self.broken(number, "a row of it is none"))?;
                rows.push(columns);
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// The payload with what lies in its overflow pages.
    fn whole(&self, payload: &record::Payload<'_>, number: u32) -> Result<Vec<u8>> {
        let mut whole = payload.local.to_vec();
        let mut next = payload.overflow;
        let mut page = vec![0; self.source.page_size() as usize];
        while let Some(overflow) = next.filter(|_| whole.len() < payload.length) {
            self.page(overflow, &mut page)?;
            let rest = (payload.length - whole.len()).min(self.usable - 4);
            whole.extend_from_slice(&page[4..4 + rest]);
            next = Some(be32(&page, 0));
        }
        if whole.len() < payload.length {
            return Err(self.broken(number, "a row of it is cut off"));
        }
        Ok(whole)
    }

    /// Visits every leaf of a table's tree, with how many rows it has.
    fn leaves(&self, root: u32, mut each: impl FnMut(u32, u16) -> Result<()>) -> Result<()> {
        let mut page = vec![0; self.source.page_size() as usize];
        let mut open = vec![root];
        let mut visited = 0;
        while let Some(number) = open.pop() {
            visited += 1;
            if visited > self.source.pages() {
                return Err(self.broken(root, "its tree runs in a circle"));
            }
            match number.checked_sub(1).and_then(|at| self.cells.cells.get(at as usize)) {
                None => return Err(self.broken(number, "it lies behind the end")),
                Some(&cells) if cells != NO_LEAF => each(number, cells)?,
                Some(_) => {
                    self.source.read_page(number, &mut page)?;
                    match btree::parse(number, &page, self.usable) {
                        Ok((PageKind::InteriorTable, pointers)) => open.extend(pointers.children.iter().rev()),
                        Ok(_) => return Err(self.broken(number, "it is in a table's tree, and no page of a table")),
                        Err(what) => return Err(self.broken(number, &what)),
                    }
                }
            }
        }
        Ok(())
    }

    fn page(&self, number: u32, into: &mut [u8]) -> Result<()> {
        if (1..=self.source.pages()).contains(&number) {
            self.source.read_page(number, into)
        } else {
            Err(self.broken(number, "it lies behind the end"))
        }
    }

    fn broken(&self, page: u32, what: &str) -> Error {
        Error::damaged(self.source.path(), format!("page {page}: {what}"))
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn counts_and_migrations_are_those_that_sqlite_reads() {
        let tmp = tempfile::tempdir().unwrap();
        for page_size in [512, 1024, 16384] {
            let path = tmp.path().join(format!("{page_size}.db"));
            let db = Connection::open(&path).unwrap();
            db.execute_batch(&format!(
                "PRAGMA page_size={page_size};
                 CREATE TABLE schema_migrations(version varchar(255));
                 CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE TABLE none(x); CREATE INDEX i ON t(x);
                 WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
                 INSERT INTO t SELECT i, CASE i % 100 WHEN 0 THEN randomblob(5000) ELSE i END FROM n;
                 DELETE FROM t WHERE id % 7 = 0;
                 INSERT INTO schema_migrations SELECT printf('%012d', id) FROM t LIMIT 500;
                 INSERT INTO schema_migrations VALUES(printf('%.*c', 3000, 'x')), (17);"
            ))
            .unwrap();
            // Enough objects that the schema itself has pages below its first one.
            for number in 0..60 {
                db.execute_batch(&format!(
                    "CREATE TABLE other_table_number_{number}(some_column varchar(255))"
                ))
                .unwrap();
            }
            let (rows, migrations): (i64, i64) = db
                .query_row(
                    "SELECT (SELECT count(*) FROM t), (SELECT count(DISTINCT version) FROM schema_migrations)",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .unwrap();
            drop(db);
            let source = Source::open(&path).unwrap();
            let mut cells = Cells::of(&source);
            source
                .chunks(|_, pages| {
                    cells.add(pages);
                    Ok(())
                })
                .unwrap();
            let contents = Contents::read(&source, cells).unwrap();
            assert_eq!(contents.count("t").unwrap(), Some(rows.unsigned_abs()), "{page_size}");
            assert_eq!(contents.count("none").unwrap(), Some(0));
            assert_eq!(contents.count("missing").unwrap(), None);
            let found = contents.migrations().unwrap();
            assert_eq!(found.len() as u64, migrations.unsigned_abs(), "{page_size}");
            assert!(found.contains("17") && found.contains(&"x".repeat(3000)));
        }
    }
}
