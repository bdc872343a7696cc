//! How the errors of this side become the one that a command ends with: message, causes and hint stay, and a guard
//! that refused keeps its own exit code.

use super::{client, index, preferences, ready, runtime};
use crate::error::Error;

fn with_hint(error: Error, hint: Option<String>) -> Error {
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

impl From<client::Error> for Error {
    fn from(error: client::Error) -> Self {
        let hint = error.hint();
        with_hint(Self::failed(error.to_string()).because(error), hint)
    }
}

impl From<ready::Error> for Error {
    fn from(error: ready::Error) -> Self {
        let mut hint = error.hint();
        if !error.log().is_empty() {
            let log = format!("the end of its log:\n  {}", error.log().join("\n  "));
            hint = Some(hint.map_or(log.clone(), |hint| format!("{hint}\n{log}")));
        }
        with_hint(Self::failed(error.to_string()).because(error), hint)
    }
}

impl From<runtime::Error> for Error {
    fn from(error: runtime::Error) -> Self {
        let hint = error.hint();
        with_hint(Self::failed(error.to_string()).because(error), hint)
    }
}

impl From<runtime::cell::Error> for Error {
    fn from(error: runtime::cell::Error) -> Self {
        Self::failed(error.to_string()).because(error)
    }
}

impl From<preferences::FileError> for Error {
    fn from(error: preferences::FileError) -> Self {
        let hint = error.hint();
        with_hint(Self::failed(error.to_string()).because(error), hint)
    }
}

impl From<index::Error> for Error {
    fn from(error: index::Error) -> Self {
        let hint = error.hint();
        let made = match &error {
            index::Error::Deleting { .. } | index::Error::Guard { .. } => Self::refused(error.to_string()),
            _ => Self::failed(error.to_string()),
        };
        with_hint(made.because(error), hint)
    }
}

impl From<preferences::GuardError> for Error {
    fn from(error: preferences::GuardError) -> Self {
        let hint = error.hint();
        let made = match &error {
            preferences::GuardError::StaysOn { .. } => Self::refused(error.to_string()),
            preferences::GuardError::Call(_) => Self::failed(error.to_string()),
        };
        with_hint(made.because(error), hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_cause_hint_and_exit_code_survive() {
        let call = client::Error {
            server: "home".into(),
            call: "GET /identity".into(),
            kind: client::Kind::Refused,
        };
        let error = Error::from(call);
        assert_eq!(
            error.chain(),
            "GET /identity on the home Plex server: connection refused"
        );
        assert!(error.hint_text().is_some());
        let (server, name, value) = ("home".into(), "autoEmptyTrash".into(), "1".into());
        let error = Error::from(preferences::GuardError::StaysOn { server, name, value });
        assert_eq!(error.exit(), crate::exit::REFUSED);
    }
}
