//! The base that the depot keeps from one burst of a home to the next.
//!
//! The first burst puts home's library there as a whole. Each later one puts only the pages that changed at home since
//! the last, as a step; the worker makes its base of the whole and the steps. Home keeps a hash of each page of what it
//! put last (`STATE/bases/HOME/`), and a key that the kept base is encrypted to.
//!
//! Guarantees: what is noted here is in the depot; a chain of which anything is missing, or whose note cannot be
//! believed, is never used but begun anew. It holds no more than the depot has: losing this folder costs one whole
//! transfer.

use std::path::{Path, PathBuf};

use plex_library::{Databases, Which, pages};
use serde::{Deserialize, Serialize};

use super::spec::{Parked, Step};
use crate::depot::Depot;
use crate::error::{Context, Error, Result};
use crate::home::discard;

/// Format of `chain.json`.
const VERSION: u32 = 1;
const FILE: &str = "chain.json";
/// Folder of the depot that holds kept bases.
pub const FOLDER: &str = "bases";

/// The kept base of one home, as this machine knows it.
#[derive(Debug)]
pub struct Kept {
    dir: PathBuf,
}

/// The note: what is in the depot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Format.
    pub v: u32,
    /// The depot it is in, as it is called in messages.
    pub depot: String,
    /// What is there.
    pub base: Parked,
    /// Chains before it that may still be in the depot.
    #[serde(default)]
    pub retired: Vec<String>,
}

/// Why no step was put, so that the whole library has to go.
pub type Why = String;

