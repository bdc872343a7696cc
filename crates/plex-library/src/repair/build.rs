//! The new database: tables first, then their rows, then indices, then what only Plex can run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Transaction, params_from_iter};

use super::raw::Raw;
use super::schema::Entry;
use super::trees::{self, Bad, Trees};
use super::{Lost, Recovered, Table, order, orphans};
use crate::columns::{self, Column};
use crate::error::{At, READ, Result};
use crate::format::btree;
use crate::format::row::{self, Stored};
use crate::progress::{Meter, Progress};

const WRITE: &str = "write";

/// Lost ids that are named.
const NAMED: usize = 20;

/// A value as it was stored, bound as it is.
struct Bound<'a>(Stored<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Stored::Null => ValueRef::Null,
            Stored::Integer(number) => ValueRef::Integer(number),
            Stored::Real(number) => ValueRef::Real(number),
            Stored::Text(text) => ValueRef::Text(text),
            Stored::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A table while its rows come in.
pub(super) struct Filling<'a> {
    pub(super) entry: &'a Entry,
    pub(super) columns: Vec<Column>,
    pub(super) bad: Vec<Bad>,
    is_damaged: bool,
    rows: u64,
    regained: u64,
    highest: i64,
}

impl Filling<'_> {
    /// Whether a row can be one of this table.
    pub(super) fn fits(&self, values: &[Stored<'_>]) -> bool {
        fits(&self.columns, values)
    }

    /// Whether the new table has a row of this id.
    pub(super) fn has(&self, change: &Transaction<'_>, path: &Path, id: i64) -> Result<bool> {
        change
            .prepare_cached(&format!("SELECT 1 FROM {} WHERE rowid = ?1", quote(&self.entry.name)))
            .and_then(|mut row| row.exists([id]))
            .at(READ, path)
    }
}

fn fits(columns: &[Column], values: &[Stored<'_>]) -> bool {
    values.len() <= columns.len() && columns.iter().zip(values).all(|(column, value)| column.can_hold(value))
}

/// Recovers one database into a new file; `schema` are the leaves that its entries were read from.
pub(super) fn build(
    raw: &Raw,
    entries: &[Entry],
    schema: &[u32],
    path: &Path,
    progress: &dyn Progress,
) -> Result<Recovered> {
    let mut connection = create(path, raw.page_size())?;
    if let Some(header) = raw.header() {
        connection
            .pragma_update(None, "user_version", header.user_version)
            .at(WRITE, path)?;
        connection
            .pragma_update(None, "application_id", header.application_id)
            .at(WRITE, path)?;
    }
    let change = connection.transaction().at(WRITE, path)?;
    make_tables(&change, path, entries)?;
    let mut recovered = Recovered::default();
    let mut trees = Trees::new(raw);
    // The schema's own pages are no orphans.
    trees.walk("sqlite_schema", 1, true, &|_| true)?;
    for &page in schema {
        trees.take(page);
        take_overflow(raw, page, &mut trees)?;
    }
    let mut meter = Meter::new(progress, "recover", u64::from(raw.pages()) * raw.page_size() as u64);
    let mut fillings = Vec::new();
    let mut sequence: BTreeMap<String, i64> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.is_ordinary_table()) {
        let columns = columns::of(&change, path, &entry.name)?;
        let walked = match entry.root {
            0 => trees::Walked::default(),
            root => trees.walk(&entry.name, root, true, &|values| fits(&columns, values))?,
        };
        let mut filling = Filling {
            entry,
            columns,
            is_damaged: !walked.bad.is_empty() || entry.root == 0,
            bad: walked.bad,
            rows: 0,
            regained: 0,
            highest: i64::MIN,
        };
        for leaf in &walked.leaves {
            take_overflow(raw, *leaf, &mut trees)?;
            meter.add(raw.page_size())?;
            if entry.name == "sqlite_sequence" {
                read_sequence(raw, *leaf, &mut sequence)?;
            } else {
                fill(&change, path, raw, *leaf, &mut filling, &mut recovered)?;
            }
        }
        if entry.root == 0 && entry.name != "sqlite_sequence" {
            recovered.lost.push(Lost {
                table: Some(entry.name.clone()),
                page: 0,
                why: "where it began was lost with the schema; rows that can only be its own were looked for".into(),
                rows: None,
            });
        }
        for bad in &filling.bad {
            recovered.lost.push(Lost {
                table: Some(entry.name.clone()),
                page: bad.page,
                why: bad.why.clone(),
                rows: None,
            });
        }
        fillings.push(filling);
    }
    // Trees of indices are walked so that their pages are no orphans.
    for entry in entries.iter().filter(|entry| entry.kind == "index" && entry.root > 0) {
        trees.walk(&entry.name, entry.root, false, &|_| true)?;
    }
    regain(&change, path, raw, &trees, &mut fillings, &mut recovered)?;
    for filling in &mut fillings {
        count(&change, path, raw, entries, filling, &mut recovered)?;
    }
    write_sequence(&change, path, &fillings, &sequence)?;
    make_indices(&change, raw, entries, path, &mut recovered)?;
    make_rest(&change, path, entries)?;
    change.commit().at(WRITE, path)?;
    connection.close().map_err(|(_, error)| error).at("close", path)?;
    Ok(recovered)
}

