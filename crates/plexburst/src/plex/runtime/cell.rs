//! The main process of a cell: starts the server, leads a unix socket to its port, passes on the wish to stop, and
//! ends with the server's own status. Also the guardian of a server that runs without a cell.
//!
//! Guarantees: nothing that the server has started outlives it, and the server does not outlive the worker: in a cell
//! because bubblewrap kills it, without one because the kernel tells this process when its parent dies.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};

use super::processes;

/// How long the server may take to end when the worker that wanted it is dead.
const ORPHANED: Duration = Duration::from_secs(10);
/// How long the way out to the Internet may take to appear.
const INTERFACE: Duration = Duration::from_secs(20);
/// How long the guardian before this one may take to end: more than its end can take.
const ALONE: Duration = Duration::from_secs(60);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// `plexburst cell`: not for people.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Unix socket to lead to the server's port; none where the port itself can be reached.
    #[arg(long)]
    pub socket: Option<PathBuf>,
    /// The server's port.
    #[arg(long, default_value_t = 32400)]
    pub port: u16,
    /// Wait for this network interface before the server is started.
    #[arg(long)]
    pub interface: Option<String>,
    /// A mount that the server makes: taken away when the server has ended without doing so. One guardian at a time
    /// has it: the one before may still be about to take its own mount away, at the same place.
    #[arg(long)]
    pub mount: Option<PathBuf>,
    /// End when this process is no longer the parent.
    #[arg(long)]
    pub parent: Option<i32>,
    /// The server and its arguments.
    #[arg(last = true, required = true)]
    pub server: Vec<OsString>,
}

/// Why the server could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something on the way failed.
    #[error("cannot {doing}")]
    Io {
        /// What was tried, on what.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Nothing to run.
    #[error("no server to run")]
    NoServer,
    /// The parent died before this process could say that it wants to know.
    #[error("the worker is gone")]
    Orphan,
    /// The network did not come.
    #[error("network interface {0} did not appear")]
    NoInterface(String),
    /// Somebody else looks after a mount there.
    #[error("the guardian of an earlier mount at {0} does not end")]
    NotAlone(PathBuf),
}

fn failed<S: Into<io::Error>>(doing: impl FnOnce() -> String) -> impl FnOnce(S) -> Error {
    move |source| Error::Io {
        doing: doing(),
        source: source.into(),
    }
}

/// Runs the server until it ends; gives its exit code, 128 + n when signal n ended it.
///
/// # Errors
/// [`Error`], before or instead of a run.
pub async fn run(args: Args) -> Result<u8, Error> {
    let mut stop = signal(SignalKind::terminate()).map_err(failed(|| "listen for SIGTERM".to_owned()))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed(|| "listen for SIGINT".to_owned()))?;
    let mut orphaned = signal(SignalKind::hangup()).map_err(failed(|| "listen for SIGHUP".to_owned()))?;
    if let Some(parent) = args.parent {
        watch_parent(parent)?;
    }
    let _lock = match &args.mount {
        Some(dir) => Some(alone(dir).await?),
        None => None,
    };
    if let Some(name) = &args.interface {
        wait_for_interface(name).await?;
    }
    if let Some(socket) = &args.socket {
        let listener = listen(socket).map_err(failed(|| format!("listen on {}", socket.display())))?;
        tokio::spawn(relay(listener, args.port));
    }
    let (program, arguments) = args.server.split_first().ok_or(Error::NoServer)?;
    let starting = || format!("start {}", program.to_string_lossy());
    let mut server = tokio::process::Command::new(program)
        .args(arguments)
        .spawn()
        .map_err(failed(starting))?;
    let waiting = || format!("wait for {}", program.to_string_lossy());
    let status = loop {
        tokio::select! {
            status = server.wait() => break status.map_err(failed(waiting))?,
            _ = stop.recv() => terminate(&server),
            _ = interrupt.recv() => terminate(&server),
            _ = orphaned.recv(), if args.parent.is_some() => break end(&mut server).await.map_err(failed(waiting))?,
        }
    };
    if args.parent.is_some() {
        kill_descendants();
    }
    if let Some(dir) = &args.mount {
        unmount(dir).await;
    }
    Ok(code(status))
}

/// Asks the kernel for SIGHUP when the parent dies, and for the orphans below, so that none gets away.
pub(super) fn watch_parent(parent: i32) -> Result<(), Error> {
    let doing = || "watch the worker".to_owned();
    rustix::process::set_parent_process_death_signal(Some(Signal::HUP)).map_err(failed(doing))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(failed(doing))?;
    match rustix::process::getppid() {
        Some(pid) if pid.as_raw_nonzero().get() == parent => Ok(()),
        _ => Err(Error::Orphan),
    }
}

