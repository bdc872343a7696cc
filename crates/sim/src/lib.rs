//! A stand-in of Plex Media Server that can be run on one machine: for the tests, for `plexburst demo`, for nothing else.
//!
//! It has the real one's databases, files, programs and HTTP API, so that whatever works on it has met the real shapes.
//! It depends on none of plexburst's own code.

pub mod schema;
pub mod store;
