//! `plexburst serve`: a small page with the live burst and the history, for a browser.
//!
//! It reads and changes nothing: GET and HEAD alone, no path of the disk is ever made of what a request says, nothing is loaded
//! from elsewhere. On the loopback it answers whoever calls it by a name of this machine; anywhere else only who has the
//! token. It speaks no TLS: between machines it belongs behind SSH or a proxy that does.
//!
//! What it shows it looks up on this machine ([`view`]) or, where home is on another one, has looked up there ([`afar`]).

mod afar;
mod answer;
mod gate;
mod pages;
mod source;
pub mod talk;
mod token;
mod view;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use self::afar::Afar;
use self::gate::Gate;
use self::source::Source;
use self::view::View;
use crate::config::Settings;
use crate::depot::Depot;
use crate::distant::Machine;
use crate::error::{Error, Result};

/// Where it listens when nothing is said: near Plex's own ports, and none of them.
pub const PORT: u16 = 32480;
/// How long a connection may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(30);
/// As many connections as a household opens, and a limit to what a stranger can hold open.
const CONNECTIONS: usize = 64;

/// The page's server.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
    /// The file with the token, where one is wanted.
    pub token_file: Option<std::path::PathBuf>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    gate: Gate,
    source: Source,
}

/// What is shown.
#[derive(Debug)]
pub struct Shown {
    /// The settled configuration.
    pub settings: Settings,
    /// The depot; why it cannot be looked into, if it cannot.
    pub depot: Result<Depot>,
    /// The burst that was named, which the depot may know alone.
    pub burst: Option<String>,
}

/// Whose bursts are shown.
#[derive(Debug)]
pub enum Of {
    /// Those of this machine.
    Here(Box<Shown>),
    /// Those of a home on another one.
    Afar {
        /// It, as it is reached.
        machine: Box<Machine>,
        /// The settled configuration of here.
        settings: Box<Settings>,
        /// The burst that was named.
        run: Option<String>,
    },
}

impl Server {
    /// Listens at `address`. Anything but the loopback wants the token, which is made if there is none.
    ///
    /// # Errors
    /// The address cannot be had; the token cannot be read or made; the other machine has nothing to show.
    pub async fn open(address: SocketAddr, with_token: bool, of: Of) -> Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|e| {
            Error::usage(format!("cannot listen at {address}"))
                .hint("name another address or port: --listen 127.0.0.1:PORT")
                .because(e)
        })?;
        let bound = listener
            .local_addr()
            .map_err(|e| Error::unexpected("cannot tell where the page listens").because(e))?;
        let file = token::file(match &of {
            Of::Here(shown) => &shown.settings.state_dir,
            Of::Afar { settings, .. } => &settings.state_dir,
        });
        let token = match with_token || !address.ip().is_loopback() {
            true => Some(token::ensure(&file)?),
            false => None,
        };
        let source = match of {
            Of::Here(shown) => Source::Here(Box::new(View::new(*shown))),
            Of::Afar { machine, settings, run } => Source::Afar(Box::new(Afar::open(*machine, *settings, run).await?)),
        };
        Ok(Self {
            listener,
            address: bound,
            token_file: token.as_ref().map(|_| file),
            shared: Arc::new(Shared {
                gate: Gate::new(token, bound.port()),
                source,
            }),
        })
    }

    /// Answers until this future is dropped.
    pub async fn run(&self) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let shared = self.shared.clone();
                    tokio::spawn(async move {
                        serve(stream, shared).await;
                        drop(place);
                    });
                }
                // Too many open files, a connection that was gone again: the next one may be better.
                Err(error) => {
                    tracing::debug!(%error, "a connection was not taken");
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

impl Server {
    /// Ends what it has elsewhere.
    pub async fn end(&self) {
        self.shared.source.end().await;
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request: Request<Incoming>| {
        let shared = shared.clone();
        async move { Ok::<_, std::convert::Infallible>(answer::answer(&request, &shared.gate, &shared.source).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        // Never the request: its address may hold the token.
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Whether the folder of this machine's bursts can be read at all.
///
/// # Errors
/// It cannot.
pub fn prove(state_dir: &Path) -> Result<()> {
    crate::burst::store::all(state_dir).map(drop)
}
