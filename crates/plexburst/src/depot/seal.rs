//! Encryption of what is in the depot, with age (X25519).
//!
//! Everything of a burst is encrypted to the user's recipients and to a key of the burst's own. The worker is given
//! the burst's own key and nothing else: it can read this burst and nothing of the past. With the user's identity,
//! which may be kept away from every machine, all of it can be read for ever.

use std::io::{Read, Write};
use std::path::Path;
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};

use super::credentials::read_private;
use crate::config::{self, Encryption};
use crate::error::{Context, Error, Result};

/// How every age file begins.
const MAGIC: &[u8] = b"age-encryption.org/v1";

/// Keys to write and to read with.
#[derive(Clone, Default)]
pub(super) struct Seal {
    /// The user's, from the configuration.
    recipients: Vec<Recipient>,
    /// The user's own, where this machine has them.
    identities: Vec<Identity>,
    /// Those of the burst and of the kept base, which the worker has too.
    own: Vec<Identity>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal")
            .field("recipients", &self.recipients)
            .finish_non_exhaustive()
    }
}

/// Why something could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unopened {
    #[error("none of the keys at hand opens it")]
    NoKey,
    #[error("it is not encrypted, although this depot is")]
    Plain,
    #[error("it is damaged: {0}")]
    Damaged(String),
}

impl Seal {
    /// The keys that `config` names; `None` when the depot is not encrypted.
    pub(super) fn of(config: &config::Depot) -> Result<Option<Self>> {
        match config.settled_encryption() {
            Some(Encryption::None) => return Ok(None),
            Some(Encryption::Age) if !config.has_keys() => {
                return Err(Error::usage("the depot is to be encrypted, but to nobody")
                    .hint("`plexburst depot init` makes a key; `depot.identity_file` or `depot.recipients` names it"));
            }
            Some(Encryption::Age) => {}
            None => {
                return Err(Error::usage("the depot is on another machine and nothing says how it is encrypted").hint(
                    "`plexburst depot init` makes a key; `depot.encryption = \"none\"` leaves the library readable there",
                ));
            }
        }
        let mut seal = Self::default();
        if let Some(path) = &config.identity_file {
            seal.identities = read_identities(path, "depot.identity_file")?;
            seal.recipients.extend(seal.identities.iter().map(Identity::to_public));
        }
        for text in &config.recipients {
            let recipient = Recipient::from_str(text).map_err(|e| {
                Error::usage(format!("depot.recipients: {text:?} is no age recipient: {e}"))
                    .hint("it begins with age1; `plexburst depot init` prints one")
            })?;
            if !seal.recipients.contains(&recipient) {
                seal.recipients.push(recipient);
            }
        }
        Ok(Some(seal))
    }

    /// The user's recipients as texts: what a worker needs to write.
    pub(super) fn recipients(&self) -> Vec<String> {
        self.recipients.iter().map(ToString::to_string).collect()
    }

    /// The same with the user's keys alone.
    pub(super) fn without_own(&self) -> Self {
        Self {
            own: Vec::new(),
            ..self.clone()
        }
    }

    /// The same with the keys in `path`.
    pub(super) fn with_own(mut self, path: &Path) -> Result<Self> {
        self.own.extend(read_identities(path, "the burst's folder")?);
        Ok(self)
    }

    /// Writes the keys that a worker is given into a file of its own.
    pub(super) fn save_own(&self, path: &Path) -> Result<()> {
        let text = self.own_text();
        plex_library::publish::file(path, text.as_bytes()).context(|| format!("cannot write {}", path.display()))
    }

    /// Those keys, a line each.
    pub(super) fn own_text(&self) -> String {
        let own = self.own.iter();
        own.map(|identity| format!("{}\n", identity.to_string().expose_secret()))
            .collect()
    }

    /// The same with the keys in `text`, which came out of the depot.
    pub(super) fn with_own_text(mut self, text: &str) -> Result<Self> {
        self.own.extend(parse_identities(text, "the depot")?);
        Ok(self)
    }

