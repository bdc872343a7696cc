//! The logs of a burst: collected while it runs, secrets removed, bounded, and in the end one archive.
//!
//! The worker copies what Plex, its scanners, the mount and it itself write, as it grows, into chunks that go into the depot
//! on the way ([`collect`]); home fetches them and puts them into `logs.tar.zst` with what its own side noted ([`archive`]).
//! Must not: end or hold up a burst; what cannot be collected is said and left out.

pub mod archive;
pub mod collect;
pub mod redact;

/// Folder of the chunks in the depot.
pub const DEPOT: &str = "worker/logs";
/// What a worker's chunks may take together, compressed.
pub const MOST: u64 = 64 << 20;
