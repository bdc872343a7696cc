//! What differs between two libraries, in a person's words: files that came and went, what was analysed, what somebody
//! watched or rated. Not rows and not bytes.
//!
//! Files are told by their paths, user state by account and guid, so the two need not be copies of one another. Both are
//! read in step, sorted: memory does not grow with them.

mod join;
mod read;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::inspect::Counts;
use crate::open;
use crate::paths::Databases;
use crate::schema;

use join::{Side, join};

/// How two libraries differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Whether nothing of what is looked at differs.
    pub same: bool,
    /// By name; sections that do not differ are left out.
    pub sections: BTreeMap<String, SectionDifference>,
    /// User state.
    pub household: Household,
    /// Migrations that only the first has.
    pub migrations_only_before: Vec<String>,
    /// Migrations that only the second has.
    pub migrations_only_after: Vec<String>,
}

/// How a section differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionDifference {
    /// Whether only one side has it, and which.
    pub only: Option<Only>,
    /// Items in it before.
    pub before: Counts,
    /// Items in it after.
    pub after: Counts,
    /// Files that only the second has.
    pub added: Files,
    /// Files that only the first has.
    pub removed: Files,
    /// Files that went into the trash.
    pub trashed: Files,
    /// Files that both have and whose media were analysed in between.
    pub analysed: Files,
    /// Tracks with Sonic data before and after.
    pub sonic: (u64, u64),
}

/// Which side has something alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Only {
    /// The first.
    Before,
    /// The second.
    After,
}

/// Some files: how many, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// How many.
    pub count: u64,
    /// The first of them in the order of their paths, at most [`Files::LISTED`].
    pub first: Vec<String>,
}

impl Files {
    /// How many are listed by path.
    pub const LISTED: usize = 20;

    fn add(&mut self, file: &[u8]) {
        self.count += 1;
        if self.first.len() < Self::LISTED {
            self.first.push(String::from_utf8_lossy(file).into_owned());
        }
    }
}

/// How user state differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Household {
    /// Entries of the history that only the second has.
    pub views_added: u64,
    /// Entries of the history that only the first has.
    pub views_removed: u64,
    /// Ratings that are new, other or gone.
    pub ratings: u64,
    /// Places where somebody stopped that are new, other or gone.
    pub offsets: u64,
    /// Items that somebody had watched more, or less, often.
    pub watched: u64,
    /// Playlists and collections that only the second has.
    pub lists_added: u64,
    /// Playlists and collections that only the first has.
    pub lists_removed: u64,
}

/// Compares two libraries.
///
/// # Errors
/// If one of them cannot be read.
pub fn between(before: &Databases, after: &Databases) -> Result<Difference> {
    let (left, right) = (open::pair(before)?, open::pair(after)?);
    let sides = [Side::new(&left), Side::new(&right)];
    let mut found = Difference::default();
    read::sections(&sides, &mut found)?;
    join(&sides, [read::FILES; 2], |pair| read::file(pair, &mut found.sections))?;
    join(&sides, [read::VIEWS; 2], |pair| read::view(pair, &mut found.household))?;
    join(&sides, [read::SETTINGS; 2], |pair| {
        read::setting(pair, &mut found.household)
    })?;
    join(&sides, [read::LISTS; 2], |pair| read::list(pair, &mut found.household))?;
    let (ours, theirs) = (
        schema::migrations(&left, left.path())?,
        schema::migrations(&right, right.path())?,
    );
    found.migrations_only_before = ours.difference(&theirs).cloned().collect();
    found.migrations_only_after = theirs.difference(&ours).cloned().collect();
    left.confirm()?;
    right.confirm()?;
    found.sections.retain(|_, section| section.differs());
    found.same = found == Difference::default();
    Ok(found)
}

impl SectionDifference {
    fn differs(&self) -> bool {
        self.only.is_some()
            || self.before != self.after
            || self.sonic.0 != self.sonic.1
            || [&self.added, &self.removed, &self.trashed, &self.analysed]
                .iter()
                .any(|files| files.count > 0)
    }
}
