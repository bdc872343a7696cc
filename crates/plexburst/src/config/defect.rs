//! A defect of the configuration as the user meets it: the file, the line, the key, what is wrong with it, and the fix.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::schema;
use crate::error::Error;

/// Where the keys are explained.
const KEYS: &str = "every key is explained in docs/configuration.md";
/// How far a misspelt key may be from the right one.
const LIKE: f64 = 0.75;

/// One key's value cannot be what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Defect {
    /// As `section.key`.
    pub(super) key: String,
    /// What is wrong, to be read after the key.
    pub(super) what: String,
    /// What to write instead.
    pub(super) fix: String,
}

impl Defect {
    pub(super) fn new(key: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            what: what.into(),
            fix: fix.into(),
        }
    }

    /// The error; `variable` is the one of the environment that set the key, if one did.
    pub(super) fn error(self, file: &str, text: &str, variable: Option<String>) -> Error {
        let place = match (variable, line_of(text, &self.key)) {
            (Some(variable), _) => variable,
            (None, Some(line)) => format!("{file}: line {line}"),
            (None, None) => file.to_owned(),
        };
        Error::usage(format!("{place}: `{}` {}", self.key, self.what)).hint(self.fix)
    }
}

/// What the TOML reader says of `text`, the file called `file`.
pub(super) fn of_toml(file: &str, text: &str, error: &toml::de::Error) -> Error {
    let line = error.span().map(|span| line_at(text, span.start));
    let place = line.map_or_else(|| file.to_owned(), |line| format!("{file}: line {line}"));
    let parent = path_of(error);
    if let Some(unknown) = unknown_key(error.message()) {
        let key = join(&parent, unknown);
        return Error::usage(format!("{place}: `{key}` is no key")).hint(instead_of(&parent, unknown));
    }
    if parent.is_empty() {
        // No key was being read: it is not TOML at all.
        let shown = line
            .and_then(|line| text.lines().nth(line - 1))
            .unwrap_or_default()
            .trim();
        return Error::usage(format!("{place}: {}, in: {shown}", error.message().trim_end()))
            .hint(syntax(error.message(), shown));
    }
    let key = without_index(&parent);
    let hint = match schema::words(&key) {
        Some(words) => format!("`{key}` is {words}"),
        None if schema::keys_of(&key).is_empty() => KEYS.to_owned(),
        None => format!("`{key}` is a table: [{key}], and its keys on the lines below"),
    };
    Error::usage(format!("{place}: `{parent}`: {}", error.message().trim_end())).hint(hint)
}

/// The key that was being read: the reader tells it only where it cannot show the line.
fn path_of(error: &toml::de::Error) -> String {
    let mut error = error.clone();
    error.set_input(None);
    let said = error.to_string();
    let path = said
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'));
    path.unwrap_or_default().to_owned()
}

fn unknown_key(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split('`').next()
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}

/// `media.mappings.0.from` → `media.mappings.from`.
fn without_index(key: &str) -> String {
    let parts = key.split('.').filter(|part| part.parse::<usize>().is_err());
    parts.collect::<Vec<_>>().join(".")
}

/// What may have been meant by `unknown` in the table `parent`.
fn instead_of(parent: &str, unknown: &str) -> String {
    let parent = without_index(parent);
    let siblings = schema::keys_of(&parent);
    let like = |name: &&String| strsim::jaro_winkler(name, unknown);
    let nearest = siblings.iter().max_by(|a, b| like(a).total_cmp(&like(b)));
    if let Some(nearest) = nearest.filter(|name| like(name) >= LIKE) {
        return format!("did you mean `{}`?", join(&parent, nearest));
    }
    let elsewhere: Vec<String> = schema::keys()
        .into_iter()
        .map(|(key, _)| key)
        .filter(|key| key.rsplit('.').next() == Some(unknown))
        .map(|key| format!("`{key}`"))
        .collect();
    if !elsewhere.is_empty() {
        return format!("it belongs elsewhere: {}", elsewhere.join(" or "));
    }
    match parent.as_str() {
        "" => format!("the tables are {}", siblings.join(", ")),
        _ => format!("[{parent}] has {}", siblings.join(", ")),
    }
}

/// What to do about a line that is not TOML.
fn syntax(message: &str, line: &str) -> String {
    if message.contains("duplicate") {
        return "a key may stand once in its table: remove one of the two".to_owned();
    }
    if line.starts_with('[') {
        return "a table's name stands in brackets, alone on its line: [home]".to_owned();
    }
    match line.split_once('=') {
        Some((key, value)) => {
            let value = value.trim();
            let is_open = value.starts_with('"') && !value[1..].contains('"');
            if value.is_empty() {
                return format!("write a value after `{} =`, or remove the line", key.trim());
            }
            if is_open {
                return "the text has no closing quote".to_owned();
            }
            if value.starts_with('[') && !value.ends_with(']') {
                return "the list has no closing bracket".to_owned();
            }
            format!("texts stand in quotes: {} = {value:?}", key.trim())
        }
        None => format!("a line is `key = value`, `[table]` or a `# comment`; {KEYS}"),
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text[..offset.min(text.len())].matches('\n').count() + 1
}

/// The line in which `key` (`section.key`, lists by number) is set.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let span = span_of(table.get_ref(), key)?;
    Some(line_at(text, span.start))
}

fn span_of(table: &DeTable<'_>, path: &str) -> Option<Range<usize>> {
    // A key may hold dots itself: the longest one that fits goes first.
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    for end in ends.collect::<Vec<_>>().into_iter().rev() {
        let (first, rest) = (&path[..end], path.get(end + 1..));
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == first) else {
            continue;
        };
        return match rest {
            None => Some(key.span()),
            Some(rest) => inside(value, rest).or_else(|| Some(key.span())),
        };
    }
    None
}

fn inside(value: &Spanned<DeValue<'_>>, rest: &str) -> Option<Range<usize>> {
    match value.get_ref() {
        DeValue::Table(table) => span_of(table, rest),
        DeValue::Array(list) => {
            let (index, rest) = rest.split_once('.').unwrap_or((rest, ""));
            let item = list.get(index.parse::<usize>().ok()?)?;
            inside(item, rest).or_else(|| Some(item.span()))
        }
        _ => None,
    }
}
