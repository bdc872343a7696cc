//! Watching over a container: whether it lives, and why it does not.
//!
//! Asked once a second, and told by the engine of memory that ran out. The image's own init starts a server again that
//! has died: the container lives on then, so the server's process is looked at as well. An engine that does not answer is
//! given time, since one that is restarted may keep its containers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::models::ContainerStateStatusEnum as Status;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::StreamExt;
use tokio::sync::watch;

use super::engine::{Engine, is_gone};
use super::exit_of;
use crate::clock::Clock;
use crate::plex::runtime::{Exit, Why, processes};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// How long an engine may be silent before the server counts as lost.
const SILENCE: Duration = Duration::from_secs(60);
/// So many new servers in one container are a loop.
const LOOP: u32 = 3;
/// So many looks after a new server the engine may still be about to tell that memory ran out before it.
const LATE: u32 = 5;

/// What is known of a container.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// Its first process, as this machine numbers it.
    pid: Option<i32>,
    exit: Option<Exit>,
}

/// The task that looks.
#[derive(Debug)]
pub(super) struct Watch {
    seen: watch::Receiver<Seen>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl Watch {
    pub(super) fn start(engine: Engine, id: String, clock: Arc<dyn Clock>) -> Self {
        let (tell, seen) = watch::channel(Seen::default());
        let (oom_tell, oom) = watch::channel(0_u32);
        let events = tokio::spawn(memory(engine.clone(), id.clone(), oom_tell, Arc::clone(&clock)));
        let looking = tokio::spawn(look(engine, id, oom, tell, clock));
        Self {
            seen,
            tasks: [events, looking],
        }
    }

    pub(super) fn exit(&self) -> Option<Exit> {
        self.seen.borrow().exit
    }

    pub(super) fn pid(&self) -> Option<i32> {
        self.seen.borrow().pid
    }

    /// It is about to be stopped: what is seen from now on is no news.
    pub(super) fn forget(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Counts the processes of the container that were ended because its memory ran out.
async fn memory(engine: Engine, id: String, count: watch::Sender<u32>, clock: Arc<dyn Clock>) {
    let filters = std::collections::HashMap::from([("container", vec![id.as_str()]), ("event", vec!["oom"])]);
    loop {
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let mut events = engine.raw().events(Some(options));
        while let Some(Ok(_)) = events.next().await {
            count.send_modify(|count| *count += 1);
            tracing::warn!("a process of the worker's container was ended because its memory ran out");
        }
        // The engine is gone; whether it comes back is the other task's business.
        clock.sleep(LOOK).await;
    }
}

/// Follows the server's own process through a container that lives on without it.
#[derive(Debug, Default)]
struct Servers {
    last: Option<i32>,
    restarts: u32,
    /// Looks that are left in which it may be told what the last one died of.
    unexplained: u32,
}

impl Servers {
    /// The server as it is now; how it counts, when that is an end.
    fn look(&mut self, now: Option<i32>, ooms: u32) -> Option<Exit> {
        let is_new = now.is_some() && self.last.is_some() && now != self.last;
        self.unexplained = self.unexplained.saturating_sub(1);
        if is_new {
            self.restarts += 1;
            self.unexplained = LATE;
            tracing::warn!(
                restarts = self.restarts,
                "the worker's Plex has died and was started again"
            );
        }
        self.last = now.or(self.last);
        if self.unexplained > 0 && ooms > 0 {
            return Some(Exit {
                code: 137,
                why: Why::OutOfMemory,
            });
        }
        (self.restarts >= LOOP).then_some(Exit {
            code: -1,
            why: Why::Loop(self.restarts),
        })
    }
}

async fn look(engine: Engine, id: String, oom: watch::Receiver<u32>, tell: watch::Sender<Seen>, clock: Arc<dyn Clock>) {
    let mut servers = Servers::default();
    let mut silent: Option<Instant> = None;
    loop {
        let exit = match engine.raw().inspect_container(&id, None).await {
            Ok(seen) => {
                silent = None;
                let state = seen.state.unwrap_or_default();
                let was_oom = state.oom_killed.unwrap_or(false);
                match state.status {
                    Some(Status::EXITED | Status::DEAD) => Some(exit_of(state.exit_code, was_oom)),
                    Some(Status::REMOVING) => Some(removed()),
                    _ => {
                        let pid = state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
                        tell.send_modify(|seen| seen.pid = pid);
                        servers.look(pid.and_then(server_of), *oom.borrow())
                    }
                }
            }
            Err(error) if is_gone(&error) => Some(removed()),
            Err(error) => {
                let since = *silent.get_or_insert_with(|| clock.now());
                tracing::warn!(%error, "the Docker engine does not answer");
                (clock.now() - since > SILENCE).then_some(Exit {
                    code: -1,
                    why: Why::EngineGone,
                })
            }
        };
        if exit.is_some() {
            tell.send_modify(|seen| seen.exit = exit);
            return;
        }
        clock.sleep(LOOK).await;
    }
}

fn removed() -> Exit {
    Exit {
        code: -1,
        why: Why::Removed,
    }
}

/// The process of the server itself below the container's first.
fn server_of(root: i32) -> Option<i32> {
    let all = processes::below(root).ok()?;
    all.iter()
        .find(|process| process.is("Plex Media Server"))
        .map(|process| process.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_comes_up_again_and_again_is_a_loop() {
        let mut servers = Servers::default();
        for now in [None, Some(7), Some(7), None, Some(9), Some(11)] {
            assert_eq!(servers.look(now, 0), None, "{now:?}");
        }
        let exit = servers.look(Some(13), 0).unwrap();
        assert_eq!(exit.why, Why::Loop(3));
    }

    #[test]
    fn a_new_server_after_memory_ran_out_is_told_as_that() {
        let mut servers = Servers::default();
        assert_eq!(servers.look(Some(7), 0), None);
        // A scanner that was ended leaves the server alone.
        assert_eq!(servers.look(Some(7), 1), None);
        assert_eq!(servers.look(Some(9), 1).unwrap().why, Why::OutOfMemory);
    }

    #[test]
    fn memory_that_ran_out_may_be_told_after_the_new_server_is_seen() {
        let mut servers = Servers::default();
        assert_eq!(servers.look(Some(7), 0), None);
        assert_eq!(servers.look(Some(9), 0), None);
        assert_eq!(servers.look(Some(9), 1).unwrap().why, Why::OutOfMemory);
        let mut servers = Servers::default();
        for now in [Some(7), Some(9), Some(9), Some(9), Some(9), Some(9)] {
            assert_eq!(servers.look(now, 0), None);
        }
        // Long after that it was another process.
        assert_eq!(servers.look(Some(9), 1), None);
    }
}
