//! A damaged library made anew from what can still be read of it.
//!
//! Every row of every table that can be reached goes into a fresh pair with the very schema of the old one, its triggers
//! and search tables included: as text, since only Plex can run them. Leaves that a broken page cut off are recognised
//! by their rows and by the ids that are missing there; what might be rows that were deleted long ago is left out. The
//! last ids given out come along (the highest of what was noted and what was seen), so that none is given twice. The two
//! databases have the same schema and the same migrations: what one has lost of these the other lends.
//!
//! An index in an order of Plex's own is made only in an order that the old index proves; else it is left out, and the
//! report says so. What could not be saved stands in the report by table and page.
//!
//! Must not: change the damaged files, or write into an index by a collation that only looks right.

mod build;
mod order;
mod orphans;
mod raw;
mod schema;
mod sound;
mod trees;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::paths::{Databases, Which};
use crate::progress::Progress;
use crate::publish::FolderWriter;
use crate::users;
use crate::verify::{self, Level, Verification};
use raw::Raw;
use schema::Found;

/// What came of a repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The folder of the new pair.
    pub output: PathBuf,
    /// By database.
    pub databases: BTreeMap<Which, Recovered>,
    /// What the new pair looks like.
    pub verification: Verification,
}

/// What came of one database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// Rows in the new database.
    pub rows: u64,
    /// Rows by table, of tables that lost or regained some.
    pub tables: Vec<Table>,
    /// What could not be saved, page by page.
    pub lost: Vec<Lost>,
    /// Entries of the schema that came from the other database.
    pub lent: Vec<String>,
    /// Indices that could not be made; Plex has to.
    pub without: Vec<String>,
}

/// What became of the rows of a damaged table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The table.
    pub table: String,
    /// Rows in the new database.
    pub rows: u64,
    /// Those of them on pages that the table had lost.
    pub regained: u64,
    /// Rows that its indices know and that are not in the new database.
    pub known_lost: u64,
    /// Whether these are all that are lost: one of its indices could be read to its end.
    pub is_counted: bool,
    /// The first of their ids.
    pub first_lost: Vec<i64>,
}

/// Something that could not be saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The table, if it is known.
    pub table: Option<String>,
    /// The page.
    pub page: u32,
    /// Why.
    pub why: String,
    /// Rows on it, if they could be counted.
    pub rows: Option<u64>,
}

impl Recovered {
    /// Notes an entry of the schema that neither database has whole.
    fn lose(&mut self, entry: schema::Entry, why: String) {
        match entry.kind.as_str() {
            "index" => self.without.push(format!("{}: {why}", entry.name)),
            kind => self.lost.push(Lost {
                why: format!("the {kind} {} cannot be made: {why}", entry.name),
                table: Some(entry.table),
                page: entry.root,
                rows: None,
            }),
        }
    }
}

impl Report {
    /// Rows that indices know and that are not in the new pair.
    #[must_use]
    pub fn known_lost(&self) -> u64 {
        let tables = self.databases.values().flat_map(|database| &database.tables);
        tables.map(|table| table.known_lost).sum()
    }

    /// Whether more may be lost than that: on pages of tables of which no index tells how many rows there were.
    #[must_use]
    pub fn may_lack_more(&self) -> bool {
        self.databases.values().any(|database| {
            let is_counted = |name: &String| database.tables.iter().any(|t| t.table == *name && t.is_counted);
            (database.lost.iter()).any(|lost| lost.rows.is_none() && !lost.table.as_ref().is_some_and(is_counted))
        })
    }

    /// Whether every row that is known to have been there is in the new pair.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.databases
            .values()
            .all(|database| database.lost.is_empty() && database.without.is_empty())
    }
}

/// Makes the library in `databases` anew in the folder `output`, which must not exist or be empty. The damaged files stay
/// as they are; a log beside them counts as far as its checksums reach.
///
/// # Errors
/// [`Error::InUse`] while a process has them open for writing; [`Error::NotALibrary`] if nothing of a library can be read;
/// the disk.
pub fn repair(databases: &Databases, output: &Path, progress: &dyn Progress) -> Result<Report> {
    let mut by = users::of(databases)?;
    by.retain(|process| process.writes);
    if !by.is_empty() {
        return Err(Error::InUse {
            path: databases.dir().to_owned(),
            by,
        });
    }
    let folder = FolderWriter::create(output)?;
    let staged = Databases::at(folder.path());
    let raws = open(databases)?;
    let mut schemas: BTreeMap<Which, Found> = BTreeMap::new();
    for (&which, raw) in &raws {
        schemas.insert(which, schema::read(raw)?);
    }
    let mut migrations = build::Migrations::default();
    let mut recovered = BTreeMap::new();
    for which in Which::BOTH {
        let other = match which {
            Which::Library => Which::Blobs,
            Which::Blobs => Which::Library,
        };
        let theirs = schemas.get(&other).map_or(&[][..], |found| &found.entries);
        let (mut entries, leaves) = match schemas.get(&which) {
            Some(found) => (found.entries.clone(), found.leaves.as_slice()),
            None => (Vec::new(), &[][..]),
        };
        let mut lent = schema::complete(&mut entries, theirs);
        let mended = sound::mend(&mut entries, theirs)?;
        // What was lent for nothing was there under a damaged name.
        lent.retain(|name| entries.iter().any(|entry| entry.root == 0 && entry.name == *name));
        let path = staged.path(which);
        let mut made = match raws.get(&which) {
            Some(raw) => build::build(raw, &entries, leaves, &path, progress)?,
            None => {
                let like = raws.get(&other).map_or(1024, Raw::page_size);
                let mut made = build::empty(&entries, &path, like)?;
                made.lost.push(Lost {
                    table: None,
                    page: 0,
                    why: format!("{} was not there; it was made anew, empty", which.file_name()),
                    rows: None,
                });
                made
            }
        };
        made.lent = lent.into_iter().chain(mended.lent).collect();
        for (entry, why) in mended.without {
            made.lose(entry, why);
        }
        migrations.read(&path)?;
        recovered.insert(which, made);
    }
    for which in Which::BOTH {
        migrations.complete(&staged.path(which))?;
        build::settle(&staged.path(which))?;
    }
    let mut verification = verify::verify(staged.dir(), Level::Full)?;
    verification.databases = output.to_owned();
    folder.publish()?;
    Ok(Report {
        output: output.to_owned(),
        databases: recovered,
        verification,
    })
}

fn open(databases: &Databases) -> Result<BTreeMap<Which, Raw>> {
    let mut raws = BTreeMap::new();
    let mut size = None;
    // The one whose header can be read tells the other's page size.
    for _ in 0..2 {
        for which in Which::BOTH {
            let path = databases.path(which);
            if path.is_file() && std::fs::metadata(&path).is_ok_and(|meta| meta.len() > 0) {
                let raw = Raw::open(&path, size)?;
                size = size.or(raw.header().map(|header| header.page_size));
                raws.insert(which, raw);
            }
        }
    }
    if raws.is_empty() {
        return Err(Error::NotALibrary {
            path: databases.dir().to_owned(),
            why: "neither of the two databases is there".into(),
        });
    }
    Ok(raws)
}
