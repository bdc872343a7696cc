//! The worker's logs on their way into the depot: copied every half minute, since Plex rotates its own away, and put every few
//! minutes, so that a worker that is lost has left them. Must not: end or hold up the work.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Worker;
use crate::burst::logs::collect::{Collector, Source};
use crate::burst::logs::redact::Redactor;
use crate::burst::logs::{DEPOT, MOST};
use crate::burst::spec::{self, WorkerSpec};
use crate::clock::{Clock, SystemClock};
use crate::depot::Depot;
use crate::error::{Error, Result};

/// Between two looks: 50 MB, which Plex keeps, are not written in that time.
const EVERY: Duration = Duration::from_secs(30);
/// So many looks are between two puts.
const PUT: u32 = 10;

/// What is collected, shared with the task that collects it.
#[derive(Clone)]
pub(super) struct Logs(Arc<Inner>);

struct Inner {
    collector: Mutex<Collector>,
    depot: Depot,
    /// Files with secrets, by their lines.
    secrets: Vec<PathBuf>,
    /// Files that are a secret as a whole.
    tokens: Vec<PathBuf>,
}

impl Logs {
    /// Of the worker in `dir`.
    pub(super) fn open(dir: &Path, spec: &WorkerSpec, depot: &Depot) -> Result<Self> {
        let data = dir.join("support/Plex Media Server");
        let source = |path: PathBuf, prefix| Source { path, prefix };
        let sources = vec![
            source(data.join("Logs"), ""),
            source(dir.join("media/rclone.log"), "mount-"),
            source(dir.join("plex/plex.out"), "output-"),
            source(dir.join("worker.log"), ""),
            source(crate::burst::store::journal_path(dir), "worker-"),
        ];
        let configured = [
            &spec.claim_file,
            &spec.claim_drop,
            &spec.identity,
            &spec.media.rclone_config,
            &spec.depot.rclone_config,
            &spec.depot.credentials_file,
        ];
        let s3 = spec.media.s3.as_ref().and_then(|s3| s3.credentials_file.clone());
        let own = [
            dir.join(spec::KEYS),
            dir.join(spec::BASE_KEYS),
            data.join("Preferences.xml"),
        ];
        Ok(Self(Arc::new(Inner {
            collector: Mutex::new(Collector::open(&dir.join("logs"), sources, MOST)?),
            depot: depot.below(DEPOT),
            secrets: configured.into_iter().flatten().cloned().chain(s3).chain(own).collect(),
            tokens: vec![data.join(".LocalAdminToken")],
        })))
    }

    /// Copies now and then until it is dropped.
    pub(super) fn begin(&self) -> tokio::task::JoinHandle<()> {
        let logs = self.clone();
        tokio::spawn(async move {
            let mut looks: u32 = 0;
            loop {
                SystemClock.sleep(EVERY).await;
                looks += 1;
                logs.copy().await;
                if looks.is_multiple_of(PUT) {
                    logs.put().await;
                }
            }
        })
    }

    /// Copies what is new.
    pub(super) async fn copy(&self) {
        let inner = Arc::clone(&self.0);
        let copied = tokio::task::spawn_blocking(move || {
            // Read anew each time: a claim makes a token in the middle of the work.
            let mut redactor = Redactor::of_environment();
            inner.secrets.iter().for_each(|path| redactor.learn_file(path));
            inner.tokens.iter().for_each(|path| redactor.learn_content(path));
            inner
                .collector
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pass(&redactor)
        });
        match copied.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("logs could not be collected: {}", error.chain()),
            Err(error) => tracing::warn!(%error, "collecting logs was broken off"),
        }
    }

    /// Puts what was copied since.
    pub(super) async fn put(&self) {
        let (changed, gone) = self
            .0
            .collector
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_changed();
        for (key, path) in changed {
            let put = async {
                let bytes = std::fs::read(&path)
                    .map_err(|e| Error::failed(format!("cannot read {}", path.display())).because(e))?;
                self.0.depot.put_bytes(&key, &bytes).await
            };
            if let Err(error) = put.await {
                tracing::warn!("a part of the logs could not be put into the depot: {}", error.chain());
                self.0
                    .collector
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .put_again(key);
            }
        }
        for key in gone {
            if let Err(error) = self.0.depot.remove(&key).await {
                tracing::debug!("{}", error.chain());
            }
        }
    }

    /// What the journal and Plex said last is in the depot as well.
    pub(super) async fn end(&self) {
        self.copy().await;
        self.put().await;
    }
}

impl Worker {
    /// Copies the logs of what is about to be taken away.
    pub(super) async fn keep_logs(&self) {
        if let Some(logs) = &self.logs {
            logs.copy().await;
        }
    }
}
