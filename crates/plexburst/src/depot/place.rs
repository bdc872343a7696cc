//! Where a depot lies, as the rest of the depot sees it: a store that is asked patiently.
//!
//! A remote store that does not answer is asked again for as long as `depot.patience` says, each time a little later;
//! every request has a time limit of its own. What is left after that is turned into an error that says what to do.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::credentials;
use super::line::Line;
use super::store::{Directory, Fault, Listed, S3, Sftp, Store};
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::error::{Error, Result};
use crate::term::Printer;

/// A request without a body.
const ANSWER: Duration = Duration::from_secs(60);
/// Slower than this, in bytes per second, and a transfer counts as stalled: a tenth of the slowest upload of a household.
const SLOWEST: u64 = 16 << 10;
/// The first pause before a request is made again; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// From this pause on it is said that the depot is waited for.
const WORTH_A_WORD: Duration = Duration::from_secs(4);

/// A place with the patience to use it.
#[derive(Clone)]
pub(super) struct Place {
    store: Arc<Store>,
    name: String,
    is_remote: bool,
    patience: Duration,
    clock: Arc<dyn Clock>,
    printer: Option<Printer>,
    line: Arc<Line>,
    /// Bytes of a part.
    pub(super) part: usize,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Place {
    /// The place that `config` names, with its keys.
    pub(super) fn of(config: &config::Depot, printer: Option<Printer>) -> Result<Self> {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (store, name) = open(config, &env)?;
        let is_remote = !matches!(store, Store::Directory(_));
        // A folder is no line that others share.
        let line = Arc::new(Line::new(
            config.limit_rate.filter(|_| is_remote).map(config::Rate::bytes),
        ));
        let part = usize::try_from(config.part_bytes).unwrap_or(usize::MAX).max(1024);
        Ok(Self {
            is_remote,
            store: Arc::new(store),
            name,
            patience: Duration::from_secs(config.patience),
            clock: Arc::new(SystemClock),
            printer,
            part: line.part(part),
            line,
        })
    }

    /// The same place, waited for by another clock.
    #[cfg(test)]
    pub(super) fn by(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How the place is called in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The same place, waited for no longer than `patience`.
    pub(super) fn waited_for(&self, patience: Duration) -> Self {
        Self {
            patience: self.patience.min(patience),
            ..self.clone()
        }
    }

    /// Whether it is a folder that is not there; that of a remote place shows when it is asked.
    pub(super) fn is_away(&self) -> bool {
        matches!(&*self.store, Store::Directory(store) if !store.is_there())
    }

    /// How long what does not answer is waited for.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// In a folder, puts `bytes` under `key` at once; `None` when that takes a request to another machine.
    pub(super) fn put_now(&self, key: &str, bytes: &[u8]) -> Option<Result<()>> {
        let Store::Directory(store) = &*self.store else {
            return None;
        };
        let done = store.put_now(key, bytes);
        Some(done.map_err(|fault| self.error(&format!("cannot put {key} into"), fault)))
    }

    /// Puts `bytes` under `key`, replacing what was there.
    pub(super) async fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let begun = self.clock.now();
        let done = self.patiently(bytes.len() as u64, || self.store.put(key, bytes)).await;
        self.line.carried(bytes.len() as u64, begun, &*self.clock).await;
        done.map_err(|fault| self.error(&format!("cannot put {key} into"), fault))
    }

    /// The content of an object of about `bytes`; `None` when it is not there.
    pub(super) async fn get(&self, key: &str, bytes: u64) -> Result<Option<Vec<u8>>> {
        let begun = self.clock.now();
        match self.patiently(bytes, || self.store.get(key)).await {
            Ok(content) => {
                self.line.carried(content.len() as u64, begun, &*self.clock).await;
                Ok(Some(content))
            }
            Err(Fault::Missing) => Ok(None),
            Err(fault) => Err(self.error(&format!("cannot fetch {key} from"), fault)),
        }
    }

    /// The size of an object; `None` when it is not there.
    pub(super) async fn size(&self, key: &str) -> Result<Option<u64>> {
        match self.patiently(0, || self.store.size(key)).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Fault::Missing) => Ok(None),
            Err(fault) => Err(self.error(&format!("cannot look for {key} in"), fault)),
        }
    }

    /// Removes an object; one that is not there is fine.
    pub(super) async fn remove(&self, key: &str) -> Result<()> {
        let done = self.patiently(0, || self.store.remove(key)).await;
        done.map_err(|fault| self.error(&format!("cannot remove {key} from"), fault))
    }

    /// All objects below the folder `prefix`.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let done = self.patiently(1 << 20, || self.store.list(prefix)).await;
        done.map_err(|fault| self.error(&format!("cannot list {prefix:?} in"), fault))
    }

    /// Removes the folder `prefix` with everything in it.
    pub(super) async fn remove_folder(&self, prefix: &str) -> Result<()> {
        let done = self.patiently(16 << 20, || self.store.remove_folder(prefix)).await;
        done.map_err(|fault| self.error(&format!("cannot clear {prefix:?} in"), fault))
    }

    /// Asks again what failed in passing; `bytes` is what a request carries, for its time limit.
    async fn patiently<T, F>(&self, bytes: u64, ask: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        if !self.is_remote {
            return ask().await;
        }
        let limit = ANSWER + Duration::from_secs(bytes / SLOWEST);
        let since = self.clock.now();
        let mut pause = FIRST_PAUSE;
        loop {
            let fault = match tokio::time::timeout(limit, ask()).await {
                Ok(Err(fault @ Fault::Passing(_))) => fault,
                Ok(answer) => return answer,
                Err(_) => Fault::Passing(format!("no answer within {} s", limit.as_secs())),
            };
            let waited = self.clock.now() - since;
            if waited + pause > self.patience {
                return Err(fault);
            }
            tracing::debug!("{}: {fault}; asked again in {pause:?}", self.name);
            if pause >= WORTH_A_WORD
                && let Some(printer) = &self.printer
            {
                let text = format!(
                    "the depot at {} does not answer since {} s ({fault}); tried for up to {} s",
                    self.name,
                    waited.as_secs(),
                    self.patience.as_secs()
                );
                printer.progress(&text);
            }
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn error(&self, what: &str, fault: Fault) -> Error {
        let error = Error::failed(format!("{what} the depot at {}", self.name));
        let hint = match &fault {
            Fault::Missing => None,
            Fault::Passing(_) => Some(
                "see that the depot can be reached, then `plexburst resume`: it goes on with the part that was cut; \
                 `depot.patience` says how long it is tried"
                    .to_owned(),
            ),
            Fault::Denied(_) if self.is_remote => Some(
                "give it keys that are valid and may read, write, list and delete there (`depot.credentials_file`, \
                 `depot.rclone_remote`, `depot.ssh_key`), then `plexburst resume`"
                    .to_owned(),
            ),
            Fault::Denied(_) => Some("set `depot.directory` to a folder that can be written".to_owned()),
            Fault::Full(_) => Some("make room there (`plexburst depot prune`), then `plexburst resume`".to_owned()),
            Fault::Other(_) if self.is_remote => Some("`depot.remote` and `depot.endpoint` say where it is".to_owned()),
            Fault::Other(_) => Some("`depot.directory` says where it is".to_owned()),
        };
        let error = error.because(fault);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// The store that `config` names, and how it is called.
fn open(config: &config::Depot, env: &dyn Fn(&str) -> Option<String>) -> Result<(Store, String)> {
    match (&config.directory, &config.remote) {
        (Some(_), Some(_)) => {
            Err(Error::usage("both depot.directory and depot.remote are set").hint("keep one of them"))
        }
        (Some(dir), None) => Ok((Store::Directory(Directory::new(dir.clone())), dir.display().to_string())),
        (None, Some(remote)) => open_remote(config, remote, env),
        (None, None) => Err(Error::usage("there is no depot").hint("set `depot.directory` or `depot.remote`")),
    }
}

fn open_remote(config: &config::Depot, remote: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<(Store, String)> {
    let wrong = || {
        Error::usage(format!("depot.remote = {remote:?} is no place for a depot"))
            .hint("it is `s3://bucket/prefix` or `sftp://user@host:port/path`")
    };
    let known = credentials::rclone(config, env)?;
    let of_rclone = |key: &str| {
        known
            .as_ref()
            .and_then(|remote| remote.get(key))
            .filter(|v| !v.is_empty())
    };
    let (scheme, rest) = remote.split_once("://").ok_or_else(wrong)?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    match scheme {
        "s3" if !host.is_empty() && !path.split('/').any(|part| part == "..") => {
            let bucket = super::store::Bucket {
                name: host.to_owned(),
                prefix: path.to_owned(),
                endpoint: config
                    .endpoint
                    .as_ref()
                    .or(of_rclone("endpoint"))
                    .map(|e| with_scheme(e)),
                region: config
                    .region
                    .as_ref()
                    .or(of_rclone("region"))
                    .cloned()
                    .unwrap_or_else(|| "us-east-1".to_owned()),
            };
            let keys = credentials::keys(config, known.as_ref(), env)?;
            let store = S3::new(&bucket, keys.as_ref())
                .map_err(|e| Error::usage(format!("the depot at {remote} cannot be used")).because(e))?;
            Ok((Store::S3(store), remote.to_owned()))
        }
        "sftp" if (!host.is_empty() || known.is_some()) && !host.starts_with('-') => {
            let user_and_host = match (host, of_rclone("host")) {
                ("", Some(name)) => {
                    let user = of_rclone("user").map(|user| format!("{user}@")).unwrap_or_default();
                    let port = of_rclone("port").map(|port| format!(":{port}")).unwrap_or_default();
                    format!("{user}{name}{port}")
                }
                (host, _) => host.to_owned(),
            };
            if user_and_host
                .split('@')
                .next()
                .is_some_and(|user| user.contains(':') && user_and_host.contains('@'))
            {
                return Err(
                    Error::usage("depot.remote has a password in it, which others could read")
                        .hint("set `depot.ssh_key`, or let ssh's own agent do it"),
                );
            }
            let host = super::store::Host {
                destination: user_and_host,
                path: match path.strip_prefix("~/") {
                    Some(relative) => PathBuf::from(relative),
                    None => PathBuf::from(format!("/{path}")),
                },
                key: config.ssh_key.clone().or(of_rclone("key_file").map(PathBuf::from)),
                known_hosts: config
                    .known_hosts
                    .clone()
                    .or(of_rclone("known_hosts_file").map(PathBuf::from)),
                config: config.ssh_config.clone(),
            };
            Ok((Store::Sftp(Sftp::new(host)), remote.to_owned()))
        }
        _ => Err(wrong()),
    }
}

fn with_scheme(endpoint: &str) -> String {
    match endpoint.contains("://") {
        true => endpoint.to_owned(),
        false => format!("https://{endpoint}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn a_server_that_is_gone_is_asked_again_and_then_named() {
        let clock = Arc::new(ManualClock::new());
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let config = config::Depot {
            remote: Some("s3://bucket/some".into()),
            endpoint: Some(endpoint),
            patience: 600,
            ..config::Depot::default()
        };
        let place = Place::of(&config, None).unwrap().by(clock.clone());
        let e = place.put("B/x", b"x").await.unwrap_err();
        assert!(
            clock.passed() > Duration::from_secs(500),
            "{:?}: {}",
            clock.passed(),
            e.chain()
        );
        assert!(clock.passed() <= Duration::from_secs(600), "{:?}", clock.passed());
        assert!(
            e.chain()
                .starts_with("cannot put B/x into the depot at s3://bucket/some"),
            "{}",
            e.chain()
        );
        assert!(e.hint_text().unwrap().contains("plexburst resume"));
    }

    #[test]
    fn places_that_are_none_are_refused() {
        for remote in [
            "bucket/x",
            "s3://",
            "ftp://host/x",
            "sftp://",
            "sftp://-oProxyCommand=x/y",
            "s3://b/../c",
        ] {
            let config = config::Depot {
                remote: Some(remote.into()),
                ..config::Depot::default()
            };
            let e = Place::of(&config, None).unwrap_err();
            assert_eq!(e.exit(), crate::exit::USAGE, "{remote}: {}", e.chain());
        }
        let config = config::Depot {
            remote: Some("sftp://me:secret@host/path".into()),
            ..config::Depot::default()
        };
        let e = Place::of(&config, None).unwrap_err();
        assert!(e.chain().contains("password"), "{}", e.chain());
        assert!(!e.chain().contains("secret"), "{}", e.chain());
    }
}
