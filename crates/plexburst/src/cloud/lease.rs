//! When a machine of ours is to be destroyed: a pure decision over its tags, its age and its own proof of life.
//!
//! The proof is written by the worker itself into its user data; nobody needs a key of the provider for it. Two clocks are
//! never compared: the deadline and the age are judged by the provider's time, and a proof of life by how long it has not
//! changed by that same time, as the worker stamps it with the provider's time that it was told at the start plus its own
//! monotonic clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::provider::Owned;

/// Key in the machine's user data.
pub const KEY: &str = "plexburst-life";
/// Between two proofs.
pub const INTERVAL: Duration = Duration::from_secs(60);
/// How long a worker may be silent before it is taken for dead: many missed proofs, since a machine that is busy for
/// minutes on end is what it was rented for.
pub const GRACE: Duration = Duration::from_secs(30 * 60);

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// When, in seconds since 1970 by the provider's clock.
    pub at: i64,
    /// The burst.
    pub burst: String,
    /// The phase that it is in.
    pub phase: String,
    /// Whether everything it made is safe in the depot, so that nothing is lost with it.
    pub is_safe: bool,
}

/// What is to become of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It lives and has time.
    Alive {
        /// Seconds until its deadline.
        left: i64,
    },
    /// The user asked for it to be kept, and its time has not come.
    Kept {
        /// Seconds until its deadline.
        left: i64,
    },
    /// It has to go.
    Destroy(Reason),
}

/// Why something has to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Past its deadline by this many seconds.
    PastDeadline(i64),
    /// No proof of life for this many seconds.
    Silent(i64),
    /// It never gave one since it was made so many seconds ago.
    NeverLived(i64),
    /// The server that it belonged to is gone.
    Orphan,
    /// The burst that owned it has ended.
    Ended,
    /// The user asked for it.
    Asked,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let minutes = |seconds: &i64| seconds / 60;
        match self {
            Self::PastDeadline(by) => write!(f, "its deadline was {} min ago", minutes(by)),
            Self::Silent(since) => write!(f, "it has not been heard of for {} min", minutes(since)),
            Self::NeverLived(since) => write!(f, "made {} min ago, it was never heard of", minutes(since)),
            Self::Orphan => f.write_str("its server is gone"),
            Self::Ended => f.write_str("its burst has ended"),
            Self::Asked => f.write_str("asked for"),
        }
    }
}

/// Judges a server. `now` and all times are the provider's.
#[must_use]
pub fn judge(owned: &Owned, life: Option<&Life>, now: i64, boot_grace: Duration) -> Verdict {
    let left = owned.owner.deadline - now;
    if left <= 0 {
        return Verdict::Destroy(Reason::PastDeadline(-left));
    }
    if owned.owner.is_kept {
        return Verdict::Kept { left };
    }
    let seconds = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
    match life.filter(|life| life.burst == owned.owner.burst) {
        Some(life) if now - life.at > seconds(GRACE) => Verdict::Destroy(Reason::Silent(now - life.at)),
        Some(_) => Verdict::Alive { left },
        None if now - owned.made_at > seconds(boot_grace) => Verdict::Destroy(Reason::NeverLived(now - owned.made_at)),
        None => Verdict::Alive { left },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::resource::{Kind, Ownership, Resource};

    const BOOT: Duration = Duration::from_secs(2700);

    fn owned(deadline: i64, is_kept: bool) -> Owned {
        Owned {
            resource: Resource {
                kind: Kind::Server,
                id: "s".into(),
                zone: "z".into(),
                name: String::new(),
            },
            owner: Ownership {
                burst: "B".into(),
                deadline,
                is_kept,
            },
            made_at: 1000,
        }
    }

    fn life(at: i64, burst: &str) -> Life {
        Life {
            at,
            burst: burst.into(),
            phase: "index".into(),
            is_safe: false,
        }
    }

    #[test]
    fn a_busy_worker_is_left_alone_and_a_dead_one_is_not() {
        let o = owned(100_000, false);
        assert_eq!(
            judge(&o, Some(&life(5000, "B")), 5000 + 1800, BOOT),
            Verdict::Alive { left: 93_200 }
        );
        assert_eq!(
            judge(&o, Some(&life(5000, "B")), 5000 + 1801, BOOT),
            Verdict::Destroy(Reason::Silent(1801))
        );
    }

    #[test]
    fn a_machine_that_boots_has_time_and_not_for_ever() {
        let o = owned(100_000, false);
        assert!(matches!(judge(&o, None, 1000 + 2700, BOOT), Verdict::Alive { .. }));
        assert_eq!(
            judge(&o, None, 1000 + 2701, BOOT),
            Verdict::Destroy(Reason::NeverLived(2701))
        );
        // A proof of another burst (a disk that was used before) is none.
        assert_eq!(
            judge(&o, Some(&life(3700, "A")), 1000 + 2701, BOOT),
            Verdict::Destroy(Reason::NeverLived(2701))
        );
    }

    #[test]
    fn a_deadline_counts_whatever_else_is_said() {
        assert_eq!(
            judge(&owned(9000, true), Some(&life(9000, "B")), 9000, BOOT),
            Verdict::Destroy(Reason::PastDeadline(0))
        );
        assert_eq!(
            judge(&owned(9000, true), None, 8000, BOOT),
            Verdict::Kept { left: 1000 }
        );
    }
}
