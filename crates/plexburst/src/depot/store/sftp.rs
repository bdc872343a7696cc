//! An SFTP host as a depot, reached as the user's own `ssh` reaches it (its configuration, agent and known hosts).
//!
//! A put is written under a temporary name, flushed where the server can, and renamed. opendal's SFTP is not used: it
//! cannot be given a file of known hosts, and neither flushes nor renames.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use openssh_sftp_client::error::SftpErrorKind;
use openssh_sftp_client::{Error as SftpError, Sftp as Client};
use tokio::sync::Mutex;

use super::{Fault, Listed};

/// How long the host may take to let us in.
const CONNECT: Duration = Duration::from_secs(20);
/// A silent host is given up after three of these.
const ALIVE: Duration = Duration::from_secs(10);
/// Seconds that ssh keeps a connection which nobody uses any more.
const LINGER: NonZeroUsize = NonZeroUsize::new(30).unwrap();
/// What the temporary names contain.
const MARK: &str = ".plexburst-tmp-";

/// Where the host is and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// `[user@]host[:port]`.
    pub(crate) destination: String,
    /// The depot's folder there; relative to the user's own when it does not begin with `/`.
    pub(crate) path: PathBuf,
    pub(crate) key: Option<PathBuf>,
    pub(crate) known_hosts: Option<PathBuf>,
    pub(crate) config: Option<PathBuf>,
}

/// The host, connected when it is first needed and again after a cut.
#[derive(Debug)]
pub(crate) struct Sftp {
    host: Host,
    client: Mutex<Option<Arc<Client>>>,
}

impl Sftp {
    /// The depot on `host`.
    pub(crate) fn new(host: Host) -> Self {
        Self {
            host,
            client: Mutex::new(None),
        }
    }

    async fn client(&self) -> Result<Arc<Client>, Fault> {
        let mut slot = self.client.lock().await;
        if let Some(client) = &*slot {
            return Ok(Arc::clone(client));
        }
        let mut builder = openssh::SessionBuilder::default();
        builder
            .known_hosts_check(openssh::KnownHosts::Strict)
            .connect_timeout(CONNECT)
            .server_alive_interval(ALIVE)
            // A process that was killed leaves no connection open for long, and nothing in the user's folders.
            .control_persist(openssh::ControlPersist::IdleFor(LINGER))
            .control_directory(std::env::temp_dir());
        if let Some(key) = &self.host.key {
            builder.keyfile(key);
        }
        if let Some(known_hosts) = &self.host.known_hosts {
            builder.user_known_hosts_file(known_hosts);
        }
        if let Some(config) = &self.host.config {
            builder.config_file(config);
        }
        let session = builder
            .connect(format!("ssh://{}", self.host.destination))
            .await
            .map_err(|e| connect_fault(&e))?;
        let client = Client::from_session(session, Default::default())
            .await
            .map_err(|e| fault(&e))?;
        let client = Arc::new(client);
        *slot = Some(Arc::clone(&client));
        Ok(client)
    }

    /// Does `act`; a connection that failed is not used again.
    async fn with<T, F: Future<Output = Result<T, SftpError>>>(
        &self,
        act: impl FnOnce(Arc<Client>) -> F,
    ) -> Result<T, Fault> {
        let client = self.client().await?;
        match act(Arc::clone(&client)).await {
            Ok(value) => Ok(value),
            Err(e) => {
                if !matches!(e, SftpError::SftpError(..)) {
                    let mut slot = self.client.lock().await;
                    if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, &client)) {
                        *slot = None;
                    }
                }
                Err(fault(&e))
            }
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        match key {
            "" => self.host.path.clone(),
            _ => self.host.path.join(key),
        }
    }

    pub(super) async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), Fault> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let to = self.path(key);
        let dir = to.parent().unwrap_or(&self.host.path).to_path_buf();
        let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let temporary = dir.join(format!(".{name}{MARK}{process}-{number}"));
        self.with(async |client| {
            let mut options = client.options();
            let options = options.write(true).create(true).truncate(true);
            let mut file = match options.open(&temporary).await {
                Err(SftpError::SftpError(SftpErrorKind::NoSuchFile, _)) => {
                    make(&client, &dir).await?;
                    options.open(&temporary).await?
                }
                opened => opened?,
            };
            let written = async {
                file.write_all(bytes).await?;
                if client.support_fsync() {
                    file.sync_all().await?;
                }
                file.close().await
            };
            let placed = match written.await {
                Ok(()) => rename(&client, &temporary, &to).await,
                failed => failed,
            };
            if placed.is_err() {
                // The failure matters more than what is left of it; `depot prune` finds that too.
                client.fs().remove_file(&temporary).await.ok();
            }
            placed
        })
        .await
    }

    pub(super) async fn get(&self, key: &str) -> Result<Vec<u8>, Fault> {
        let path = self.path(key);
        self.with(async |client| Ok(client.fs().read(&path).await?.to_vec()))
            .await
    }

    pub(super) async fn size(&self, key: &str) -> Result<u64, Fault> {
        let path = self.path(key);
        let meta = self.with(async |client| client.fs().metadata(&path).await).await?;
        match meta.file_type() {
            Some(kind) if !kind.is_file() => Err(Fault::Missing),
            _ => meta
                .len()
                .ok_or_else(|| Fault::Other("the server tells no sizes".to_owned())),
        }
    }

    pub(super) async fn remove(&self, key: &str) -> Result<(), Fault> {
        let path = self.path(key);
        missing_is_fine(self.with(async |client| client.fs().remove_file(&path).await).await)
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Fault> {
        let tree = self.tree(prefix).await?;
        Ok(tree
            .into_iter()
            .filter(|found| !found.is_folder && !found.is_temporary())
            .map(|found| Listed {
                key: found.key,
                bytes: found.bytes,
            })
            .collect())
    }

    pub(super) async fn remove_folder(&self, prefix: &str) -> Result<(), Fault> {
        // What is in a folder comes after it, so backwards each folder is empty when its turn comes.
        for found in self.tree(prefix).await?.iter().rev() {
            let path = self.path(&found.key);
            let removed = if found.is_folder {
                self.with(async |client| client.fs().remove_dir(&path).await).await
            } else {
                self.with(async |client| client.fs().remove_file(&path).await).await
            };
            missing_is_fine(removed)?;
        }
        let path = self.path(prefix);
        missing_is_fine(self.with(async |client| client.fs().remove_dir(&path).await).await)
    }

    /// Everything below `prefix`, each folder before what is in it.
    async fn tree(&self, prefix: &str) -> Result<Vec<Found>, Fault> {
        let mut tree = Vec::new();
        let mut folders = vec![prefix.to_owned()];
        while let Some(folder) = folders.pop() {
            let path = self.path(&folder);
            let entries = self
                .with(async |client| {
                    let dir = client.fs().open_dir(&path).await?;
                    dir.read_dir().try_collect::<Vec<_>>().await
                })
                .await;
            let entries = match entries {
                Err(Fault::Missing) => continue,
                entries => entries?,
            };
            for entry in entries {
                let name = entry.filename().to_string_lossy().into_owned();
                if name == "." || name == ".." {
                    continue;
                }
                let key = match folder.as_str() {
                    "" => name,
                    _ => format!("{folder}/{name}"),
                };
                let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
                if is_folder {
                    folders.push(key.clone());
                }
                let bytes = entry.metadata().len().unwrap_or(0);
                tree.push(Found { key, bytes, is_folder });
            }
        }
        Ok(tree)
    }
}

