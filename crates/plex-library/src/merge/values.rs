//! Choosing between the values of a column.

use std::cmp::Ordering;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef};

/// A value of a column, exactly as the database has it.
///
/// SQLite does not look whether text is UTF-8, and file names need not be: what is not is kept as the bytes that it is,
/// and written back as text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    /// Text that is not UTF-8.
    Odd(Vec<u8>),
    Blob(Vec<u8>),
}

impl Value {
    /// As SQLite's interface has it.
    pub(super) fn borrow(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(n) => ValueRef::Integer(*n),
            Self::Real(n) => ValueRef::Real(*n),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Odd(bytes) => ValueRef::Text(bytes),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }
}

impl FromSql for Value {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(n) => Self::Integer(n),
            ValueRef::Real(n) => Self::Real(n),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Text(text.to_owned()),
                Err(_) => Self::Odd(bytes.to_owned()),
            },
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_owned()),
        })
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.borrow()))
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Self::Integer(n)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Who changed a value since the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    /// Only home.
    Mine,
    /// Only the worker.
    Theirs,
    /// Both, in different ways.
    Both,
}

/// Who changed it; `None` if home's value and the worker's are equal.
pub(super) fn three_way(base: &Value, mine: &Value, theirs: &Value) -> Option<Changed> {
    if mine == theirs {
        None
    } else if mine == base {
        Some(Changed::Theirs)
    } else if theirs == base {
        Some(Changed::Mine)
    } else {
        Some(Changed::Both)
    }
}

/// The later of two times: whole numbers since 2024, text before (facts §1.1); both sort as they count. A null is never
/// later.
pub(super) fn later(one: Value, other: Value) -> Value {
    if order(&one, &other) == Ordering::Less {
        other
    } else {
        one
    }
}

fn order(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Real(a), Value::Real(b)) => a.total_cmp(b),
        _ => rank(one).cmp(&rank(other)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Text(_) | Value::Odd(_) => 1,
        Value::Real(_) => 2,
        Value::Integer(_) => 3,
        Value::Blob(_) => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_time_wins_in_both_forms() {
        assert_eq!(later(1.into(), 2.into()), Value::Integer(2));
        assert_eq!(later(Value::Null, 2.into()), Value::Integer(2));
        assert_eq!(later(2.into(), Value::Null), Value::Integer(2));
        let text = |text: &str| Value::Text(text.into());
        assert_eq!(
            later(text("2020-02-24 13:13:00"), text("2019-12-31 23:59:59")),
            text("2020-02-24 13:13:00")
        );
    }

    #[test]
    fn text_that_is_not_utf8_comes_back_as_it_was() {
        let conn = rusqlite::Connection::open_in_memory().expect("memory");
        let read = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, Value>(0)).expect("value");
        let odd = read("SELECT CAST(x'66ff6f' AS TEXT)");
        assert_eq!(odd, Value::Odd(vec![0x66, 0xff, 0x6f]));
        let back: (String, String) = conn
            .query_row("SELECT typeof(?1), hex(?1)", [&odd], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .expect("written");
        assert_eq!(back, ("text".into(), "66FF6F".into()));
    }

    #[test]
    fn who_changed_it() {
        let (a, b, c) = (Value::Integer(1), Value::Integer(2), Value::Integer(3));
        assert_eq!(three_way(&a, &b, &a), Some(Changed::Mine));
        assert_eq!(three_way(&a, &a, &b), Some(Changed::Theirs));
        assert_eq!(three_way(&a, &b, &c), Some(Changed::Both));
        assert_eq!(three_way(&a, &b, &b), None);
    }
}
