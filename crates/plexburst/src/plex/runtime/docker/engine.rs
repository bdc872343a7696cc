//! The Docker engine: the few calls that a worker needs, each with its own way to fail.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error as CallError;
use bollard::models::{ContainerCreateBody, MountBindOptionsPropagationEnum as Propagation};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use futures::StreamExt;

use super::container::{LABEL, PORT};
use super::exit_of;
use super::image::{Image, Presence};
use crate::plex::runtime::Exit;
use crate::plex::runtime::layout::Bind;

/// How long an ordinary call may take.
const LIMIT: u64 = 60;
/// What a stop may take beyond the time that it gives the server.
const MARGIN: Duration = Duration::from_secs(30);
/// Lines of output that are kept of a container.
const OUTPUT_LINES: &str = "2000";

/// What can go wrong with a container.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers at the socket.
    #[error("the Docker engine does not answer at {}: {why}", socket.display())]
    NoEngine {
        /// Where it was looked for.
        socket: PathBuf,
        /// Why.
        why: String,
    },
    /// The registry has no such image.
    #[error("there is no image {image}{}", because(.why))]
    NoImage {
        /// Name and tag.
        image: String,
        /// What the registry said.
        why: String,
    },
    /// It may be there, but cannot be had now.
    #[error("cannot pull the image {image}: {why}")]
    Pull {
        /// Name and tag.
        image: String,
        /// Why.
        why: String,
    },
    /// A container of that name is somebody else's.
    #[error("there is a container called {0} that plexburst did not make")]
    NameTaken(String),
    /// A root that a container cannot have.
    #[error("section root {} cannot be had in a container: {why}", root.display())]
    Root {
        /// Home's path.
        root: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// A folder or program of this machine.
    #[error("cannot use {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Any other call.
    #[error("the Docker engine cannot {doing}")]
    Call {
        /// What was asked.
        doing: String,
        /// What it said.
        source: CallError,
    },
}

fn because(why: &str) -> String {
    if why.is_empty() {
        String::new()
    } else {
        format!(" ({why})")
    }
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoEngine { .. } => "start it (`systemctl start docker`) and belong to the group docker, name its \
                                      socket in `worker.docker_socket`, or set `worker.runtime` to \"native\""
                .to_owned(),
            Self::NoImage { .. } => "that version of Plex has no image: name one in `worker.image`, update home's \
                                     Plex to a version that has one, or set `worker.runtime` to \"native\""
                .to_owned(),
            Self::Pull { .. } => {
                "see that this machine reaches the registry, or `docker pull` it beforehand".to_owned()
            }
            Self::NameTaken(name) => format!("`docker rm {name}`, if it is not needed"),
            Self::Root { .. } => "set `worker.runtime` to \"native\"".to_owned(),
            Self::Call {
                source: CallError::DockerResponseServerError { message, .. },
                ..
            } if message.contains("read-only file system") => {
                "one section root lies inside another whose media have no such folder: make the folder there".to_owned()
            }
            _ => return None,
        })
    }
}

/// The socket of the engine: `DOCKER_HOST` where it names one, else Docker's own.
#[must_use]
pub fn default_socket() -> PathBuf {
    let named = std::env::var("DOCKER_HOST").ok();
    named
        .as_deref()
        .and_then(|host| host.strip_prefix("unix://"))
        .map_or_else(|| "/var/run/docker.sock".into(), PathBuf::from)
}

/// A connection to the engine.
#[derive(Debug, Clone)]
pub struct Engine {
    docker: bollard::Docker,
    socket: PathBuf,
}

