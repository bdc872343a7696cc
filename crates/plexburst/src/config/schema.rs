//! The JSON schema of `plexburst.toml`, derived from the types: what editors complete and check by, and what errors say
//! of a key.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Config;

/// The schema, with every key described; without definitions to look up elsewhere.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    without_null(&mut schema);
    schema["title"] = "plexburst.toml".into();
    schema
}

/// TOML has no null: a key that may be left out is left out.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|t| t != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    map.insert("type".into(), one);
                }
            }
            if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
                if let [one] = choices.as_slice() {
                    let one = one.clone();
                    map.remove("anyOf");
                    if let Value::Object(one) = one {
                        for (key, value) in one {
                            // What stands at the key is said of the key, not of its type.
                            map.entry(key).or_insert(value);
                        }
                    }
                }
            }
            // A table's default is that of its keys.
            if map
                .get("default")
                .is_some_and(|default| default.is_null() || default.is_object())
            {
                map.remove("default");
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(list) => list.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// Every key with one value or a list, as `section.key`, with its part of the schema.
#[must_use]
pub fn keys() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk(&schema(), "", &mut found);
    found
}

fn walk(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    let Some(properties) = schema["properties"].as_object() else {
        found.push((path.to_owned(), schema.clone()));
        return;
    };
    for (key, value) in properties {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        if value["items"]["properties"].is_object() {
            walk(&value["items"], &path, found);
        } else {
            walk(value, &path, found);
        }
    }
}

/// The keys that may stand in the table at `path` ("" is the file itself).
pub(super) fn keys_of(path: &str) -> Vec<String> {
    let schema = schema();
    let mut at = &schema;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        at = &at["properties"][part];
        if at["items"].is_object() {
            at = &at["items"];
        }
    }
    at["properties"]
        .as_object()
        .map(|keys| keys.keys().cloned().collect())
        .unwrap_or_default()
}

/// What a key is, in words: its type and its meaning.
pub(super) fn words(key: &str) -> Option<String> {
    let all = keys();
    let schema = all.iter().find(|(path, _)| path == key).map(|(_, schema)| schema)?;
    let mut words = kind(schema);
    if let Some(said) = schema["description"].as_str() {
        let said = said.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        // Writing to a String cannot fail.
        let _ = write!(words, ": {}", said.trim_end_matches('.'));
    }
    Some(words)
}

fn kind(schema: &Value) -> String {
    let choices: Vec<&Value> = schema["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|choice| &choice["const"])
        .collect();
    let listed: Vec<&Value> = schema["enum"].as_array().into_iter().flatten().collect();
    let choices = if choices.is_empty() { listed } else { choices };
    if !choices.is_empty() {
        let words: Vec<String> = choices.iter().map(ToString::to_string).collect();
        return format!("one of {}", words.join(", "));
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        Value::String(one) => vec![one.as_str()],
        _ => Vec::new(),
    };
    let words: Vec<&str> = types
        .iter()
        .map(|kind| match *kind {
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" if schema["items"]["type"] == "string" => "a list of texts ([\"…\", \"…\"])",
            "array" => "a list",
            "object" => "a table",
            _ => "a text in quotes",
        })
        .collect();
    words.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_described() {
        let keys = keys();
        assert!(keys.len() > 60, "{}", keys.len());
        for (key, schema) in &keys {
            assert!(schema["description"].is_string(), "{key} says nothing: {schema}");
            assert!(!kind(schema).is_empty(), "{key} has no type: {schema}");
        }
        assert!(!schema().to_string().contains("null"), "TOML has no null");
    }

    #[test]
    fn words_say_type_and_meaning() {
        assert_eq!(
            words("worker.cell").unwrap(),
            "one of \"auto\", \"always\", \"never\": Whether Plex runs in namespaces of its own"
        );
        assert!(words("limits.ready").unwrap().starts_with("a whole number: "));
        assert!(words("home.stop").unwrap().starts_with("a list of texts"));
        assert!(
            words("home.limit_rate")
                .unwrap()
                .starts_with("a text in quotes or a whole number")
        );
        assert!(
            words("media.mappings.kind")
                .unwrap()
                .starts_with("one of \"permanent\"")
        );
        assert_eq!(words("home.nothing"), None);
    }
}
