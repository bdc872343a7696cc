//! Coming up: from a server that was just started to one whose sections can be driven.
//!
//! Every step of the wait says what is waited for, since when and how long at most. What ends it early is a server
//! that has died. Must not: start or stop anything.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::client::{Client, Error as CallError, Identity, Kind, Pass, Section};
use super::runtime::{Exit, State, tail};
use crate::clock::Clock;

/// Lines of Plex's log that a failure shows.
const LOG_LINES: usize = 8;

/// What a wait is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// An answer to /identity.
    Identity,
    /// The end of the start or the migration that it talks about (503 and this text).
    Migration(String),
    /// The list of sections.
    Sections,
    /// The server in the account's possession.
    Claim,
    /// Plex Pass seen by the server.
    Pass,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity => f.write_str("Plex to answer"),
            Self::Migration(said) if said.is_empty() => f.write_str("Plex to finish starting"),
            Self::Migration(said) => write!(f, "Plex to finish starting ({said})"),
            Self::Sections => f.write_str("Plex to list its sections"),
            Self::Claim => f.write_str("Plex to belong to the account"),
            Self::Pass => f.write_str("Plex to see the Plex Pass"),
        }
    }
}

/// Why there is no client to ask with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A wait under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// For what.
    pub awaited: Awaited,
    /// Since when.
    pub elapsed: Duration,
    /// At most.
    pub limit: Duration,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            awaited,
            elapsed,
            limit,
        } = self;
        write!(
            f,
            "waiting for {awaited}: {} s of at most {} s",
            elapsed.as_secs(),
            limit.as_secs()
        )
    }
}

/// A server that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Who it is.
    pub identity: Identity,
    /// What it has.
    pub sections: Vec<Section>,
    /// How long it took.
    pub took: Duration,
}

/// Why a server did not come up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The limit passed.
    #[error(
        "the {server} Plex server is not up after {} s of waiting for {awaited}{}",
        limit.as_secs(),
        if *is_running { " (its process runs)" } else { "" }
    )]
    TimedOut {
        /// Which server.
        server: String,
        /// What was waited for last.
        awaited: Awaited,
        /// How long.
        limit: Duration,
        /// Whether its process is known to run.
        is_running: bool,
        /// The last answer that was not the wanted one.
        #[source]
        last: Option<CallError>,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// The server's process ended.
    #[error("the {server} Plex server {exit} while coming up")]
    Died {
        /// Which server.
        server: String,
        /// How.
        exit: Exit,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// There is nothing to ask it with.
    #[error("the server cannot be asked")]
    NoClient(#[source] BoxError),
    /// An answer that waiting does not change.
    #[error("the {server} Plex server is up, but refuses")]
    Refuses {
        /// Which server.
        server: String,
        /// What it said.
        #[source]
        call: CallError,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TimedOut {
                awaited: Awaited::Migration(_),
                ..
            } => Some("a large database migrates for many minutes: allow more time".to_owned()),
            Self::TimedOut {
                awaited: Awaited::Claim,
                ..
            } => Some(
                "a claim is valid for four minutes and once: get a new one, and see that the server reaches plex.tv"
                    .to_owned(),
            ),
            Self::TimedOut { last, .. } => last.as_ref().and_then(CallError::hint),
            Self::Died { exit, .. } if exit.hint().is_some() => exit.hint().map(str::to_owned),
            Self::Died { .. } => Some("its log says why; is the library made by a newer version of Plex?".to_owned()),
            Self::Refuses { call, .. } => call.hint(),
            Self::NoClient(_) => None,
        }
    }

    /// The last lines of the server's log, oldest first.
    #[must_use]
    pub fn log(&self) -> &[String] {
        match self {
            Self::TimedOut { log, .. } | Self::Died { log, .. } => log,
            Self::Refuses { .. } | Self::NoClient(_) => &[],
        }
    }
}

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first look to the last.
    pub total: Duration,
    /// Between two looks.
    pub interval: Duration,
    /// How long a 401 may be that of a server which is about to write a new token for this run.
    pub token: Duration,
}

impl Limits {
    /// At most `total`; a look every half second: Plex is up within seconds, or migrates for minutes.
    #[must_use]
    pub fn of_total(total: Duration) -> Self {
        Self {
            total,
            interval: Duration::from_millis(500),
            token: Duration::from_secs(30),
        }
    }
}

/// What is known about the server's process, besides what it answers.
#[derive(Clone, Copy)]
pub struct Process<'a> {
    /// Whether it runs.
    pub state: &'a (dyn Fn() -> State + Send + Sync),
    /// Its data directory, for the last lines of its log.
    pub data_dir: &'a Path,
}

/// What tells a person how far a wait is.
pub type Progress<'a> = &'a mut (dyn FnMut(&Waiting) + Send);

