//! What an entry of an archive is, told by its name, and what the archive as a whole is, told by its own.
//!
//! Archives of the earlier scripts are rooted anywhere; everything here is about names below the root, the folder that
//! stands for "Plex Media Server".

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{NOTES, SUPPORT};
use crate::paths::{BLOBS_DB, LIBRARY_DB, Which};

/// What an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// A library as home had it, to be taken along: a base.
    Export,
    /// A library that a worker indexed.
    Result,
    /// What an import put aside before it replaced home's library.
    Backup,
    /// The name does not say; it is treated as a result.
    Unknown,
}

impl Holds {
    /// What the earlier scripts and this program call their archives.
    #[must_use]
    pub fn by_name(archive: &Path) -> Self {
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.split('.').next().unwrap_or_default();
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if stem.ends_with("-result") {
            Self::Result
        } else if begins(&["plex_db_only", "plex_db_metadata", "plex_db_backup"]) {
            Self::Export
        } else if begins(&["plex_local_backup"]) {
            Self::Backup
        } else if begins(&["plex_metadata", "plex_delta_sync", "plex_post_sonic", "plex_scan"]) {
            Self::Result
        } else {
            Self::Unknown
        }
    }

    /// In a person's words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Export => "an export of a library",
            Self::Result => "a result",
            Self::Backup => "a backup that an import made",
            Self::Unknown => "a library",
        }
    }
}

/// Why an entry is not taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is the identity of a server: two with one identity fight.
    Identity,
    /// A dated backup of a database, or `Databases/restore`: no part of the library, and often most of an archive.
    OldCopy,
    /// Something that is made anew, or that is not part of a library.
    NotLibrary,
}

impl Why {
    /// In a person's words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Identity => "a server's own identity, never used",
            Self::OldCopy => "older copies of databases",
            Self::NotLibrary => "no part of a library",
        }
    }
}

/// What becomes of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// Taken out to this path below the destination.
    Wanted(PathBuf),
    /// Taken out as well: it lies beside the databases and nobody knows what it is.
    Extra(PathBuf),
    /// Not taken out.
    LeftOut(Why),
}

/// Files of a server's identity or of its moment.
const IDENTITY: [&str; 4] = [
    "Preferences.xml",
    ".LocalAdminToken",
    "Setup Plex.html",
    "plexmediaserver.pid",
];

/// Judges the entry `path` of an archive rooted at `root`.
pub(super) fn judge(path: &Path, root: &Root) -> Entry {
    let not_ours = Entry::LeftOut(Why::NotLibrary);
    let Ok(below) = path.strip_prefix(&root.at) else {
        return not_ours;
    };
    let mut parts = Vec::new();
    for part in below.components() {
        match part {
            Component::Normal(name) => match name.to_str() {
                Some(name) => parts.push(name),
                None => return not_ours,
            },
            Component::CurDir => {}
            _ => return not_ours,
        }
    }
    if root.is_databases {
        parts.splice(0..0, [SUPPORT, "Databases"]);
    }
    let to = || parts.iter().collect::<PathBuf>();
    match parts.as_slice() {
        [name] if IDENTITY.contains(name) => Entry::LeftOut(Why::Identity),
        ["Cache", ..] => Entry::LeftOut(Why::Identity),
        [SUPPORT, "Databases", "restore", ..] => Entry::LeftOut(Why::OldCopy),
        [SUPPORT, "Databases", name] => match of_database(name) {
            Some("" | "-wal") => Entry::Wanted(to()),
            Some("-shm" | "-journal") => not_ours,
            Some(_) => Entry::LeftOut(Why::OldCopy),
            None => Entry::Extra(to()),
        },
        [SUPPORT, "Databases", _, _, ..] => Entry::Extra(to()),
        ["Metadata" | "Media", _, ..] | [NOTES, _, ..] => Entry::Wanted(to()),
        _ => not_ours,
    }
}

/// What follows the name of one of the databases; the longer name first, since it does not begin like the other.
fn of_database(name: &str) -> Option<&str> {
    Which::BOTH.into_iter().find_map(|which| {
        let rest = name.strip_prefix(which.file_name())?;
        (rest.is_empty() || rest.starts_with('-')).then_some(rest)
    })
}

/// Where in an archive the library is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) at: PathBuf,
    /// There is no "Plug-in Support": this folder holds the databases themselves.
    pub(super) is_databases: bool,
}

