//! The one error that a command ends with: what failed on which object, why (its source), what to do (its hint), and
//! the exit code. Modules below have enums of their own; they are turned into this one where a phase or a command
//! gives up.

use std::error::Error as StdError;
use std::fmt;

use crate::exit;

/// The result of a phase or a command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure as the user meets it.
#[derive(Debug)]
pub struct Error {
    exit: u8,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure with the exit code `code` (one of [`exit`]); `message` is lowercase and says what failed on what.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            exit: code,
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    /// Wrong use: an option, a path, a configuration value.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message)
    }

    /// A guard refused; nothing was changed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(exit::REFUSED, message)
    }

    /// A phase failed; home is what it was.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(exit::HOME_UNCHANGED, message)
    }

    /// A defect of the program.
    pub fn unexpected(message: impl Into<String>) -> Self {
        Self::new(exit::UNEXPECTED, message)
    }

    /// Adds what the user can do, as a command or a key to change.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same failure, with what else failed beside it.
    #[must_use]
    pub fn because_of(mut self, other: &Self) -> Self {
        self.message = format!("{}; and {}", self.chain(), other.chain());
        self.source = None;
        self
    }

    /// The same failure with another exit code: the place that gives up knows what the failure means for home.
    #[must_use]
    pub fn with_exit(mut self, code: u8) -> Self {
        self.exit = code;
        self
    }

    /// The documented exit code.
    pub fn exit(&self) -> u8 {
        self.exit
    }

    /// What the user can do.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Message and causes on one line, for the journal and for `--json`.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut next = self.source();
        while let Some(cause) = next {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn StdError + 'static))
    }
}

/// Turns an error of the standard library into a failure that names the object.
pub trait Context<T> {
    /// `message` says what failed on which object.
    fn context(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: StdError + Send + Sync + 'static> Context<T> for std::result::Result<T, E> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::failed(message()).because(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_names_message_and_causes_once() {
        let io = std::io::Error::other("disk on fire");
        let e = Error::failed("cannot write /x").because(io).hint("free some space");
        assert_eq!(e.chain(), "cannot write /x: disk on fire");
        assert_eq!(e.exit(), exit::HOME_UNCHANGED);
        assert_eq!(e.hint_text(), Some("free some space"));
        let outer = Error::failed("phase snapshot failed: cannot write /x: disk on fire").because(e);
        assert_eq!(outer.chain(), "phase snapshot failed: cannot write /x: disk on fire");
    }
}
