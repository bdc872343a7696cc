//! Exit codes: part of the command line's promise, the same in every command.

/// Done.
pub const DONE: u8 = 0;
/// Something that the program does not know; a defect to report.
pub const UNEXPECTED: u8 = 1;
/// Wrong use: an option, a path, a configuration value.
pub const USAGE: u8 = 2;
/// A guard (or a merge, or `verify`) refused to go on; nothing was changed.
pub const REFUSED: u8 = 3;
/// The burst failed and home is what it was.
pub const HOME_UNCHANGED: u8 = 4;
/// Something may still be billed; the message has the command that ends it.
pub const MAYBE_BILLED: u8 = 5;
/// Interrupted; `plexburst resume` goes on.
pub const RESUMABLE: u8 = 6;
/// Home needs a person: neither the result nor the way back could be finished.
pub const STUCK: u8 = 7;