impl Kept {
    /// What is kept of the home with these data, in the state folder `state`.
    pub fn of(state: &Path, data_dir: &Path) -> Self {
        let path = std::fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_path_buf());
        let name = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
        Self {
            dir: state.join(FOLDER).join(&name[..16]),
        }
    }

    /// Everything that is kept of any home of this machine.
    pub fn all(state: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(state.join(FOLDER)).into_iter().flatten();
        let mut all: Vec<Self> = entries.flatten().map(|entry| Self { dir: entry.path() }).collect();
        all.sort_by(|a, b| a.dir.cmp(&b.dir));
        all
    }

    /// The note, when there is one that can be believed.
    pub fn chain(&self) -> Option<Chain> {
        let chain: Chain = serde_json::from_slice(&std::fs::read(self.dir.join(FILE)).ok()?).ok()?;
        (chain.v == VERSION).then_some(chain)
    }

    /// The part of the depot that holds the chain `id`, with its key.
    ///
    /// # Errors
    /// The key cannot be read or made.
    pub fn depot(&self, of: &Depot, id: &str) -> Result<Depot> {
        make(&self.dir)?;
        // Each chain has a key of its own: a worker that was given one reads no other.
        of.beside(&folder(id)).making_own_key(&self.key(id))
    }

    /// Begins a chain: `id` is its own, `whole` puts the library into the part of the depot that it is given.
    ///
    /// # Errors
    /// The depot, the disk.
    pub async fn begin(
        &self,
        depot: &Depot,
        id: &str,
        base: &Databases,
        whole: impl AsyncFnOnce(&Depot) -> Result<Parked>,
    ) -> Result<Parked> {
        let before = self.chain();
        let mut retired = before.map_or_else(Vec::new, |chain| {
            let mut retired = chain.retired;
            retired.extend(chain.base.kept);
            retired
        });
        retired.retain(|other| other != id);
        let mut put = whole(&self.depot(depot, id)?).await?;
        put.kept = Some(id.to_owned());
        self.note(depot, &put, retired, base)?;
        Ok(put)
    }

    /// Puts the pages of `base` that changed since the last step. The inner error says why that cannot be done, so that
    /// the whole library has to go.
    ///
    /// # Errors
    /// The depot, the disk.
    pub async fn go_on(
        &self,
        depot: &Depot,
        base: &Databases,
        longest: usize,
        temp: &Path,
    ) -> Result<std::result::Result<Parked, Why>> {
        let Some(chain) = self.chain() else {
            return Ok(Err("nothing is kept yet".to_owned()));
        };
        let Some(id) = chain.base.kept.clone() else {
            return Ok(Err("nothing is kept yet".to_owned()));
        };
        if chain.depot != depot.name() {
            return Ok(Err(format!("what is kept is in the depot at {}", chain.depot)));
        }
        if chain.base.steps.len() >= longest {
            return Ok(Err(format!("{} steps lead to it already", chain.base.steps.len())));
        }
        let place = self.depot(depot, &id)?;
        if !place.has_all(&chain.base.objects()).await? {
            return Ok(Err("something of it is missing from the depot".to_owned()));
        }
        let delta = temp.join("step");
        discard(&delta)?;
        let index = self.index(chain.base.steps.len());
        let made = tokio::task::block_in_place(|| plex_library::delta::make(&index, base, &delta, &()));
        let made = match made {
            Ok(made) => made,
            Err(e) if !index.is_dir() => return Ok(Err(format!("its index of pages is gone: {e}"))),
            Err(e) if matches!(e.kind(), plex_library::Kind::Damaged | plex_library::Kind::Mismatch) => {
                return Ok(Err(e.to_string()));
            }
            Err(e) => return Err(e.into()),
        };
        let steps: u64 = chain.base.steps.iter().map(Step::bytes).sum();
        if (steps + made.bytes()) * 2 > chain.base.whole_bytes() {
            return Ok(Err("too much changed since".to_owned()));
        }
        let number = chain.base.steps.len() + 1;
        let mut objects = Vec::new();
        for path in crate::home::files_in(&delta)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            objects.push(place.put_file(&format!("step-{number}/{name}"), &path).await?);
        }
        let manifest = base.dir().join(plex_library::snapshot::MANIFEST);
        let manifest = place
            .put_file(&format!("step-{number}/manifest.json"), &manifest)
            .await?;
        discard(&delta)?;
        let mut now = chain.base;
        now.steps.push(Step {
            delta: objects,
            manifest,
        });
        now.sent = now.steps.last().map_or(0, Step::bytes);
        self.note(depot, &now, chain.retired, base)?;
        Ok(Ok(now))
    }

    /// Notes what is in the depot now: first the hashes of the pages, then what they belong to.
    fn note(&self, depot: &Depot, put: &Parked, retired: Vec<String>, base: &Databases) -> Result<()> {
        let index = self.index(put.steps.len());
        discard(&index)?;
        make(&index)?;
        for which in Which::BOTH {
            let (from, to) = (pages::index_path(base.dir(), which), pages::index_path(&index, which));
            // A half copy is found by the index's own hash when it is used.
            std::fs::copy(&from, &to).context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        }
        let chain = Chain {
            v: VERSION,
            depot: depot.name().to_owned(),
            base: put.clone(),
            retired,
        };
        self.write(&chain)?;
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("pages-") && entry.path() != index {
                discard(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Forgets chains that are no longer in the depot, with their keys.
    ///
    /// # Errors
    /// The disk.
    pub fn forget(&self, gone: &[String]) -> Result<()> {
        let Some(mut chain) = self.chain() else { return Ok(()) };
        for id in gone {
            match std::fs::remove_file(self.key(id)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::failed(format!("cannot remove {}", self.key(id).display())).because(e));
                }
                _ => {}
            }
        }
        chain.retired.retain(|id| !gone.contains(id));
        self.write(&chain)
    }

    fn write(&self, chain: &Chain) -> Result<()> {
        let path = self.dir.join(FILE);
        let text = serde_json::to_vec(chain).context(|| "cannot note what the depot keeps".to_owned())?;
        plex_library::publish::file(&path, &text).context(|| format!("cannot write {}", path.display()))
    }

    fn key(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.key"))
    }

    /// The hashes of the pages after so many steps.
    fn index(&self, steps: usize) -> PathBuf {
        self.dir.join(format!("pages-{steps}"))
    }

    /// Writes the key of the chain into the file `to`, for a worker; nothing when it is not encrypted.
    ///
    /// # Errors
    /// The disk; the key is not on this machine, which took the burst over.
    pub fn save_key(&self, depot: &Depot, id: &str, to: &Path) -> Result<()> {
        if depot.is_encrypted() && !self.key(id).is_file() {
            return Err(Error::failed(format!(
                "the key to what the depot keeps of home's library ({}) is not on this machine",
                folder(id)
            ))
            .hint("`plexburst cancel` ends this burst; the next one sends the whole library again"));
        }
        self.depot(depot, id)?.save_own_keys(to)
    }
}

/// The folder of the chain `id` in the depot.
pub fn folder(id: &str) -> String {
    format!("{FOLDER}/{id}")
}

fn make(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .context(|| format!("cannot make {}", dir.display()))
}