/// A client with the token that is in force at this moment: a server makes a new one at every start.
pub trait MakeClient: Fn() -> Result<Client, BoxError> + Send + Sync {}

impl<F: Fn() -> Result<Client, BoxError> + Send + Sync> MakeClient for F {}

/// Waits until the server answers who it is and which sections it has.
///
/// # Errors
/// [`Error`].
pub async fn wait(
    clock: &dyn Clock,
    limits: &Limits,
    client: impl MakeClient,
    progress: Progress<'_>,
) -> Result<Ready, Error> {
    wait_for_process(clock, limits, client, None, progress).await
}

/// As [`wait`], and not longer than the server's process lives.
///
/// # Errors
/// [`Error`].
pub async fn wait_for_process(
    clock: &dyn Clock,
    limits: &Limits,
    client: impl MakeClient,
    process: Option<Process<'_>>,
    progress: Progress<'_>,
) -> Result<Ready, Error> {
    let mut wait = Wait::new(clock, limits, process, progress);
    let mut identity = None;
    loop {
        let client = client().map_err(Error::NoClient)?;
        let look = async {
            if identity.is_none() {
                identity = Some(client.identity().await?);
            }
            client.sections().await
        };
        match (look.await, &identity) {
            (Ok(sections), Some(identity)) => {
                let took = wait.elapsed();
                return Ok(Ready {
                    identity: identity.clone(),
                    sections,
                    took,
                });
            }
            (Ok(_), None) => wait.again(client.server(), Awaited::Identity, None).await?,
            (Err(call), _) => {
                let awaited = match (&call.kind, &identity) {
                    (Kind::Starting(said), _) => Awaited::Migration(said.clone()),
                    (_, None) => Awaited::Identity,
                    (_, Some(_)) => Awaited::Sections,
                };
                wait.again(client.server(), awaited, Some(call)).await?;
            }
        }
    }
}

/// Waits until the server belongs to an account.
///
/// # Errors
/// [`Error`].
pub async fn wait_claimed(
    clock: &dyn Clock,
    limits: &Limits,
    client: &Client,
    process: Option<Process<'_>>,
    progress: Progress<'_>,
) -> Result<Identity, Error> {
    let mut wait = Wait::new(clock, limits, process, progress);
    loop {
        let last = match client.identity().await {
            Ok(identity) if identity.claimed => return Ok(identity),
            other => other.err(),
        };
        wait.again(client.server(), Awaited::Claim, last).await?;
    }
}

/// Waits for Plex Pass. One that does not come in time is no error: Sonic is left out then.
///
/// # Errors
/// [`Error`]: the server itself went away or refuses.
pub async fn wait_pass(
    clock: &dyn Clock,
    limits: &Limits,
    client: &Client,
    process: Option<Process<'_>>,
    progress: Progress<'_>,
) -> Result<Pass, Error> {
    let mut wait = Wait::new(clock, limits, process, progress);
    let mut seen = None;
    loop {
        let last = match client.pass().await {
            Ok(Pass::Active) => return Ok(Pass::Active),
            Ok(pass) => {
                seen = Some(pass);
                None
            }
            Err(error) => Some(error),
        };
        match (wait.again(client.server(), Awaited::Pass, last).await, seen) {
            (Err(Error::TimedOut { .. }), Some(pass)) => return Ok(pass),
            (result, _) => result?,
        }
    }
}

/// A wait under way: when it began, and what ends it.
struct Wait<'a> {
    clock: &'a dyn Clock,
    limits: &'a Limits,
    process: Option<Process<'a>>,
    progress: Progress<'a>,
    begun: Instant,
    unauthorised: Option<Instant>,
}

impl<'a> Wait<'a> {
    fn new(clock: &'a dyn Clock, limits: &'a Limits, process: Option<Process<'a>>, progress: Progress<'a>) -> Self {
        Self {
            clock,
            limits,
            process,
            progress,
            begun: clock.now(),
            unauthorised: None,
        }
    }

    fn elapsed(&self) -> Duration {
        self.clock.now() - self.begun
    }

    /// Sleeps until the next look, or says why there is none.
    async fn again(&mut self, server: &str, awaited: Awaited, mut last: Option<CallError>) -> Result<(), Error> {
        let server = server.to_owned();
        let state = self.process.map(|process| (process.state)());
        if let Some(State::Crashed(exit)) = state {
            return Err(Error::Died {
                server,
                exit,
                log: self.log(),
            });
        }
        if let Some(call) = last.take_if(|call| !call.is_temporary()) {
            let now = self.clock.now();
            let since = *self.unauthorised.get_or_insert(now);
            let may_change = matches!(call.kind, Kind::Unauthorised) && now - since < self.limits.token;
            if !may_change {
                return Err(Error::Refuses { server, call });
            }
            last = Some(call);
        }
        let (elapsed, limit) = (self.elapsed(), self.limits.total);
        if elapsed >= limit {
            return Err(Error::TimedOut {
                server,
                awaited,
                limit,
                is_running: state == Some(State::Running),
                last,
                log: self.log(),
            });
        }
        (self.progress)(&Waiting {
            awaited,
            elapsed,
            limit,
        });
        self.clock.sleep(self.limits.interval.min(limit - elapsed)).await;
        Ok(())
    }

