//! Secrets out of lines of logs: those that are known by their very text, and what stands where secrets stand.
//!
//! Guarantees that no known secret is in what comes out. Takes away too much rather than too little: a log is for reading.

use std::borrow::Cow;
use std::path::Path;

/// What stands in place of a secret.
const GONE: &str = "(removed)";
/// Shorter texts are no secrets: taking them away would leave nothing of a log.
const LEAST: usize = 8;
/// What follows these, after a separator, is a secret. Compared in lower case.
const NAMES: [&str; 16] = [
    "x-plex-token",
    "x-plex-claim",
    "plexonlinetoken",
    "accesstoken",
    "authtoken",
    "authentication_token",
    "x-auth-token",
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "secret_access_key",
    "access_key_id",
    "secret_key",
    "password",
    "token",
    "secret",
];
/// The rest of the line after this is a secret.
const HEADER: &str = "authorization";
/// Words that begin so are secrets.
const WORDS: [&str; 3] = ["claim-", "age-secret-key-", "age-plugin-"];

/// Takes secrets away.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redactor {
    known: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} secrets)", self.known.len())
    }
}

impl Redactor {
    /// With what this process has in its environment.
    #[must_use]
    pub fn of_environment() -> Self {
        let mut redactor = Self::default();
        for (name, value) in std::env::vars() {
            let name = name.to_ascii_lowercase();
            if ["secret", "token", "passw", "access_key", "claim"]
                .iter()
                .any(|word| name.contains(word))
            {
                redactor.learn(&value);
            }
        }
        redactor
    }

    /// This text is a secret, and so is each of its lines.
    pub fn learn(&mut self, secret: &str) {
        for line in secret.lines().chain([secret]) {
            let line = line.trim();
            if line.len() >= LEAST && !line.contains('\n') && !self.known.iter().any(|known| known == line) {
                self.known.push(line.to_owned());
            }
        }
        // One that another begins with would leave that one's end.
        self.known.sort_by_key(|known| std::cmp::Reverse(known.len()));
    }

    /// Every value in the file that its name calls a secret, and each line that is a key of its own. A file that is not there
    /// holds none.
    pub fn learn_file(&mut self, path: &Path) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for line in text.lines() {
            let mut rest = line;
            while let Some((at, end)) = next_secret(rest) {
                self.learn(&rest[at..end]);
                rest = &rest[end..];
            }
            let lower = line.trim().to_ascii_lowercase();
            if WORDS.iter().any(|word| lower.starts_with(word)) {
                self.learn(line);
            }
        }
    }

    /// The file as a whole is a secret: a token and nothing else.
    pub fn learn_content(&mut self, path: &Path) {
        self.learn(&std::fs::read_to_string(path).unwrap_or_default());
    }

    /// The line without secrets.
    #[must_use]
    pub fn line<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(line);
        for known in &self.known {
            if text.contains(known.as_str()) {
                text = Cow::Owned(text.replace(known.as_str(), GONE));
            }
        }
        let mut out = String::new();
        let mut rest = text.as_ref();
        while let Some((at, end)) = next_secret(rest) {
            out.push_str(&rest[..at]);
            out.push_str(GONE);
            rest = &rest[end..];
        }
        if out.is_empty() {
            return text;
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// Every line of `text` without secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            out.push_str(&self.line(line));
        }
        out
    }
}

/// Where the first secret begins and ends.
fn next_secret(line: &str) -> Option<(usize, usize)> {
    // Of the same length in bytes, so that places in one are places in the other.
    let lower = line.to_ascii_lowercase();
    let named = NAMES.iter().flat_map(|name| {
        lower.match_indices(name).filter_map(|(at, _)| {
            let from = after_separator(&lower, at + name.len())?;
            let end = from + lower[from..].find(is_end).unwrap_or(lower.len() - from);
            let end = lower[from..end].find("%26").map_or(end, |at| from + at);
            is_new(&lower[from..end]).then_some((from, end))
        })
    });
    let headers = lower.match_indices(HEADER).filter_map(|(at, _)| {
        let from = after_separator(&lower, at + HEADER.len())?;
        let end = lower.trim_end().len();
        (from < end && is_new(&lower[from..end])).then_some((from, end))
    });
    let words = WORDS.iter().flat_map(|word| {
        lower.match_indices(word).filter_map(|(at, _)| {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            let end = at + lower[at..].find(|c| !is_word(c)).unwrap_or(lower.len() - at);
            (end - at >= word.len() + LEAST).then_some((at, end))
        })
    });
    named.chain(headers).chain(words).min()
}

/// What was taken away already, or says nothing, is none.
fn is_new(value: &str) -> bool {
    !value.is_empty() && !GONE.starts_with(value) && !value.starts_with("(removed") && !value.bytes().all(|b| b == b'x')
}

/// The end of what separates a name from its value; none where nothing does.
fn after_separator(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    let mut has_any = false;
    loop {
        let rest = &text[at..];
        if rest.starts_with("%3d") || rest.starts_with("%3a") {
            (at, has_any) = (at + 3, true);
        } else if rest.starts_with(['=', ':']) {
            (at, has_any) = (at + 1, true);
        } else if rest.starts_with(['"', '\'', ' ', '\t', '\\']) {
            at += 1;
        } else {
            return (has_any && at < text.len()).then_some(at);
        }
    }
}

fn is_end(c: char) -> bool {
    c.is_whitespace() || "\"'&<>,;\\)]}".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_where_secrets_stand_is_taken_away() {
        let redactor = Redactor::default();
        for (line, kept) in [
            (
                "GET /x?X-Plex-Token=abcDEF123&a=1 (4 live)",
                "GET /x?X-Plex-Token=(removed)&a=1 (4 live)",
            ),
            (
                "url=%2Fx%3FX-Plex-Token%3DabcDEF%26b",
                "url=%2Fx%3FX-Plex-Token%3D(removed)%26b",
            ),
            ("Authorization: Bearer a b c", "Authorization: (removed)"),
            (
                r#"{"authToken": "qwertyuiop", "a": 1}"#,
                r#"{"authToken": "(removed)", "a": 1}"#,
            ),
            ("tried claim-AbCdEfGhIjKlMn.", "tried (removed)."),
            ("secret_access_key = hush", "secret_access_key = (removed)"),
            ("AGE-SECRET-KEY-1QQQQQQQQ", "(removed)"),
            ("X-Plex-Token=xxxxxxxxxx", "X-Plex-Token=xxxxxxxxxx"),
            (
                "no token in here, and a claim-check",
                "no token in here, and a claim-check",
            ),
        ] {
            assert_eq!(redactor.line(line), kept);
            assert_eq!(redactor.line(kept), kept, "once more changes nothing");
        }
    }

    #[test]
    fn a_known_secret_is_found_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rclone.conf");
        std::fs::write(&file, "[b]\ntype = s3\nsecret_access_key = Sesame-Open\n").unwrap();
        let mut redactor = Redactor::default();
        redactor.learn_file(&file);
        redactor.learn("first-secret\nsecond-secret\n");
        redactor.learn("short");
        assert_eq!(
            redactor.text("a Sesame-Open b\nsecond-secretfirst-secret short\n"),
            "a (removed) b\n(removed)(removed) short\n"
        );
        assert!(!format!("{redactor:?}").contains("Sesame"));
    }
}