/// A database with the schema alone.
pub(super) fn empty(entries: &[Entry], path: &Path, page_size: usize) -> Result<Recovered> {
    let mut connection = create(path, page_size)?;
    let change = connection.transaction().at(WRITE, path)?;
    make_tables(&change, path, entries)?;
    let mut recovered = Recovered::default();
    for entry in entries.iter().filter(|entry| entry.kind == "index") {
        let Some(sql) = &entry.sql else { continue };
        order::of_nothing(&change, path, sql)?;
        if let Err(error) = change.execute_batch(sql) {
            recovered.without.push(format!("{}: {error}", entry.name));
        }
    }
    make_rest(&change, path, entries)?;
    change.commit().at(WRITE, path)?;
    connection.close().map_err(|(_, error)| error).at("close", path)?;
    Ok(recovered)
}

fn create(path: &Path, page_size: usize) -> Result<Connection> {
    let connection = Connection::open(path).at("create", path)?;
    // A file that is not published yet needs neither a journal nor flushes; it is flushed as a whole at the end.
    connection
        .execute_batch(&format!(
            "PRAGMA page_size={page_size}; PRAGMA encoding='UTF-8'; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;
             PRAGMA foreign_keys=OFF; PRAGMA temp_store=FILE;"
        ))
        .at("create", path)?;
    Ok(connection)
}

/// Makes every ordinary table with the very text that it had.
fn make_tables(change: &Transaction<'_>, path: &Path, entries: &[Entry]) -> Result<()> {
    for entry in entries.iter().filter(|entry| entry.is_ordinary_table()) {
        let Some(sql) = &entry.sql else { continue };
        match entry.name.as_str() {
            // SQLite makes it with the first AUTOINCREMENT.
            "sqlite_sequence" => {}
            name if name.starts_with("sqlite_") => reserved(change, path, entry, sql)?,
            _ => change.execute_batch(sql).at("create", path)?,
        }
    }
    Ok(())
}

/// Names that begin so are SQLite's own (its statistics): made under another name, which is then changed.
fn reserved(change: &Transaction<'_>, path: &Path, entry: &Entry, sql: &str) -> Result<()> {
    let made = sql.replacen(&entry.name, "plexburst_reserved", 1);
    change.execute_batch(&made).at("create", path)?;
    writable(change, path, || {
        change.execute(
            "UPDATE sqlite_schema SET name = ?1, tbl_name = ?1, sql = ?2 WHERE name = 'plexburst_reserved'",
            (&entry.name, sql),
        )?;
        Ok(())
    })
}

/// What only Plex can run: virtual tables, triggers, views. They are entered as they were and never looked into.
fn make_rest(change: &Transaction<'_>, path: &Path, entries: &[Entry]) -> Result<()> {
    writable(change, path, || {
        let mut insert = change
            .prepare("INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql) VALUES (?1, ?2, ?3, 0, ?4)")?;
        for entry in entries {
            if entry.is_virtual() || matches!(entry.kind.as_str(), "trigger" | "view") {
                insert.execute((&entry.kind, &entry.name, &entry.table, &entry.sql))?;
            }
        }
        Ok(())
    })
}

fn writable(change: &Transaction<'_>, path: &Path, write: impl FnOnce() -> rusqlite::Result<()>) -> Result<()> {
    change.pragma_update(None, "writable_schema", true).at(WRITE, path)?;
    write().at(WRITE, path)?;
    change.pragma_update(None, "writable_schema", "RESET").at(WRITE, path)
}

