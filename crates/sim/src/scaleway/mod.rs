//! A stand-in of Scaleway that can be run on one machine (docs/simulator.md): its API with its transitional states, its
//! bill, its ways to go wrong, and instances that are real.
//!
//! It is meant to be as nasty as the real one: creating twice makes two, volumes and addresses outlive their server, lists
//! lag behind, a machine that shuts itself down is billed on. It speaks HTTP on loopback and to nobody else.

mod api;
mod billing;
mod catalogue;
mod clock;
mod delays;
mod faults;
mod instance;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

pub use clock::Pace;
pub use delays::Delays;
pub use faults::{Fault, Rule};

use api::Sim;
use api::http::{Shared, lock};
use clock::micros;
use faults::Faults;
use instance::Keeper;
use world::World;

/// What stands behind a server that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Instances {
    /// Nothing: its state only.
    None,
    /// A namespace of this machine with a system of its own and an sshd; needs root.
    Namespace,
}

/// How a simulator is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Ids, keys and chance come from it.
    pub seed: u64,
    /// How its time passes.
    pub pace: Pace,
    /// How long things take.
    pub delays: Delays,
    /// What its instances are.
    pub instances: Instances,
    /// The port at which instances take SSH on their public address.
    pub ssh_port: u16,
    /// Where the disks of instances lie; unset: in a temporary folder.
    pub state: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            pace: Pace::Auto { speed: 1.0 },
            delays: Delays::default(),
            instances: Instances::None,
            ssh_port: 22,
            state: None,
        }
    }
}

/// What a client is configured with.
#[derive(Debug, Clone, Serialize)]
pub struct Access {
    /// SCW_API_URL.
    pub url: String,
    /// SCW_ACCESS_KEY.
    pub access_key: String,
    /// SCW_SECRET_KEY.
    pub secret_key: String,
    /// SCW_DEFAULT_ORGANIZATION_ID.
    pub organization_id: String,
    /// SCW_DEFAULT_PROJECT_ID.
    pub project_id: String,
    /// A project of other work in the same organization: what is in it is nobody's to destroy.
    pub other_project_id: String,
}

/// Why a simulator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ScalewayError {
    /// The address is taken, or not of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Instances cannot be what was asked for.
    #[error("{reason}")]
    Instances {
        /// What is missing.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The folder for the disks of instances cannot be used.
    #[error("cannot use {} for the disks of instances", path.display())]
    State {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Threads could not be started.
    #[error("cannot start the simulator's threads")]
    Runtime(#[source] io::Error),
}

impl ScalewayError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ScalewayError::Instances { hint, .. } => Some(hint.clone()),
            ScalewayError::Listen { .. } => Some("--listen 127.0.0.1:0 takes a free port".to_owned()),
            ScalewayError::State { .. } | ScalewayError::Runtime(_) => None,
        }
    }
}

/// A simulator that runs. It ends, with all its instances, when this is dropped.
#[derive(Debug)]
pub struct Scaleway {
    access: Access,
    sim: Shared,
    closing: watch::Sender<bool>,
    serving: Option<JoinHandle<io::Result<()>>>,
    /// Ended before the folder below is removed.
    keeper: Option<Keeper>,
    _state: Option<TempDir>,
}

impl Scaleway {
    /// Starts one.
    ///
    /// # Errors
    /// When it cannot listen, or its instances cannot be what was asked for.
    pub fn start(options: &Options) -> Result<Self, ScalewayError> {
        let listen = |source| ScalewayError::Listen {
            address: options.listen,
            source,
        };
        if options.instances == Instances::Namespace {
            instance::check(options.ssh_port).map_err(|(reason, hint)| ScalewayError::Instances { reason, hint })?;
        }
        let listener = TcpListener::bind(options.listen).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let world = World::new(options);
        let access = access(&world, address);
        let sim: Shared = Arc::new(Mutex::new(Sim::new(world, Faults::new(options.seed))));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(ScalewayError::Runtime)?;
        let (keeper, state) = match options.instances {
            Instances::None => (None, None),
            Instances::Namespace => {
                let (path, temporary) = state(options)?;
                let keeper = Keeper::start(Arc::clone(&sim), runtime.handle().clone(), path, options.ssh_port);
                (Some(keeper.map_err(ScalewayError::Runtime)?), temporary)
            }
        };
        let (closing, closed) = watch::channel(false);
        let shared = Arc::clone(&sim);
        let serve = move || {
            let served = runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                api::http::serve(shared, listener, closed).await
            });
            runtime.shutdown_background();
            served
        };
        let serving = std::thread::Builder::new()
            .name("scaleway".to_owned())
            .spawn(serve)
            .map_err(ScalewayError::Runtime)?;
        Ok(Self {
            access,
            sim,
            closing,
            serving: Some(serving),
            keeper,
            _state: state,
        })
    }

    /// What a client is configured with.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Moves its time on.
    pub fn advance(&self, seconds: f64) {
        let mut sim = lock(&self.sim);
        sim.world.clock.advance(micros(seconds));
        sim.settle();
    }

    /// Lets something go wrong from now on.
    pub fn fault(&self, rule: Rule) {
        lock(&self.sim).faults.add(rule);
    }

    /// Lets everything go well again.
    pub fn clear_faults(&self) {
        lock(&self.sim).faults.clear();
    }

    /// As `GET /sim/bill`.
    pub fn bill(&self) -> Value {
        let mut sim = lock(&self.sim);
        sim.settle();
        api::bill(&sim.world)
    }

    /// As `GET /sim/resources`: everything that exists.
    pub fn resources(&self) -> Vec<Value> {
        let mut sim = lock(&self.sim);
        sim.settle();
        match api::resources(&sim.world)["resources"].take() {
            Value::Array(all) => all,
            _ => Vec::new(),
        }
    }

    /// Blocks until it has ended by itself, which it does only when it fails.
    ///
    /// # Errors
    /// What it failed of.
    pub fn wait(mut self) -> io::Result<()> {
        match self.serving.take().map(JoinHandle::join) {
            Some(Ok(served)) => served,
            Some(Err(_)) => Err(io::Error::other("the simulator's thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Scaleway {
    fn drop(&mut self) {
        // Machines first: they still ask the API.
        drop(self.keeper.take());
        self.closing.send_replace(true);
        if let Some(serving) = self.serving.take() {
            // How it ended does not matter any more.
            let _ = serving.join();
        }
    }
}

/// Where disks of instances lie; a folder that nobody named is removed in the end.
fn state(options: &Options) -> Result<(PathBuf, Option<TempDir>), ScalewayError> {
    let failed = |path: PathBuf| move |source| ScalewayError::State { path, source };
    match &options.state {
        None => {
            let dir = tempfile::Builder::new()
                .prefix("plex-sim-scaleway-")
                .tempdir()
                .map_err(failed(std::env::temp_dir()))?;
            Ok((dir.path().to_owned(), Some(dir)))
        }
        Some(path) => {
            std::fs::create_dir_all(path).map_err(failed(path.clone()))?;
            Ok((std::path::absolute(path).map_err(failed(path.clone()))?, None))
        }
    }
}

fn access(world: &World, address: SocketAddr) -> Access {
    let key = world.api_keys.iter().next();
    Access {
        url: format!("http://{address}"),
        access_key: key.map(|key| key.id.clone()).unwrap_or_default(),
        secret_key: key.map(|key| key.secret.clone()).unwrap_or_default(),
        organization_id: world.organization.clone(),
        project_id: world.organization.clone(),
        other_project_id: world
            .projects
            .get(1)
            .map(|project| project.id.clone())
            .unwrap_or_default(),
    }
}
