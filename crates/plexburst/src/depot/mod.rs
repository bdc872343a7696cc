//! The depot: where snapshots and deltas are parked between home and worker, every object named by its burst and by
//! what is in it.
//!
//! It lies in a folder, an S3 bucket or on an SFTP host. What is put is there whole or not at all, and what is fetched
//! is verified by its hash before anybody sees it; an object once put is never changed (only the small status objects
//! of a side are replaced). Large objects travel in parts, and a transfer that was cut goes on with the part it was at.

mod credentials;
mod identity;
mod line;
mod place;
mod seal;
mod status;
mod store;
mod transfer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use identity::UserKey;
pub use status::Status;
pub use store::Listed;

use crate::config::{self, Encryption};
use crate::error::{Error, Result};
use crate::term::Printer;
use place::Place;
use seal::Seal;
use transfer::Transfer;

/// An object as a journal or a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Key below the burst's own prefix, with `/` between its parts.
    pub key: String,
    /// Size of the content.
    pub bytes: u64,
    /// BLAKE3 of the content, in hex.
    pub blake3: String,
    /// What it is kept as, in order.
    pub parts: Vec<Part>,
}

impl Object {
    /// The names of its parts, for an object that is in the folder `folder`.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let parts = self.parts.iter().enumerate();
        parts
            .map(|(number, part)| format!("{folder}/{}.{number:04}-{:.16}", self.key, part.blake3))
            .collect()
    }
}

/// A part of an object as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its size in the depot.
    pub bytes: u64,
    /// BLAKE3 of what is in the depot, in hex.
    pub blake3: String,
}

/// The part of a depot that belongs to one burst.
#[derive(Debug, Clone)]
pub struct Depot {
    place: Arc<Place>,
    id: String,
    notes: Option<PathBuf>,
    seal: Option<Seal>,
}

impl Depot {
    /// The depot that `config` names, for the burst `id`. Nothing is reached yet, but its keys are read.
    ///
    /// # Errors
    /// Wrong use: no such place, keys that cannot be read.
    pub fn of(config: &config::Depot, id: &str, printer: &Printer) -> Result<Self> {
        Ok(Self {
            place: Arc::new(Place::of(config, Some(printer.clone()))?),
            id: id.to_owned(),
            notes: None,
            seal: Seal::of(config)?,
        })
    }