fn take_overflow(raw: &Raw, leaf: u32, trees: &mut Trees<'_>) -> Result<()> {
    let mut page = vec![0; raw.page_size()];
    raw.page(leaf, &mut page)?;
    let Ok(shape) = btree::shape(leaf, &page, raw.usable()) else {
        return Ok(());
    };
    for at in 0..shape.cells {
        if let Ok(cell) = btree::cell(&shape, &page, raw.usable(), at) {
            for page in trees::overflow_of(raw, &cell)? {
                trees.take(page);
            }
        }
    }
    Ok(())
}

/// Puts the rows of a leaf into the new table; those that cannot be are noted.
fn fill(
    change: &Transaction<'_>,
    path: &Path,
    raw: &Raw,
    leaf: u32,
    filling: &mut Filling<'_>,
    recovered: &mut Recovered,
) -> Result<u64> {
    let mut count = 0;
    let mut lost: BTreeMap<String, u64> = BTreeMap::new();
    trees::rows(raw, leaf, &mut |id, payload| {
        let values = payload.and_then(|payload| row::parse(payload));
        let outcome = match (id, values) {
            (None, _) => Err("its id cannot be read".to_owned()),
            (_, Err(why)) => Err(why),
            (Some(_), Ok(values)) if values.len() > filling.columns.len() => {
                Err("it has more values than its table columns".to_owned())
            }
            (Some(id), Ok(values)) => insert(change, path, filling, id, &values)?,
        };
        match (outcome, id) {
            (Ok(()), Some(id)) => {
                count += 1;
                filling.highest = filling.highest.max(id);
            }
            (Ok(()), None) => {}
            (Err(why), _) => *lost.entry(why).or_default() += 1,
        }
        Ok(())
    })?;
    filling.rows += count;
    filling.is_damaged |= !lost.is_empty();
    recovered.rows += count;
    for (why, rows) in lost {
        recovered.lost.push(Lost {
            table: Some(filling.entry.name.clone()),
            page: leaf,
            why,
            rows: Some(rows),
        });
    }
    Ok(count)
}

