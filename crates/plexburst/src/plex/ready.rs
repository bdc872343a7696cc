//! Coming up: from a server that was just started to one whose sections can be driven.
//!
//! Every step of the wait says what is waited for, since when and how long at most. What ends it early is a server
//! that has died. Must not: start or stop anything.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::client::{Client, Error as CallError, Identity, Kind, Pass, Section};
use super::runtime::{Exit, State, tail};
use crate::clock::Clock;

/// Between two looks. Plex is up within seconds, or migrates for minutes: a second more is nothing to either.
const INTERVAL: Duration = Duration::from_millis(500);
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
    #[error("the {server} Plex server is not up after {} s of waiting for {awaited}", limit.as_secs())]
    TimedOut {
        /// Which server.
        server: String,
        /// What was waited for last.
        awaited: Awaited,
        /// How long.
        limit: Duration,
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
            Self::TimedOut { awaited: Awaited::Migration(_), .. } => {
                Some("a large database migrates for many minutes: allow more time".to_owned())
            }
            Self::TimedOut { awaited: Awaited::Claim, .. } => Some(
                "a claim is valid for four minutes and once: get a new one, and see that the server reaches plex.tv"
                    .to_owned(),
            ),
            Self::TimedOut { last, .. } => last.as_ref().and_then(CallError::hint),
            Self::Died { .. } => Some("its log says why; is the library made by a newer version of Plex?".to_owned()),
            Self::Refuses { call, .. } => call.hint(),
        }
    }

    /// The last lines of the server's log, oldest first.
    #[must_use]
    pub fn log(&self) -> &[String] {
        match self {
            Self::TimedOut { log, .. } | Self::Died { log, .. } => log,
            Self::Refuses { .. } => &[],
        }
    }
}

/// What a wait has at hand.
pub struct Wait<'a> {
    /// The server.
    pub client: &'a Client,
    /// Where time comes from.
    pub clock: &'a dyn Clock,
    /// How long at most.
    pub limit: Duration,
    /// Whether the server's process runs; `State::Running` where that cannot be known.
    pub state: &'a (dyn Fn() -> State + Sync),
    /// Where the server's log is, if it can be read from here.
    pub data_dir: Option<&'a Path>,
    /// Told at every look.
    pub progress: &'a (dyn Fn(&Waiting) + Sync),
}

