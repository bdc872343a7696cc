//! The rows as they are stored: is each a record that SQLite can have written, and can Plex have meant what is in it?
//!
//! SQLite compares rows only with their indices; most columns have none. Here every record of every table is taken apart.
//! What SQLite never writes is a problem: a record that is longer or shorter than its values, a number in a column of
//! texts. What it may write and Plex hardly means (bytes that are no UTF-8, control characters, days before there was a
//! Plex, `extra_data` whose two forms differ) is drift: told, counted by column, and no reason to refuse a library.

use std::collections::BTreeMap;

use super::words;
use super::{FindingKind, Findings};
use crate::columns::{self, Affinity, Column};
use crate::error::Result;
use crate::format::row::{self, Stored};
use crate::open::Reader;
use crate::paths::Which;

/// What Plex means by a column.
#[derive(Debug)]
struct Meant {
    column: Column,
    is_time: bool,
    is_flag: bool,
    kinds: Option<&'static [i64]>,
}

/// What is known about the rows of a table.
#[derive(Debug)]
pub(super) struct Rows {
    table: String,
    columns: Vec<Meant>,
    /// More faults of a column than one in so many rows come from its history, not from damage.
    seen: u64,
    faults: BTreeMap<(usize, Fault), (u64, i64)>,
    broken: Vec<(u32, i64, String)>,
}

/// What can be the matter with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// SQLite would have converted it.
    Type,
    Encoding,
    Control,
    Time,
    Number,
    Forms,
    Bytes,
}

impl Fault {
    fn words(self) -> &'static str {
        match self {
            Self::Type => "hold a value that SQLite would not have left so in this column",
            Self::Encoding => "hold text that is no UTF-8",
            Self::Control => "hold control characters",
            Self::Time => "hold a time at which no Plex can have written it",
            Self::Number => "hold a number that means nothing to Plex",
            Self::Forms => "hold pairs of names and values that cannot be read, or whose two forms differ",
            Self::Bytes => "hold bytes where Plex writes text",
        }
    }
}

/// One row in so many with the same oddity is the history of a column, not damage.
const COMMON: u64 = 50;

/// Kinds of items, sections and streams (facts §1.6); what is beyond them was never seen.
const ITEMS: [i64; 18] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 42];
const SECTIONS: [i64; 5] = [1, 2, 3, 8, 13];
const STREAMS: [i64; 5] = [0, 1, 2, 3, 4];

/// 2000-01-01, and the day after which a time lies in the future of any library.
const FIRST: i64 = 946_684_800;
const DAY: i64 = 86_400;

impl Rows {
    /// Rows of a table are going to be looked at.
    pub(super) fn of(reader: &Reader, table: &str) -> Result<Self> {
        let columns = columns::of(reader, reader.path(), table)?
            .into_iter()
            .map(|column| Meant::new(table, column))
            .collect();
        Ok(Self {
            table: table.into(),
            columns,
            seen: 0,
            faults: BTreeMap::new(),
            broken: Vec::new(),
        })
    }

    /// Looks at one row.
    pub(super) fn look(&mut self, page: u32, id: i64, payload: &[u8], now: i64) {
        self.seen += 1;
        let values = match row::parse(payload) {
            Ok(values) => values,
            Err(what) => return self.note_broken(page, id, what),
        };
        if !self.columns.is_empty() && values.len() > self.columns.len() {
            let what = format!("it has {} values for {} columns", values.len(), self.columns.len());
            return self.note_broken(page, id, what);
        }
        for (at, (column, value)) in self.columns.iter().zip(&values).enumerate() {
            if let Some(fault) = column.fault(value, now) {
                self.faults.entry((at, fault)).or_insert((0, id)).0 += 1;
            }
        }
    }

    /// A file of nonsense has millions; those beyond the first would only be counted.
    fn note_broken(&mut self, page: u32, id: i64, what: String) {
        if self.broken.len() <= super::LISTED {
            self.broken.push((page, id, what));
        }
    }