/// Writes a row; says why the table does not take it.
fn insert(
    change: &Transaction<'_>,
    path: &Path,
    filling: &Filling<'_>,
    id: i64,
    values: &[Stored<'_>],
) -> Result<Result<(), String>> {
    let kept: Vec<(&Column, &Stored<'_>)> = filling
        .columns
        .iter()
        .zip(values)
        .filter(|(column, _)| !column.is_row_id)
        .collect();
    let names: Vec<String> = kept
        .iter()
        .map(|(column, _)| format!(",{}", quote(&column.name)))
        .collect();
    let marks: Vec<String> = (0..kept.len()).map(|at| format!(",?{}", at + 2)).collect();
    let sql = format!(
        "INSERT INTO {}(rowid{}) VALUES (?1{})",
        quote(&filling.entry.name),
        names.concat(),
        marks.concat()
    );
    let bound = std::iter::once(Bound(Stored::Integer(id))).chain(kept.iter().map(|(_, value)| Bound(**value)));
    let outcome = change
        .prepare_cached(&sql)
        .and_then(|mut insert| insert.execute(params_from_iter(bound)));
    refused(outcome.map(|_| ()), path)
}

/// What a table or an index does not take is lost; a full disk is not the row's fault.
fn refused(outcome: rusqlite::Result<()>, path: &Path) -> Result<Result<(), String>> {
    use rusqlite::ErrorCode as Code;
    match outcome {
        Ok(()) => Ok(Ok(())),
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(Code::ConstraintViolation | Code::TypeMismatch | Code::TooBig | Code::Unknown)
            ) =>
        {
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(error).at(WRITE, path),
    }
}

/// Leaves that a broken page cut off come back to the table that lacks them.
fn regain(
    change: &Transaction<'_>,
    path: &Path,
    raw: &Raw,
    trees: &Trees<'_>,
    fillings: &mut [Filling<'_>],
    recovered: &mut Recovered,
) -> Result<()> {
    let free: BTreeSet<u32> = raw.free_pages()?.into_iter().flatten().collect();
    for page in trees.orphans(&free)? {
        match orphans::owner(change, path, raw, page, fillings)? {
            orphans::Owner::Nobody => {}
            orphans::Owner::Unclear { rows, candidates } => recovered.lost.push(Lost {
                table: None,
                page,
                why: format!("its rows may be of {}", candidates.join(", ")),
                rows: Some(rows),
            }),
            orphans::Owner::One(at) => {
                let Some(filling) = fillings.get_mut(at) else { continue };
                filling.regained += fill(change, path, raw, page, filling, recovered)?;
            }
        }
    }
    Ok(())
}

/// What became of a damaged table, by what its indices know.
fn count(
    change: &Transaction<'_>,
    path: &Path,
    raw: &Raw,
    entries: &[Entry],
    filling: &mut Filling<'_>,
    recovered: &mut Recovered,
) -> Result<()> {
    if !filling.is_damaged || filling.entry.name == "sqlite_sequence" {
        return Ok(());
    }
    let mut lost = BTreeSet::new();
    let mut is_counted = false;
    for index in entries
        .iter()
        .filter(|entry| entry.kind == "index" && entry.table == filling.entry.name && entry.root > 0)
    {
        let mut known = BTreeSet::new();
        is_counted |= order::ids(raw, index, &mut |id| _ = known.insert(id))?;
        for id in known {
            filling.highest = filling.highest.max(id);
            if !filling.has(change, path, id)? {
                lost.insert(id);
            }
        }
    }
    recovered.tables.push(Table {
        table: filling.entry.name.clone(),
        rows: filling.rows,
        regained: filling.regained,
        known_lost: lost.len() as u64,
        is_counted,
        first_lost: lost.into_iter().take(NAMED).collect(),
    });
    Ok(())
}

fn read_sequence(raw: &Raw, leaf: u32, sequence: &mut BTreeMap<String, i64>) -> Result<()> {
    trees::rows(raw, leaf, &mut |_, payload| {
        if let Ok([Stored::Text(name), Stored::Integer(seq)]) =
            payload.and_then(|payload| row::parse(payload)).as_deref()
        {
            let name = String::from_utf8_lossy(name).into_owned();
            let known = sequence.entry(name).or_insert(*seq);
            *known = (*known).max(*seq);
        }
        Ok(())
    })
}

/// No id is given twice: of what was noted and what was seen, the highest.
fn write_sequence(
    change: &Transaction<'_>,
    path: &Path,
    fillings: &[Filling<'_>],
    sequence: &BTreeMap<String, i64>,
) -> Result<()> {
    let counts = |entry: &Entry| {
        let upper = entry.sql.as_ref().map(|sql| sql.to_ascii_uppercase());
        upper.is_some_and(|sql| sql.contains("AUTOINCREMENT"))
    };
    if !fillings.iter().any(|filling| counts(filling.entry)) {
        return Ok(());
    }
    change.execute("DELETE FROM sqlite_sequence", []).at(WRITE, path)?;
    for filling in fillings.iter().filter(|filling| counts(filling.entry)) {
        let noted = sequence.get(&filling.entry.name).copied();
        let seen = (filling.highest > 0).then_some(filling.highest);
        if let Some(last) = noted.max(seen) {
            change
                .execute(
                    "INSERT INTO sqlite_sequence(name, seq) VALUES (?1, ?2)",
                    (&filling.entry.name, last),
                )
                .at(WRITE, path)?;
        }
    }
    Ok(())
}

fn make_indices(
    change: &Transaction<'_>,
    raw: &Raw,
    entries: &[Entry],
    path: &Path,
    recovered: &mut Recovered,
) -> Result<()> {
    for entry in entries.iter().filter(|entry| entry.kind == "index") {
        let Some(sql) = &entry.sql else { continue };
        let doubt = order::provide(change, path, raw, entry)?;
        let made = match doubt.as_ref().and_then(order::Doubt::reason) {
            Some(why) => Err(why),
            None => create_index(change, path, entry, sql, recovered)?,
        };
        let made = match (made, doubt.as_ref().and_then(order::Doubt::reason)) {
            // The order did not know a title after all.
            (Ok(()), Some(why)) => {
                change
                    .execute_batch(&format!("DROP INDEX {}", quote(&entry.name)))
                    .at(WRITE, path)?;
                Err(why)
            }
            (made, _) => made,
        };
        if let Err(why) = made {
            recovered.without.push(format!("{}: {why}", entry.name));
        }
    }
    Ok(())
}

/// An index that has to be unique may meet two rows of one key: the one that came last goes.
fn create_index(
    change: &Transaction<'_>,
    path: &Path,
    entry: &Entry,
    sql: &str,
    recovered: &mut Recovered,
) -> Result<Result<(), String>> {
    match change.execute_batch(sql) {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {}
        other => return refused(other, path),
    }
    let inner = sql.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
    let Some((columns, _)) = inner else {
        return Ok(Err("its columns cannot be told".into()));
    };
    let table = quote(&entry.table);
    let deleted = change
        .execute(
            &format!("DELETE FROM {table} WHERE rowid NOT IN (SELECT min(rowid) FROM {table} GROUP BY {columns})"),
            [],
        )
        .at(WRITE, path)?;
    recovered.rows -= deleted as u64;
    recovered.lost.push(Lost {
        table: Some(entry.table.clone()),
        page: 0,
        why: format!("{} has to be unique, and they were there twice", entry.name),
        rows: Some(deleted as u64),
    });
    refused(change.execute_batch(sql), path)
}

/// A value that outlives its row. Damaged text need not be UTF-8 and stays text all the same.
#[derive(Debug)]
enum Kept {
    Text(Vec<u8>),
    Other(Value),
}

impl From<ValueRef<'_>> for Kept {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Text(text) => Self::Text(text.to_vec()),
            ValueRef::Blob(bytes) => Self::Other(Value::Blob(bytes.to_vec())),
            ValueRef::Integer(number) => Self::Other(Value::Integer(number)),
            ValueRef::Real(number) => Self::Other(Value::Real(number)),
            ValueRef::Null => Self::Other(Value::Null),
        }
    }
}

impl ToSql for Kept {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => Ok(ToSqlOutput::Borrowed(ValueRef::Text(text))),
            Self::Other(value) => value.to_sql(),
        }
    }
}

