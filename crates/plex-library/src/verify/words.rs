//! Texts as Plex writes them: no control characters but tabs and line ends, and `extra_data` in one of its two forms
//! (facts §3): a query string, or JSON whose last member `url` repeats all others as a query string.

use std::collections::BTreeMap;

pub(super) fn has_control(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
}

/// Whether an `extra_data` can be read, and its two forms say the same.
pub(super) fn forms_agree(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    if !text.trim_start().starts_with('{') {
        return query(text).is_some();
    }
    let Ok(mut members) = serde_json::from_str::<BTreeMap<String, serde_json::Value>>(text) else {
        return false;
    };
    let Some(url) = members.remove("url") else {
        return true;
    };
    let Some(repeated) = url.as_str().and_then(query) else {
        return false;
    };
    members.len() == repeated.len()
        && members
            .iter()
            .all(|(key, value)| repeated.get(key).map(String::as_str) == value.as_str())
}

fn query(text: &str) -> Option<BTreeMap<String, String>> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((decode(key)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_forms_have_to_say_the_same() {
        for (text, expected) in [
            ("", true),
            ("a%3Ab=1&c=x%20y", true),
            ("a%3b", false),
            (r#"{"a:b":"1","c":"x y","url":"a%3Ab=1&c=x%20y"}"#, true),
            (r#"{"a:b":"1","c":"x y","url":"a%3Ab=2&c=x%20y"}"#, false),
            (r#"{"a:b":"1"}"#, true),
            (r#"{"a:b":"1""#, false),
        ] {
            assert_eq!(forms_agree(text), expected, "{text}");
        }
    }
}
