//! What the steps of a merge share.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension};

use super::back::Placeless;
use super::fail::Step;
use super::mode::Mode;
use super::moves::Naming;
use super::report::Report;
use super::rows;
use super::schema::{Schema, Table, quote};
use super::session::{LIBRARY, Three};
use super::tables::COUNTERS;
use super::touched::Touched;
use super::values::Value;

/// The state of a running merge.
#[derive(Debug)]
pub(super) struct Context<'c> {
    pub(super) conn: &'c Connection,
    /// Tables of library.db.
    pub(super) schema: Schema,
    pub(super) mode: Mode,
    pub(super) report: Report,
    /// Value for the change counters of every row that this merge writes.
    pub(super) tick: i64,
    /// Rows of blobs.db that home may have touched since the base, if that is known.
    pub(super) touched_blobs: Option<Touched>,
    /// Rows of content that were carried although home did not change them itself.
    pub(super) unchanged: Vec<(&'static str, i64)>,
    /// Items of home's that the result had matched to something else: what it says of them is about that.
    pub(super) matched_anew: BTreeSet<i64>,
    /// Rows of the result whose text holds ids, if they were found before.
    pub(super) naming: Option<Naming>,
    /// What has no place on the way back, if it was found before.
    pub(super) placeless: Option<Placeless>,
    touched: Option<Touched>,
    fresh: HashMap<(&'static str, String), i64>,
}

impl<'c> Context<'c> {
    pub(super) fn new(
        conn: &'c Connection,
        schema: Schema,
        mode: Mode,
        [touched, touched_blobs]: [Option<Touched>; 2],
    ) -> Step<Self> {
        // guids: what home's user state is keyed by → what the same item is called in the result.
        // follow: ids that home's rows refer to → ids that the result has instead.
        // aside: rows of home's that could not be written.
        // kept: rows of the worker's that stay in tables which are home's.
        conn.execute_batch(
            "CREATE TEMP TABLE guids(old TEXT PRIMARY KEY, new TEXT NOT NULL) WITHOUT ROWID;
             CREATE TEMP TABLE follow(target TEXT, old INTEGER, new INTEGER NOT NULL, PRIMARY KEY(target, old)) WITHOUT ROWID;
             CREATE TEMP TABLE aside(target TEXT, id INTEGER, PRIMARY KEY(target, id)) WITHOUT ROWID;
             CREATE TEMP TABLE kept(target TEXT, id INTEGER, PRIMARY KEY(target, id)) WITHOUT ROWID;
             CREATE TEMP TABLE touched(id INTEGER PRIMARY KEY);",
        )?;
        let tick = next_tick(conn, &schema)?;
        Ok(Self {
            conn,
            schema,
            mode,
            report: Report::default(),
            tick,
            touched_blobs,
            unchanged: Vec::new(),
            matched_anew: BTreeSet::new(),
            naming: None,
            placeless: None,
            touched,
            fresh: HashMap::new(),
        })
    }

    /// Rows of library.db that home may have touched since the base, if that is known.
    pub(super) fn touched(&self) -> Option<&Touched> {
        self.touched.as_ref()
    }

    /// Whether only what home wrote since an earlier merge has to be looked at ([`super::narrow`]).
    pub(super) fn is_narrow(&self) -> bool {
        self.mode.is_again() && self.touched.is_some() && self.touched_blobs.is_some()
    }

    /// Notes that a catch-up has to look at what refers to a row.
    pub(super) fn stir(&self, target: &str, id: i64) -> Step<()> {
        if self.is_narrow() {
            self.conn
                .prepare_cached("INSERT OR IGNORE INTO temp.stirred(target, id) VALUES (?1, ?2)")?
                .execute((target, id))?;
        }
        Ok(())
    }

    /// A table of library.db; versions of Plex differ in what they have.
    pub(super) fn table(&self, name: &str) -> Option<Table> {
        self.schema.get(name).cloned()
    }

    /// An id that no side has used.
    pub(super) fn fresh_id(&mut self, three: Three, table: &str) -> Step<i64> {
        let key = (three.theirs, table.to_owned());
        let next = match self.fresh.get(&key) {
            Some(last) => last + 1,
            None => highest(self.conn, three, table)? + 1,
        };
        self.fresh.insert(key, next);
        Ok(next)
    }

    /// Gives a row of the result another id, because home uses its own for something else. References are the caller's.
    pub(super) fn renumber(&mut self, three: Three, table: &str, id: i64) -> Step<i64> {
        let fresh = self.fresh_id(three, table)?;
        self.conn.execute(
            &format!("UPDATE {}.{} SET id = ?2 WHERE id = ?1", three.theirs, quote(table)),
            [id, fresh],
        )?;
        self.count_renumbered(table);
        Ok(fresh)
    }

    pub(super) fn count_renumbered(&mut self, table: &str) {
        *self.report.renumbered.entry(table.to_owned()).or_default() += 1;
    }

    /// Sets the change counters of a row that is about to be written.
    pub(super) fn count_up(&self, table: &Table, row: &mut rows::Row) {
        for counter in COUNTERS {
            // A counter that the row never had stays away: a null means "not served from here".
            if let Some(n) = table.at(counter)
                && row[n] != super::values::Value::Null
            {
                row[n] = self.tick.into();
            }
        }
    }
}

/// The highest id that any side has ever given to a row of `table`.
fn highest(conn: &Connection, three: Three, table: &str) -> Step<i64> {
    let mut highest = 0;
    for side in [three.theirs, three.mine, three.base] {
        let id: Option<i64> = conn.query_row(&format!("SELECT max(id) FROM {side}.{}", quote(table)), [], |row| {
            row.get(0)
        })?;
        highest = highest
            .max(id.unwrap_or(0))
            .max(sequence(conn, side, table)?.unwrap_or(0));
    }
    Ok(highest)
}

/// Where the numbering of a table stands.
pub(super) fn sequence(conn: &Connection, side: &str, table: &str) -> Step<Option<i64>> {
    Ok(conn
        .query_row(
            &format!("SELECT seq FROM {side}.sqlite_sequence WHERE name = ?1"),
            [table],
            |row| row.get(0),
        )
        .optional()?)
}

/// One more than the highest change counter of both sides. Some servers count near the end of 64 bits (facts §3): there
/// it stays where it is rather than starting over below what clients have seen.
fn next_tick(conn: &Connection, schema: &Schema) -> Step<i64> {
    let mut highest = 0;
    for table in schema.tables.values() {
        for counter in COUNTERS.iter().filter(|counter| table.has(counter)) {
            for side in [LIBRARY.theirs, LIBRARY.mine] {
                // All of them are indexed by Plex, and such a maximum is the index's last entry.
                let found: Value = conn.query_row(
                    &format!("SELECT max({}) FROM {side}.{}", quote(counter), quote(&table.name)),
                    [],
                    |row| row.get(0),
                )?;
                let found = match found {
                    Value::Integer(n) => Some(n),
                    _ => None,
                };
                highest = highest.max(found.unwrap_or(0));
            }
        }
    }
    Ok(highest.saturating_add(1))
}

/// Raises the numbering of every table to the highest of the two sides and of what the result holds, so that no id is
/// given twice, also not that of a row deleted long ago.
pub(super) fn raise_sequences(conn: &Connection, three: Three) -> Step<()> {
    conn.execute_batch(&format!(
        "UPDATE {theirs}.sqlite_sequence SET seq =
             max(seq, coalesce((SELECT m.seq FROM {mine}.sqlite_sequence m WHERE m.name = sqlite_sequence.name), 0))
           WHERE seq < (SELECT m.seq FROM {mine}.sqlite_sequence m WHERE m.name = sqlite_sequence.name);
         INSERT INTO {theirs}.sqlite_sequence(name, seq)
           SELECT m.name, m.seq FROM {mine}.sqlite_sequence m
           WHERE NOT EXISTS (SELECT 1 FROM {theirs}.sqlite_sequence t WHERE t.name = m.name);",
        theirs = three.theirs,
        mine = three.mine
    ))?;
    Ok(())
}
