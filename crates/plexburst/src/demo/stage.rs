//! The demo's little world: a folder with media, a home that knows half of them, and a stand-in of plex.tv.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Size;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Depot, Home, Limits, Media, Worker};
use crate::error::{Context, Error, Result};
use crate::plex::client::{Address, Client, ItemKind, NewSection};
use crate::plex::preferences;
use crate::term::Printer;

/// How long the simulator may take to find a handful of files.
const SCAN: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);
/// Tracks on one album.
const ALBUM: usize = 4;

/// The world, until it is cleared.
pub(super) struct Stage {
    /// `None` once it was kept or removed.
    dir: Option<tempfile::TempDir>,
    path: PathBuf,
    server: PathBuf,
    port: u16,
    exe: PathBuf,
    claim: PathBuf,
}

impl Stage {
    /// Makes music, starts home, and lets it scan the first half.
    pub(super) async fn build(parent: Option<PathBuf>, size: &Size, printer: &Printer) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("plexburst-demo-");
        let dir = match parent {
            Some(parent) => builder.tempdir_in(parent),
            None => builder.tempdir(),
        }
        .map_err(|e| {
            Error::usage("cannot make a folder for the demo")
                .hint("name a folder that can be written with --dir")
                .because(e)
        })?;
        let exe = std::env::current_exe().context(|| "cannot find this program's own file".to_owned())?;
        let server = sim::install(&dir.path().join("plexmediaserver"), &exe)
            .context(|| "cannot install the simulator".to_owned())?;
        let claim = dir.path().join("claim");
        let stage = Self {
            server,
            port: free_port()?,
            exe,
            claim,
            path: dir.path().to_path_buf(),
            dir: Some(dir),
        };
        stage.synthesise("known", size.known, size.seconds, 1, printer)?;
        printer.phase("demo", "starting a small home");
        stage.start_home().await?;
        let outcome = stage.scan_first_half(size).await;
        if let Err(error) = outcome {
            stage.clear(false).await?;
            return Err(error);
        }
        stage.synthesise("new", size.new, size.seconds, 1000, printer)?;
        stage.issue_claim()?;
        Ok(stage)
    }

    fn synthesise(&self, what: &str, tracks: usize, seconds: u32, seed: u64, printer: &Printer) -> Result<()> {
        printer.phase(
            "demo",
            &format!("making {tracks} tracks of music that are {what} to home"),
        );
        let albums = tracks.div_ceil(ALBUM).max(1);
        let spec = sim::music::Spec {
            artists: 1,
            albums,
            tracks: tracks.div_ceil(albums),
            seconds: f64::from(seconds),
            seed,
            ..sim::music::Spec::default()
        };
        let artists = self.media().join("Music");
        tokio::task::block_in_place(|| sim::music::synthesise(&artists, &spec))
            .map(drop)
            .context(|| format!("cannot make music in {}", artists.display()))
    }

    async fn start_home(&self) -> Result<()> {
        let (server, support, port) = (self.server.clone(), self.home_support(), self.port);
        let env = [(OsString::from("PLEX_SIM_PLEXTV"), self.plextv().into_os_string())];
        tokio::task::spawn_blocking(move || sim::service::start(&server, &support, port, &env))
            .await
            .context(|| "cannot start the simulator".to_owned())?
            .context(|| "cannot start the simulator".to_owned())
    }

    async fn scan_first_half(&self, size: &Size) -> Result<()> {
        let token = preferences::local_token(&self.home_data());
        let client = Client::new("home", &Address::loopback(self.port), token.as_ref())?;
        let id = client
            .create_section(&NewSection {
                title: "Music".into(),
                kind: "artist".into(),
                agent: "tv.plex.agents.music".into(),
                scanner: "Plex Music".into(),
                language: "en-US".into(),
                locations: vec![self.media().join("Music").display().to_string()],
            })
            .await?;
        let since = SystemClock.now();
        loop {
            let is_idle =
                client.activities().await?.is_empty() && client.sections().await?.iter().all(|s| !s.refreshing);
            let count = client.count(id, ItemKind::Track).await?;
            if is_idle && count >= size.known as u64 {
                return Ok(());
            }
            if SystemClock.now() - since > SCAN {
                return Err(Error::failed(format!("home found {count} of {} tracks", size.known)));
            }
            SystemClock.sleep(LOOK).await;
        }
    }

    fn issue_claim(&self) -> Result<()> {
        let claim = sim::plextv::PlexTv::at(&self.plextv())
            .issue_claim(true)
            .context(|| "cannot issue a claim".to_owned())?;
        plex_library::publish::file(&self.claim, claim.as_bytes()).map_err(Error::from)
    }

    /// Where everything is.
    pub(super) fn dir(&self) -> &Path {
        &self.path
    }

    fn media(&self) -> PathBuf {
        self.path.join("media")
    }

    fn plextv(&self) -> PathBuf {
        self.path.join("plextv")
    }

    fn home_support(&self) -> PathBuf {
        self.path.join("home")
    }

    fn home_data(&self) -> PathBuf {
        self.home_support().join("Plex Media Server")
    }

    /// What a user would have in plexburst.toml.
    ///
    /// # Errors
    /// No port is free.
    pub(super) fn config(&self) -> Result<Config> {
        let worker_port = free_port()?;
        let word = |s: &str| s.to_owned();
        let path = |p: &Path| p.display().to_string();
        let exe = path(&self.exe);
        let support = path(&self.home_support());
        let root = path(&self.media().join("Music"));
        Ok(Config {
            state_dir: Some(self.path.join("state")),
            home: Home {
                data_dir: Some(self.home_data()),
                url: Some(format!("http://127.0.0.1:{}", self.port)),
                token_file: None,
                limit_rate: None,
                stop: Some(vec![
                    exe.clone(),
                    word("sim"),
                    word("stop"),
                    word("--support"),
                    support.clone(),
                ]),
                start: Some(vec![
                    exe,
                    word("sim"),
                    word("start"),
                    word("--server"),
                    path(&self.server),
                    word("--support"),
                    support,
                    word("--port"),
                    self.port.to_string(),
                    word("--plextv"),
                    path(&self.plextv()),
                ]),
                ..Home::default()
            },
            media: Media {
                directory: Some(self.media()),
                roots: BTreeMap::from([(root, word("Music"))]),
                ..Media::default()
            },
            depot: Depot {
                directory: Some(self.path.join("depot")),
                ..Depot::default()
            },
            worker: Worker {
                server: Some(self.server.clone()),
                claim_file: Some(self.claim.clone()),
                writable: vec![self.plextv()],
                internet: Some(false),
                // Where no namespaces can be made the worker's server stands beside home's, at another port.
                port: Some(worker_port),
                env: BTreeMap::from([
                    (word("PLEX_SIM_PLEXTV"), path(&self.plextv())),
                    (word("PLEX_SIM_PORT"), worker_port.to_string()),
                ]),
                ..Worker::default()
            },
            limits: Limits {
                interval: 0.2,
                grace: 1.5,
                ..Limits::default()
            },
            ..Config::default()
        })
    }

    /// Stops home and removes everything (unless it is to be kept).
    pub(super) async fn clear(mut self, keep: bool) -> Result<()> {
        let support = self.home_support();
        let stopped = tokio::task::spawn_blocking(move || sim::service::stop(&support))
            .await
            .context(|| "cannot stop the simulator".to_owned())?
            .context(|| "cannot stop the simulator".to_owned());
        if let Some(dir) = self.dir.take() {
            if keep {
                let _ = dir.keep();
            } else {
                dir.close()
                    .context(|| format!("cannot remove {}", self.path.display()))?;
            }
        }
        stopped
    }
}

impl Drop for Stage {
    /// A demo that was interrupted while it was being set up leaves no server either.
    fn drop(&mut self) {
        if self.dir.is_some()
            && let Err(e) = sim::service::stop(&self.home_support())
        {
            tracing::warn!("the demo's home could not be stopped: {e}");
        }
    }
}

fn free_port() -> Result<u16> {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .context(|| "cannot find a free port".to_owned())
}
