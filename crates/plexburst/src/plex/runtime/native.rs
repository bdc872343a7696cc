//! A Plex server binary on this machine, as a child of the worker.
//!
//! In a cell (bubblewrap: own mount, network and process namespaces) it has home's absolute paths and port 32400
//! although home itself may be on the same machine. Without one it runs only where nothing is in its way: every
//! section root is already the very media folder and the port is free.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::launch::{Launched, launch};
use super::layout::{self, Bind};
use super::logs::last_lines;
use super::processes::{self, Process};
use super::{Runtime, State, Stopped, logs_left};
use crate::plex::client::Address;

/// A killed process that is still there after this hangs in the kernel, most likely in a read on a dead mount.
const KILLED: Duration = Duration::from_secs(10);
/// How long the way out to the Internet may take.
const NETWORK: Duration = Duration::from_secs(15);
/// `sun_path` has 108 bytes, one of them for the end.
const SOCKET_PATH: usize = 107;
/// What of the worker's own environment its Plex gets; no credential is among these.
const INHERITED: [&str; 5] = ["PATH", "LANG", "LC_ALL", "TZ", "RUST_BACKTRACE"];

/// Whether a server gets a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Confinement {
    /// A cell where one can be had, else plain where nothing is in the way.
    #[default]
    Auto,
    /// A cell or nothing.
    Cell,
    /// No cell.
    Plain,
}

/// What to run and how.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The binary called `Plex Media Server`.
    pub server: PathBuf,
    /// What becomes PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR: the folder that holds `Plex Media Server`.
    pub support: PathBuf,
    /// A folder of the worker's own: socket, temporary files, output of the server.
    pub work: PathBuf,
    /// Further folders that the server may write to.
    pub writable: Vec<PathBuf>,
    /// Home's section roots and the media that stand for them.
    pub roots: Vec<Bind>,
    /// More environment for the server.
    pub env: Vec<(OsString, OsString)>,
    /// The server's port: inside the cell, or on this machine without one.
    pub port: u16,
    /// The program itself, for its `cell` subcommand.
    pub program: PathBuf,
    /// Whether it gets a cell.
    pub confinement: Confinement,
    /// Whether the server may reach the Internet out of its cell (for a claim, for metadata).
    pub internet: bool,
}

/// Why a server cannot be run here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The binary is missing or cannot be run.
    #[error("no Plex server at {}", .0.display())]
    NoServer(PathBuf),
    /// A folder that cannot be made or written.
    #[error("cannot use {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No cell can be made on this machine.
    #[error("no namespaces of its own for the worker's Plex: {0}")]
    NoCell(String),
    /// Without a cell a section root would not lead to the media.
    #[error("section root {} is not {} on this machine", root.display(), media.display())]
    NotInPlace {
        /// Home's path.
        root: PathBuf,
        /// The media for it.
        media: PathBuf,
    },
    /// Without a cell somebody else has the port.
    #[error("port {0} is in use")]
    PortInUse(u16),
    /// The file system of the cell cannot be laid out.
    #[error(transparent)]
    Layout(#[from] layout::Error),
    /// The server could not be started.
    #[error("cannot start {program}")]
    Start {
        /// What.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The server in a container.
    #[error(transparent)]
    Docker(#[from] super::docker::Error),
    /// The way out of the cell could not be made.
    #[error("no way to the Internet out of the worker's namespaces: {0}")]
    NoInternet(String),
    /// It is running already.
    #[error("the worker's Plex is running already")]
    Running,
    /// It is still there after SIGKILL.
    #[error("the worker's Plex (process {0}) does not end even when killed")]
    WillNotEnd(i32),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Docker(error) => return error.hint(),
            Self::NoServer(_) => "give the path of the binary called `Plex Media Server`".to_owned(),
            Self::NoCell(_) => "install bubblewrap (`apt-get install bubblewrap`) and allow unprivileged user \
                                namespaces, or run as root"
                .to_owned(),
            Self::NotInPlace { .. } => {
                "mount the media at the section root itself, or install bubblewrap so that the worker can have home's \
                 paths for itself"
                    .to_owned()
            }
            Self::PortInUse(port) => {
                format!("stop what listens on port {port}, or install bubblewrap so that the worker has its own")
            }
            Self::NoInternet(_) => "install slirp4netns (`apt-get install slirp4netns`)".to_owned(),
            Self::WillNotEnd(_) => "a read on a dead mount ignores signals: abort it through \
                                    /sys/fs/fuse/connections/N/abort, or restart this machine"
                .to_owned(),
            _ => return None,
        })
    }
}

