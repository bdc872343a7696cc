//! Making Plex index: one section at a time, one step at a time, each watched until it is really over.
//!
//! [`Indexer::section`] scans, settles, refreshes all metadata where that is asked for, settles, and then has the section
//! analysed: music by Sonic (the butler's MusicAnalysis,
//! where there is Plex Pass) after its loudness, everything else by Plex's own analysis. Guarantees: no step begins
//! while another runs; a scan begins only when nothing may be deleted (guard 3) and the caller's guard agrees; done,
//! stalled and timed out are three outcomes; an error while counting is an error, never a zero. Must not: empty a
//! trash, or take silence for the end.

mod complete;
mod counters;
mod database;
mod limits;
mod report;
mod settle;
mod steps;

pub use complete::{Completeness, Kind, Witness};
pub use counters::{CountError, Counters, Counts, Marks, Sonic};
pub use database::DatabaseCounters;
pub use limits::Limits;
pub use report::{Error, Outcome, Progress, SectionReport, Step, StepReport, Verdict};
pub use settle::Observed;
pub use steps::{Indexer, Moment, Wish};

#[cfg(test)]
mod tests;
