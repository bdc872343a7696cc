//! `extra_data`: a small map of texts, in either of two forms (facts §3).
//!
//! Old: one query string `ns%3Akey=value&…`. New: a JSON object with sorted keys and a last member `url` that repeats all
//! others in the old form. Both occur in one database. What cannot be read in either form is taken as a whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::values::Value;

use super::values::{Changed, three_way};

/// The members of an `extra_data`.
type Members = BTreeMap<String, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Query,
}

/// Puts home's members and the worker's together. With a base: what one side changed is that side's, what both changed is
/// the worker's. Without: all members, the worker's first.
pub(super) fn merge(base: Option<&Value>, mine: &Value, theirs: &Value) -> Value {
    let (Some((ours, _)), Some((found, form))) = (read(mine), read(theirs)) else {
        let untouched = base.is_some_and(|base| three_way(base, mine, theirs) == Some(Changed::Mine));
        return if untouched || *theirs == Value::Null {
            mine.clone()
        } else {
            theirs.clone()
        };
    };
    let before = match base {
        Some(base) => match read(base) {
            Some((members, _)) => Some(members),
            None => return theirs.clone(),
        },
        None => None,
    };
    let mut merged = found.clone();
    for (key, value) in &ours {
        match &before {
            None => {
                merged.entry(key.clone()).or_insert_with(|| value.clone());
            }
            Some(before) => {
                let was = before.get(key);
                if was != Some(value) && found.get(key) == was {
                    merged.insert(key.clone(), value.clone());
                }
            }
        }
    }
    if let Some(before) = &before {
        for (key, was) in before {
            if !ours.contains_key(key) && found.get(key) == Some(was) {
                merged.remove(key);
            }
        }
    }
    if merged == found {
        return theirs.clone();
    }
    Value::Text(match form {
        Form::Json => write_json(&merged),
        Form::Query => write_query(&merged),
    })
}

/// Reads either form; a null or an empty text has no members.
fn read(value: &Value) -> Option<(Members, Form)> {
    let text = match value {
        Value::Null => return Some((Members::new(), Form::Json)),
        Value::Text(text) => text,
        _ => return None,
    };
    if text.trim_start().starts_with('{') {
        let mut members: Members = serde_json::from_str(text).ok()?;
        members.remove("url");
        return Some((members, Form::Json));
    }
    let mut members = Members::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=')?;
        members.insert(decode(key)?, decode(value)?);
    }
    Some((members, Form::Query))
}

fn write_json(members: &Members) -> String {
    let mut out = String::from("{");
    for (key, value) in members {
        _ = write!(out, "{}:{},", json(key), json(value));
    }
    _ = write!(out, "\"url\":{}}}", json(&write_query(members)));
    out
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn write_query(members: &Members) -> String {
    let pairs: Vec<String> = members
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    pairs.join("&")
}

/// Everything but letters, digits, `_` and `-` is escaped (facts §3).
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
            out.push(char::from(byte));
        } else {
            _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let hex = text.get(at + 1..at + 3)?;
            out.push(u8::from_str_radix(hex, 16).ok()?);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn members_of_both_sides_come_together() {
        let base = text(r#"{"a:x":"1","url":"a%3Ax=1"}"#);
        let mine = text(r#"{"a:x":"1","pv:y":"/m 1.2","url":"…"}"#);
        let theirs = text(r#"{"a:x":"2","ms:musicAnalysisVersion":"1","url":"…"}"#);
        assert_eq!(
            merge(Some(&base), &mine, &theirs),
            text(
                r#"{"a:x":"2","ms:musicAnalysisVersion":"1","pv:y":"/m 1.2","url":"a%3Ax=2&ms%3AmusicAnalysisVersion=1&pv%3Ay=%2Fm%201%2E2"}"#
            )
        );
    }

    #[test]
    fn what_home_removed_is_removed() {
        let base = text("a%3Ax=1&b%3Ay=2");
        assert_eq!(
            merge(Some(&base), &text("b%3Ay=2"), &text("a%3Ax=1&b%3Ay=3")),
            text("b%3Ay=3")
        );
    }

    #[test]
    fn a_side_that_says_it_all_stays_byte_for_byte() {
        let theirs = text(r#"{ "z":"1", "a":"2","url":"odd" }"#);
        assert_eq!(merge(None, &text(r#"{"a":"0","url":"a=0"}"#), &theirs), theirs);
        assert_eq!(merge(None, &Value::Null, &theirs), theirs);
        assert_eq!(
            merge(None, &theirs, &Value::Null),
            text(r#"{"a":"2","z":"1","url":"a=2&z=1"}"#)
        );
    }

    #[test]
    fn what_cannot_be_read_is_taken_whole() {
        let odd = text("{broken");
        assert_eq!(merge(None, &odd, &text("a=1")), text("a=1"));
        assert_eq!(merge(Some(&text("a=1")), &odd, &text("a=1")), odd);
        assert_eq!(merge(None, &odd, &Value::Null), odd);
    }

    #[test]
    fn merging_again_changes_nothing() {
        let (base, mine, theirs) = (text("a=1"), text("a=2&b=1"), text("a=3&c=4"));
        for base in [Some(&base), None] {
            let once = merge(base, &mine, &theirs);
            assert_eq!(merge(base, &mine, &once), once);
        }
    }
}
