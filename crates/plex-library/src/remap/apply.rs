//! Doing what a plan says, in one transaction, with the way back written before it is committed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::Report;
use super::inverse::{FORMAT, Inverse, Moved, Removed, Rewritten, Stored, runs};
use super::mapping::{Mappings, Rewrite};
use super::places::{self, Place, ROOTS};
use super::plan::{Column, MergedRoot, Plan};
use super::undo::{self, State};
use crate::error::{At, Error, READ, Result};
use crate::open;
use crate::paths::Databases;

const WRITE: &str = "write";

/// Rows read before they are written: a table is never written while a statement reads it.
const BATCH: usize = 10_000;

/// Does what `plan` says to a library that no server has open. The library is the old one or the new one, whatever
/// happens meanwhile.
///
/// # Errors
/// [`Error::Refused`] if the library is not the one that was planned for any more; [`Error::InUse`]; the disk.
pub fn apply(databases: &Databases, plan: &Plan) -> Result<Report> {
    run(databases, plan, |_| Ok(()))
}

/// The same, with the way back durable in the file `inverse` before the library changes. May be done again after it was
/// killed: what is done already stays done.
///
/// # Errors
/// As [`apply`]; [`Error::Refused`] if `inverse` is there already and is not of this library.
pub fn apply_noted(databases: &Databases, plan: &Plan, inverse: &Path) -> Result<Report> {
    if inverse.exists() {
        let known = Inverse::read(inverse)?;
        let path = databases.library();
        let reader = open::read_only(&path)?;
        let state = undo::state(&reader, &path, &known)?;
        drop(reader);
        match state {
            State::After if known.mappings == plan.mappings => return Ok(report_of(known)),
            State::Before => {}
            _ => {
                return Err(Error::Refused {
                    what: format!("{} is of another remap", inverse.display()),
                    items: vec![databases.dir().display().to_string()],
                    hint: "undo that one first, or name another file".into(),
                });
            }
        }
    }
    run(databases, plan, |made| made.write(inverse))
}

/// A remap that was done by an earlier run, told from its inverse.
fn report_of(inverse: Inverse) -> Report {
    let mut columns: Vec<Column> = Vec::new();
    for group in &inverse.rewritten {
        let rows = group.ids.iter().map(|(first, last)| last.abs_diff(*first) + 1).sum();
        match columns
            .iter_mut()
            .find(|column| column.table == group.table && column.column == group.column)
        {
            Some(column) => column.rows += rows,
            None => columns.push(Column {
                table: group.table.clone(),
                column: group.column.clone(),
                rows,
            }),
        }
    }
    let id_of = |removed: &Removed| match removed.values.get("id") {
        Some(Stored::Integer(id)) => *id,
        _ => 0,
    };
    let merged = inverse
        .removed
        .iter()
        .map(|removed| MergedRoot {
            id: id_of(removed),
            into: inverse
                .moved
                .iter()
                .find(|moved| moved.from == id_of(removed))
                .map_or(0, |moved| moved.to),
            path: match removed.values.get(ROOTS.column) {
                Some(Stored::Text(path)) => super::plan::lossy(path.as_ref()),
                _ => String::new(),
            },
        })
        .collect();
    Report {
        columns,
        merged,
        inverse,
    }
}

fn run(databases: &Databases, plan: &Plan, note: impl FnOnce(&Inverse) -> Result<()>) -> Result<Report> {
    let mappings = Mappings::new(&plan.mappings)?;
    let path = databases.library();
    let mut connection = open::read_write(&path)?;
    let change = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .at(WRITE, &path)?;
    let mut inverse = Inverse {
        format: FORMAT,
        mappings: plan.mappings.clone(),
        rewritten: Vec::new(),
        removed: Vec::new(),
        moved: Vec::new(),
        last_ids: BTreeMap::new(),
    };
    let mut columns = Vec::new();
    for place in places::present(&change, &path)? {
        let last = last_id(&change, &path, place.table)?;
        inverse.last_ids.insert(place.table.into(), last);
        let groups = rewrite(&change, &path, place, &mappings)?;
        columns.push(Column {
            table: place.table.into(),
            column: place.column.into(),
            rows: groups.iter().map(|group| group.ids.len() as u64).sum(),
        });
        inverse
            .rewritten
            .extend(groups.into_iter().map(|group| group.noted(place)));
    }
    for root in &plan.merged {
        merge_root(&change, &path, root, &mut inverse)?;
    }
    if columns != plan.columns {
        return Err(Error::Changed { path });
    }
    note(&inverse)?;
    change.commit().at(WRITE, &path)?;
    settle(connection, &path)?;
    Ok(Report {
        columns,
        merged: plan.merged.clone(),
        inverse,
    })
}

/// The change has to be in the file itself: what is handed on has no log.
pub(super) fn settle(connection: Connection, path: &Path) -> Result<()> {
    connection
        .pragma_query(None, "wal_checkpoint", |_| Ok(()))
        .at(WRITE, path)?;
    connection.close().map_err(|(_, error)| error).at("close", path)
}

/// The last id that a table has given out.
fn last_id(db: &Connection, path: &Path, table: &str) -> Result<i64> {
    let highest: i64 = db
        .query_row(&format!("SELECT coalesce(max(id), 0) FROM \"{table}\""), [], |row| {
            row.get(0)
        })
        .at(READ, path)?;
    let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1";
    let given: i64 = db.query_row(sql, [table], |row| row.get(0)).at(READ, path)?;
    Ok(highest.max(given))
}

