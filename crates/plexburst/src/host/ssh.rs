//! One machine over SSH: OpenSSH's own client, so that whatever the user set up for it (config, agent, jump hosts,
//! known_hosts) counts here too.

use std::path::PathBuf;
use std::time::Duration;

use openssh::{KnownHosts, Session, SessionBuilder, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::error::{Context, Error, Result};
use crate::exit;

/// The earlier scripts' keepalive was 30 s × 5 (facts: legacy §4); openssh's session gives up after three.
const ALIVE: Duration = Duration::from_secs(30);
/// One attempt to connect.
const CONNECT: Duration = Duration::from_secs(20);
/// Files travel in pieces of so many bytes.
const CHUNK: usize = 1 << 18;

/// How a machine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `[user@]host`, or an alias of the user's ssh config.
    pub destination: String,
    /// The port; `None`: ssh's own choice.
    pub port: Option<u16>,
    /// A key of our own; `None`: the user's keys and agent.
    pub key: Option<PathBuf>,
    /// Host keys that were vouched for; `None`: the user's known_hosts.
    pub known_hosts: Option<PathBuf>,
    /// A configuration of ssh; `None`: ssh's own.
    pub config: Option<PathBuf>,
}

impl Target {
    /// `ssh://[user@]host[:port]`, as the user names an own host: everything else is as in the user's ssh configuration.
    ///
    /// # Errors
    /// It is no such address.
    pub fn parse(text: &str) -> Result<Self> {
        let rest = text.strip_prefix("ssh://").ok_or_else(|| wrong(text))?;
        Self::named(rest.trim_end_matches('/')).map_err(|_| wrong(text))
    }

    /// `[user@]host[:port]` or an alias of the user's ssh configuration, with or without `ssh://` before it.
    ///
    /// # Errors
    /// It names no host.
    pub fn named(text: &str) -> Result<Self> {
        let wrong = || wrong(text);
        let rest = text.strip_prefix("ssh://").unwrap_or(text).trim_end_matches('/');
        let (destination, port) = match rest.rsplit_once(':') {
            Some((before, digits)) if !digits.ends_with(']') => (before, Some(digits.parse().map_err(|_| wrong())?)),
            _ => (rest, None),
        };
        // A name that begins with a dash would be an option to ssh.
        let is_plain = !destination.is_empty()
            && !destination.starts_with('-')
            && !destination.contains(|c: char| c.is_whitespace() || c == '/' || c.is_control());
        if !is_plain {
            return Err(wrong());
        }
        Ok(Self {
            destination: destination.to_owned(),
            port,
            key: None,
            known_hosts: None,
            config: None,
        })
    }
}

fn wrong(text: &str) -> Error {
    Error::usage(format!("{text:?} does not name a host")).hint("write it like ssh://user@host or ssh://user@host:2222")
}

/// A connected machine.
#[derive(Debug)]
pub struct Host {
    session: Session,
    name: String,
    /// Removed when the connection is.
    _control: tempfile::TempDir,
}

impl Host {
    /// Connects, with the host key checked against what is known, in every case.
    ///
    /// # Errors
    /// Told apart: the host key is not the known one, the key is not let in, nobody answers.
    pub async fn connect(target: &Target) -> Result<Self> {
        // A socket's path may have 108 bytes, and a burst's own folder lies deep: it goes where temporary files go.
        let control = tempfile::Builder::new()
            .prefix("pb")
            .tempdir()
            .context(|| "cannot make a folder for the connection's socket".to_owned())?;
        let mut builder = SessionBuilder::default();
        builder
            .known_hosts_check(KnownHosts::Strict)
            .connect_timeout(CONNECT)
            .server_alive_interval(ALIVE)
            .control_directory(control.path());
        if let Some(port) = target.port {
            builder.port(port);
        }
        if let Some(key) = &target.key {
            builder.keyfile(key);
        }
        if let Some(known_hosts) = &target.known_hosts {
            builder.user_known_hosts_file(known_hosts);
            // The user's own configuration is for the user's own hosts.
            builder.config_file("/dev/null");
        } else if let Some(config) = &target.config {
            builder.config_file(config);
        }
        let session = builder
            .connect(&target.destination)
            .await
            .map_err(|error| explain(target, &error))?;
        Ok(Self {
            session,
            name: target.destination.clone(),
            _control: control,
        })
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the connection stands, as far as this side knows.
    pub async fn is_connected(&self) -> bool {
        self.session.check().await.is_ok()
    }

    /// Runs a program there and returns what it wrote to stdout.
    ///
    /// # Errors
    /// The connection is gone; it failed, with what it wrote to stderr.
    pub async fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.session.command(program);
        command.args(arguments);
        let output = command.output().await.map_err(|error| self.broken(&error))?;
        self.settled(program, output)
    }

