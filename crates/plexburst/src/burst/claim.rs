//! How a worker gets a claim at the very moment at which it needs one: it puts a wish into the depot, and whoever controls
//! the burst leaves the answer on the worker's machine. A claim itself never lies in the depot.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::secret::Token;

/// How long a claim is good, in seconds (facts/plex.md §7.3).
pub const LIFE: u64 = 240;

/// What the worker puts into the depot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// This very wish: an answer to an earlier one does not count.
    pub id: String,
    /// Marks of claims that were tried already.
    #[serde(default)]
    pub tried: Vec<String>,
}

/// What the controller leaves with the worker, in a file of mode 0600.
#[derive(Serialize, Deserialize)]
pub struct Answer {
    /// The wish that it answers.
    pub wish: String,
    /// The claim; none when none can be had.
    pub claim: Option<String>,
    /// Where it comes from, or why there is none.
    pub why: String,
}

impl Answer {
    /// To `wish`, with what there is.
    #[must_use]
    pub fn to(wish: &Wish, claim: Option<&Token>, why: &str) -> Self {
        Self {
            wish: wish.id.clone(),
            claim: claim.map(|claim| claim.reveal().to_owned()),
            why: why.to_owned(),
        }
    }
}

/// The folder of the state folder in which a claimed worker's identity is kept, sealed.
pub const FOLDER: &str = "worker-identity";
/// The file in it.
pub const SEALED: &str = "identity.age";

/// Whether an identity is kept on this machine.
#[must_use]
pub fn is_kept(config: &Config, state_dir: &Path) -> bool {
    keeps(config) && state_dir.join(FOLDER).join(SEALED).is_file()
}

/// A fetched claim costs nothing, so only without the account's token is anything kept.
#[must_use]
pub fn keeps(config: &Config) -> bool {
    config.worker.account_token_file.is_none() && config.worker.keep_identity.unwrap_or(true)
}

/// How old the claim in a file is, when it is too old to be any good.
#[must_use]
pub fn too_old(path: &Path) -> Option<Duration> {
    let at = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
    at.elapsed().ok().filter(|age| *age > Duration::from_secs(LIFE))
}

/// A claim's mark, by which it is known again without being kept.
#[must_use]
pub fn mark(claim: &Token) -> String {
    blake3::hash(claim.reveal().as_bytes()).to_hex().to_string()
}