    /// Tells what was found.
    pub(super) fn tell(self, which: Which, found: &mut Findings) {
        for (page, id, what) in self.broken {
            let object = format!("row {id} of {}", self.table);
            found.problem(which, FindingKind::Content, object, format!("on page {page}: {what}"));
        }
        for ((column, fault), (count, first)) in self.faults {
            let object = format!("{}.{}", self.table, self.columns[column].column.name);
            let message = format!(
                "{count} of {} rows {}, the first of them {first}",
                self.seen,
                fault.words()
            );
            let is_rare = count <= 1 + self.seen / COMMON;
            match fault {
                Fault::Type if is_rare => found.problem(which, FindingKind::Content, object, message),
                _ => found.drift(which, FindingKind::Value, object, message),
            }
        }
    }
}

impl Meant {
    fn new(table: &str, column: Column) -> Self {
        let kinds: Option<&'static [i64]> = match (table, column.name.as_str()) {
            ("metadata_items" | "metadata_item_views", "metadata_type") => Some(&ITEMS),
            ("library_sections", "section_type") => Some(&SECTIONS),
            ("media_streams", "stream_type_id") => Some(&STREAMS),
            _ => None,
        };
        // Times of files are whatever the files say; the day something was first shown is history.
        let is_of_file = matches!(
            (table, column.name.as_str()),
            (
                "media_parts" | "media_streams" | "media_items" | "directories",
                "updated_at"
            ) | (_, "originally_available_at")
        );
        Self {
            is_time: column.declared.starts_with("dt_") && !is_of_file,
            is_flag: column.declared == "boolean",
            kinds,
            column,
        }
    }

    fn fault(&self, value: &Stored<'_>, now: i64) -> Option<Fault> {
        let column = &self.column;
        if !column.can_hold(value) {
            return Some(Fault::Type);
        }
        match *value {
            Stored::Null => None,
            Stored::Integer(number) => {
                let is_time_of_plex = number == 0 || (FIRST..=now + DAY).contains(&number);
                if self.is_time && !is_time_of_plex {
                    return Some(Fault::Time);
                }
                let is_meant = self.kinds.is_none_or(|kinds| kinds.contains(&number));
                let is_flag = !self.is_flag || (0..=1).contains(&number);
                (!is_meant || !is_flag).then_some(Fault::Number)
            }
            Stored::Real(number) => {
                let is_whole = matches!(column.affinity, Affinity::Integer);
                let is_odd = number != 0.0 && !(1e-9..1e15).contains(&number.abs());
                (is_whole || is_odd || self.is_flag).then_some(Fault::Number)
            }
            Stored::Text(text) => {
                let Ok(text) = std::str::from_utf8(text) else {
                    return Some(Fault::Encoding);
                };
                if words::has_control(text) {
                    return Some(Fault::Control);
                }
                (column.name == "extra_data" && !words::forms_agree(text)).then_some(Fault::Forms)
            }
            Stored::Blob(_) => (column.affinity != Affinity::Blob).then_some(Fault::Bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_judged_by_their_column() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE metadata_items(title varchar(255), year integer, metadata_type integer, rating float,
             added_at dt_integer(8), originally_available_at dt_integer(8), remote boolean, extra_data varchar(255))",
        )
        .unwrap();
        let columns = columns::of(&db, "x".as_ref(), "metadata_items").unwrap();
        let column = |name: &str| {
            let column = columns.iter().find(|column| column.name == name).unwrap();
            Meant::new("metadata_items", column.clone())
        };
        let now = 1_800_000_000;
        for (name, value, expected) in [
            ("title", Stored::Integer(7), Some(Fault::Type)),
            ("title", Stored::Text(b"7"), None),
            ("title", Stored::Text(b"\xff"), Some(Fault::Encoding)),
            ("title", Stored::Text(b"a\x03"), Some(Fault::Control)),
            ("title", Stored::Blob(b"a"), Some(Fault::Bytes)),
            ("year", Stored::Text(b"1999"), Some(Fault::Type)),
            ("year", Stored::Text(b"t"), None),
            ("metadata_type", Stored::Integer(77), Some(Fault::Number)),
            ("rating", Stored::Real(7.0), None),
            ("rating", Stored::Real(7.5), None),
            ("added_at", Stored::Integer(-5), Some(Fault::Time)),
            ("added_at", Stored::Integer(now), None),
            ("originally_available_at", Stored::Integer(-5), None),
            ("remote", Stored::Integer(9), Some(Fault::Number)),
            ("extra_data", Stored::Text(b"{"), Some(Fault::Forms)),
        ] {
            assert_eq!(column(name).fault(&value, now), expected, "{name} {value:?}");
        }
    }
}
