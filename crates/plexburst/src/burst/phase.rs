//! The phases of a burst, as the journal names them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! phases {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One step of a burst. [`Phase::Index`] and [`Phase::Checkpoint`] exist once for each section.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Phase {
            $($(#[$doc])* $variant,)*
            /// Worker: one section scanned and analysed.
            Index {
                /// The section's id at home.
                section: i64,
            },
        }

        impl Phase {
            /// Every phase that exists once, in the order of a whole burst.
            pub const ALL: &[Phase] = &[$(Phase::$variant,)*];
        }

        impl fmt::Display for Phase {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Phase::$variant => f.pad($name),)*
                    Phase::Index { section } => f.pad(&format!("index:{section}")),
                }
            }
        }

        impl FromStr for Phase {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($name => Ok(Phase::$variant),)*
                    _ => text
                        .strip_prefix("index:")
                        .and_then(|n| n.parse().ok())
                        .map(|section| Phase::Index { section })
                        .ok_or_else(|| format!("unknown phase {text:?}")),
                }
            }
        }
    };
}

phases! {
    /// Controller: configuration, home, the library as it stands.
    Prepare = "prepare",
    /// Controller: the guards that must hold before anything is taken.
    Guards = "guards",
    /// Controller: home's own preferences that can delete, off for the burst.
    QuietHome = "quiet-home",
    /// Controller: the consistent copy, kept as the base.
    Snapshot = "snapshot",
    /// Controller: the snapshot into the depot.
    Park = "park",
    /// Controller: a worker, started and answering.
    Provision = "provision",
    /// Controller: the worker's machine over SSH, with a verified host key.
    Reach = "reach",
    /// Controller: the program and what it needs, on the worker's machine.
    Equip = "equip",
    /// Worker: its library out of the depot.
    Restore = "restore",
    /// Worker: the media, proved by reading.
    Mount = "mount",
    /// Worker: Plex started and answering.
    Start = "start",
    /// Worker: preferences read back.
    Quiet = "quiet",
    /// Worker: Plex stopped, its write-ahead log gone.
    Stop = "stop",
    /// Worker: the result checked, nothing lost.
    Check = "check",
    /// Worker: changed pages and new bundle files.
    Delta = "delta",
    /// Worker: the delta into the depot.
    ParkResult = "park-result",
    /// Controller: the worker's result is in the depot.
    Work = "work",
    /// Controller: the worker is gone.
    Destroy = "destroy",
    /// Controller: the delta out of the depot.
    Fetch = "fetch",
    /// Controller: base and delta beside the original.
    Stage = "stage",
    /// Controller: what the household did meanwhile, in the staged copy.
    Merge = "merge",
    /// Controller: the staged copy checked.
    Verify = "verify",
    /// Controller: home stopped, caught up, exchanged, started.
    Swap = "swap",
    /// Controller: home healthy with the expected counts.
    Health = "health",
    /// Controller: what the merge could not write, made by home's server.
    Aside = "aside",
    /// Controller: the archive that holds the result (instead of merge and swap).
    Pack = "pack",
    /// Controller: the end; home's preferences as they were.
    Commit = "commit",
    /// Controller: the other end; home is what it was.
    Rollback = "rollback",
}

impl Serialize for Phase {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Phase {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for phase in Phase::ALL.iter().chain([&Phase::Index { section: -7 }]) {
            assert_eq!(phase.to_string().parse::<Phase>().unwrap(), *phase);
        }
        assert!("index:x".parse::<Phase>().is_err());
    }
}
