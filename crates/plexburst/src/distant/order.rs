//! What the two sides tell each other: an order goes there once, frames of what is said there come back.

use serde::{Deserialize, Serialize};

use crate::host::secrets::Secret;

/// Format of both.
pub const VERSION: u32 = 1;

/// One command to be carried out at home. It goes through a pipe, never onto a command line.
#[derive(Clone, Serialize, Deserialize)]
pub struct Order {
    /// Format.
    pub v: u32,
    /// The call's ULID.
    pub id: String,
    /// The folder of plexburst there.
    pub base: String,
    /// The folder in memory there.
    pub secrets: String,
    /// The configuration for there.
    pub config: String,
    /// What the configuration names in the folder in memory.
    pub files: Vec<Secret>,
    /// Variables for the command's environment.
    pub env: Vec<(String, String)>,
    /// The command as it was given, but for what concerns this machine alone.
    pub args: Vec<String>,
}

/// Something that a call's process wrote, or that became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// Whole lines of its stdout, and how many bytes that is up to here.
    Out {
        /// The lines.
        text: String,
        /// Bytes up to here.
        upto: u64,
    },
    /// The same of its stderr.
    Err {
        /// The lines.
        text: String,
        /// Bytes up to here.
        upto: u64,
    },
    /// It goes on.
    Alive,
    /// It ended with this exit code.
    Ended(u8),
    /// It ended without leaving an exit code: it was killed.
    Gone,
}