struct Found {
    key: String,
    bytes: u64,
    is_folder: bool,
}

impl Found {
    fn is_temporary(&self) -> bool {
        let name = self.key.rsplit('/').next().unwrap_or(&self.key);
        name.starts_with('.') && name.contains(MARK)
    }
}

/// Makes a folder with those above it, readable by its owner alone.
async fn make(client: &Client, dir: &Path) -> Result<(), SftpError> {
    let mut fs = client.fs();
    let mut missing: Vec<&Path> = Vec::new();
    for above in dir.ancestors().filter(|above| !above.as_os_str().is_empty()) {
        match fs.metadata(above).await {
            Ok(_) => break,
            Err(SftpError::SftpError(SftpErrorKind::NoSuchFile, _)) => missing.push(above),
            Err(e) => return Err(e),
        }
    }
    for folder in missing.into_iter().rev() {
        let mut private = openssh_sftp_client::metadata::Permissions::new();
        private
            .set_read_by_owner(true)
            .set_write_by_owner(true)
            .set_execute_by_owner(true);
        let made = fs.dir_builder().permissions(private).create(folder).await;
        // Two writers may make it at once.
        if made.is_err() {
            fs.metadata(folder).await?;
        }
    }
    Ok(())
}

/// Gives a written file its name. A server without atomic renames refuses to replace; then the old one goes first.
async fn rename(client: &Client, from: &Path, to: &Path) -> Result<(), SftpError> {
    let mut fs = client.fs();
    match fs.rename(from, to).await {
        Err(SftpError::SftpError(SftpErrorKind::Failure, _)) if !client.support_posix_rename() => {
            fs.remove_file(to).await?;
            fs.rename(from, to).await
        }
        renamed => renamed,
    }
}

fn missing_is_fine(removed: Result<(), Fault>) -> Result<(), Fault> {
    match removed {
        Err(Fault::Missing) => Ok(()),
        other => other,
    }
}

fn fault(e: &SftpError) -> Fault {
    match e {
        SftpError::SftpError(SftpErrorKind::NoSuchFile, _) => Fault::Missing,
        SftpError::SftpError(SftpErrorKind::PermDenied, said) => Fault::Denied(said.to_string()),
        // SFTP has no word for a full disk; OpenSSH's server says just "Failure" to it.
        SftpError::SftpError(SftpErrorKind::Failure, said) => Fault::Full(format!(
            "the server says {:?}, as it does when its disk is full",
            said.to_string()
        )),
        SftpError::SftpError(_, said) => Fault::Other(said.to_string()),
        SftpError::UnsupportedSftpProtocol { .. } | SftpError::UnsupportedExtension(_) => Fault::Other(e.to_string()),
        _ => Fault::Passing(e.to_string()),
    }
}

fn connect_fault(e: &openssh::Error) -> Fault {
    let cause = std::error::Error::source(e)
        .map(ToString::to_string)
        .unwrap_or_default();
    let text = format!("{e}: {}", cause.trim());
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&[
        "Permission denied",
        "Host key verification failed",
        "No ED25519 host key",
        "host key is known",
    ]) {
        return Fault::Denied(text);
    }
    match e {
        openssh::Error::Ssh(_) => Fault::Other(text),
        _ if has(&["Could not resolve", "Bad configuration", "terminating"]) => Fault::Other(text),
        _ => Fault::Passing(text),
    }
}