    /// Runs a script of `sh` there; it goes in by stdin, so that nothing of it stands on a command line.
    ///
    /// # Errors
    /// See [`Host::run`].
    pub async fn script(&self, what: &str, script: &str) -> Result<String> {
        let mut command = self.session.command("sh");
        command
            .args(["-eu", "-s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = self.feed(command, script.as_bytes()).await?;
        self.settled(what, output)
    }

    /// Writes a file there with this mode (as in "600"); it appears whole or not at all.
    ///
    /// # Errors
    /// See [`Host::run`].
    pub async fn write(&self, path: &str, mode: &str, content: &[u8]) -> Result<()> {
        let mut command = self.session.command("sh");
        let script = r#"umask 077; cat >"$1.part" && chmod "$2" "$1.part" && mv "$1.part" "$1""#;
        command
            .args(["-eu", "-c", script, "sh", path, mode])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = self.feed(command, content).await?;
        self.settled(&format!("writing {path}"), output).map(drop)
    }

    /// Runs a program there with `content` as its stdin, and returns what it wrote to stdout.
    ///
    /// # Errors
    /// See [`Host::run`].
    pub async fn pipe(&self, program: &str, arguments: &[&str], content: &[u8]) -> Result<String> {
        let mut command = self.piped(program, arguments);
        command.stdin(Stdio::piped());
        let output = self.feed(command, content).await?;
        self.settled(program, output)
    }

    /// Runs a program there whose lines are read as it writes them.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn lines(&self, program: &str, arguments: &[&str]) -> Result<Lines<'_>> {
        let mut command = self.session.command(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().await.map_err(|error| self.broken(&error))?;
        let stdout = child
            .stdout()
            .take()
            .ok_or_else(|| Error::unexpected("a program that was started has no stdout"))?;
        Ok(Lines {
            lines: BufReader::new(stdout).lines(),
            _child: child,
        })
    }

    /// Begins a program there that is told lines and answers with lines, for as long as the connection stands.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn talk(&self, program: &str, arguments: &[&str]) -> Result<Talk<'_>> {
        let mut command = self.session.command(program.to_owned());
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().await.map_err(|error| self.broken(&error))?;
        let (Some(stdin), Some(stdout)) = (child.stdin().take(), child.stdout().take()) else {
            return Err(Error::unexpected(
                "a program that was started has no stdin or no stdout",
            ));
        };
        Ok(Talk {
            stdin,
            lines: BufReader::new(stdout).lines(),
            _child: child,
        })
    }

    /// Writes what a program there writes to stdout into `to`, and tells how much there is so far.
    ///
    /// # Errors
    /// See [`Host::run`]; [`exit::USAGE`] when `to` cannot be written.
    pub async fn fetch(
        &self,
        program: &str,
        arguments: &[&str],
        to: &mut (dyn std::io::Write + Send),
        told: &mut (dyn FnMut(u64) + Send),
    ) -> Result<()> {
        let mut child = self
            .piped(program, arguments)
            .stdin(Stdio::null())
            .spawn()
            .await
            .map_err(|error| self.broken(&error))?;
        let mut stdout = child
            .stdout()
            .take()
            .ok_or_else(|| Error::unexpected("a program that was started has no stdout"))?;
        let mut buffer = vec![0; CHUNK];
        let mut done = 0;
        loop {
            let count = stdout
                .read(&mut buffer)
                .await
                .context(|| format!("cannot receive from {}", self.name))?;
            if count == 0 {
                break;
            }
            to.write_all(&buffer[..count]).map_err(written)?;
            done += count as u64;
            told(done);
        }
        let output = child.wait_with_output().await.map_err(|error| self.broken(&error))?;
        self.settled(program, output).map(drop)
    }

    /// Gives the rest of `from` to a program there as its stdin, and tells how much of it is sent so far.
    ///
    /// # Errors
    /// See [`Host::run`]; `from` cannot be read.
    pub async fn send(
        &self,
        program: &str,
        arguments: &[&str],
        from: &mut tokio::fs::File,
        told: &mut (dyn FnMut(u64) + Send),
    ) -> Result<()> {
        let mut child = self
            .piped(program, arguments)
            .stdin(Stdio::piped())
            .spawn()
            .await
            .map_err(|error| self.broken(&error))?;
        let mut stdin = child
            .stdin()
            .take()
            .ok_or_else(|| Error::unexpected("a program that was started has no stdin"))?;
        let mut sent = Ok(());
        let mut buffer = vec![0; CHUNK];
        let mut done = 0;
        loop {
            let count = from
                .read(&mut buffer)
                .await
                .context(|| "cannot read what is sent".to_owned())?;
            if count == 0 {
                break;
            }
            sent = stdin.write_all(&buffer[..count]).await;
            if sent.is_err() {
                break;
            }
            done += count as u64;
            told(done);
        }
        // Its end is what the program there waits for.
        drop(stdin);
        let output = child.wait_with_output().await.map_err(|error| self.broken(&error))?;
        // What the program says of it counts more than that its pipe broke.
        self.settled(program, output)?;
        sent.context(|| format!("cannot send to {}", self.name))
    }

    fn piped(&self, program: &str, arguments: &[&str]) -> openssh::OwningCommand<&Session> {
        let mut command = self.session.command(program.to_owned());
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn feed(
        &self,
        mut command: openssh::OwningCommand<&Session>,
        content: &[u8],
    ) -> Result<std::process::Output> {
        let mut child = command.spawn().await.map_err(|error| self.broken(&error))?;
        if let Some(mut stdin) = child.stdin().take() {
            // A program that ends before it has read everything says why in its own words.
            if stdin.write_all(content).await.is_ok() {
                let _ = stdin.shutdown().await;
            }
        }
        child.wait_with_output().await.map_err(|error| self.broken(&error))
    }

    fn settled(&self, what: &str, output: std::process::Output) -> Result<String> {
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = said.trim().lines().rev().take(3).collect();
        let why = said.into_iter().rev().collect::<Vec<_>>().join("; ");
        Err(Error::failed(format!("{what} failed on {} ({})", self.name, output.status)).because(why))
    }

    fn broken(&self, error: &openssh::Error) -> Error {
        Error::failed(format!("the connection to {} is gone", self.name))
            .hint("`plexburst resume` connects again; the worker there goes on meanwhile")
            .because(deepest(error))
    }

    /// Ends the connection; what runs there goes on.
    pub async fn close(self) {
        // A connection that is gone already is as good.
        let _ = self.session.close().await;
    }
}

/// What a program writes there, line by line.
pub struct Lines<'h> {
    lines: tokio::io::Lines<BufReader<openssh::ChildStdout>>,
    _child: openssh::Child<&'h Session>,
}

impl Lines<'_> {
    /// The next line; `None` when the program or the connection has ended. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<String> {
        self.lines.next_line().await.ok().flatten()
    }
}