/// A Plex server as a child of this process.
#[derive(Debug)]
pub struct Native {
    spec: Spec,
    data_dir: PathBuf,
    /// The socket of the cell; none without a cell.
    socket: Option<PathBuf>,
    running: Option<Launched>,
    network: Option<Launched>,
    /// Holds a socket whose path would be too long in the worker's folder.
    _short: Option<tempfile::TempDir>,
}

impl Native {
    /// Decides how the server can be run here; starts nothing.
    ///
    /// # Errors
    /// [`Error`]: neither a cell nor a plain start is possible, or the binary is missing.
    pub fn prepare(mut spec: Spec) -> Result<Self, Error> {
        if !fs::metadata(&spec.server).is_ok_and(|metadata| metadata.is_file()) {
            return Err(Error::NoServer(spec.server));
        }
        for folder in [&spec.support, &spec.work, &spec.work.join("tmp")] {
            fs::create_dir_all(folder).map_err(|source| Error::Folder {
                path: folder.clone(),
                source,
            })?;
        }
        for folder in [&mut spec.support, &mut spec.work] {
            *folder = fs::canonicalize(&*folder).map_err(|source| Error::Folder {
                path: folder.clone(),
                source,
            })?;
        }
        // Not resolved: a server may be told by its name what to be.
        for program in [&mut spec.server, &mut spec.program] {
            *program = std::path::absolute(&*program).map_err(|source| Error::Folder {
                path: program.clone(),
                source,
            })?;
        }
        let celled = match spec.confinement {
            Confinement::Plain => false,
            Confinement::Cell => probe_cell().map(|()| true)?,
            Confinement::Auto => match probe_cell() {
                Ok(()) => true,
                Err(error) => {
                    tracing::info!(%error, "the worker's Plex runs without a cell");
                    false
                }
            },
        };
        if !celled {
            check_plain(&spec)?;
        }
        let (socket, short) = if celled { socket(&spec.work)? } else { (None, None) };
        Ok(Self {
            data_dir: spec.support.join("Plex Media Server"),
            spec,
            socket,
            running: None,
            network: None,
            _short: short,
        })
    }

    /// Whether it runs in a cell.
    #[must_use]
    pub fn is_celled(&self) -> bool {
        self.socket.is_some()
    }

    fn command(&self) -> Result<Command, Error> {
        let Spec {
            program, server, port, ..
        } = &self.spec;
        let mut relay: Vec<OsString> = vec![program.into(), "cell".into(), "--port".into(), port.to_string().into()];
        let mut command = if let Some(socket) = &self.socket {
            relay.extend(["--socket".into(), socket.into()]);
            let mut command = Command::new("bwrap");
            command.args(ISOLATION);
            let folder = socket.parent().map(Path::to_owned);
            let mut writable = vec![self.spec.support.clone(), self.spec.work.clone()];
            writable.extend(folder.filter(|folder| *folder != self.spec.work));
            writable.extend(self.spec.writable.iter().cloned());
            command.args(layout::options(&self.spec.roots, &writable)?);
            if self.spec.internet {
                relay.extend(["--interface".into(), INTERFACE.into()]);
                command.args(self.resolver()?);
            }
            command.arg("--");
            command
        } else {
            relay.extend(["--parent".into(), std::process::id().to_string().into()]);
            Command::new(relay.remove(0))
        };
        command.args(relay).arg("--").arg(server);
        Ok(command)
    }

