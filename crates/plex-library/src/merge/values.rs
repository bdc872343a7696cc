//! Choosing between the values of a column.

use std::cmp::Ordering;

use rusqlite::types::Value;

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
        Value::Text(_) => 1,
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
    fn who_changed_it() {
        let (a, b, c) = (Value::Integer(1), Value::Integer(2), Value::Integer(3));
        assert_eq!(three_way(&a, &b, &a), Some(Changed::Mine));
        assert_eq!(three_way(&a, &a, &b), Some(Changed::Theirs));
        assert_eq!(three_way(&a, &b, &c), Some(Changed::Both));
        assert_eq!(three_way(&a, &b, &b), None);
    }
}
