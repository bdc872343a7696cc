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

/// What else the library says of a section, to hold [`Counts`] against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// Artists, shows or films; photos in a section of those. Without those in the trash, like all of these.
    pub tops: u64,
    /// Of them those with a guid of an agent.
    pub matched: u64,
    /// Of them those whose metadata were refreshed some time.
    pub refreshed: u64,
    /// Of them those with a picture.
    pub pictures: u64,
    /// Files whose medium has streams.
    pub streams: u64,
    /// Tracks with the mark of the loudness analysis.
    pub loudness: u64,
    /// Tracks with the mark of the Sonic analysis.
    pub sonic: u64,
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

    /// The same section, from other places.
    ///
    /// # Errors
    /// The database cannot be read.
    fn marks(&self, id: i64) -> Result<Marks, CountError>;

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

    /// Of these files those that the section has not, or only in its trash.
    ///
    /// # Errors
    /// The database cannot be read.
    fn lacking(&self, section: i64, files: &[String]) -> Result<Vec<String>, CountError>;
}
