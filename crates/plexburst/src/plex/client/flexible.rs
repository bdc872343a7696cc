//! Reading Plex's JSON as it is: the same attribute comes as a number, a string or a boolean, by version and by call.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// true, 1, "1", "true".
pub(super) fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(value) => value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => matches!(text.as_str(), "1" | "true"),
        Value::Null => false,
        other => {
            return Err(de::Error::custom(format!("{other} where a yes or no belongs")));
        }
    })
}

/// 12, "12", 12.0.
pub(super) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    as_integer(&value).ok_or_else(|| de::Error::custom(format!("{value} where a number belongs")))
}

/// As [`integer`]; nothing and an empty string are none.
pub(super) fn maybe_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match &value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        other => as_integer(other)
            .map(Some)
            .ok_or_else(|| de::Error::custom(format!("{value} where a number belongs"))),
    }
}

/// 12.5, "12.5"; nothing is zero.
pub(super) fn float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(maybe_float(deserializer)?.unwrap_or_default())
}

/// As [`float`]; nothing is none.
pub(super) fn maybe_float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match &value {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_f64()),
        Value::String(text) => text.parse().map(Some).map_err(de::Error::custom),
        other => Err(de::Error::custom(format!("{other} where a number belongs"))),
    }
}

/// Any scalar as the text that the XML form would show: booleans are "1" and "0".
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Bool(value) => if value { "1" } else { "0" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null => String::new(),
        other => return Err(de::Error::custom(format!("{other} where a text belongs"))),
    })
}

pub(super) fn as_integer(value: &Value) -> Option<i64> {
    match value {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "ids and counts written as 12.0 are whole numbers"
        )]
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|float| float as i64)),
        Value::String(text) => text.parse().ok(),
        Value::Bool(value) => Some(i64::from(*value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[derive(serde::Deserialize)]
    struct All {
        #[serde(deserialize_with = "super::boolean")]
        yes: bool,
        #[serde(deserialize_with = "super::integer")]
        count: i64,
        #[serde(default, deserialize_with = "super::maybe_integer")]
        maybe: Option<i64>,
        #[serde(deserialize_with = "super::text")]
        text: String,
    }

    #[test]
    fn the_same_value_in_every_dress() {
        for json in [
            r#"{"yes":true,"count":12,"maybe":"","text":true}"#,
            r#"{"yes":"1","count":"12","text":1}"#,
            r#"{"yes":1,"count":12.0,"maybe":null,"text":"1"}"#,
        ] {
            let all: All = serde_json::from_str(json).unwrap();
            assert!(
                all.yes && all.count == 12 && all.maybe.is_none() && all.text == "1",
                "{json}"
            );
        }
        assert!(serde_json::from_str::<All>(r#"{"yes":[],"count":1,"text":""}"#).is_err());
    }
}