    fn log(&self) -> Vec<String> {
        self.process
            .map(|process| tail(process.data_dir, LOG_LINES))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::clock::ManualClock;
    use crate::plex::canned::{Answer, Canned};
    use crate::plex::client::Address;

    const IDENTITY: &str = r#"{"MediaContainer":{"machineIdentifier":"ab","version":"1"}}"#;

    fn client(server: &Canned) -> Client {
        Client::new("worker", &Address::Http(server.base()), None).unwrap()
    }

    async fn ready(server: &Canned, state: State, limit: u64) -> (Result<Ready, Error>, Vec<Waiting>) {
        let mut seen = Vec::new();
        let (clock, limits) = (ManualClock::new(), Limits::of_total(Duration::from_secs(limit)));
        let process = Process {
            state: &move || state,
            data_dir: Path::new("/none"),
        };
        let make = || Ok(client(server));
        let mut progress = |waiting: &Waiting| seen.push(waiting.clone());
        let result = wait_for_process(&clock, &limits, make, Some(process), &mut progress).await;
        (result, seen)
    }

    #[tokio::test]
    async fn through_a_migration_of_minutes() {
        let asked = AtomicUsize::new(0);
        let server = Canned::start(move |request| match request.target.as_str() {
            "/identity" if asked.fetch_add(1, Ordering::Relaxed) < 1000 => Answer::new(503, "<h1>migrating</h1>"),
            "/identity" => Answer::json(IDENTITY),
            _ => Answer::json(r#"{"MediaContainer":{"Directory":[]}}"#),
        })
        .await;
        let (result, seen) = ready(&server, State::Running, 900).await;
        assert_eq!(result.unwrap().took, Duration::from_secs(500));
        assert_eq!(seen.last().unwrap().awaited, Awaited::Migration("migrating".into()));
        assert_eq!(
            seen[10].to_string(),
            "waiting for Plex to finish starting (migrating): 5 s of at most 900 s"
        );
    }

    #[tokio::test]
    async fn what_never_comes_up_says_what_it_said_last() {
        let server = Canned::start(|_| Answer::new(503, "maintenance")).await;
        let (result, _) = ready(&server, State::Running, 60).await;
        let error = result.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("after 60 s of waiting for Plex to finish starting (maintenance)"),
            "{error}"
        );
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("503"));
        assert!(error.hint().is_some());
    }

    #[tokio::test]
    async fn a_dead_server_and_a_wrong_token_are_not_waited_for() {
        let server = Canned::start(|_| Answer::new(503, "")).await;
        let (result, seen) = ready(&server, State::Crashed(Exit::of(139)), 60).await;
        assert!(seen.is_empty());
        assert_eq!(
            result.unwrap_err().to_string(),
            "the worker Plex server ended by signal 11 while coming up"
        );
        let server = Canned::start(|request| match request.target.as_str() {
            "/identity" => Answer::json(IDENTITY),
            _ => Answer::new(401, ""),
        })
        .await;
        let (result, _) = ready(&server, State::Running, 60).await;
        assert!(matches!(result.unwrap_err(), Error::Refuses { .. }));
    }

    #[tokio::test]
    async fn a_pass_that_does_not_come_is_no_error() {
        let server =
            Canned::start(|_| Answer::json(r#"{"MyPlex":{"signInState":"ok","subscriptionActive":false}}"#)).await;
        let (clock, limits) = (ManualClock::new(), Limits::of_total(Duration::from_secs(120)));
        let pass = wait_pass(&clock, &limits, &client(&server), None, &mut |_| ())
            .await
            .unwrap();
        assert_eq!(pass, Pass::Inactive);
        assert!(clock.passed() >= Duration::from_secs(120));
        let error = wait_claimed(&clock, &limits, &client(&server), None, &mut |_| ())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Refuses { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_token_of_the_run_before_is_waited_out() {
        let asked = AtomicUsize::new(0);
        let server = Canned::start(move |request| match request.target.as_str() {
            "/identity" => Answer::json(IDENTITY),
            _ if asked.fetch_add(1, Ordering::Relaxed) < 5 => Answer::new(401, ""),
            _ => Answer::json(r#"{"MediaContainer":{}}"#),
        })
        .await;
        let (result, seen) = ready(&server, State::Running, 60).await;
        assert!(result.unwrap().sections.is_empty());
        assert_eq!(seen.len(), 5);
        assert_eq!(seen[0].awaited, Awaited::Sections);
    }
}
