//! Stopping and starting home's server, with proof: stopped means that it does not answer and that no process holds
//! the databases open; started means that it answers and its sections can be read.

use std::io::{Read, Seek};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::Home;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::plex::ready::{self, Ready};

/// Between two looks at a server that is about to stop.
const LOOK: Duration = Duration::from_millis(100);

impl Home {
    /// The commands that stop and start the server must be known before anything depends on them.
    ///
    /// # Errors
    /// One of them is not configured.
    pub fn check_commands(&self) -> Result<()> {
        for (key, command) in [("home.stop", &self.stop), ("home.start", &self.start)] {
            if command.as_ref().is_none_or(Vec::is_empty) {
                return Err(Error::usage(format!("`{key}` is not configured")).hint(format!(
                    "set it to a command, e.g. {key} = [\"systemctl\", \"{}\", \"plexmediaserver\"]",
                    &key[5..]
                )));
            }
        }
        Ok(())
    }

    /// The commands that are configured, by their keys.
    pub fn commands(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        let all = [
            ("home.stop", &self.stop),
            ("home.start", &self.start),
            ("home.refresh_mount", &self.refresh_mount),
        ];
        all.into_iter()
            .filter_map(|(key, command)| Some((key, command.as_deref()?)))
    }

    /// Makes home's own mount show new files; whether there is a command for it.
    ///
    /// # Errors
    /// It failed, or has not ended in time.
    pub async fn refresh_mount(&self) -> Result<bool> {
        let Some(command) = &self.refresh_mount else {
            return Ok(false);
        };
        // A big bucket is listed anew.
        run("home.refresh_mount", command, Duration::from_secs(self.limits.ready)).await?;
        Ok(true)
    }

    /// The other processes that hold the live databases open.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn users(&self) -> Result<Vec<plex_library::users::Process>> {
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        let mut users = plex_library::users::of(&self.databases())?;
        users.retain(|process| process.pid != own);
        Ok(users)
    }

    /// Whether the server runs, by either sign: somebody holds the databases open (which another user's processes do
    /// not show), or it answers.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub async fn is_running(&self) -> Result<bool> {
        Ok(!self.users()?.is_empty() || self.answers().await)
    }

    async fn answers(&self) -> bool {
        match self.client() {
            Ok(client) => client.identity().await.is_ok(),
            Err(_) => false,
        }
    }

    /// Stops the server and returns when nobody holds the databases open any more.
    ///
    /// # Errors
    /// The command failed, or the server is still there after the limit.
    pub async fn stop(&self) -> Result<()> {
        if !self.is_running().await? {
            return Ok(());
        }
        let limit = Duration::from_secs(self.limits.stop);
        run("home.stop", self.stop.as_deref().unwrap_or_default(), limit).await?;
        let since = Instant::now();
        loop {
            let users = self.users()?;
            if users.is_empty() && !self.answers().await {
                return Ok(());
            }
            if since.elapsed() >= limit {
                let names: Vec<String> = users.iter().map(ToString::to_string).collect();
                let by = if names.is_empty() {
                    "a server that still answers".to_owned()
                } else {
                    names.join(", ")
                };
                return Err(Error::failed(format!(
                    "home's library is still held open {} s after `home.stop`, by {by}",
                    limit.as_secs(),
                ))
                .hint("stop the server by hand, then `plexburst resume`; `limits.stop` gives it more time"));
            }
            SystemClock.sleep(LOOK).await;
        }
    }

    /// Starts the server and returns when its sections can be read.
    ///
    /// # Errors
    /// The command failed, or the server does not come up within the limit.
    pub async fn start(&self, progress: &mut (dyn FnMut(&ready::Waiting) + Send)) -> Result<Ready> {
        self.refuse_unfinished()?;
        if !self.is_running().await? {
            let limit = Duration::from_secs(self.limits.ready);
            run("home.start", self.start.as_deref().unwrap_or_default(), limit).await?;
        }
        self.wait_ready(progress).await
    }

    /// Waits until the server answers and its sections can be read.
    ///
    /// # Errors
    /// It does not within the limit.
    pub async fn wait_ready(&self, progress: &mut (dyn FnMut(&ready::Waiting) + Send)) -> Result<Ready> {
        let limits = ready::Limits::of_total(Duration::from_secs(self.limits.ready));
        // The token of an earlier start is no longer valid, so the client is made when identity answers.
        Ok(ready::wait(&SystemClock, &limits, || self.client().map_err(Into::into), progress).await?)
    }
}

async fn run(key: &str, command: &[String], limit: Duration) -> Result<()> {
    let Some((program, args)) = command.split_first() else {
        return Err(Error::usage(format!("`{key}` is not configured")).hint("set it to the command as a list of words"));
    };
    let failed = |e: std::io::Error| {
        Error::failed(format!("cannot run `{key}` ({program})"))
            .hint(format!("correct `{key}` in plexburst.toml, then `plexburst resume`"))
            .because(e)
    };
    // A file and not a pipe: a start script may leave Plex behind with it, and a pipe would then never end.
    let mut said = tempfile::tempfile().map_err(failed)?;
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said.try_clone().map_err(failed)?)
        // Ctrl-C at the terminal is for this program; what it started, Plex perhaps, goes on.
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let Ok(status) = tokio::time::timeout(limit, child.wait()).await else {
        return Err(
            Error::failed(format!("`{key}` ({program}) has not ended after {} s", limit.as_secs())).hint(format!(
                "`{key}` has to return; run it by hand, then `plexburst resume`"
            )),
        );
    };
    let status = status.map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let mut text = String::new();
    said.rewind()
        .and_then(|()| said.read_to_string(&mut text))
        .map_err(failed)?;
    Err(Error::failed(format!(
        "`{key}` ({program}) ended with {}: {}",
        status,
        text.trim().lines().last().unwrap_or("it said nothing")
    ))
    .hint("run the command by hand; `plexburst resume` goes on"))
}
