//! Failures inside a merge, before the database that they are about is known.

use std::path::Path;

use crate::error::Error;

/// What went wrong: a statement, or something that was already put into words.
#[derive(Debug)]
pub(super) enum Fail {
    Sql(rusqlite::Error),
    Own(Error),
}

/// The result of a step.
pub(super) type Step<T> = std::result::Result<T, Fail>;

impl From<rusqlite::Error> for Fail {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl Fail {
    /// In words, as a failure of merging into the library at `theirs`.
    pub(super) fn into_error(self, theirs: &Path) -> Error {
        match self {
            Self::Sql(source) => Error::sqlite(theirs, "merge into", source),
            Self::Own(error) => error,
        }
    }
}
