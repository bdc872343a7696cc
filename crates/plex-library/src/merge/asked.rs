//! Plex's own collation, asked of a program that has it.
//!
//! The order of titles lives in Plex's server. Where ours did not prove itself, home's `Plex SQLite` is asked, pair by pair,
//! which of two titles comes first, and SQLite puts the row where the answer says: the index is never taken away, no other
//! program opens the file, and the pair is committed as one, as in every merge.
//!
//! Guarantees: an answer that does not come ends in a rollback ([`Asked::trouble`]), never in a row at a guessed place.
//! Must not: start programs; that is whoever implements [`PlexCollation`].

use std::cmp::Ordering;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use rusqlite::Connection;

use super::fail::Step;

/// The collations of a Plex server, as that server's own program knows them.
pub trait PlexCollation: Debug + Send + Sync {
    /// How the two of each pair stand to each other in `collation`, in the order of the pairs.
    ///
    /// # Errors
    /// In a person's words why there is no answer: no such program, no such collation, an answer that is none.
    fn compare(&self, collation: &str, pairs: &[(&str, &str)]) -> Result<Vec<Ordering>, String>;
}

/// A collation that is asked while rows are written.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    plex: Arc<dyn PlexCollation>,
    trouble: Arc<OnceLock<String>>,
}

impl Asked {
    pub(super) fn new(plex: &Arc<dyn PlexCollation>) -> Self {
        Self {
            plex: Arc::clone(plex),
            trouble: Arc::default(),
        }
    }

    /// Lets SQLite ask for `collation` on this connection.
    pub(super) fn register(&self, conn: &Connection, collation: &str) -> Step<()> {
        let (asked, name) = (self.clone(), collation.to_owned());
        conn.create_collation(collation, move |a, b| asked.order(&name, a, b))?;
        Ok(())
    }

    /// Asks for several pairs at once, while nothing is written yet.
    pub(super) fn compare(&self, collation: &str, pairs: &[(&str, &str)]) -> Result<Vec<Ordering>, String> {
        let answers = self.plex.compare(collation, pairs)?;
        if answers.len() == pairs.len() {
            Ok(answers)
        } else {
            Err(format!("it answered {} of {} questions", answers.len(), pairs.len()))
        }
    }

    /// Why an answer was missing while something was written; what was written is then worth nothing.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.get().map(String::as_str)
    }

    /// SQLite takes no failure from a collation: after one the order is any order, since nothing of it will stay.
    fn order(&self, collation: &str, a: &str, b: &str) -> Ordering {
        if a == b || self.trouble().is_some() {
            return a.cmp(b);
        }
        match self.compare(collation, &[(a, b)]).as_deref() {
            Ok(&[order]) => order,
            Ok(_) => a.cmp(b),
            Err(why) => {
                self.trouble.set(why.clone()).ok();
                a.cmp(b)
            }
        }
    }
}