    /// The same, with the keys in `path` besides the user's: those of the burst's own. Nothing happens when the depot is
    /// not encrypted.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn with_own_keys(mut self, path: &Path) -> Result<Self> {
        self.seal = self.seal.map(|seal| seal.with_own(path)).transpose()?;
        Ok(self)
    }

    /// As [`Depot::with_own_keys`], with a key made at `path` when there is none.
    ///
    /// # Errors
    /// The file cannot be read, or made.
    pub fn making_own_key(self, path: &Path) -> Result<Self> {
        if self.seal.is_some() && !path.exists() {
            seal::make_identity(path, "a key of plexburst's own")?;
        }
        self.with_own_keys(path)
    }

    /// Writes what a worker needs to read and write this burst's objects, and no others, into the file `path`.
    ///
    /// # Errors
    /// The disk.
    pub fn save_own_keys(&self, path: &Path) -> Result<()> {
        self.seal.as_ref().map_or(Ok(()), |seal| seal.save_own(path))
    }

    /// Another part of the same depot, in the folder `id`, with the user's keys alone.
    #[must_use]
    pub fn beside(&self, id: &str) -> Self {
        Self {
            place: Arc::clone(&self.place),
            id: id.to_owned(),
            notes: self.notes.as_ref().map(|dir| dir.join(id)),
            seal: self.seal.as_ref().map(Seal::without_own),
        }
    }

    /// The folder `folder` of this very part, with the same keys.
    #[must_use]
    pub fn below(&self, folder: &str) -> Self {
        Self {
            id: format!("{}/{folder}", self.id),
            ..self.clone()
        }
    }

    /// Whether what is put there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.seal.is_some()
    }

    /// The burst (or the folder) that this part belongs to.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The same part, waited for no longer than `patience` when it does not answer: for what has another try later.
    #[must_use]
    pub fn waited_for(&self, patience: std::time::Duration) -> Self {
        Self {
            place: Arc::new(self.place.waited_for(patience)),
            ..self.clone()
        }
    }

    /// Whether it is a folder that is not there: nothing that is missing in it says anything. A remote depot that does not
    /// answer is waited for by whatever asks it.
    pub fn is_away(&self) -> bool {
        self.place.is_away()
    }

    /// How long a depot that does not answer is to be waited for.
    pub fn patience(&self) -> std::time::Duration {
        self.place.patience()
    }

    /// How the depot is called in messages.
    pub fn name(&self) -> &str {
        self.place.name()
    }

    /// Whether every part of the objects is there with its size; their content is not looked at.
    ///
    /// # Errors
    /// The place, with what to do about it.
    pub async fn has_all(&self, objects: &[&Object]) -> Result<bool> {
        let listed = self.list().await?;
        let there: HashMap<&str, u64> = listed.iter().map(|l| (l.key.as_str(), l.bytes)).collect();
        Ok(objects.iter().all(|object| {
            let named = object.names(&self.id).into_iter().zip(&object.parts);
            named
                .into_iter()
                .all(|(name, part)| there.get(name.as_str()) == Some(&part.bytes))
        }))
    }

    /// Leaves the burst's own keys in the depot under `key`, for whoever has the user's: another machine can then talk to
    /// the worker.
    ///
    /// # Errors
    /// The place, with what to do about it.
    pub async fn leave_own_keys(&self, key: &str) -> Result<()> {
        match &self.seal {
            Some(seal) => self.put_bytes(key, seal.own_text().as_bytes()).await,
            None => Ok(()),
        }
    }

    /// The same with the keys that were left under `key`.
    ///
    /// # Errors
    /// The place; the user's keys do not open them.
    pub async fn taking_own_keys(mut self, key: &str) -> Result<Self> {
        if let Some(seal) = self.seal.clone()
            && let Some(text) = self.read(key).await?
        {
            self.seal = Some(seal.with_own_text(&String::from_utf8_lossy(&text))?);
        }
        Ok(self)
    }

    /// `config` as a worker may know it: with recipients to write for instead of the identity that opens everything, and
    /// with the worker's own keys to the place where it has some.
    ///
    /// # Errors
    /// The worker's keys cannot be read, or cannot be used with what else is configured.
    pub fn config_for_worker(&self, config: &config::Depot) -> Result<config::Depot> {
        let own = credentials::for_worker(config, &|name| std::env::var(name).ok())?;
        let encryption = match &self.seal {
            Some(_) => Encryption::Age,
            None => Encryption::None,
        };
        Ok(config::Depot {
            encryption: Some(encryption),
            // It is another machine's line.
            limit_rate: None,
            identity_file: None,
            recipients: self.seal.as_ref().map(Seal::recipients).unwrap_or_default(),
            ..own
        })
    }

    /// The same, with transfers that go on where they were cut: how far they are is noted in the folder `dir`.
    #[must_use]
    pub fn noting(mut self, dir: PathBuf) -> Self {
        self.notes = Some(dir);
        self
    }

    /// Puts the file `from` under `key`; what is there already is not sent again.
    ///
    /// # Errors
    /// The place, with what to do about it.
    pub async fn put_file(&self, key: &str, from: &Path) -> Result<Object> {
        self.path(key)?;
        self.transfer().put(key, from).await
    }

    /// Puts `bytes` under `key`, replacing what was there: for the small status objects of a side.
    ///
    /// # Errors
    /// The place, with what to do about it.
    pub async fn put_bytes(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(key)?;
        match &self.seal {
            Some(seal) => self.place.put(&path, &seal.close(bytes)?).await,
            None => self.place.put(&path, bytes).await,
        }
    }

    /// As [`Depot::put_bytes`], at once, in a folder; `None` elsewhere.
    fn put_now(&self, key: &str, bytes: &[u8]) -> Option<Result<()>> {
        let put = || {
            let path = self.path(key)?;
            match &self.seal {
                Some(seal) => Ok(self.place.put_now(&path, &seal.close(bytes)?)),
                None => Ok(self.place.put_now(&path, bytes)),
            }
        };
        put().unwrap_or_else(|e| Some(Err(e)))
    }

    /// Copies an object to the file `to`, which appears only when the content's hash is right.
    ///
    /// # Errors
    /// The object is missing or not what was put; the place; the disk.
    pub async fn get(&self, object: &Object, to: &Path) -> Result<()> {
        self.path(&object.key)?;
        self.transfer().get(object, to).await
    }

    /// A small object's content; `None` when it is not there.
    ///
    /// # Errors
    /// The place, with what to do about it.
    pub async fn read(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let kept = self.place.get(&self.path(key)?, 1 << 20).await?;
        match (kept, &self.seal) {
            (Some(kept), Some(seal)) => seal.open(&kept).map(Some).map_err(|e| transfer::unopened(key, e)),
            (kept, _) => Ok(kept),
        }
    }

    /// Whether the object is there with the very content: it is read back.
    ///
    /// # Errors
    /// The place, with what to do about it.
    pub async fn is_there(&self, object: &Object) -> Result<bool> {
        self.path(&object.key)?;
        self.transfer().is_there(object).await
    }

    /// Sees that the place can be written, read, listed and cleared, with what is read being what was written.
    ///
    /// # Errors
    /// What of it cannot be done.
    pub async fn prove(&self) -> Result<()> {
        let word = jiff::Timestamp::now().to_string();
        self.put_bytes("word", word.as_bytes()).await?;
        let read = self.read("word").await?;
        let is_listed = self
            .list()
            .await?
            .iter()
            .any(|listed| listed.key == format!("{}/word", self.id));
        self.remove_all().await?;
        if read.as_deref() == Some(word.as_bytes()) && is_listed {
            return Ok(());
        }
        Err(Error::failed(format!(
            "the depot at {} does not give back or list what was just put there",
            self.place.name()
        ))
        .hint("`depot.remote` has to name a place that nothing else caches, expires or empties"))
    }

    /// Everything of this burst as it is kept: keys and sizes.
    ///
    /// # Errors
    /// The place, with what to do about it.
    pub async fn list(&self) -> Result<Vec<Listed>> {
        self.place.list(&self.id).await
    }

    /// Everything that is in the depot, of whatever burst.
    ///
    /// # Errors
    /// The place, with what to do about it.
    pub async fn list_all(&self) -> Result<Vec<Listed>> {
        self.place.list("").await
    }

    /// Looks at one object of a listing: whether it is what its name says. Only parts have such names; `None` for others.
    ///
    /// # Errors
    /// The place, with what to do about it.
    pub async fn is_sound(&self, listed: &Listed) -> Result<Option<bool>> {
        let Some((_, hash)) = listed.key.rsplit_once('-') else {
            return Ok(None);
        };
        if hash.len() != 16 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let kept = self.place.get(&listed.key, listed.bytes).await?;
        Ok(Some(
            kept.is_some_and(|kept| blake3::hash(&kept).to_hex().starts_with(hash)),
        ))
    }

    /// Removes a status object; one that is not there is fine.
    ///
    /// # Errors
    /// The place, with what to do about it.
    pub async fn remove(&self, key: &str) -> Result<()> {
        self.place.remove(&self.path(key)?).await
    }

    /// Removes everything of this burst.
    ///
    /// # Errors
    /// The place, with what to do about it.
    pub async fn remove_all(&self) -> Result<()> {
        self.place.remove_folder(&self.id).await
    }

    fn transfer(&self) -> Transfer<'_> {
        Transfer {
            place: &self.place,
            prefix: &self.id,
            notes: self.notes.as_deref(),
            seal: self.seal.as_ref(),
        }
    }

    fn path(&self, key: &str) -> Result<String> {
        let is_plain = !key.is_empty()
            && key
                .split('/')
                .all(|part| !part.is_empty() && part != "." && part != "..");
        if is_plain {
            Ok(format!("{}/{key}", self.id))
        } else {
            Err(Error::unexpected(format!("{key:?} cannot name an object of the depot")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depot(dir: &Path, part: u64) -> Depot {
        let config = config::Depot {
            directory: Some(dir.join("depot")),
            part_bytes: part,
            ..config::Depot::default()
        };
        Depot::of(&config, "B", &Printer::new(true)).unwrap()
    }

    fn only_file(dir: &Path) -> PathBuf {
        let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    #[tokio::test]
    async fn what_is_put_comes_back_and_damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let depot = depot(dir.path(), 1 << 20);
        let from = dir.path().join("from");
        std::fs::write(&from, b"pages").unwrap();
        let object = depot.put_file("base/library.db.zst", &from).await.unwrap();
        assert!(depot.is_there(&object).await.unwrap());
        assert_eq!(depot.put_file("base/library.db.zst", &from).await.unwrap(), object);
        let to = dir.path().join("to");
        depot.get(&object, &to).await.unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"pages");

        std::fs::write(only_file(&dir.path().join("depot/B/base")), b"pagez").unwrap();
        assert!(!depot.is_there(&object).await.unwrap());
        std::fs::remove_file(&to).unwrap();
        let e = depot.get(&object, &to).await.unwrap_err();
        assert!(e.chain().contains("not what was"), "{}", e.chain());
        assert!(!to.exists());
    }

    #[tokio::test]
    async fn large_objects_travel_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let depot = depot(dir.path(), 1024).noting(dir.path().join("notes"));
        let from = dir.path().join("from");
        for (bytes, parts) in [(0, 0), (1023, 1), (1024, 1), (1025, 2), (10_240, 10)] {
            let content: Vec<u8> = (0..bytes).map(|i| (i * 7 % 251) as u8).collect();
            std::fs::write(&from, &content).unwrap();
            let object = depot.put_file("big", &from).await.unwrap();
            assert_eq!((object.bytes, object.parts.len()), (bytes, parts));
            let to = dir.path().join("to");
            depot.get(&object, &to).await.unwrap();
            assert_eq!(std::fs::read(&to).unwrap(), content);
        }
        let kept = depot.list().await.unwrap();
        assert_eq!(kept.iter().map(|l| l.bytes).max(), Some(1024), "{kept:?}");
        depot.remove_all().await.unwrap();
        assert_eq!(depot.list().await.unwrap(), []);
    }

    #[tokio::test]
    async fn keys_cannot_leave_the_burst() {
        let depot = depot(Path::new("/nowhere"), 1024);
        for key in ["../x", "a//b", "", "a/../b", "/etc/passwd"] {
            assert!(depot.read(key).await.is_err(), "{key:?}");
        }
    }
}
