//! Which image a worker takes: the official one of home's very version, unless another is named.

use std::fmt;

/// The official image; its tags are Plex's versions (facts/plex.md §7.1).
pub const OFFICIAL: &str = "plexinc/pms-docker";

/// An image with its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    name: String,
}

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// On this machine.
    Here,
    /// Where it can be pulled from.
    Registry,
    /// Nowhere; what the registry said.
    Nowhere(String),
    /// The registry cannot be asked from here.
    Unknown(String),
}

impl Image {
    /// As it stands.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// `named` as it stands when it has a tag or a digest, else with home's version as its tag; without a name the
    /// official one. None when there is no version to pin to.
    #[must_use]
    pub fn of(named: Option<&str>, version: Option<&str>) -> Option<Self> {
        let named = named.unwrap_or(OFFICIAL);
        let last = named.rsplit('/').next().unwrap_or(named);
        // A colon before the last slash is a registry's port.
        if last.contains(':') || last.contains('@') {
            return Some(Self { name: named.to_owned() });
        }
        version.map(|version| Self {
            name: format!("{named}:{version}"),
        })
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_to_homes_version_unless_named() {
        let version = Some("1.43.4.10903-e5521bd8c");
        let of = |named, version| Image::of(named, version).map(|image| image.to_string());
        assert_eq!(of(None, version).unwrap(), "plexinc/pms-docker:1.43.4.10903-e5521bd8c");
        assert_eq!(
            of(Some("local/plex"), version).unwrap(),
            "local/plex:1.43.4.10903-e5521bd8c"
        );
        assert_eq!(of(Some("host:5000/plex"), Some("1")).unwrap(), "host:5000/plex:1");
        assert_eq!(of(Some("host:5000/plex:9"), version).unwrap(), "host:5000/plex:9");
        assert_eq!(of(Some("plex@sha256:ab"), None).unwrap(), "plex@sha256:ab");
        assert_eq!(of(None, None), None);
    }
}
