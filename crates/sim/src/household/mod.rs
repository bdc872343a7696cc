//! What the people of a household leave in the database: views, ratings, offsets, playlists, collections, edits.
//!
//! Everything here writes the rows that a real server writes (facts/plex.md §2.1; the shapes were read from a library of
//! 2026), in one transaction per request, next to children that write at the same time.

pub(crate) mod accounts;
pub(crate) mod collections;
pub(crate) mod extra;
pub(crate) mod play_queues;
pub(crate) mod playlists;
pub(crate) mod sessions;
pub(crate) mod statistics;
pub(crate) mod views;

pub(crate) use crate::store::clock::now;
