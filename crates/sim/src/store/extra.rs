//! `extra_data`: attributes without a column of their own (facts/plex.md §3).
//!
//! Since 2024 a JSON object of strings with sorted keys and a last member `url` that repeats all of them as a query string;
//! before that the query string alone. Both are read, the new one is written.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The attributes of one row, by their full name (`ma:container`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extra {
    attributes: BTreeMap<String, String>,
}

impl Extra {
    /// Of a column's content. NULL, an empty text and anything that is neither form are no attributes.
    pub fn parse(text: Option<&str>) -> Self {
        let text = text.unwrap_or_default();
        let attributes = match serde_json::from_str::<BTreeMap<String, serde_json::Value>>(text) {
            Ok(members) => members
                .into_iter()
                .filter(|(name, _)| name != "url")
                .filter_map(|(name, value)| value.as_str().map(|value| (name, value.to_owned())))
                .collect(),
            Err(_) => text
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, value)| (unescape(name), unescape(value)))
                .collect(),
        };
        Self { attributes }
    }

    /// One attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// Sets one attribute.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    /// Takes one attribute away.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.attributes.remove(name);
        self
    }

    /// As servers since 2024 write it. No attributes are `{"url":""}`.
    pub fn to_json(&self) -> String {
        let mut json = String::from("{");
        for (name, value) in &self.attributes {
            let _ = write!(json, "{}:{},", quoted(name), quoted(value));
        }
        let _ = write!(json, "\"url\":{}}}", quoted(&self.to_url()));
        json
    }

    /// As servers before 2024 wrote it.
    pub fn to_url(&self) -> String {
        let mut url = String::new();
        for (name, value) in &self.attributes {
            if !url.is_empty() {
                url.push('&');
            }
            escape_into(&mut url, name);
            url.push('=');
            escape_into(&mut url, value);
        }
        url
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Percent-encodes `text`; only letters, digits, `_`, `-` and `~` stay as they are.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    escape_into(&mut escaped, text);
    escaped
}

fn escape_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| first == b'%');
        let decoded = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match decoded {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_a_real_server_writes_it() {
        let mut extra = Extra::default();
        extra.set("pv:version", "5");
        assert_eq!(extra.to_json(), r#"{"pv:version":"5","url":"pv%3Aversion=5"}"#);
        extra
            .set("ma:frameRate", "1.000")
            .set("pv:chapters", r#"{"Chapters":{}}"#);
        assert_eq!(
            extra.to_json(),
            r#"{"ma:frameRate":"1.000","pv:chapters":"{\"Chapters\":{}}","pv:version":"5","url":"ma%3AframeRate=1%2E000&pv%3Achapters=%7B%22Chapters%22%3A%7B%7D%7D&pv%3Aversion=5"}"#
        );
        assert_eq!(Extra::default().to_json(), r#"{"url":""}"#);
    }

    #[test]
    fn both_forms_are_read() {
        let mut extra = Extra::default();
        extra.set("ma:a", "x & y=z~ü").set("pv:b", "");
        assert_eq!(Extra::parse(Some(&extra.to_json())), extra);
        assert_eq!(Extra::parse(Some(&extra.to_url())), extra);
        assert_eq!(Extra::parse(None), Extra::default());
        assert_eq!(Extra::parse(Some("100%")), Extra::default());
        assert_eq!(extra.remove("pv:b").get("pv:b"), None);
    }
}
