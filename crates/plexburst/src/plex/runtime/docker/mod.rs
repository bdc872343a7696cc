//! A Plex server in a container of the official image, through the Docker API.
//!
//! Guarantees: the container has a name and a label of its own, so that home's own container is never touched; it is
//! published on the loopback alone; it never restarts by itself; its media are read-only at home's very paths; it does
//! not outlive the worker, since a guardian process takes it away when the worker dies. Each start makes a new container,
//! so that a mount that was made anew is seen. Must not: hold a claim or a token, since everybody in the docker group can
//! read a container's configuration.

mod container;
mod engine;
pub mod guardian;
pub mod image;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::launch::{Launched, launch};
use super::layout::Bind;
use super::{Exit, Process, Runtime, State, Stopped, Why, logs_left, processes};
use crate::clock::{Clock, SystemClock};
use crate::plex::client::Address;
pub use engine::{Engine, Error, default_socket};
pub use image::{Image, Presence};
use watch::Watch;

/// What to run and how.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The engine's socket.
    pub socket: PathBuf,
    /// The image with its tag.
    pub image: Image,
    /// The container's name: nobody else's.
    pub name: String,
    /// The folder that holds `Plex Media Server`.
    pub support: PathBuf,
    /// A folder of the worker's own.
    pub work: PathBuf,
    /// Further folders that the server may write to, at the same paths.
    pub writable: Vec<PathBuf>,
    /// Home's section roots and the media that stand for them.
    pub roots: Vec<Bind>,
    /// More environment for the server.
    pub env: Vec<(String, String)>,
    /// Home's time zone, as in `Europe/Paris`.
    pub time_zone: Option<String>,
    /// Bytes of memory that it may have.
    pub memory: u64,
    /// How many CPUs' time it may have.
    pub cpus: f64,
    /// The program itself, for the guardian.
    pub program: PathBuf,
}

/// A Plex server in a container.
pub struct Docker {
    spec: Spec,
    engine: Engine,
    clock: Arc<dyn Clock>,
    data_dir: PathBuf,
    running: Option<Running>,
}

impl std::fmt::Debug for Docker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Docker")
            .field("spec", &self.spec)
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Running {
    port: u16,
    watch: Watch,
    /// Takes the container away when this process dies.
    _guardian: Launched,
}

impl Docker {
    /// Reaches the engine and sees that the image is there, pulling it when it is not; starts nothing.
    ///
    /// # Errors
    /// [`Error`]: no engine, no such image, a root that a container cannot have.
    pub async fn prepare(mut spec: Spec, progress: &mut (dyn FnMut(&str) + Send)) -> Result<Self, Error> {
        container::check(&spec)?;
        for folder in [
            &spec.support,
            &spec.work,
            &spec.work.join("tmp"),
            &spec.work.join("config"),
        ] {
            std::fs::create_dir_all(folder).map_err(|source| Error::Folder {
                path: folder.clone(),
                source,
            })?;
        }
        for folder in [&mut spec.support, &mut spec.work] {
            *folder = std::fs::canonicalize(&*folder).map_err(|source| Error::Folder {
                path: folder.clone(),
                source,
            })?;
        }
        let engine = Engine::connect(&spec.socket).await?;
        engine.pull(&spec.image, progress).await?;
        Ok(Self {
            data_dir: spec.support.join("Plex Media Server"),
            spec,
            engine,
            clock: Arc::new(SystemClock),
            running: None,
        })
    }

    /// The same with another clock to look by, for tests of long silences.
    #[must_use]
    pub fn by(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The address from which the server sees this machine: a signed-out server answers nobody else without a token
    /// (facts/plex.md §4.3).
    ///
    /// # Errors
    /// The engine.
    pub async fn seen_from(&self) -> Result<Option<String>, Error> {
        self.engine.gateway().await
    }

    /// What the container and its server print, for messages.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.spec.work.join("plex.out")
    }

    /// Of this very container, not of its name: the next worker's has the same one, and a guardian may be late.
    async fn guard(&self, id: &str) -> Result<Launched, Error> {
        let mut command = std::process::Command::new(&self.spec.program);
        command
            .arg("container")
            .args(["--parent", &std::process::id().to_string()])
            .arg("--socket")
            .arg(&self.spec.socket)
            .arg(id)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        launch(command, Signal::TERM).await.map_err(|source| Error::Folder {
            path: self.spec.program.clone(),
            source,
        })
    }
}

