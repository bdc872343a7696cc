//! Where a server keeps what a child writes: databases, bundles, preferences (facts/plex.md §4).

use std::path::{Path, PathBuf};

use crate::prefs::Preferences;

/// The data directory of one server.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    root: PathBuf,
}

impl Place {
    /// Below the folder that `PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR` names.
    pub(crate) fn below(support: &Path) -> Self {
        Self {
            root: support.join("Plex Media Server"),
        }
    }

    /// The folder of both databases.
    pub(crate) fn databases(&self) -> PathBuf {
        self.root.join("Plug-in Support/Databases")
    }

    /// Where logs are.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("Logs")
    }

    /// The simulator's own settings; a real server has no such file.
    pub(crate) fn tempo(&self) -> PathBuf {
        self.root.join("sim.json")
    }

    /// The bundle of an item: `Metadata/<kind>/<h>/<rest>.bundle`, where the hash is `metadata_items.hash`.
    pub(crate) fn metadata_bundle(&self, kind: &str, hash: &str) -> PathBuf {
        bundle(&self.root.join("Metadata").join(kind), hash)
    }

    /// The bundle of a file: `Media/localhost/<h>/<rest>.bundle`, where the hash is `media_parts.hash`.
    pub(crate) fn media_bundle(&self, hash: &str) -> PathBuf {
        bundle(&self.root.join("Media/localhost"), hash)
    }

    /// Whether what a scan could not find is to be removed for good at its end; true unless the preferences say no. When
    /// they cannot be read nothing is removed.
    pub(crate) fn empties_trash(&self) -> bool {
        let path = self.root.join("Preferences.xml");
        if !path.exists() {
            return true;
        }
        Preferences::read(&path).is_ok_and(|preferences| preferences.flag("autoEmptyTrash"))
    }
}

fn bundle(parent: &Path, hash: &str) -> PathBuf {
    let (first, rest) = hash.split_at_checked(1).unwrap_or((hash, ""));
    parent.join(first).join(format!("{rest}.bundle"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_paths() {
        let place = Place::below(Path::new("/s"));
        let bundle = place.metadata_bundle("Albums", "78854929b629cd3751dcec59c37229027f888b18");
        assert_eq!(
            bundle,
            Path::new("/s/Plex Media Server/Metadata/Albums/7/8854929b629cd3751dcec59c37229027f888b18.bundle")
        );
        assert_eq!(
            place.media_bundle("ab"),
            Path::new("/s/Plex Media Server/Media/localhost/a/b.bundle")
        );
    }

    #[test]
    fn trash_is_emptied_unless_the_preferences_say_no() {
        let support = tempfile::tempdir().unwrap();
        let place = Place::below(support.path());
        assert!(place.empties_trash());
        let path = support.path().join("Plex Media Server/Preferences.xml");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for (text, empties) in [
            ("<?xml version=\"1.0\"?><Preferences/>", true),
            ("<?xml version=\"1.0\"?><Preferences autoEmptyTrash=\"0\"/>", false),
            ("<?xml version=\"1.0\"?><Preferences autoEmptyTrash=\"1\"/>", true),
            ("not xml <", false),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(place.empties_trash(), empties, "{text}");
        }
    }
}
