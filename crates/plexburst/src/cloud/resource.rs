//! What a provider bills, and how it is told that it is ours.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Tag of everything that plexburst makes.
pub const TAG: &str = "plexburst";
const BURST: &str = "plexburst-burst=";
const DEADLINE: &str = "plexburst-deadline=";
const KEEP: &str = "plexburst-keep";

/// The kinds of things that can be left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A virtual machine.
    Server,
    /// A network volume: outlives its server.
    BlockVolume,
    /// A volume on the host's own disk.
    LocalVolume,
    /// A flexible IP address: outlives its server.
    Ip,
    /// A set of firewall rules; not billed.
    SecurityGroup,
    /// A key of the provider's with which the machine ends itself; not billed.
    ApiKey,
    /// What that key may do; not billed.
    Policy,
    /// Whose key it is; not billed.
    Application,
}

/// The zone of what is in none: keys and what belongs to them.
pub const GLOBAL: &str = "global";

impl Kind {
    /// Whether the provider asks money for it.
    #[must_use]
    pub fn is_billed(self) -> bool {
        !self.is_key() && self != Self::SecurityGroup
    }

    /// Whether it belongs to the key with which a machine ends itself: it is kept for as long as the machine is.
    #[must_use]
    pub fn is_key(self) -> bool {
        matches!(self, Self::ApiKey | Self::Policy | Self::Application)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Server => "server",
            Self::BlockVolume => "block volume",
            Self::LocalVolume => "local volume",
            Self::Ip => "IP address",
            Self::SecurityGroup => "security group",
            Self::ApiKey => "API key",
            Self::Policy => "policy",
            Self::Application => "application",
        })
    }
}

/// One thing at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// What it is.
    pub kind: Kind,
    /// The provider's id.
    pub id: String,
    /// Where it is.
    pub zone: String,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} in {}", self.kind, self.id, self.zone)?;
        if self.name.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.name)
        }
    }
}

/// What the tags of a resource say about whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// The burst's ULID.
    pub burst: String,
    /// When it has to be gone, in seconds since 1970 by the provider's clock.
    pub deadline: i64,
    /// The user asked for it to be kept beyond its burst.
    pub is_kept: bool,
}

impl Ownership {
    /// The tags that say so.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        let mut tags = vec![
            TAG.to_owned(),
            format!("{BURST}{}", self.burst),
            format!("{DEADLINE}{}", self.deadline),
        ];
        if self.is_kept {
            tags.push(KEEP.to_owned());
        }
        tags
    }

    /// Reads them back; `None` for what is not ours. A tag that is ours without a deadline that can be read is past it:
    /// nothing of ours is ever made without one.
    #[must_use]
    pub fn of(tags: &[String]) -> Option<Self> {
        if !tags.iter().any(|tag| tag == TAG) {
            return None;
        }
        let burst = tags.iter().find_map(|tag| tag.strip_prefix(BURST))?;
        ulid::Ulid::from_string(burst).ok()?;
        let deadline = tags.iter().find_map(|tag| tag.strip_prefix(DEADLINE)?.parse().ok());
        Some(Self {
            burst: burst.to_owned(),
            deadline: deadline.unwrap_or(0),
            is_kept: tags.iter().any(|tag| tag == KEEP),
        })
    }
}

/// The name of everything of one burst.
#[must_use]
pub fn name_of(burst: &str) -> String {
    format!("plexburst-{}", burst.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_read_back_and_foreign_ones_do_not() {
        let mine = Ownership {
            burst: ulid::Ulid::generate().to_string(),
            deadline: 1_790_000_000,
            is_kept: true,
        };
        assert_eq!(Ownership::of(&mine.tags()), Some(mine.clone()));
        let foreign = [
            vec![],
            vec!["plexburst".to_owned()],
            vec![format!("{BURST}{}", mine.burst)],
        ];
        for tags in foreign {
            assert_eq!(Ownership::of(&tags), None, "{tags:?}");
        }
        let not_an_id = vec![TAG.to_owned(), format!("{BURST}my-own-server")];
        assert_eq!(Ownership::of(&not_an_id), None);
        let broken = vec![
            TAG.to_owned(),
            format!("{BURST}{}", mine.burst),
            format!("{DEADLINE}soon"),
        ];
        assert_eq!(Ownership::of(&broken).unwrap().deadline, 0);
    }
}
