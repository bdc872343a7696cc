//! A limit of bytes per second as people write it: `20M`, `500K`, or plain bytes.

use std::num::NonZeroU64;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes per second, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(NonZeroU64);

impl Rate {
    /// In bytes per second.
    #[must_use]
    pub fn bytes(self) -> NonZeroU64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no rate: a number of bytes per second, or one with K, M or G (20M)");
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit: u64 = match &text[digits.len()..] {
            "" => 1,
            "K" | "k" => 1 << 10,
            "M" | "m" => 1 << 20,
            "G" | "g" => 1 << 30,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let rate = number.checked_mul(unit).and_then(NonZeroU64::new);
        rate.map(Self).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.get())
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "pattern": "^[0-9]+[KMGkmg]?$", "minimum": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        let rate = |text: &str| text.parse::<Rate>().map(|rate| rate.bytes().get());
        assert_eq!(rate("20M"), Ok(20 << 20));
        assert_eq!(rate("500k"), Ok(500 << 10));
        assert_eq!(rate("123"), Ok(123));
        for wrong in ["", "0", "M", "1.5M", "-1", "20MB", "99999999999G"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_in_a_file_are_numbers_or_texts() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct File {
            rate: Rate,
        }
        let read = |text: &str| toml::from_str::<File>(text);
        assert_eq!(read("rate = \"1M\"").unwrap(), read("rate = 1048576").unwrap());
        assert!(read("rate = \"fast\"").unwrap_err().to_string().contains("no rate"));
        let written = toml::to_string(&read("rate = \"1M\"").unwrap()).unwrap();
        assert_eq!(read(&written).unwrap().rate.bytes().get(), 1 << 20);
    }
}
