//! What a printer says, on its way to the printer of another machine: one line each, which no other text looks like. The
//! printer there knows its own terminal, its colours and its time zone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Begins each line (the record separator of RFC 7464).
const MARK: char = '\u{1e}';

/// One thing said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// The ways in which a printer says something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The header of a phase, and the words that stand for it while it goes on.
    Phase {
        /// The line.
        line: String,
        /// The words.
        text: String,
    },
    /// A line.
    Line(String),
    /// A line that is said even when quiet.
    Warning(String),
    /// A line as it is, without a time before it.
    Verbatim(String),
    /// What is going on right now.
    Progress(String),
}

impl Said {
    /// Said now.
    #[must_use]
    pub fn now(what: What) -> Self {
        Self {
            at: Timestamp::now(),
            what,
        }
    }

    /// As a line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        // Strings and a time are always JSON.
        format!("{MARK}{}", serde_json::to_string(self).unwrap_or_default())
    }

    /// What a line says; any other text is said as it is.
    #[must_use]
    pub fn of_line(line: &str) -> Self {
        line.strip_prefix(MARK)
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_else(|| Self::now(What::Verbatim(line.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_they_were_said_and_other_text_as_it_is() {
        for what in [
            What::Phase {
                line: "merge       \u{1e} \n".into(),
                text: "merging".into(),
            },
            What::Warning("warning: \"x\"".into()),
            What::Progress(String::new()),
        ] {
            let said = Said::now(what);
            let line = said.to_line();
            assert!(!line.contains('\n'));
            assert_eq!(Said::of_line(&line), said);
        }
        let text = "error: no such thing";
        assert_eq!(Said::of_line(text).what, What::Verbatim(text.into()));
    }
}
