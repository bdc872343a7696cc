//! From the environment to a running server and down again.

use std::env;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, watch};

use super::lock::{PidError, PidFile};
use super::log::Log;
use super::pool::Pool;
use super::tempo::{Tempo, seconds};
use super::{DataDir, Phase, Server, claim, random};
use crate::activities::Activities;
use crate::plextv::PlexTv;
use crate::prefs::{self, Preferences, PrefsError};
use crate::{http, store};

/// How long children get to end by themselves at a stop.
const CHILDREN_SECONDS: u64 = 60;

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(
        "PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR is not set\nhint: set it to the parent of \"Plex Media Server\""
    )]
    NoSupportDir,
    #[error("{name}={value} is not usable")]
    Environment { name: &'static str, value: String },
    #[error("cannot use {}: {source}", path.display())]
    Data { path: PathBuf, source: io::Error },
    #[error(
        "cannot listen on {address}: {source}\nhint: another Plex Media Server may use the port; PLEX_SIM_PORT sets another"
    )]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Pid(#[from] PidError),
    #[error(transparent)]
    Prefs(#[from] PrefsError),
    #[error("cannot open the library: {0}")]
    Library(String),
    #[error("the server's runtime: {0}")]
    Runtime(io::Error),
}

/// Runs the server until it is told to stop.
#[expect(
    clippy::print_stderr,
    reason = "a server that cannot start has no other way to say so to whoever started it"
)]
pub(super) fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Plex Media Server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), StartError> {
    let support = env::var_os("PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR")
        .map(PathBuf::from)
        .ok_or(StartError::NoSupportDir)?;
    let data = DataDir::below(&support);
    let in_data = |source| StartError::Data {
        path: data.root().to_owned(),
        source,
    };
    data.prepare().map_err(in_data)?;
    let tempo = Tempo::read(&data.tempo()).map_err(|source| StartError::Data {
        path: data.tempo(),
        source,
    })?;
    let log = Log::open(&data.logs(), "Plex Media Server", tempo.log_max_bytes);
    let address = SocketAddr::new(
        variable("PLEX_SIM_BIND", IpAddr::V4(Ipv4Addr::LOCALHOST))?,
        variable("PLEX_SIM_PORT", 32400)?,
    );
    log.info(format_args!(
        "Plex Media Server v{} (simulated) - {}",
        super::VERSION,
        data.root().display()
    ));
    let pid = PidFile::take(&data.pid_file()).inspect_err(|error| log.error(error))?;

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let listener = runtime.block_on(async {
        tokio::time::sleep(seconds(tempo.refusing_seconds)).await;
        TcpListener::bind(address).await
    });
    let listener = listener.map_err(|source| {
        log.error(format_args!("Unable to bind {address}: {source}"));
        StartError::Listen { address, source }
    })?;

    let mut preferences = Preferences::read(&data.preferences())?;
    preferences.ensure_identity()?;
    let local_token = random::token().map_err(in_data)?;
    prefs::publish(&data.local_admin_token(), local_token.as_bytes()).map_err(|source| StartError::Data {
        path: data.local_admin_token(),
        source,
    })?;
    let programs = programs().map_err(in_data)?;
    let (notices, _) = broadcast::channel(1024);
    let pool = Arc::new(Pool::of(&data.databases()));
    let server = Arc::new(Server {
        support,
        programs,
        log,
        local_token,
        plextv: env::var_os("PLEX_SIM_PLEXTV").map(|dir| PlexTv::at(&PathBuf::from(dir))),
        activities: Arc::new(Activities::new(notices, Arc::clone(&pool))),
        pool,
        scans: Default::default(),
        butler: Default::default(),
        sessions: Default::default(),
        workers: Default::default(),
        prefs: Mutex::new(preferences),
        tempo: Mutex::new(tempo),
        phase: Mutex::new(Phase::Starting),
        data,
    });
    server.reload_tempo();
    let served = runtime.block_on(serve(&server, listener));
    // Requests that still run in the runtime's threads end before the databases are closed.
    runtime.shutdown_timeout(Duration::from_secs(CHILDREN_SECONDS));
    stop(&server);
    if let Err(error) = pid.remove() {
        server.log.warn(format_args!("cannot remove the pid file: {error}"));
    }
    server.log.info("Plex Media Server stopped");
    served
}