impl Engine {
    /// Reaches it.
    ///
    /// # Errors
    /// [`Error::NoEngine`].
    pub async fn connect(socket: &Path) -> Result<Self, Error> {
        let none = |why: String| Error::NoEngine {
            socket: socket.to_owned(),
            why,
        };
        let path = socket.to_str().ok_or_else(|| none("its path is no text".to_owned()))?;
        let docker = bollard::Docker::connect_with_unix(path, LIMIT, bollard::API_DEFAULT_VERSION)
            .map_err(|error| none(gist(&error)))?;
        // The engine may be older than this program.
        let docker = docker.negotiate_version().await.map_err(|error| none(gist(&error)))?;
        Ok(Self {
            docker,
            socket: socket.to_owned(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn raw(&self) -> &bollard::Docker {
        &self.docker
    }

    /// Whether the image is on this machine, can be had, or is nowhere.
    pub async fn presence(&self, image: &Image) -> Presence {
        let name = image.to_string();
        if self.docker.inspect_image(&name).await.is_ok() {
            return Presence::Here;
        }
        match self.docker.inspect_registry_image(&name, None).await {
            Ok(_) => Presence::Registry,
            Err(CallError::DockerResponseServerError {
                status_code: 401 | 403 | 404,
                message,
            }) => Presence::Nowhere(message),
            Err(error) => Presence::Unknown(gist(&error)),
        }
    }

    /// Sees that the image is here, pulling it when it is not.
    pub(super) async fn pull(&self, image: &Image, progress: &mut (dyn FnMut(&str) + Send)) -> Result<(), Error> {
        let name = image.to_string();
        if self.docker.inspect_image(&name).await.is_ok() {
            return Ok(());
        }
        let options = CreateImageOptionsBuilder::default().from_image(&name).build();
        let mut pulling = self.docker.create_image(Some(options), None, None);
        while let Some(step) = pulling.next().await {
            match step {
                Ok(info) => {
                    let (id, status) = (info.id.unwrap_or_default(), info.status.unwrap_or_default());
                    progress(&format!("pulling {name}: {status} {id}"));
                }
                Err(CallError::DockerResponseServerError {
                    status_code: 404 | 403,
                    message,
                }) => {
                    return Err(Error::NoImage {
                        image: name,
                        why: message,
                    });
                }
                // Some registries' answers come through as a failure of the engine itself.
                Err(CallError::DockerResponseServerError { message, .. }) if is_missing(&message) => {
                    return Err(Error::NoImage {
                        image: name,
                        why: message,
                    });
                }
                // A stream that has begun tells a missing tag in its text.
                Err(CallError::DockerStreamError { error }) if is_missing(&error) => {
                    return Err(Error::NoImage {
                        image: name,
                        why: error,
                    });
                }
                Err(error) => {
                    return Err(Error::Pull {
                        image: name,
                        why: gist(&error),
                    });
                }
            }
        }
        Ok(())
    }

    /// The host's own address in the network that containers get.
    pub(super) async fn gateway(&self) -> Result<Option<String>, Error> {
        let network = self
            .docker
            .inspect_network("bridge", None)
            .await
            .map_err(call("describe its network"))?;
        let configs = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        Ok(configs.into_iter().find_map(|config| config.gateway))
    }

    /// `rslave`, so that a mount made later below a root is seen, where this machine's mounts allow it.
    pub(super) fn propagation(&self, roots: &[Bind]) -> Propagation {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let all = roots.iter().all(|bind| {
            let media = std::fs::canonicalize(&bind.media).unwrap_or_else(|_| bind.media.clone());
            super::container::receives(&table, &media)
        });
        if all {
            Propagation::RSLAVE
        } else {
            Propagation::RPRIVATE
        }
    }

    pub(super) async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<String, Error> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let made = self.docker.create_container(Some(options), body).await;
        let made = made.map_err(call(&format!("make the container {name}")))?;
        for warning in &made.warnings {
            tracing::info!(%warning, "the Docker engine warns");
        }
        Ok(made.id)
    }

    pub(super) async fn start(&self, id: &str) -> Result<(), Error> {
        let started = self.docker.start_container(id, None).await;
        started.map_err(call("start the worker's container"))
    }

    /// The port of this machine that leads to the server.
    pub(super) async fn port(&self, id: &str) -> Result<u16, Error> {
        let seen = self
            .docker
            .inspect_container(id, None)
            .await
            .map_err(call("look at its container"))?;
        let ports = seen
            .network_settings
            .and_then(|network| network.ports)
            .unwrap_or_default();
        let bindings = ports.get(PORT).cloned().flatten().unwrap_or_default();
        let port = bindings.into_iter().find_map(|binding| binding.host_port?.parse().ok());
        // A server that is gone already has none; its state tells why.
        Ok(port.unwrap_or(0))
    }

    /// Asks the server to end, gives it `limit`, then has it killed; how it ended, unless it is gone.
    pub(super) async fn stop(&self, name: &str, limit: Duration) -> Result<Option<Exit>, Error> {
        let seconds = i32::try_from(limit.as_secs().max(1)).unwrap_or(i32::MAX);
        let docker = self.docker.clone().with_timeout(limit + MARGIN);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        match docker.stop_container(name, Some(options)).await {
            Ok(()) => {}
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(call("stop the worker's container")(error)),
        }
        let seen = match self.docker.inspect_container(name, None).await {
            Ok(seen) => seen,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(call("look at its container")(error)),
        };
        let state = seen.state.unwrap_or_default();
        Ok(Some(exit_of(state.exit_code, state.oom_killed.unwrap_or(false))))
    }

    /// Removes our container of that name, running or not; none is fine.
    ///
    /// # Errors
    /// It is not ours, or the engine refuses.
    pub async fn take_away(&self, name: &str) -> Result<(), Error> {
        let seen = match self.docker.inspect_container(name, None).await {
            Ok(seen) => seen,
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(call("look for an earlier container")(error)),
        };
        let labels = seen.config.and_then(|config| config.labels).unwrap_or_default();
        if !labels.contains_key(LABEL) {
            return Err(Error::NameTaken(name.to_owned()));
        }
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.docker.remove_container(name, Some(options)).await {
            Ok(()) => Ok(()),
            // Somebody else is at it, or was: what counts is that it goes.
            Err(CallError::DockerResponseServerError { status_code: 409, .. }) => self.await_gone(name).await,
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(call(&format!("remove the container {name}"))(error)),
        }
    }

    async fn await_gone(&self, name: &str) -> Result<(), Error> {
        let since = std::time::Instant::now();
        loop {
            match self.docker.inspect_container(name, None).await {
                Err(error) if is_gone(&error) => return Ok(()),
                Err(error) => return Err(call("look for an earlier container")(error)),
                Ok(_) if since.elapsed() > MARGIN => {
                    return Err(call(&format!("remove the container {name}"))(
                        CallError::RequestTimeoutError,
                    ));
                }
                Ok(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Appends what the container printed to a file.
    pub(super) async fn save_output(&self, name: &str, to: &Path) -> Result<(), Error> {
        let folder = |source| Error::Folder {
            path: to.to_owned(),
            source,
        };
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(OUTPUT_LINES)
            .build();
        let mut lines = self.docker.logs(name, Some(options));
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(to)
            .map_err(folder)?;
        while let Some(line) = lines.next().await {
            let line = match line {
                Ok(line) => line,
                Err(error) if is_gone(&error) => break,
                Err(error) => return Err(call("show what its container printed")(error)),
            };
            file.write_all(&line.into_bytes()).map_err(folder)?;
        }
        Ok(())
    }
}

/// For an error of a call that did `doing`.
fn call(doing: &str) -> impl FnOnce(CallError) -> Error {
    let doing = doing.to_owned();
    move |source| Error::Call { doing, source }
}

/// Whether there is no such container.
pub(super) fn is_gone(error: &CallError) -> bool {
    matches!(error, CallError::DockerResponseServerError { status_code: 404, .. })
}

fn is_missing(text: &str) -> bool {
    [
        "manifest unknown",
        "not found",
        "manifest for",
        "does not exist",
        "access denied",
    ]
    .iter()
    .any(|word| text.contains(word))
}

/// The innermost reason.
fn gist(error: &CallError) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