/// The migrations that either database has been through.
#[derive(Debug, Default)]
pub(super) struct Migrations {
    rows: BTreeMap<String, Vec<Kept>>,
    columns: Vec<String>,
}

const MIGRATIONS: &str = "schema_migrations";

impl Migrations {
    pub(super) fn read(&mut self, path: &Path) -> Result<()> {
        let connection = Connection::open(path).at(READ, path)?;
        let columns = columns::of(&connection, path, MIGRATIONS)?;
        let Some(version) = columns.iter().position(|column| column.name == "version") else {
            return Ok(());
        };
        self.columns = columns.into_iter().map(|column| column.name).collect();
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {MIGRATIONS}"))
            .at(READ, path)?;
        let width = self.columns.len();
        let mut rows = statement.query([]).at(READ, path)?;
        while let Some(row) = rows.next().at(READ, path)? {
            let values: Vec<Kept> = (0..width)
                .map(|at| row.get_ref(at).map(Kept::from))
                .collect::<rusqlite::Result<_>>()
                .at(READ, path)?;
            self.rows.entry(format!("{:?}", values[version])).or_insert(values);
        }
        Ok(())
    }

    /// Adds those that a database lacks.
    pub(super) fn complete(&self, path: &Path) -> Result<()> {
        let mut own = Self::default();
        own.read(path)?;
        if own.columns != self.columns || own.rows.len() == self.rows.len() {
            return Ok(());
        }
        let connection = Connection::open(path).at(WRITE, path)?;
        let marks: Vec<String> = (1..=self.columns.len()).map(|at| format!("?{at}")).collect();
        let mut insert = connection
            .prepare(&format!("INSERT INTO {MIGRATIONS} VALUES ({})", marks.join(",")))
            .at(WRITE, path)?;
        for (version, values) in &self.rows {
            if !own.rows.contains_key(version) {
                insert.execute(params_from_iter(values)).at(WRITE, path)?;
            }
        }
        Ok(())
    }
}

/// As Plex leaves it: in WAL mode, with no log, durable.
pub(super) fn settle(path: &Path) -> Result<()> {
    let connection = Connection::open(path).at(WRITE, path)?;
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .at(WRITE, path)?;
    connection.close().map_err(|(_, error)| error).at("close", path)?;
    std::fs::File::open(path).at("open", path)?.sync_all().at("flush", path)
}

pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