/// Serves until a signal, or until opening the library failed.
async fn serve(server: &Arc<Server>, listener: TcpListener) -> Result<(), StartError> {
    let (mut terminate, mut interrupt, mut hangup) = (
        signal(SignalKind::terminate()).map_err(StartError::Runtime)?,
        signal(SignalKind::interrupt()).map_err(StartError::Runtime)?,
        signal(SignalKind::hangup()).map_err(StartError::Runtime)?,
    );
    let (closing, closed) = watch::channel(false);
    let serving = tokio::spawn(http::serve(Arc::clone(server), listener, closed));
    let opening = {
        let server = Arc::clone(server);
        async move {
            let tempo = server.tempo();
            tokio::time::sleep(seconds(tempo.starting_seconds)).await;
            if tempo.migrating_seconds > 0.0 {
                server.set_phase(Phase::Migrating);
                migrate(&server, seconds(tempo.migrating_seconds)).await;
            }
            let opened = tokio::task::spawn_blocking(move || open(&server)).await;
            opened.unwrap_or_else(|error| Err(StartError::Library(error.to_string())))
        }
    };
    tokio::pin!(opening);
    let mut open_done = false;
    let outcome = loop {
        tokio::select! {
            opened = &mut opening, if !open_done => match opened {
                Ok(()) => open_done = true,
                Err(error) => {
                    server.log.error(&error);
                    break Err(error);
                }
            },
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            _ = hangup.recv() => server.reload_tempo(),
        }
    };
    server.log.info("Shutting down.");
    server.set_phase(Phase::Stopping);
    // An error says that the listening task is gone, which is what is wanted.
    let _ = closing.send(true);
    if let Err(error) = serving.await {
        server.log.error(format_args!("the listener failed: {error}"));
    }
    outcome
}

/// What a real server logs while it brings an older library up (facts/plex.md §1.1), at the pace of the tempo file.
async fn migrate(server: &Server, time: Duration) {
    const SESSIONS: u32 = 20;
    server.log.info("Running migrations.");
    for session in 0..SESSIONS {
        server.log.info(format_args!("Captured session {session}."));
        tokio::time::sleep(time / SESSIONS).await;
    }
    server.log.info("Completed migrations.");
}

fn open(server: &Arc<Server>) -> Result<(), StartError> {
    let failed = |error: &dyn Display| StartError::Library(error.to_string());
    let databases = server.data.databases();
    if !server.data.library_db().exists() {
        server.log.info("Creating a new library.");
        crate::schema::create(&databases, crate::schema::Version::Plex2026).map_err(|error| failed(&error))?;
    }
    let pair = store::open(&databases).map_err(|error| failed(&error))?;
    pair.library
        .query_row("SELECT count(*) FROM library_sections", [], |row| row.get::<_, i64>(0))
        .map_err(|error| failed(&error))?;
    drop(pair);
    if let Ok(token) = env::var("PLEX_CLAIM")
        && !token.is_empty()
        && !server.is_claimed()
        && let Err(error) = claim::claim(server, &token)
    {
        server.log.error(format_args!("MyPlex: {error}"));
    }
    if !server.is_stopping() {
        server.set_phase(Phase::Ready);
        server.log.info("Server is ready.");
        misbehave(&server.tempo());
    }
    Ok(())
}

/// What the tempo file wants to go wrong with a server that is ready.
fn misbehave(tempo: &Tempo) {
    let (crash, eats) = (seconds(tempo.crash_seconds), tempo.eats_mib);
    if eats > 0 {
        std::thread::spawn(move || {
            // Written to, or the kernel would give nothing away.
            let eaten: Vec<Vec<u8>> = (0..eats).map(|_| vec![1; 1 << 20]).collect();
            std::thread::park();
            drop(eaten);
        });
    }
    if !crash.is_zero() {
        std::thread::spawn(move || {
            std::thread::sleep(crash);
            std::process::abort();
        });
    }
}

/// Ends the children and puts the databases into the state that a clean stop leaves.
fn stop(server: &Arc<Server>) {
    for section in server.scans.sections() {
        server.scans.cancel(section);
    }
    server.butler.cancel_all();
    server.activities.cancel_all();
    if !server.workers.wait_idle(Duration::from_secs(CHILDREN_SECONDS)) {
        server.log.error("children did not end in time");
    }
    std::thread::sleep(seconds(server.tempo().stopping_seconds));
    if let Err(error) = server.pool.close() {
        server
            .log
            .error(format_args!("the write-ahead log could not be checkpointed: {error}"));
    }
}

fn programs() -> io::Result<PathBuf> {
    // The link by which this program was started, not what it points to: the children's links stand beside it.
    let own = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let folder = own.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) => std::path::absolute(folder),
        None => Ok(env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default()),
    }
}

fn variable<T: std::str::FromStr>(name: &'static str, default: T) -> Result<T, StartError> {
    match env::var(name) {
        Ok(value) => value.parse().map_err(|_| StartError::Environment { name, value }),
        Err(env::VarError::NotPresent) => Ok(default),
        Err(error) => Err(StartError::Environment {
            name,
            value: error.to_string(),
        }),
    }
}