/// Waits until no other guardian has a mount at `dir`; has it alone for as long as the file is kept open. It is closed in
/// the server, and the kernel lets go of it however this process ends.
async fn alone(dir: &Path) -> Result<std::fs::File, Error> {
    let path = dir.with_extension("lock");
    let opening = || format!("open {}", path.display());
    let file = std::fs::File::create(&path).map_err(failed(opening))?;
    let taken = async {
        while rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(ALONE, taken)
        .await
        .map_err(|_| Error::NotAlone(dir.to_owned()))?;
    Ok(file)
}

async fn wait_for_interface(name: &str) -> Result<(), Error> {
    let there = async {
        while !Path::new("/proc/self/net/dev").exists() || !has_interface(name) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(INTERFACE, there)
        .await
        .map_err(|_| Error::NoInterface(name.to_owned()))
}

fn has_interface(name: &str) -> bool {
    let list = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    list.lines()
        .any(|line| line.trim_start().split(':').next() == Some(name))
}

/// A socket left over by a killed cell is in the way and belongs to nobody.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(socket)
}

async fn relay(listener: UnixListener, port: u16) {
    loop {
        match listener.accept().await {
            Ok((outside, _)) => {
                tokio::spawn(async move {
                    if let Err(error) = connect(outside, port).await {
                        tracing::debug!(%error, "a connection into the cell ended");
                    }
                });
            }
            // Out of file descriptors: others will be closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connect(mut outside: UnixStream, port: u16) -> io::Result<()> {
    match TcpStream::connect(("127.0.0.1", port)).await {
        Ok(mut inside) => tokio::io::copy_bidirectional(&mut outside, &mut inside).await.map(drop),
        Err(_) => {
            // The request is taken first: an answer that comes before its question confuses HTTP clients.
            let mut request = [0; 16 * 1024];
            let _ = outside.read(&mut request).await?;
            let answer = format!(
                "HTTP/1.1 502 Bad Gateway\r\n{}: refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                super::CELL_HEADER
            );
            outside.write_all(answer.as_bytes()).await?;
            outside.shutdown().await
        }
    }
}

fn terminate(server: &Child) {
    if let Some(pid) = server
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
    {
        // It may have ended this instant; then there is nothing to tell it.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
}

async fn end(server: &mut Child) -> io::Result<ExitStatus> {
    terminate(server);
    match tokio::time::timeout(ORPHANED, server.wait()).await {
        Ok(status) => status,
        Err(_) => {
            server.start_kill()?;
            // One that hangs in the kernel ends when it can, and nobody waits for it.
            let killed = tokio::time::timeout(ORPHANED, server.wait()).await;
            killed.unwrap_or_else(|_| Ok(std::os::unix::process::ExitStatusExt::from_raw(Signal::KILL.as_raw())))
        }
    }
}

/// Kills what the server has left behind. In a cell its end would do it; here nobody else would.
fn kill_descendants() {
    let me = rustix::process::getpid().as_raw_nonzero().get();
    for process in processes::below(me).unwrap_or_default() {
        if let Some(pid) = Pid::from_raw(process.pid).filter(|_| process.pid != me) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// A mount whose process is gone is an error to everybody who looks at it. That it is none any more is the usual case.
async fn unmount(dir: &Path) {
    let mut command = tokio::process::Command::new("fusermount3");
    command
        .arg("-uz")
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let _ = tokio::time::timeout(ORPHANED, command.status()).await;
}

fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(socket: Option<&Path>, port: u16, server: &[&str]) -> Args {
        Args {
            socket: socket.map(Path::to_owned),
            port,
            interface: None,
            mount: None,
            parent: None,
            server: server.iter().map(OsString::from).collect(),
        }
    }

    #[tokio::test]
    async fn ends_with_the_status_of_the_server() {
        assert_eq!(run(args(None, 1, &["sh", "-c", "exit 7"])).await.unwrap(), 7);
        assert_eq!(run(args(None, 1, &["sh", "-c", "kill -9 $$"])).await.unwrap(), 137);
        let error = run(args(None, 1, &["/no/such/server"])).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot start /no/such/server");
    }

    #[tokio::test]
    async fn one_guardian_of_a_mount_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let mount = dir.path().join("media");
        let first = alone(&mount).await.unwrap();
        let next = tokio::spawn({
            let mount = mount.clone();
            async move { alone(&mount).await }
        });
        // It comes to its turn only when the first lets go.
        tokio::time::sleep(LOOK * 3).await;
        assert!(!next.is_finished());
        drop(first);
        let second = next.await.unwrap().unwrap();
        let said = tokio::time::timeout(LOOK * 3, alone(&mount)).await;
        assert!(said.is_err());
        drop(second);
    }

    #[tokio::test]
    async fn the_socket_leads_to_the_port_and_says_when_nobody_listens() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("plex.sock");
        std::fs::write(&socket, "left over").unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        tokio::spawn(relay(listen(&socket).unwrap(), port));
        let ask = async || {
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let refused = ask().await;
        assert!(
            refused.starts_with("HTTP/1.1 502 ") && refused.contains(super::super::CELL_HEADER),
            "{refused}"
        );
        let server = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut request = [0; 64];
            let _ = stream.read(&mut request).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhere")
                .await
                .unwrap();
        });
        assert!(ask().await.ends_with("here"));
    }

    #[test]
    fn the_loopback_is_an_interface() {
        assert!(has_interface("lo") && !has_interface("l"));
    }
}