/// Rows whose beginning is replaced in the same way.
struct Group {
    rewrite: Rewrite,
    ids: Vec<i64>,
    before: blake3::Hasher,
    after: blake3::Hasher,
}

impl Group {
    fn noted(self, place: Place) -> Rewritten {
        Rewritten {
            table: place.table.into(),
            column: place.column.into(),
            from: self.rewrite.from.into(),
            to: self.rewrite.to.into(),
            ids: runs(&self.ids),
            before: self.before.finalize().to_string(),
            after: self.after.finalize().to_string(),
        }
    }
}

/// What a row adds to the hash of its group.
pub(super) fn feed(hasher: &mut blake3::Hasher, id: i64, value: &[u8]) {
    hasher.update(&id.to_le_bytes());
    hasher.update(&(value.len() as u64).to_le_bytes());
    hasher.update(value);
}

fn rewrite(change: &Transaction<'_>, path: &Path, place: Place, mappings: &Mappings) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut known: HashMap<Rewrite, usize> = HashMap::new();
    each_batch(change, path, place, |id, value| {
        let rewrite = mappings.rewrite(value)?;
        let new = rewrite.apply(value);
        let number = *known.entry(rewrite).or_insert_with_key(|rewrite| {
            groups.push(Group {
                rewrite: rewrite.clone(),
                ids: Vec::new(),
                before: blake3::Hasher::new(),
                after: blake3::Hasher::new(),
            });
            groups.len() - 1
        });
        let group = &mut groups[number];
        group.ids.push(id);
        feed(&mut group.before, id, value);
        feed(&mut group.after, id, &new);
        Some(new)
    })?;
    Ok(groups)
}

/// Hands every text of a column to `each`, in the order of the ids, and writes what it answers.
pub(super) fn each_batch(
    change: &Connection,
    path: &Path,
    Place { table, column }: Place,
    mut each: impl FnMut(i64, &[u8]) -> Option<Vec<u8>>,
) -> Result<()> {
    let sql = format!(
        "SELECT id, \"{column}\" FROM \"{table}\" WHERE id > ?1 AND typeof(\"{column}\") = 'text' ORDER BY id LIMIT {BATCH}"
    );
    let mut read = change.prepare(&sql).at(READ, path)?;
    // A cast, since a path need not be UTF-8 and has to stay text all the same.
    let mut write = change
        .prepare(&format!(
            "UPDATE \"{table}\" SET \"{column}\" = CAST(?2 AS TEXT) WHERE id = ?1"
        ))
        .at(WRITE, path)?;
    let mut last = i64::MIN;
    loop {
        let mut pending = Vec::new();
        let mut count = 0;
        let mut rows = read.query([last]).at(READ, path)?;
        while let Some(row) = rows.next().at(READ, path)? {
            count += 1;
            last = row.get(0).at(READ, path)?;
            if let ValueRef::Text(value) = row.get_ref(1).at(READ, path)?
                && let Some(new) = each(last, value)
            {
                pending.push((last, new));
            }
        }
        drop(rows);
        for (id, new) in pending {
            write.execute((id, new)).at(WRITE, path)?;
        }
        if count < BATCH {
            return Ok(());
        }
    }
}

/// Takes a root away whose path another one has now; what referred to it refers to the other.
fn merge_root(change: &Transaction<'_>, path: &Path, root: &MergedRoot, inverse: &mut Inverse) -> Result<()> {
    for Place { table, column } in places::references(change, path)? {
        let ids: Vec<i64> = change
            .prepare(&format!(
                "SELECT id FROM \"{table}\" WHERE \"{column}\" = ?1 ORDER BY id"
            ))
            .and_then(|mut rows| rows.query_map([root.id], |row| row.get(0))?.collect())
            .at(READ, path)?;
        change
            .execute(
                &format!("UPDATE \"{table}\" SET \"{column}\" = ?2 WHERE \"{column}\" = ?1"),
                [root.id, root.into],
            )
            .at(WRITE, path)?;
        inverse.moved.push(Moved {
            table: table.into(),
            column: column.into(),
            from: root.id,
            to: root.into,
            ids: runs(&ids),
        });
    }
    let table = ROOTS.table;
    let mut select = change
        .prepare(&format!("SELECT * FROM \"{table}\" WHERE id = ?1"))
        .at(READ, path)?;
    let names: Vec<String> = select.column_names().map(str::to_owned).collect();
    let values = select
        .query_row([root.id], |row| {
            names
                .iter()
                .enumerate()
                .map(|(at, name)| Ok((name.clone(), Stored::from(row.get_ref(at)?))))
                .collect::<rusqlite::Result<BTreeMap<_, _>>>()
        })
        .at(READ, path)?;
    inverse.removed.push(Removed {
        table: table.into(),
        values,
    });
    change
        .execute(&format!("DELETE FROM \"{table}\" WHERE id = ?1"), [root.id])
        .at(WRITE, path)?;
    Ok(())
}

impl From<ValueRef<'_>> for Stored {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(text.to_vec().into()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec().into()),
        }
    }
}