/// A program there that is told lines and answers with lines. It is told that nobody talks to it any more by its stdin's end.
pub struct Talk<'h> {
    stdin: openssh::ChildStdin,
    lines: tokio::io::Lines<BufReader<openssh::ChildStdout>>,
    _child: openssh::Child<&'h Session>,
}

impl Talk<'_> {
    /// Tells it `line`, which has no end of its own; `false` when it or the connection is gone.
    pub async fn tell(&mut self, line: &str) -> bool {
        let whole = format!("{line}\n");
        self.stdin.write_all(whole.as_bytes()).await.is_ok() && self.stdin.flush().await.is_ok()
    }

    /// Its next line; `None` when it or the connection has ended.
    pub async fn hear(&mut self) -> Option<String> {
        self.lines.next_line().await.ok().flatten()
    }

    /// Lets it end, and comes back when it has.
    pub async fn end(self) {
        let Self { stdin, mut lines, .. } = self;
        drop(stdin);
        while lines.next_line().await.ok().flatten().is_some() {}
    }
}

fn written(error: std::io::Error) -> Error {
    Error::usage("cannot write what is received")
        .hint("free some space, or name another place")
        .because(error)
}

fn deepest(error: &openssh::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn explain(target: &Target, error: &openssh::Error) -> Error {
    let why = deepest(error);
    let name = &target.destination;
    let text = why.to_lowercase();
    let failure = if text.contains("host key verification failed") || text.contains("identification has changed") {
        let hint = if target.known_hosts.is_some() {
            "the machine that answers is not the one that was rented; `plexburst cancel` ends the rented one"
        } else {
            "connect once by hand with ssh and check the key, or correct known_hosts"
        };
        Error::new(exit::REFUSED, format!("the host key of {name} is not the known one")).hint(hint)
    } else if text.contains("permission denied") {
        Error::usage(format!("{name} does not let this key in"))
            .hint("`ssh` to it by hand must work without a password: set up a key or an agent")
    } else {
        Error::failed(format!("{name} cannot be reached over SSH"))
            .hint("check the address, and that its firewall lets this machine in")
    };
    failure.because(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_like_urls_and_never_like_options() {
        let at = |text: &str| Target::parse(text);
        let target = at("ssh://me@nas:2222/").unwrap();
        assert_eq!((target.destination.as_str(), target.port), ("me@nas", Some(2222)));
        assert_eq!(at("ssh://nas").unwrap().port, None);
        for alias in ["me@nas:2222", "ssh://me@nas:2222"] {
            assert_eq!(Target::named(alias).unwrap(), target);
        }
        assert_eq!(Target::named("nas").unwrap().destination, "nas");
        assert!(Target::named("-oProxyCommand=x").is_err());
        for wrong in [
            "nas",
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://a b",
            "ssh://nas:port",
            "ssh://a/b",
        ] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }
}
