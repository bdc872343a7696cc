//! A request, taken apart.

use std::net::IpAddr;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::reply::Failure;

/// One request to the API.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The path's parts, percent-decoded.
    pub(crate) segments: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: String,
    /// `X-Auth-Token`.
    pub(crate) token: Option<String>,
    pub(crate) peer: IpAddr,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str, query: &str, peer: IpAddr) -> Self {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        };
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            segments: path
                .split('/')
                .filter(|part| !part.is_empty())
                .map(decode_path)
                .collect(),
            query: query.split('&').filter(|part| !part.is_empty()).map(pair).collect(),
            body: Vec::new(),
            content_type: String::new(),
            token: None,
            peer,
        }
    }

    /// The last value of a parameter; an empty one is none.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of a list, whether it is written as one parameter with commas or as several.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        self.query
            .iter()
            .filter(|(key, _)| key == name)
            .flat_map(|(_, value)| value.split(','))
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// The body as JSON; none is an empty object.
    pub(crate) fn json(&self) -> Result<Value, Failure> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        let value: Value = serde_json::from_slice(&self.body)
            .map_err(|error| Failure::argument("body", "format", &format!("not JSON: {error}")))?;
        match value {
            Value::Object(_) => Ok(value),
            _ => Err(Failure::argument("body", "format", "expected a dictionary")),
        }
    }

    /// The body's fields. Those that must be there are asked for all at once, as the API does.
    pub(crate) fn fields<T: DeserializeOwned>(&self, required: &[&str]) -> Result<T, Failure> {
        let value = self.json()?;
        let missing: Vec<&str> = required
            .iter()
            .copied()
            .filter(|name| value.get(name).is_none_or(Value::is_null))
            .collect();
        if !missing.is_empty() {
            return Err(Failure::arguments(
                missing
                    .iter()
                    .map(|name| (*name, "required", "required key not provided")),
            ));
        }
        serde_json::from_value(value).map_err(|error| {
            let text = error.to_string();
            // serde names the field in backticks, when it knows it.
            let name = text.split('`').nth(1).unwrap_or("body").to_owned();
            let help = match text.starts_with("unknown field") {
                true => "extra keys not allowed".to_owned(),
                false => text.clone(),
            };
            Failure::argument(&name, "format", &help)
        })
    }
}

/// A value in a query: `+` is a space there.
fn decode(text: &str) -> String {
    decode_path(&text.replace('+', " "))
}

fn decode_path(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|_| byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_both_ways() {
        let request = Request::new(
            "GET",
            "/a/b%20c",
            "tags=a%2Cb&tags=c&name=x+y&empty=",
            IpAddr::from([127, 0, 0, 1]),
        );
        assert_eq!(request.segments, ["a", "b c"]);
        assert_eq!(request.list("tags"), ["a", "b", "c"]);
        assert_eq!(request.parameter("name"), Some("x y"));
        assert_eq!(request.parameter("empty"), None);
        assert_eq!(decode_path("100%"), "100%");
    }

    #[test]
    fn what_is_missing_is_said_at_once() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Body {
            #[expect(dead_code, reason = "only read")]
            a: String,
        }
        let mut request = Request::new("POST", "/", "", IpAddr::from([127, 0, 0, 1]));
        let missing = request.fields::<Body>(&["a", "b"]).unwrap_err();
        assert_eq!(missing.body.as_ref().unwrap()["details"].as_array().unwrap().len(), 2);
        request.body = br#"{"a":"x","c":1}"#.to_vec();
        let extra = request.fields::<Body>(&["a"]).unwrap_err();
        assert_eq!(extra.body.unwrap()["details"][0]["argument_name"], "c");
    }
}
