//! A Plex library on disk: the pair of databases and the bundle trees beside them.
//!
//! Everything that touches those files is here: looking at them without a trace, taking a consistent snapshot beside a
//! running server, carrying only what changed, and putting a result in place as a whole or not at all. No network, no
//! async, no knowledge of workers.

pub mod archive;
pub mod bundle;
mod collation;
mod columns;
mod contents;
pub mod delta;
pub mod diff;
pub mod error;
pub mod export;
pub mod files;
mod format;
pub mod gentle;
mod handles;
mod hashing;
pub mod ids;
pub mod inspect;
pub mod layered;
pub mod losses;
pub mod merge;
mod moment;
pub mod open;
mod pace;
mod packer;
pub mod pages;
pub mod paths;
pub mod progress;
pub mod publish;
pub mod remap;
pub mod repair;
pub mod schema;
pub mod size;
pub mod snapshot;
mod source;
mod stamp;
pub mod swap;
pub mod users;
pub mod verify;
mod watch;

pub use error::{Error, Kind, Result};
pub use paths::{BLOBS_DB, Databases, LIBRARY_DB, Located, Which, locate};
pub use progress::Progress;