impl Wait<'_> {
    /// Waits until the server answers who it is and which sections it has.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn until_ready(&self) -> Result<Ready, Error> {
        let begun = self.clock.now();
        let mut identity = None;
        let sections = self
            .until(Awaited::Identity, async || {
                if identity.is_none() {
                    identity = Some(self.client.identity().await?);
                }
                self.client.sections().await.map(Some)
            })
            .await?;
        match identity {
            Some(identity) => Ok(Ready {
                identity,
                sections,
                took: self.clock.now() - begun,
            }),
            None => Err(self.timed_out(Awaited::Identity, None)),
        }
    }

    /// Waits until the server belongs to an account.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn until_claimed(&self) -> Result<Identity, Error> {
        let look =
            async || Ok(Some(self.client.identity().await?).filter(|identity| identity.claimed));
        self.until(Awaited::Claim, look).await
    }

    /// Waits for Plex Pass; when the limit passes without, the last that was seen.
    ///
    /// # Errors
    /// [`Error`], but not for a pass that does not come.
    pub async fn until_pass(&self) -> Result<Pass, Error> {
        let mut seen = Pass::Unclaimed;
        let look = async || {
            seen = self.client.pass().await?;
            Ok(Some(seen).filter(|pass| *pass == Pass::Active))
        };
        match self.until(Awaited::Pass, look).await {
            Err(Error::TimedOut { last: None, .. }) => Ok(seen),
            other => other,
        }
    }

    async fn until<T>(
        &self,
        first: Awaited,
        mut look: impl AsyncFnMut() -> Result<Option<T>, CallError>,
    ) -> Result<T, Error> {
        let begun = self.clock.now();
        let mut awaited = first;
        loop {
            let last = match look().await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => None,
                Err(error) if error.is_temporary() => Some(error),
                Err(call) => {
                    return Err(Error::Refuses {
                        server: self.server(),
                        call,
                    });
                }
            };
            if let Some(error) = &last {
                awaited = match (&error.kind, awaited) {
                    (Kind::Starting(said), Awaited::Claim | Awaited::Pass) => {
                        Awaited::Migration(said.clone())
                    }
                    (Kind::Starting(said), _) => Awaited::Migration(said.clone()),
                    (_, kept @ (Awaited::Claim | Awaited::Pass)) => kept,
                    _ if error.call.ends_with("/library/sections") => Awaited::Sections,
                    (_, kept) => kept,
                };
            }
            if let State::Crashed(exit) = (self.state)() {
                return Err(Error::Died {
                    server: self.server(),
                    exit,
                    log: self.log(),
                });
            }
            let elapsed = self.clock.now() - begun;
            if elapsed >= self.limit {
                return Err(self.timed_out(awaited, last));
            }
            (self.progress)(&Waiting {
                awaited: awaited.clone(),
                elapsed,
                limit: self.limit,
            });
            self.clock.sleep(INTERVAL.min(self.limit - elapsed)).await;
        }
    }

    fn timed_out(&self, awaited: Awaited, last: Option<CallError>) -> Error {
        Error::TimedOut {
            server: self.server(),
            awaited,
            limit: self.limit,
            last,
            log: self.log(),
        }
    }

    fn server(&self) -> String {
        self.client.server().to_owned()
    }

    fn log(&self) -> Vec<String> {
        self.data_dir
            .map(|dir| tail(dir, LOG_LINES))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::clock::ManualClock;
    use crate::plex::canned::{Answer, Canned};
    use crate::plex::client::Address;

    const IDENTITY: &str = r#"{"MediaContainer":{"machineIdentifier":"ab","version":"1"}}"#;

    async fn wait(
        server: &Canned,
        state: State,
        limit: u64,
    ) -> (Result<Ready, Error>, Vec<Waiting>) {
        let client = Client::new("worker", &Address::Http(server.base()), None).unwrap();
        let (clock, seen) = (ManualClock::new(), Mutex::new(Vec::new()));
        let wait = Wait {
            client: &client,
            clock: &clock,
            limit: Duration::from_secs(limit),
            state: &|| state,
            data_dir: None,
            progress: &|waiting| seen.lock().unwrap().push(waiting.clone()),
        };
        let result = wait.until_ready().await;
        (result, seen.into_inner().unwrap())
    }

    #[tokio::test]
    async fn through_a_migration_of_minutes() {
        let asked = AtomicUsize::new(0);
        let server = Canned::start(move |request| match request.target.as_str() {
            "/identity" if asked.fetch_add(1, Ordering::Relaxed) < 1000 => {
                Answer::new(503, "<h1>migrating</h1>")
            }
            "/identity" => Answer::json(IDENTITY),
            _ => Answer::json(r#"{"MediaContainer":{"Directory":[]}}"#),
        })
        .await;
        let (ready, seen) = wait(&server, State::Running, 900).await;
        assert_eq!(ready.unwrap().took, Duration::from_secs(500));
        assert_eq!(
            seen.last().unwrap().awaited,
            Awaited::Migration("migrating".into())
        );
        assert_eq!(
            seen[10].to_string(),
            "waiting for Plex to finish starting (migrating): 5 s of at most 900 s"
        );
    }

    #[tokio::test]
    async fn what_never_comes_up_says_what_it_said_last() {
        let server = Canned::start(|_| Answer::new(503, "maintenance")).await;
        let (result, _) = wait(&server, State::Running, 60).await;
        let error = result.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("after 60 s of waiting for Plex to finish starting (maintenance)"),
            "{error}"
        );
        assert!(
            std::error::Error::source(&error)
                .unwrap()
                .to_string()
                .contains("503")
        );
        assert!(error.hint().is_some());
    }

    #[tokio::test]
    async fn a_dead_server_and_a_wrong_token_are_not_waited_for() {
        let server = Canned::start(|_| Answer::new(503, "")).await;
        let (result, seen) = wait(&server, State::Crashed(Exit { code: 139 }), 60).await;
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
        let (result, _) = wait(&server, State::Running, 60).await;
        assert!(matches!(result.unwrap_err(), Error::Refuses { .. }));
    }

    #[tokio::test]
    async fn a_pass_that_does_not_come_is_no_error() {
        let server = Canned::start(|_| {
            Answer::json(r#"{"MyPlex":{"signInState":"ok","subscriptionActive":false}}"#)
        })
        .await;
        let client = Client::new("worker", &Address::Http(server.base()), None).unwrap();
        let clock = ManualClock::new();
        let wait = Wait {
            client: &client,
            clock: &clock,
            limit: Duration::from_secs(120),
            state: &|| State::Running,
            data_dir: None,
            progress: &|_| (),
        };
        assert_eq!(wait.until_pass().await.unwrap(), Pass::Inactive);
        assert!(clock.passed() >= Duration::from_secs(120));
    }
}
