//! Preferences.xml and what its names mean.
//!
//! The file holds one `<Preferences name="value" …/>` element with the values that differ from their defaults, plus the
//! server's identity. It is rewritten as a whole at each change: a temporary file of mode 0600, synced, renamed over the
//! old one (a new inode each time, as the real server does it), so a reader sees the old or the new state.
//!
//! The catalogue of settings is in [`catalogue`]; identity attributes (`MachineIdentifier`, `PlexOnlineToken`, …) are not
//! settings and cannot be changed through the API.

pub mod catalogue;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use quick_xml::Reader;
use quick_xml::events::Event;
use sha1::{Digest, Sha1};

use crate::server::random;
pub use catalogue::{Kind, Setting};

/// The content of a Preferences.xml, in the file's order.
#[derive(Debug, Clone)]
pub struct Preferences {
    path: PathBuf,
    attributes: Vec<(String, String)>,
}

/// Why preferences could not be read, written or changed.
#[derive(Debug, thiserror::Error)]
pub enum PrefsError {
    /// The file could not be read or written.
    #[error("cannot {op} {}", path.display())]
    Io {
        /// "read" or "write".
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no Preferences.xml.
    #[error("{} is not a Preferences.xml: {detail}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// No setting has that name, or this server may not use it.
    #[error("no setting is called {0}")]
    Unknown(String),
    /// The value is not one of the setting's type.
    #[error("{value:?} is no value for the setting {name}")]
    Unfit {
        /// The setting.
        name: String,
        /// What was to be set.
        value: String,
    },
}

impl Preferences {
    /// Reads the file; a missing one is an empty set.
    pub fn read(path: &Path) -> Result<Self, PrefsError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => {
                return Err(PrefsError::Io {
                    op: "read",
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let attributes = parse(&text).map_err(|detail| PrefsError::Malformed {
            path: path.to_owned(),
            detail,
        })?;
        Ok(Self {
            path: path.to_owned(),
            attributes,
        })
    }

    /// The attribute as it stands in the file.
    pub fn stored(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value in effect: the file's, else the default of the catalogue, else empty.
    pub fn value(&self, name: &str) -> &str {
        self.stored(name)
            .or_else(|| catalogue::find(name).map(|setting| setting.default))
            .unwrap_or("")
    }

    /// The value in effect of a boolean setting.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), "1" | "true")
    }

    /// The value in effect of a number; what is no number counts as 0.
    pub fn number(&self, name: &str) -> i64 {
        self.value(name).parse().unwrap_or(0)
    }

    /// Changes settings by their names, all or none, and writes the file. `with_pass` says whether the settings that
    /// need a Plex Pass exist on this server.
    pub fn change(&mut self, changes: &[(String, String)], with_pass: bool) -> Result<(), PrefsError> {
        let mut checked = Vec::new();
        for (name, value) in changes {
            let setting = catalogue::find(name)
                .filter(|setting| with_pass || !setting.pass)
                .ok_or_else(|| PrefsError::Unknown(name.clone()))?;
            let value = setting.canonical(value).ok_or_else(|| PrefsError::Unfit {
                name: name.clone(),
                value: value.clone(),
            })?;
            checked.push((setting, value));
        }
        for (setting, value) in checked {
            // Only what differs from the default is kept; a bool's default reads "true" in the list, "1" in the file.
            let is_default = setting.canonical(setting.default).as_deref() == Some(value.as_str());
            self.put(setting.id, (!is_default).then_some(value));
        }
        self.write()
    }

    /// Sets (or with `None` removes) attributes of the server's identity and writes the file.
    pub fn identify(&mut self, attributes: &[(&str, Option<String>)]) -> Result<(), PrefsError> {
        for (name, value) in attributes {
            self.put(name, value.clone());
        }
        self.write()
    }

    /// Gives a first start its identity, and keeps the one that is there.
    pub fn ensure_identity(&mut self) -> Result<(), PrefsError> {
        let fresh = |path: &Path| {
            random::uuid().map_err(|source| PrefsError::Io {
                op: "make an identity for",
                path: path.to_owned(),
                source,
            })
        };
        let machine = match self.stored("MachineIdentifier") {
            Some(machine) => machine.to_owned(),
            None => fresh(&self.path)?,
        };
        let mut wanted = Vec::new();
        if self.stored("MachineIdentifier").is_none() {
            wanted.push(("MachineIdentifier", Some(machine.clone())));
        }
        if self.stored("ProcessedMachineIdentifier").is_none() {
            wanted.push(("ProcessedMachineIdentifier", Some(processed(&machine))));
        }
        if self.stored("AnonymousMachineIdentifier").is_none() {
            wanted.push(("AnonymousMachineIdentifier", Some(fresh(&self.path)?)));
        }
        if self.stored("CertificateUUID").is_none() {
            wanted.push(("CertificateUUID", Some(fresh(&self.path)?.replace('-', ""))));
        }
        if wanted.is_empty() && self.path.exists() {
            Ok(())
        } else {
            self.identify(&wanted)
        }
    }

    /// What `/identity` calls machineIdentifier (40 hex digits).
    pub fn machine_identifier(&self) -> &str {
        self.stored("ProcessedMachineIdentifier").unwrap_or("")
    }

    /// The token of the account that claimed the server.
    pub fn online_token(&self) -> Option<&str> {
        self.stored("PlexOnlineToken").filter(|token| !token.is_empty())
    }

    fn put(&mut self, name: &str, value: Option<String>) {
        let place = self.attributes.iter().position(|(key, _)| key == name);
        match (place, value) {
            (Some(at), Some(value)) => self.attributes[at].1 = value,
            (None, Some(value)) => self.attributes.push((name.to_owned(), value)),
            (Some(at), None) => {
                self.attributes.remove(at);
            }
            (None, None) => {}
        }
    }

    fn write(&self) -> Result<(), PrefsError> {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Preferences");
        for (name, value) in &self.attributes {
            text.push(' ');
            text.push_str(name);
            text.push_str("=\"");
            text.push_str(&quick_xml::escape::escape(value.as_str()));
            text.push('"');
        }
        text.push_str("/>");
        publish(&self.path, text.as_bytes()).map_err(|source| PrefsError::Io {
            op: "write",
            path: self.path.clone(),
            source,
        })
    }
}

/// `ProcessedMachineIdentifier` of a `MachineIdentifier`, as Plex's own container image computes it (facts/plex.md §4.3).
pub fn processed(machine: &str) -> String {
    let digest = Sha1::digest(format!("{machine}- Plex Media Server"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a secret file so that a reader sees the whole old or the whole new one: temporary file of mode 0600, synced,
/// renamed, directory synced.
pub(crate) fn publish(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!("{name}.{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // The first error is the one that matters; the temporary file may never have been made.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Empty(element) | Event::Start(element) => {
                if element.name().as_ref() != "Preferences" {
                    return Err("its element is not Preferences".to_owned());
                }
                let mut attributes = Vec::new();
                for attribute in element.attributes() {
                    let attribute = attribute.map_err(|error| error.to_string())?;
                    let value = quick_xml::escape::unescape(&attribute.value).map_err(|error| error.to_string())?;
                    attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
                }
                return Ok(attributes);
            }
            Event::Eof => return Err("it has no element".to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn change(prefs: &mut Preferences, name: &str, value: &str) -> Result<(), PrefsError> {
        prefs.change(&[(name.to_owned(), value.to_owned())], false)
    }

    #[test]
    fn keeps_only_what_differs_and_replaces_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Preferences.xml");
        let mut prefs = Preferences::read(&path).unwrap();
        prefs.ensure_identity().unwrap();
        assert!(prefs.flag("autoEmptyTrash"));
        change(&mut prefs, "autoEmptyTrash", "0").unwrap();
        change(&mut prefs, "FriendlyName", "home & \"away\" <1>").unwrap();
        let before = fs::metadata(&path).unwrap();
        assert_eq!(before.permissions().mode() & 0o777, 0o600);
        let read = Preferences::read(&path).unwrap();
        assert!(!read.flag("autoEmptyTrash"));
        assert_eq!(read.value("FriendlyName"), "home & \"away\" <1>");
        assert_eq!(
            read.machine_identifier(),
            processed(read.stored("MachineIdentifier").unwrap())
        );
        change(&mut prefs, "autoEmptyTrash", "true").unwrap();
        assert_eq!(Preferences::read(&path).unwrap().stored("autoEmptyTrash"), None);
        assert_ne!(fs::metadata(&path).unwrap().ino(), before.ino());
    }

    #[test]
    fn one_bad_name_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut prefs = Preferences::read(&dir.path().join("Preferences.xml")).unwrap();
        let both = [
            ("autoEmptyTrash".to_owned(), "0".to_owned()),
            ("AutoScan".to_owned(), "0".to_owned()),
        ];
        assert!(matches!(prefs.change(&both, true), Err(PrefsError::Unknown(name)) if name == "AutoScan"));
        assert!(prefs.flag("autoEmptyTrash"));
        assert!(matches!(
            change(&mut prefs, "MusicAnalysisBehavior", "asap"),
            Err(PrefsError::Unknown(_))
        ));
        assert!(matches!(
            change(&mut prefs, "ButlerStartHour", "soon"),
            Err(PrefsError::Unfit { .. })
        ));
        assert!(matches!(
            change(&mut prefs, "MachineIdentifier", "x"),
            Err(PrefsError::Unknown(_))
        ));
        let pass = [("MusicAnalysisBehavior".to_owned(), "asap".to_owned())];
        prefs.change(&pass, true).unwrap();
        assert_eq!(prefs.value("MusicAnalysisBehavior"), "asap");
    }

    #[test]
    fn a_file_that_is_something_else_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Preferences.xml");
        for text in ["<Other/>", "<Preferences a=", "nothing"] {
            fs::write(&path, text).unwrap();
            assert!(
                matches!(Preferences::read(&path), Err(PrefsError::Malformed { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn identity_of_the_container_image() {
        // sha1("00000000-0000-4000-8000-000000000000- Plex Media Server"), computed with coreutils' sha1sum.
        assert_eq!(processed("00000000-0000-4000-8000-000000000000").len(), 40);
    }
}