impl Root {
    /// The root, if this entry shows it: its library.db, or one of the pair anywhere.
    pub(super) fn shown_by(path: &Path) -> Option<Self> {
        let mut parts: Vec<&std::ffi::OsStr> = Vec::new();
        for part in path.components() {
            match part {
                Component::Normal(name) => parts.push(name),
                Component::CurDir | Component::RootDir => {}
                _ => return None,
            }
        }
        let (name, folders) = parts.split_last()?;
        if *name != LIBRARY_DB && *name != BLOBS_DB {
            return None;
        }
        // A copy in `restore` shows nothing.
        if folders.last().is_some_and(|folder| *folder == "restore") {
            return None;
        }
        let first = match path.components().next() {
            Some(Component::CurDir) => ".",
            Some(Component::RootDir) => "/",
            _ => "",
        };
        let support = folders
            .len()
            .checked_sub(2)
            .filter(|&n| folders[n] == SUPPORT && folders[n + 1] == "Databases");
        let mut at = PathBuf::from(first);
        at.extend(&folders[..support.unwrap_or(folders.len())]);
        Some(Self {
            at,
            is_databases: support.is_none(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_of_the_earlier_scripts_are_told_apart_by_name() {
        for (name, holds) in [
            ("plex_db_only_20260101_120000.tar.gz", Holds::Export),
            ("plex_db_metadata_20260101_120000.tar.gz", Holds::Export),
            ("plex_db_backup_20260101.db", Holds::Export),
            ("plex_metadata_20260101_120000.tar.gz", Holds::Result),
            ("plex_metadata_local_20260101_120000.tar.gz", Holds::Result),
            ("plex_delta_sync_20260101_120000.tar.gz", Holds::Result),
            ("plex_post_sonic.tar.gz", Holds::Result),
            ("plex_scan_20260101_120000.tar.gz", Holds::Result),
            ("plex_local_backup_20260101_120000.tar.gz", Holds::Backup),
            ("plex_db_only_20260101_120000-result.tar.zst", Holds::Result),
            ("library.tar", Holds::Unknown),
        ] {
            assert_eq!(Holds::by_name(Path::new("/x").join(name).as_path()), holds, "{name}");
        }
    }

    #[test]
    fn the_root_is_where_the_databases_are() {
        let of = |path: &str| Root::shown_by(Path::new(path)).map(|root| (root.at, root.is_databases));
        let folder = format!("a/Plex Media Server/Plug-in Support/Databases/{LIBRARY_DB}");
        assert_eq!(of(&folder), Some(("a/Plex Media Server".into(), false)));
        assert_eq!(
            of(&format!("./Plug-in Support/Databases/{BLOBS_DB}")),
            Some((".".into(), false))
        );
        assert_eq!(of(&format!("Databases/{LIBRARY_DB}")), Some(("Databases".into(), true)));
        assert_eq!(of(LIBRARY_DB), Some(("".into(), true)));
        assert_eq!(of(&format!("Plug-in Support/Databases/restore/{LIBRARY_DB}")), None);
        assert_eq!(of(&format!("Plug-in Support/Databases/{LIBRARY_DB}-2026-01-02")), None);
        assert_eq!(of(&format!("/x/{LIBRARY_DB}")), Some(("/x".into(), true)));
        assert_eq!(of(&format!("../{LIBRARY_DB}")), None);
    }

    #[test]
    fn every_kind_of_entry_has_its_place() {
        let root = Root::default();
        let of = |path: &str| judge(Path::new(path), &root);
        let db = |rest: &str| format!("Plug-in Support/Databases/{rest}");
        assert_eq!(of("Preferences.xml"), Entry::LeftOut(Why::Identity));
        assert_eq!(of("Cache/PhotoTranscoder/x"), Entry::LeftOut(Why::Identity));
        assert_eq!(
            of(&db(&format!("{LIBRARY_DB}-2026-01-02"))),
            Entry::LeftOut(Why::OldCopy)
        );
        assert_eq!(
            of(&db(&format!("{BLOBS_DB}-BACKUP-20260101"))),
            Entry::LeftOut(Why::OldCopy)
        );
        assert_eq!(of(&db("restore/x")), Entry::LeftOut(Why::OldCopy));
        assert_eq!(of(&db(&format!("{LIBRARY_DB}-shm"))), Entry::LeftOut(Why::NotLibrary));
        let log = db(&format!("{LIBRARY_DB}-wal"));
        assert_eq!(
            of(&log),
            Entry::Wanted(log.into()),
            "a tar of open files has its last hours there"
        );
        let odd = db("Music Analysis 1/x");
        assert_eq!(of(&odd), Entry::Extra(odd.into()));
        assert_eq!(of("Logs/x.log"), Entry::LeftOut(Why::NotLibrary));
        assert_eq!(of("Metadata/Movies/x"), Entry::Wanted("Metadata/Movies/x".into()));
    }

    #[test]
    fn names_cannot_lead_out() {
        let root = Root::default();
        for path in ["Metadata/../../etc/passwd", "/Metadata/x/y"] {
            assert_eq!(judge(Path::new(path), &root), Entry::LeftOut(Why::NotLibrary));
        }
    }
}