impl Runtime for Docker {
    async fn start(&mut self) -> Result<(), super::Error> {
        if self.state() == State::Running {
            return Err(super::Error::Running);
        }
        self.running = None;
        // What a worker before this one left: it was killed, and its container with it or not.
        self.engine.take_away(&self.spec.name).await?;
        let body = container::body(&self.spec, self.engine.propagation(&self.spec.roots));
        let id = self.engine.create(&self.spec.name, body).await?;
        let guardian = self.guard(&id).await?;
        self.engine.start(&id).await?;
        let port = self.engine.port(&id).await?;
        self.running = Some(Running {
            port,
            watch: Watch::start(self.engine.clone(), id, Arc::clone(&self.clock)),
            _guardian: guardian,
        });
        Ok(())
    }

    async fn stop(&mut self, limit: Duration) -> Result<Stopped, super::Error> {
        let begun = Instant::now();
        let Some(running) = self.running.take() else {
            self.engine.take_away(&self.spec.name).await?;
            return Ok(Stopped {
                clean: true,
                took: Duration::ZERO,
                logs_left: logs_left(&self.data_dir),
            });
        };
        let was_running = running.watch.exit().is_none();
        running.watch.forget();
        let exit = self.engine.stop(&self.spec.name, limit).await?;
        let took = begun.elapsed();
        // What it printed would go with it.
        if let Err(error) = self.engine.save_output(&self.spec.name, &self.output()).await {
            tracing::warn!(%error, "what the worker's container printed could not be kept");
        }
        self.engine.take_away(&self.spec.name).await?;
        let killed = exit.is_none_or(|exit| exit.code == 137 || exit.why != Why::Itself);
        Ok(Stopped {
            clean: was_running && !killed,
            took,
            logs_left: logs_left(&self.data_dir),
        })
    }

    fn state(&self) -> State {
        match self.running.as_ref().map(|running| running.watch.exit()) {
            None => State::Stopped,
            Some(None) => State::Running,
            Some(Some(exit)) => State::Crashed(exit),
        }
    }

    fn processes(&self) -> io::Result<Vec<Process>> {
        let root = self.running.as_ref().and_then(|running| running.watch.pid());
        let Some(root) = root else { return Ok(Vec::new()) };
        let all = processes::below(root)?;
        Ok(all
            .into_iter()
            .filter(|process| process.name.starts_with("Plex "))
            .collect())
    }

    fn address(&self) -> Address {
        Address::loopback(self.running.as_ref().map_or(0, |running| running.port))
    }

    fn data_dir(&self) -> &Path {
        &self.data_dir
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if self.running.take().is_some() {
            // A worker that gives up without having stopped its server: nothing async runs here any more.
            guardian::take_away_now(&self.spec.socket, &self.spec.name);
        }
    }
}

/// `plexburst image`: not for people. Sees that an image is on this machine.
#[derive(Debug, clap::Args)]
pub struct PullArgs {
    /// The engine's socket; unset: Docker's own.
    #[arg(long)]
    pub socket: Option<PathBuf>,
    /// The image with its tag.
    pub image: String,
}

/// Pulls the image unless it is here.
///
/// # Errors
/// [`Error`].
pub async fn pull(args: &PullArgs, progress: &mut (dyn FnMut(&str) + Send)) -> Result<(), Error> {
    let socket = args.socket.clone().unwrap_or_else(default_socket);
    let image = Image::named(&args.image);
    Engine::connect(&socket).await?.pull(&image, progress).await
}

/// Takes away the container of that name, if the engine is there and has one of ours: what a worker that was killed left.
///
/// # Errors
/// The engine is there and refuses.
pub async fn clear(socket: &Path, name: &str) -> Result<(), Error> {
    match Engine::connect(socket).await {
        Ok(engine) => engine.take_away(name).await,
        // Without an engine nothing runs in it.
        Err(Error::NoEngine { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How a container that was looked at ended.
fn exit_of(code: Option<i64>, oom: bool) -> Exit {
    Exit {
        code: code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1),
        why: if oom { Why::OutOfMemory } else { Why::Itself },
    }
}
