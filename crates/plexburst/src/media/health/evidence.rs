//! What one look at the media finds.

use std::path::PathBuf;
use std::time::Duration;

use crate::media::proof::{Outcome, Proof};

/// A section root and files that are known below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Home's absolute path.
    pub root: String,
    /// Files of it, home's absolute paths; any file of the root is taken when there is none.
    pub files: Vec<String>,
}

/// One root at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootEvidence {
    /// Home's absolute path.
    pub root: String,
    /// What became of the sampled files.
    pub proof: Proof,
    /// What the store itself said.
    pub direct: Direct,
}

/// The store itself, asked past the mount: none when there was no need, because some file showed bytes that no cache had
/// or none showed any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Direct {
    /// For a file that the mount had read, from its cache: how long it took, or why it gives nothing.
    pub read: Option<Result<Duration, String>>,
    /// For a file that the mount had not read.
    pub failed: Option<Result<Duration, String>>,
}

/// One look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// The mount's process has ended: how.
    pub ended: Option<String>,
    /// The kernel's list has no such mount.
    pub is_unmounted: bool,
    /// Each root.
    pub roots: Vec<RootEvidence>,
    /// Whether the remote control answered; none without one.
    pub control: Option<bool>,
    /// Bytes that came from the store since the mount began; none without a remote control that answers.
    pub bytes: Option<u64>,
    /// The store's last error, in rclone's words.
    pub last_error: String,
    /// The disk of the cache is full.
    pub is_full: bool,
}

impl RootEvidence {
    /// Files that showed bytes, of how many.
    pub(super) fn read(&self) -> (usize, usize) {
        let all = self.proof.files.len();
        (all - self.proof.failed().count(), all)
    }

    /// Why nothing was read, in words; and whether it was silence rather than an error.
    pub(super) fn failure(&self) -> Option<(String, bool)> {
        let first = self.proof.failed().next()?;
        let is_silent = self.proof.failed().all(|probed| probed.outcome == Outcome::TimedOut);
        let why = match &first.outcome {
            Outcome::TimedOut => "no answer".to_owned(),
            Outcome::Missing => "missing".to_owned(),
            Outcome::Unreadable { reason } => reason.clone(),
            Outcome::Read { .. } => return None,
        };
        Some((format!("{}: {why}", first.file.display()), is_silent))
    }
}

impl Evidence {
    /// Files that showed bytes, of how many, over all roots.
    pub(super) fn read(&self) -> (usize, usize) {
        self.roots
            .iter()
            .map(RootEvidence::read)
            .fold((0, 0), |sum, root| (sum.0 + root.0, sum.1 + root.1))
    }

    /// The slowest answer.
    pub(super) fn slowest(&self) -> Duration {
        let files = self.roots.iter().map(|root| root.proof.slowest());
        let asked = self
            .roots
            .iter()
            .flat_map(|root| [&root.direct.read, &root.direct.failed]);
        let direct = asked.filter_map(|direct| direct.as_ref()?.as_ref().ok().copied());
        files.chain(direct).max().unwrap_or_default()
    }

    /// A file for messages and logs, when one failed.
    pub(super) fn first_failure(&self) -> Option<PathBuf> {
        let failed = self.roots.iter().find_map(|root| root.proof.failed().next());
        failed.map(|probed| probed.file.clone())
    }
}