    /// `content` as it is kept.
    pub(super) fn close(&self, content: &[u8]) -> Result<Vec<u8>> {
        let failed = |e: String| Error::unexpected(format!("cannot encrypt for the depot: {e}"));
        let own: Vec<Recipient> = self.own.iter().map(Identity::to_public).collect();
        let recipients = self.recipients.iter().chain(&own).map(|r| r as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(|e| failed(e.to_string()))?;
        let mut closed = Vec::with_capacity(content.len() + content.len() / 2048 + 1024);
        let mut writer = encryptor.wrap_output(&mut closed).map_err(|e| failed(e.to_string()))?;
        let written = writer.write_all(content).and_then(|()| writer.finish());
        written.map_err(|e| failed(e.to_string()))?;
        Ok(closed)
    }

    /// The content of what is kept.
    pub(super) fn open(&self, closed: &[u8]) -> Result<Vec<u8>, Unopened> {
        if !closed.starts_with(MAGIC) {
            return Err(Unopened::Plain);
        }
        let damaged = |e: String| Unopened::Damaged(e);
        let decryptor = age::Decryptor::new_buffered(closed).map_err(|e| damaged(e.to_string()))?;
        let identities = self.own.iter().chain(&self.identities).map(|i| i as &dyn age::Identity);
        let mut reader = decryptor.decrypt(identities).map_err(|e| match e {
            age::DecryptError::NoMatchingKeys => Unopened::NoKey,
            other => damaged(other.to_string()),
        })?;
        let mut content = Vec::with_capacity(closed.len());
        reader.read_to_end(&mut content).map_err(|e| damaged(e.to_string()))?;
        Ok(content)
    }
}

/// Makes an identity at `path`, where nothing may be, and gives its recipient; `what` it is stands in the file.
pub(super) fn make_identity(path: &Path, what: &str) -> Result<String> {
    let identity = Identity::generate();
    let text = format!(
        "# {what}, made {}\n# public key: {}\n{}\n",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        identity.to_public(),
        identity.to_string().expose_secret()
    );
    plex_library::publish::file(path, text.as_bytes())
        .context(|| format!("cannot write the key {}", path.display()))?;
    Ok(identity.to_public().to_string())
}

/// The recipients of the identities in `path`.
pub(super) fn recipients_of(path: &Path) -> Result<Vec<String>> {
    let identities = read_identities(path, "depot.identity_file")?;
    Ok(identities.iter().map(|i| i.to_public().to_string()).collect())
}

fn read_identities(path: &Path, key: &str) -> Result<Vec<Identity>> {
    parse_identities(&read_private(path, key)?, &path.display().to_string())
}

fn parse_identities(text: &str, place: &str) -> Result<Vec<Identity>> {
    let mut identities = Vec::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
    {
        let identity = Identity::from_str(line).map_err(|e| {
            // The line itself may be a key with a slip of the pen.
            Error::usage(format!("{} has a line that is no age identity: {e}", place))
                .hint("each line is AGE-SECRET-KEY-1…, or begins with #")
        })?;
        identities.push(identity);
    }
    if identities.is_empty() {
        return Err(
            Error::usage(format!("there is no age identity in {}", place)).hint("`plexburst depot init` makes one")
        );
    }
    Ok(identities)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn seal(dir: &Path, name: &str) -> Seal {
        let path = dir.join(name);
        let recipient = make_identity(&path, "a test's").unwrap();
        let config = config::Depot {
            recipients: vec![recipient],
            ..config::Depot::default()
        };
        Seal::of(&config).unwrap().unwrap()
    }

    fn own(dir: &Path, name: &str) -> PathBuf {
        let path = dir.join(name);
        make_identity(&path, "a test's").unwrap();
        path
    }

    #[test]
    fn a_worker_reads_its_own_burst_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let home = seal(dir.path(), "user");
        let first = home.clone().with_own(&own(dir.path(), "first")).unwrap();
        let second = home.with_own(&own(dir.path(), "second")).unwrap();
        let closed = first.close(b"fifteen years").unwrap();
        assert!(!closed.windows(7).any(|w| w == b"fifteen"));
        assert_eq!(first.open(&closed).unwrap(), b"fifteen years");
        assert!(matches!(second.open(&closed), Err(Unopened::NoKey)));

        // The worker has what `save_own` gives it, and can be read by the home.
        first.save_own(&dir.path().join("keys")).unwrap();
        let worker = seal(dir.path(), "of another user")
            .with_own(&dir.path().join("keys"))
            .unwrap();
        assert_eq!(worker.open(&closed).unwrap(), b"fifteen years");
        assert_eq!(first.open(&worker.close(b"result").unwrap()).unwrap(), b"result");

        // The user's own identity opens everything.
        let config = config::Depot {
            identity_file: Some(dir.path().join("user")),
            ..config::Depot::default()
        };
        let user = Seal::of(&config).unwrap().unwrap();
        assert_eq!(user.open(&closed).unwrap(), b"fifteen years");
        assert_eq!(user.open(&second.close(b"later").unwrap()).unwrap(), b"later");
    }

    #[test]
    fn damage_and_what_was_never_encrypted_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let seal = seal(dir.path(), "user").with_own(&own(dir.path(), "own")).unwrap();
        let closed = seal.close(&[7; 200_000]).unwrap();
        for at in [0, 30, closed.len() / 2, closed.len() - 1] {
            let mut flipped = closed.clone();
            flipped[at] ^= 1;
            assert!(seal.open(&flipped).is_err(), "byte {at}");
        }
        assert!(matches!(
            seal.open(&closed[..closed.len() - 20]),
            Err(Unopened::Damaged(_))
        ));
        assert!(matches!(seal.open(b"plain"), Err(Unopened::Plain)));
    }

    #[test]
    fn a_remote_depot_is_encrypted_unless_it_is_said_otherwise() {
        let mut config = config::Depot {
            remote: Some("s3://bucket/x".into()),
            ..config::Depot::default()
        };
        let e = Seal::of(&config).unwrap_err();
        assert!(e.hint_text().unwrap().contains("plexburst depot init"));
        config.encryption = Some(Encryption::None);
        assert!(Seal::of(&config).unwrap().is_none());
        config.encryption = Some(Encryption::Age);
        assert!(Seal::of(&config).unwrap_err().chain().contains("to nobody"));
        config.recipients = vec!["age1nonsense".into()];
        assert!(Seal::of(&config).unwrap_err().chain().contains("no age recipient"));
        config.remote = None;
        config.recipients.clear();
        config.encryption = None;
        assert!(Seal::of(&config).unwrap().is_none());
    }

    #[test]
    fn keys_are_for_their_owner_alone_and_never_printed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let seal = seal(dir.path(), "key").with_own(&own(dir.path(), "own")).unwrap();
        for name in ["key", "own"] {
            let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert!(!format!("{seal:?}").contains("SECRET"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(recipients_of(&path).unwrap_err().chain().contains("others can read"));
    }
}
