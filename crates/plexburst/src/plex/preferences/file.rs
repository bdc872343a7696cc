//! `Preferences.xml`: one element whose attributes are what differs from Plex's defaults.
//!
//! Home's is read for its token and its identity and never written. The worker's is made before its first start, so
//! that it is quiet from the first second and has an identity of its own: two servers with one identity fight.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::super::client::Token;
use super::quiet;

/// Its name in the data directory.
const NAME: &str = "Preferences.xml";

/// Why the file cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("no {}", .0.display())]
    Missing(PathBuf),
    /// The disk said no.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// read or write.
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not the XML that Plex writes.
    #[error("{} is not a file of Plex's preferences: {reason}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing(_) => {
                "it lies in the folder called `Plex Media Server`; has this server ever run?".to_owned()
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "only Plex's user and root may read it (mode 0600)".to_owned()
            }
            _ => return None,
        })
    }
}

/// The attributes of a `Preferences.xml`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Preferences(BTreeMap<String, String>);

/// Names only: some values are secrets.
impl std::fmt::Debug for Preferences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Preferences {
    /// Reads those of the server whose data directory this is.
    ///
    /// # Errors
    /// [`Error`].
    pub fn read(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(NAME);
        let text = fs::read_to_string(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::Missing(path.clone()),
            _ => Error::Io {
                doing: "read",
                path: path.clone(),
                source,
            },
        })?;
        Self::parse(&text).map_err(|reason| Error::Malformed { path, reason })
    }

    /// The same of its text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = quick_xml::Reader::from_str(text);
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Empty(element) | Event::Start(element) if element.name().as_ref() == "Preferences" => {
                    return attributes(&element);
                }
                Event::Eof => return Err("it has no element called Preferences".to_owned()),
                _ => {}
            }
        }
    }

    /// One of them; none when it has its default.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets one.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// The token of the account that the server belongs to.
    #[must_use]
    pub fn token(&self) -> Option<Token> {
        self.get("PlexOnlineToken")
            .filter(|text| !text.is_empty())
            .map(Token::new)
    }

    /// What a worker starts with: an identity of its own, invisible to the household, nothing deleted, nothing done
    /// unasked. `machine` is a fresh random UUID, `name` what Plex's own pages call it.
    #[must_use]
    pub fn of_worker(machine: &str, name: &str) -> Self {
        let mut preferences = Self::default();
        preferences.set("MachineIdentifier", machine);
        preferences.set("FriendlyName", name);
        preferences.set("AcceptedEULA", "1");
        // Not offered to players, and no view state taken from or given to the account.
        preferences.set("PublishServerOnPlexOnlineKey", "0");
        preferences.set("SyncMyPlexLoginGCEmailConnect", "0");
        for (name, value) in quiet::all() {
            preferences.set(name, value);
        }
        preferences
    }

    /// Puts it into `data_dir` in one step, readable by nobody else, on disk when this returns.
    ///
    /// # Errors
    /// [`Error`].
    pub fn write(&self, data_dir: &Path) -> Result<(), Error> {
        let path = data_dir.join(NAME);
        let write = || -> io::Result<()> {
            fs::create_dir_all(data_dir)?;
            let mut file = tempfile::Builder::new()
                .permissions(fs::Permissions::from_mode(0o600))
                .tempfile_in(data_dir)?;
            file.write_all(self.xml().as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            fs::File::open(data_dir)?.sync_all()
        };
        write().map_err(|source| Error::Io {
            doing: "write",
            path: path.clone(),
            source,
        })
    }

    fn xml(&self) -> String {
        let pairs = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let element = BytesStart::new("Preferences").with_attributes(pairs);
        let element: &str = &element;
        format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<{element}/>\n")
    }
}

fn attributes(element: &BytesStart<'_>) -> Result<Preferences, String> {
    let mut preferences = Preferences::default();
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let name = attribute.key.as_ref().to_owned();
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| error.to_string())?;
        preferences.0.insert(name, value.into_owned());
    }
    Ok(preferences)
}

/// The token for scripts on the server's own machine: the one that it has made for this run, else the account's.
#[must_use]
pub fn local_token(data_dir: &Path) -> Option<Token> {
    let text = fs::read_to_string(data_dir.join(".LocalAdminToken")).unwrap_or_default();
    let local = Some(Token::new(&text)).filter(|token| !token.reveal().is_empty());
    local.or_else(|| Preferences::read(data_dir).ok()?.token())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_plex_writes() {
        let dir = tempfile::tempdir().unwrap();
        let text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Preferences MachineIdentifier=\"ab-cd\" \
                    FriendlyName=\"Tom &amp; &quot;Jo&quot;\" PlexOnlineToken=\"s3cret\"/>\n";
        fs::write(dir.path().join(NAME), text).unwrap();
        let read = Preferences::read(dir.path()).unwrap();
        assert_eq!(read.get("FriendlyName"), Some("Tom & \"Jo\""));
        assert_eq!(read.token().unwrap().reveal(), "s3cret");
        assert!(!format!("{read:?}").contains("s3cret"));
        assert_eq!(read.get("autoEmptyTrash"), None);
    }

    #[test]
    fn what_is_not_one_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = Preferences::read(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Missing(_)) && error.hint().is_some());
        for text in ["", "<html></html>", "<Preferences a=b/>", "<Preferences"] {
            fs::write(dir.path().join(NAME), text).unwrap();
            let error = Preferences::read(dir.path()).unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn a_worker_is_itself_quiet_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("Plex Media Server");
        let made = Preferences::of_worker("0a1b", "a \"<worker>\" & more");
        made.write(&data).unwrap();
        made.write(&data).unwrap();
        assert_eq!(Preferences::read(&data).unwrap(), made);
        assert_eq!(made.get("autoEmptyTrash"), Some("0"));
        assert_eq!(made.get("PublishServerOnPlexOnlineKey"), Some("0"));
        assert_eq!(made.token(), None);
        let mode = fs::metadata(data.join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
    }

    #[test]
    fn the_token_of_a_running_server() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(local_token(dir.path()), None);
        fs::write(dir.path().join(NAME), "<Preferences PlexOnlineToken=\"account\"/>").unwrap();
        assert_eq!(local_token(dir.path()).unwrap().reveal(), "account");
        fs::write(dir.path().join(".LocalAdminToken"), "local-1\n").unwrap();
        assert_eq!(local_token(dir.path()).unwrap().reveal(), "local-1");
    }
}