    /// Names are looked up where slirp4netns answers.
    fn resolver(&self) -> Result<[OsString; 3], Error> {
        let path = self.spec.work.join("resolv.conf");
        fs::write(&path, "nameserver 10.0.2.3\n").map_err(|source| Error::Folder {
            path: path.clone(),
            source,
        })?;
        // The name is often a symlink into /run: what it leads to is what is laid over.
        let real = fs::canonicalize("/etc/resolv.conf").unwrap_or_else(|_| "/etc/resolv.conf".into());
        Ok(["--ro-bind".into(), path.into(), real.into()])
    }

    fn environment(&self, command: &mut Command) {
        let beside = self.spec.server.parent().unwrap_or(Path::new("/"));
        let library = [beside.join("lib"), beside.to_owned()];
        command.env_clear();
        command.envs(std::env::vars_os().filter(|(name, _)| INHERITED.iter().any(|kept| name == kept)));
        command
            .env("HOME", &self.spec.work)
            .env("TMPDIR", self.spec.work.join("tmp"))
            .env("PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR", &self.spec.support)
            .env("PLEX_MEDIA_SERVER_HOME", beside)
            .env("PLEX_MEDIA_SERVER_MAX_PLUGIN_PROCS", "6")
            .env("LD_LIBRARY_PATH", std::env::join_paths(library).unwrap_or_default())
            .envs(self.spec.env.iter().map(|(name, value)| (name, value)));
    }

