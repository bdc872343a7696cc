//! Running a Plex server on the worker.

/// The header by which the relay of a cell says that it, not Plex, has answered.
pub const CELL_HEADER: &str = "x-plexburst-cell";
