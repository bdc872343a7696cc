//! What is counted while a section is indexed: the only measure of progress that cannot be talked about.

use serde::{Deserialize, Serialize};

/// Why nothing could be counted.
pub type CountError = Box<dyn std::error::Error + Send + Sync>;

/// A section at one moment, from the worker's database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Tracks, episodes, movies or photos, without those in the trash.
    pub items: u64,
    /// Their files, without those in the trash.
    pub files: u64,
    /// Items whose files were not found: the trash.
    pub trashed: u64,
    /// Media with an analysis.
    pub analysed: u64,
    /// Tracks with their loudness.
    pub loudness: u64,
    /// Tracks with Sonic data.
    pub sonic: u64,
    /// Another number whenever any item of the section changes.
    pub fingerprint: i64,
}

/// The Sonic backlog of the whole server: the butler's task works through all of it, whatever the section.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sonic {
    /// Tracks with Sonic data.
    pub done: u64,
    /// Tracks.
    pub all: u64,
}

impl Sonic {
    /// Tracks without.
    #[must_use]
    pub fn left(self) -> u64 {
        self.all.saturating_sub(self.done)
    }
}

/// Counts in a library that a server works on.
///
/// An error means that nothing is known; nobody may take it for zero.
pub trait Counters: Send + Sync {
    /// One section.
    ///
    /// # Errors
    /// The database cannot be read.
    fn section(&self, id: i64) -> Result<Counts, CountError>;

    /// The whole server's Sonic backlog.
    ///
    /// # Errors
    /// The database cannot be read.
    fn sonic(&self) -> Result<Sonic, CountError>;

    /// Files of tracks of a section that have no Sonic data: at most `limit` of them.
    ///
    /// # Errors
    /// The database cannot be read.
    fn without_sonic(&self, section: i64, limit: u64) -> Result<Vec<String>, CountError>;
}