    /// What the server and its relay print, for messages.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.spec.work.join("plex.out")
    }

    /// Process ids: the relay of the cell, which passes SIGTERM on to the server.
    fn relay(&self) -> Option<i32> {
        let root = self.running.as_ref()?.pid();
        let all = processes::below(root).unwrap_or_default();
        all.iter()
            .find(|process| process.verb == "cell")
            .map(|process| process.pid)
    }

    /// Lets the server out: slirp4netns joins the cell's network from outside.
    async fn connect_network(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + NETWORK;
        let relay = loop {
            match self.relay() {
                Some(pid) => break pid,
                None if Instant::now() > deadline => {
                    return Err(Error::NoInternet("the cell did not start".to_owned()));
                }
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let output = self.spec.work.join("slirp4netns.out");
        let file = fs::File::create(&output).map_err(|source| Error::Folder {
            path: output.clone(),
            source,
        })?;
        // Under a guardian: with the worker dead nobody else would end it.
        let mut command = Command::new(&self.spec.program);
        command
            .args(["cell", "--parent", &std::process::id().to_string(), "--", "slirp4netns"])
            .args([
                "--configure",
                "--mtu=65520",
                "--disable-host-loopback",
                &relay.to_string(),
                INTERFACE,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let network = launch(command, Signal::HUP)
            .await
            .map_err(|error| Error::NoInternet(format!("slirp4netns: {error}")))?;
        let interfaces = format!("/proc/{relay}/net/dev");
        while !fs::read_to_string(&interfaces).is_ok_and(|list| list.contains(INTERFACE)) {
            if network.exit().is_some() || Instant::now() > deadline {
                let said = last_lines(&output, 2).join("; ");
                return Err(Error::NoInternet(format!("slirp4netns: {said}")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.network = Some(network);
        Ok(())
    }

    fn kill_all(&self, root: &Launched) {
        // Without a cell the relay's end would leave the server behind.
        for process in processes::below(root.pid()).unwrap_or_default().iter().rev() {
            if let Some(pid) = Pid::from_raw(process.pid) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        root.signal(Signal::KILL);
    }
}

/// The interface that slirp4netns makes.
const INTERFACE: &str = "tap0";

/// Everything of its own that a Plex in a cell has; users stay the host's, so that files keep their owners.
const ISOLATION: [&str; 7] = [
    "--die-with-parent",
    "--unshare-net",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--hostname",
    "plexburst",
];

impl Runtime for Native {
    async fn start(&mut self) -> Result<(), Error> {
        if self.state() == State::Running {
            return Err(Error::Running);
        }
        if self.socket.is_none() {
            // Somebody may have taken the port since.
            check_plain(&self.spec)?;
        }
        let mut command = self.command()?;
        self.environment(&mut command);
        let output = self.output();
        let folder = |source| Error::Folder {
            path: output.clone(),
            source,
        };
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&output)
            .map_err(folder)?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(folder)?)
            .stderr(file)
            .current_dir(&self.spec.work);
        // Ctrl-C in the terminal reaches the program, which then stops Plex in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let program = command.get_program().to_string_lossy().into_owned();
        self.running = Some(
            launch(command, Signal::KILL)
                .await
                .map_err(|source| Error::Start { program, source })?,
        );
        if self.socket.is_some() && self.spec.internet {
            self.connect_network().await?;
        }
        Ok(())
    }

    async fn stop(&mut self, limit: Duration) -> Result<Stopped, Error> {
        let begun = Instant::now();
        let relay = self.relay().and_then(Pid::from_raw);
        let Some(mut running) = self.running.take() else {
            return Ok(Stopped {
                clean: true,
                took: Duration::ZERO,
                logs_left: logs_left(&self.data_dir),
            });
        };
        let was_running = running.exit().is_none();
        if let Some(relay) = relay {
            let _ = rustix::process::kill_process(relay, Signal::TERM);
        }
        let mut clean = was_running && running.wait(limit).await.is_some();
        if running.exit().is_none() {
            clean = false;
            self.kill_all(&running);
            if running.wait(KILLED).await.is_none() {
                return Err(Error::WillNotEnd(running.pid()));
            }
        }
        self.network = None;
        Ok(Stopped {
            clean,
            took: begun.elapsed(),
            logs_left: logs_left(&self.data_dir),
        })
    }

    fn state(&self) -> State {
        match self.running.as_ref().map(Launched::exit) {
            None => State::Stopped,
            Some(None) => State::Running,
            Some(Some(exit)) => State::Crashed(exit),
        }
    }

    fn processes(&self) -> io::Result<Vec<Process>> {
        let Some(running) = self.running.as_ref().filter(|running| running.exit().is_none()) else {
            return Ok(Vec::new());
        };
        let all = processes::below(running.pid())?;
        Ok(all
            .into_iter()
            .filter(|process| process.name.starts_with("Plex "))
            .collect())
    }

    fn address(&self) -> Address {
        match &self.socket {
            Some(socket) => Address::Socket(socket.clone()),
            None => Address::loopback(self.spec.port),
        }
    }

    fn data_dir(&self) -> &Path {
        &self.data_dir
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            self.kill_all(running);
        }
    }
}

/// Tries out what a cell needs, with nothing in it.
fn probe_cell() -> Result<(), Error> {
    let result = Command::new("bwrap")
        .args(ISOLATION)
        .args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--", "true"])
        .stdin(Stdio::null())
        .output();
    match result {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Error::NoCell(said.trim().to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::NoCell("bubblewrap (bwrap) is not installed".to_owned()))
        }
        Err(error) => Err(Error::NoCell(format!("bwrap: {error}"))),
    }
}

/// Without a cell nothing may be in the way.
fn check_plain(spec: &Spec) -> Result<(), Error> {
    if let Some(bind) = spec.roots.iter().find(|bind| !bind.is_in_place()) {
        return Err(Error::NotInPlace {
            root: bind.root.clone(),
            media: bind.media.clone(),
        });
    }
    match TcpListener::bind(("127.0.0.1", spec.port)) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::PortInUse(spec.port)),
    }
}

/// In the worker's folder where its path is short enough, else in a temporary folder with a short one.
fn socket(work: &Path) -> Result<(Option<PathBuf>, Option<tempfile::TempDir>), Error> {
    let near = work.join("plex.sock");
    if near.as_os_str().len() <= SOCKET_PATH {
        return Ok((Some(near), None));
    }
    let short = tempfile::Builder::new()
        .prefix("plexburst-")
        .tempdir_in("/tmp")
        .map_err(|source| Error::Folder {
            path: "/tmp".into(),
            source,
        })?;
    Ok((Some(short.path().join("plex.sock")), Some(short)))
}
