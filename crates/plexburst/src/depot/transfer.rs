//! Large objects in parts: each part is put and fetched as a whole and verified by itself, and what is done is noted
//! on the local disk, so that a transfer that was cut or killed goes on with the part it was at.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use plex_library::publish::FileWriter;
use serde::{Deserialize, Serialize};

use super::place::Place;
use super::seal::{Seal, Unopened};
use super::{Object, Part};
use crate::error::{Context, Error, Result};

/// What of an object is in the depot already.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// BLAKE3 of the whole content.
    blake3: String,
    /// Bytes of a part, all but the last.
    part: u64,
    parts: Vec<Part>,
}

/// A transfer between the depot and this machine.
pub(super) struct Transfer<'a> {
    pub(super) place: &'a Place,
    /// The burst's prefix.
    pub(super) prefix: &'a str,
    /// Where it is noted how far a transfer is; `None`: a cut one begins anew.
    pub(super) notes: Option<&'a Path>,
    /// `None`: what is kept is not encrypted.
    pub(super) seal: Option<&'a Seal>,
}

impl Transfer<'_> {
    /// Puts what is in `from`; what is there already is not sent again.
    pub(super) async fn put(&self, key: &str, from: &Path) -> Result<Object> {
        let (bytes, blake3) = describe(from)?;
        let mut note = self
            .noted(key)
            .filter(|n| n.blake3 == blake3 && n.part == self.place.part as u64)
            .unwrap_or_default();
        note.blake3.clone_from(&blake3);
        note.part = self.place.part as u64;
        let mut file = File::open(from).context(|| format!("cannot open {}", from.display()))?;
        let mut number = 0;
        loop {
            let content =
                read_part(&mut file, self.place.part).context(|| format!("cannot read {}", from.display()))?;
            if content.is_empty() {
                break;
            }
            let is_there = match note.parts.get(number) {
                Some(part) => self.place.size(&self.name(key, number, part)).await? == Some(part.bytes),
                None => false,
            };
            if !is_there {
                let part = self.put_part(key, number, &content).await?;
                note.parts.truncate(number);
                note.parts.push(part);
                self.note(key, &note)?;
            }
            number += 1;
        }
        note.parts.truncate(number);
        Ok(Object {
            key: key.to_owned(),
            bytes,
            blake3,
            parts: note.parts,
        })
    }

    async fn put_part(&self, key: &str, number: usize, content: &[u8]) -> Result<Part> {
        let kept = match self.seal {
            Some(seal) => Cow::Owned(seal.close(content)?),
            None => Cow::Borrowed(content),
        };
        let part = Part {
            bytes: kept.len() as u64,
            blake3: blake3::hash(&kept).to_hex().to_string(),
        };
        self.place.put(&self.name(key, number, &part), &kept).await?;
        Ok(part)
    }

    /// Fetches `object` to `to`, which appears only when all of it is right.
    pub(super) async fn get(&self, object: &Object, to: &Path) -> Result<()> {
        let failed = || format!("cannot write {}", to.display());
        let mut out = FileWriter::create(to).context(failed)?;
        for (number, part) in object.parts.iter().enumerate() {
            let content = match self.kept(object, number)? {
                Some(content) => content,
                None => {
                    let content = self.get_part(object, number, part).await?;
                    self.keep(object, number, &content)?;
                    content
                }
            };
            out.append(&content).context(failed)?;
        }
        let published = out.publish(|file| {
            let (bytes, blake3) = describe_file(file).map_err(|source| plex_library::Error::Io {
                path: to.to_path_buf(),
                op: "read back",
                source,
            })?;
            if bytes == object.bytes && blake3 == object.blake3 {
                return Ok(());
            }
            Err(plex_library::Error::Mismatch {
                path: to.to_path_buf(),
                what: format!("its content is not what was put into the depot as {}", object.key),
            })
        });
        for number in 0..object.parts.len() {
            if let Some(path) = self.kept_path(object, number) {
                std::fs::remove_file(path).ok();
            }
        }
        published.context(|| format!("cannot fetch {} from the depot", object.key))
    }

    async fn get_part(&self, object: &Object, number: usize, part: &Part) -> Result<Vec<u8>> {
        let name = self.name(&object.key, number, part);
        let Some(kept) = self.place.get(&name, part.bytes).await? else {
            return Err(
                Error::failed(format!("{name} is missing from the depot at {}", self.place.name()))
                    .hint("somebody removed it; begin a new burst: `plexburst sync`"),
            );
        };
        if kept.len() as u64 != part.bytes || blake3::hash(&kept).to_hex().as_str() != part.blake3 {
            return Err(Error::failed(format!(
                "{name} in the depot at {} is not what was put there ({} bytes, {} were put)",
                self.place.name(),
                kept.len(),
                part.bytes
            ))
            .hint("the place damages what it keeps; `plexburst depot check` looks at everything"));
        }
        match self.seal {
            Some(seal) => seal.open(&kept).map_err(|e| unopened(&name, e)),
            None => Ok(kept),
        }
    }

    /// Whether every part is there with the very content.
    pub(super) async fn is_there(&self, object: &Object) -> Result<bool> {
        for (number, part) in object.parts.iter().enumerate() {
            let kept = self
                .place
                .get(&self.name(&object.key, number, part), part.bytes)
                .await?;
            let is_right = kept.is_some_and(|kept| blake3::hash(&kept).to_hex().as_str() == part.blake3);
            if !is_right {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The name of a part: by its object and by what is in it, so that two writers never write over each other.
    fn name(&self, key: &str, number: usize, part: &Part) -> String {
        format!("{}/{key}.{number:04}-{:.16}", self.prefix, part.blake3)
    }

    fn note_path(&self, key: &str) -> Option<PathBuf> {
        self.notes
            .map(|dir| dir.join(format!("{}.json", key.replace('/', "_"))))
    }

    fn noted(&self, key: &str) -> Option<Note> {
        // A note that cannot be read costs a transfer, nothing else.
        let bytes = std::fs::read(self.note_path(key)?).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn note(&self, key: &str, note: &Note) -> Result<()> {
        let Some(path) = self.note_path(key) else { return Ok(()) };
        let failed = || format!("cannot note how far {key} is in {}", path.display());
        let text = serde_json::to_vec(note).context(failed)?;
        make_parent(&path)?;
        plex_library::publish::file(&path, &text).context(failed)
    }

    /// Where a fetched part lies until its object is whole; objects of one part need none.
    fn kept_path(&self, object: &Object, number: usize) -> Option<PathBuf> {
        let dir = self.notes.filter(|_| object.parts.len() > 1)?;
        Some(dir.join(format!("{:.32}.{number:04}", object.blake3)))
    }

    fn kept(&self, object: &Object, number: usize) -> Result<Option<Vec<u8>>> {
        let Some(path) = self.kept_path(object, number) else {
            return Ok(None);
        };
        match std::fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::failed(format!("cannot read {}", path.display())).because(e)),
        }
    }

    fn keep(&self, object: &Object, number: usize, content: &[u8]) -> Result<()> {
        let Some(path) = self.kept_path(object, number) else {
            return Ok(());
        };
        make_parent(&path)?;
        plex_library::publish::file(&path, content).context(|| format!("cannot write {}", path.display()))
    }
}

/// What it means that an object could not be opened.
pub(super) fn unopened(key: &str, e: Unopened) -> Error {
    let error = Error::failed(format!("cannot open {key} out of the depot"));
    match e {
        Unopened::NoKey => error.hint(
            "`depot.identity_file` has to name the key that it was encrypted to; without that key nobody can read it",
        ),
        Unopened::Plain => error.hint("somebody else wrote it, or `depot.encryption` was \"none\" then"),
        Unopened::Damaged(_) => {
            error.hint("the place damages what it keeps; `plexburst depot check` looks at everything")
        }
    }
    .because(e)
}

fn make_parent(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = path.parent().unwrap_or(path);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .context(|| format!("cannot make {}", dir.display()))
}

/// Size and hash of a file.
fn describe(path: &Path) -> Result<(u64, String)> {
    let mut file = File::open(path).context(|| format!("cannot open {}", path.display()))?;
    describe_file(&mut file).context(|| format!("cannot read {}", path.display()))
}

fn describe_file(file: &mut File) -> std::io::Result<(u64, String)> {
    let mut hasher = blake3::Hasher::new();
    let bytes = std::io::copy(file, &mut hasher)?;
    Ok((bytes, hasher.finalize().to_hex().to_string()))
}

/// Up to `size` bytes; fewer only at the end of the file.
fn read_part(file: &mut File, size: usize) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(size as u64).read_to_end(&mut content)?;
    Ok(content)
}
