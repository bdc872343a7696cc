//! What a remap would change, counted before anything is.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};

use super::mapping::{Mapping, Mappings};
use super::places::{self, FILES, Place, ROOTS};
use crate::error::{At, READ, Result};
use crate::open;
use crate::paths::Databases;

/// Files named at most in a plan.
const LISTED: usize = 20;

/// What would be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The mappings, longest old root first.
    pub mappings: Vec<Mapping>,
    /// Rows by column.
    pub columns: Vec<Column>,
    /// Every root of every section that is mapped.
    pub roots: Vec<Root>,
    /// Roots that become one with another of the same section.
    pub merged: Vec<MergedRoot>,
    /// Roots that no mapping covers; they stay.
    pub unmapped: Vec<String>,
    /// Old roots under which the library has nothing.
    pub unused: Vec<String>,
    /// Different files that would get the same path: how many paths.
    pub colliding: u64,
    /// The first of these paths.
    pub collisions: Vec<String>,
}

/// How many rows of a column are rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The table.
    pub table: String,
    /// Its column.
    pub column: String,
    /// Rows.
    pub rows: u64,
}

/// What becomes of the root of a section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Its row.
    pub id: i64,
    /// The section.
    pub section: i64,
    /// The path before.
    pub old: String,
    /// The path after.
    pub new: String,
}

/// A root that is no more, because another of its section has the same path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergedRoot {
    /// The row that goes.
    pub id: i64,
    /// The row that stays.
    pub into: i64,
    /// The path of both.
    pub path: String,
}

impl Plan {
    /// Whether nothing would be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.iter().all(|column| column.rows == 0)
    }
}

/// Counts what `mappings` would change; nothing is written.
///
/// # Errors
/// [`crate::Error::Refused`] for mappings that contradict each other; a library that cannot be read.
pub fn plan(databases: &Databases, mappings: &[Mapping]) -> Result<Plan> {
    let mappings = Mappings::new(mappings)?;
    let path = databases.library();
    let reader = open::read_only(&path)?;
    let made = of(&reader, &path, &mappings)?;
    reader.confirm()?;
    Ok(made)
}

/// The plan of an open library.
pub(super) fn of(db: &Connection, path: &std::path::Path, mappings: &Mappings) -> Result<Plan> {
    let mut used = BTreeSet::new();
    let mut columns = Vec::new();
    for Place { table, column } in places::present(db, path)? {
        let mut rows = 0_u64;
        each_text(db, path, &format!("SELECT \"{column}\" FROM \"{table}\""), |value| {
            if let Some(rewrite) = mappings.rewrite(value) {
                rows += 1;
                used.insert(rewrite.mapping);
            }
        })?;
        columns.push(Column {
            table: table.into(),
            column: column.into(),
            rows,
        });
    }
    let (roots, merged, unmapped) = roots(db, path, mappings)?;
    let (colliding, collisions) = collisions(db, path, mappings)?;
    let unused = |(number, mapping): (usize, &Mapping)| (!used.contains(&number)).then(|| mapping.old.clone());
    Ok(Plan {
        mappings: mappings.list().to_vec(),
        columns,
        roots,
        merged,
        unmapped,
        unused: mappings.list().iter().enumerate().filter_map(unused).collect(),
        colliding,
        collisions,
    })
}

type Roots = (Vec<Root>, Vec<MergedRoot>, Vec<String>);

fn roots(db: &Connection, path: &std::path::Path, mappings: &Mappings) -> Result<Roots> {
    let (mut mapped, mut merged, mut unmapped) = (Vec::new(), Vec::new(), Vec::new());
    let mut first: BTreeMap<(i64, Vec<u8>), (i64, bool)> = BTreeMap::new();
    let sql = format!(
        "SELECT id, coalesce(library_section_id, 0), {} FROM {} ORDER BY id",
        ROOTS.column, ROOTS.table
    );
    let mut statement = db.prepare(&sql).at(READ, path)?;
    let mut rows = statement.query([]).at(READ, path)?;
    while let Some(row) = rows.next().at(READ, path)? {
        let (id, section): (i64, i64) = (row.get(0).at(READ, path)?, row.get(1).at(READ, path)?);
        let ValueRef::Text(old) = row.get_ref(2).at(READ, path)? else {
            continue;
        };
        let rewrite = mappings.rewrite(old);
        let new = rewrite
            .as_ref()
            .map_or_else(|| old.to_vec(), |rewrite| rewrite.apply(old));
        match &rewrite {
            Some(_) => mapped.push(Root {
                id,
                section,
                old: lossy(old),
                new: lossy(&new),
            }),
            None => unmapped.push(lossy(old)),
        }
        // A trailing separator makes no other folder.
        let key = new.strip_suffix(b"/").filter(|key| !key.is_empty()).unwrap_or(&new);
        match first.get(&(section, key.to_vec())) {
            // Two rows of one path that no mapping touches are the household's own affair.
            Some(&(into, was_mapped)) if was_mapped || rewrite.is_some() => merged.push(MergedRoot {
                id,
                into,
                path: lossy(&new),
            }),
            Some(_) => {}
            None => _ = first.insert((section, key.to_vec()), (id, rewrite.is_some())),
        }
    }
    Ok((mapped, merged, unmapped))
}

/// Paths that files of different paths would share.
fn collisions(db: &Connection, path: &std::path::Path, mappings: &Mappings) -> Result<(u64, Vec<String>)> {
    let known = mappings.clone();
    db.create_scalar_function(
        "plexburst_remapped",
        1,
        FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY,
        move |context| {
            let ValueRef::Text(value) = context.get_raw(0) else {
                return Ok(None);
            };
            let new = known.rewrite(value).map(|rewrite| rewrite.apply(value));
            Ok(Some(lossy(new.as_deref().unwrap_or(value))))
        },
    )
    .at(READ, path)?;
    let sql = format!(
        "SELECT plexburst_remapped({0}) AS after FROM {1} WHERE {0} <> ''
         GROUP BY after HAVING count(DISTINCT {0}) > 1 ORDER BY after",
        FILES.column, FILES.table
    );
    let (mut count, mut first) = (0, Vec::new());
    each_text(db, path, &sql, |value| {
        count += 1;
        if first.len() < LISTED {
            first.push(lossy(value));
        }
    })?;
    db.remove_function("plexburst_remapped", 1).at(READ, path)?;
    Ok((count, first))
}

fn each_text(db: &Connection, path: &std::path::Path, sql: &str, mut each: impl FnMut(&[u8])) -> Result<()> {
    let mut statement = db.prepare(sql).at(READ, path)?;
    let mut rows = statement.query([]).at(READ, path)?;
    while let Some(row) = rows.next().at(READ, path)? {
        if let ValueRef::Text(value) = row.get_ref(0).at(READ, path)? {
            each(value);
        }
    }
    Ok(())
}

pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
