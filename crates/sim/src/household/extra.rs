//! Changing some members of an `extra_data` and leaving the others alone.

use crate::store::extra::Extra;

/// The text with some members set, or removed where the value is `None`, in the newer form.
pub(crate) fn with(text: Option<&str>, changes: &[(&str, Option<String>)]) -> String {
    let mut members = Extra::parse(text);
    for (name, value) in changes {
        match value {
            Some(value) => members.set(name, value.as_str()),
            None => members.remove(name),
        };
    }
    members.to_json()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_and_removes() {
        let text = with(Some("pv%3Aa=1&pv%3Ab=2"), &[("pv:a", None), ("pv:c", Some("3".into()))]);
        assert_eq!(text, r#"{"pv:b":"2","pv:c":"3","url":"pv%3Ab=2&pv%3Ac=3"}"#);
    }
}
