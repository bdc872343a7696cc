//! How far a merge looks, where somebody else knows that.

use std::cell::RefCell;

use rusqlite::Connection;

use super::back::Placeless;
use super::collation::Proof;
use super::fail::Step;
use super::moves::Naming;
use super::session::{LIBRARY, Three};
use super::touched::Touched;
use crate::error::Result;
use crate::losses::Doubts;
use crate::watch::{Watch, Written};

/// What is known before a merge begins.
#[derive(Debug, Default)]
pub(super) struct Extent<'w> {
    /// What home wrote, and who sees to it that it was all.
    written: Option<(&'w Written, &'w Watch)>,
    /// What a merge before this one has found out about the result.
    pub(super) known: Option<Known>,
    /// That is to be found out, for a merge after this one.
    pub(super) explores: bool,
    /// Files of which it has to be asked anew whether they are lost.
    doubts: RefCell<Option<Doubts>>,
}

/// What a merge finds out about its result by reading all of it, so that the next one need not.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The collation has proved itself on these indices, or has not.
    pub(super) proof: Proof,
    /// Rows whose text holds ids.
    pub(super) naming: Naming,
    /// On the way back: what has no place in the result.
    pub(super) placeless: Option<Placeless>,
}

/// The tables that say which files there are.
const FILED: [&str; 4] = ["library_sections", "metadata_items", "media_items", "media_parts"];

impl<'w> Extent<'w> {
    /// All there is, and what a later merge has to know.
    pub(super) fn and_explore() -> Self {
        Self {
            explores: true,
            ..Self::default()
        }
    }

    /// Only what home wrote.
    pub(super) fn only(written: &'w Written, known: Known, watch: &'w Watch) -> Self {
        Self {
            written: Some((written, watch)),
            known: Some(known),
            ..Self::default()
        }
    }

    /// What home may have touched; nothing where that is not known, or the tables themselves are not what they were.
    pub(super) fn touched(&self, conn: &Connection) -> Step<[Option<Touched>; 2]> {
        let Some((written, _)) = self.written else {
            return Ok([None, None]);
        };
        for three in [LIBRARY, super::session::BLOBS] {
            if !same_schema(conn, three)? {
                return Ok([None, None]);
            }
        }
        Ok([
            Some(Touched::known(written.library.clone())),
            Some(Touched::known(written.blobs.clone())),
        ])
    }

    /// Whether it is known what home wrote.
    pub(super) fn is_known(&self) -> bool {
        self.written.is_some()
    }

    /// Begins to note which of the result's files are touched.
    pub(super) fn note_files(&self, conn: &Connection) -> Step<()> {
        if self.written.is_none() {
            return Ok(());
        }
        conn.execute_batch(
            "CREATE TEMP TABLE doubted(name TEXT, id INTEGER, file TEXT, PRIMARY KEY(name, id, file));",
        )?;
        for name in FILED {
            let file = |row: &str| match name {
                "media_parts" => format!("coalesce({row}.file, '')"),
                _ => "''".to_owned(),
            };
            let parent = |row: &str| match name {
                // What hangs on it is known only as long as it does.
                "media_parts" => {
                    format!("INSERT OR IGNORE INTO doubted VALUES ('media_items', {row}.media_item_id, '');")
                }
                "media_items" => {
                    format!("INSERT OR IGNORE INTO doubted VALUES ('metadata_items', {row}.metadata_item_id, '');")
                }
                _ => String::new(),
            };
            for (event, row) in [("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old")] {
                conn.execute_batch(&format!(
                    "CREATE TEMP TRIGGER doubt_{name}_{event} AFTER {event} ON main.{name} BEGIN
                       INSERT OR IGNORE INTO doubted VALUES ('{name}', {row}.id, {file});
                       {parent}
                     END;",
                    file = file(row),
                    parent = parent(row),
                ))?;
            }
            if name == "media_parts" {
                conn.execute_batch(
                    "CREATE TEMP TRIGGER doubt_renamed AFTER UPDATE ON main.media_parts WHEN old.file IS NOT new.file BEGIN
                       INSERT OR IGNORE INTO doubted VALUES ('media_parts', old.id, coalesce(old.file, ''));
                     END;",
                )?;
            }
        }
        Ok(())
    }

    /// Takes what was noted, with what home wrote itself.
    pub(super) fn take_doubts(&self, conn: &Connection) -> Step<()> {
        let Some((written, _)) = self.written else {
            return Ok(());
        };
        let mut doubts = Doubts::default();
        let mut statement = conn.prepare("SELECT name, id, file FROM temp.doubted")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (name, id, file): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            doubts.add(&name, id);
            if !file.is_empty() {
                doubts.files.insert(file.into_bytes());
            }
        }
        for name in FILED {
            for &id in written.library.get(name).into_iter().flatten() {
                doubts.add(name, id);
            }
        }
        *self.doubts.borrow_mut() = Some(doubts);
        Ok(())
    }

    /// Files of which it has to be asked anew whether they are lost; not known if all of them.
    pub(super) fn doubts(&self) -> Option<Doubts> {
        self.doubts.borrow_mut().take()
    }

    /// Confirms that home stayed what it was.
    pub(super) fn confirm(&self) -> Result<()> {
        match self.written {
            Some((written, watch)) => watch.confirm(written),
            None => Ok(()),
        }
    }
}

fn same_schema(conn: &Connection, three: Three) -> Step<bool> {
    let all = |side: &str| format!("SELECT type, name, tbl_name, rootpage, sql FROM {side}.sqlite_schema");
    let (base, mine) = (all(three.base), all(three.mine));
    Ok(!conn.query_row(
        &format!(
            "SELECT EXISTS (SELECT * FROM ({base} EXCEPT {mine})) OR EXISTS (SELECT * FROM ({mine} EXCEPT {base}))"
        ),
        [],
        |row| row.get::<_, bool>(0),
    )?)
}
