//! Looks at the media again and again in the background, for as long as it is kept.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::{Health, Judge, Limits, Root, Verdict};
use crate::clock::Clock;
use crate::media::prober::Prober;

/// Watches one mount; ends when dropped.
#[derive(Debug)]
pub struct Monitor {
    health: watch::Receiver<Health>,
    now: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Monitor {
    /// Begins to look.
    #[must_use]
    pub fn start(prober: Prober, roots: Vec<Root>, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        let (tell, health) = watch::channel(Health::default());
        let now = Arc::new(Notify::new());
        let asked = now.clone();
        let task = tokio::spawn(async move {
            let mut judge = Judge::new(limits);
            let mut ended = prober.ended();
            loop {
                let evidence = prober.look(&roots, &limits).await;
                let health = judge.hear(clock.now(), &evidence).clone();
                let pause = match &health.verdict {
                    Verdict::Suspect { .. } => limits.hurried(),
                    _ => limits.interval,
                };
                let is_dead = matches!(health.verdict, Verdict::Dead { .. });
                tracing::debug!(%health, "looked at the media");
                if tell.send(health).is_err() || is_dead {
                    // Nobody listens, or nothing is left to look at.
                    return;
                }
                tokio::select! {
                    () = clock.sleep(pause) => {}
                    () = asked.notified() => {}
                    // The end of the mount's process is known at once.
                    () = ended_once(&mut ended) => {}
                }
            }
        });
        Self { health, now, task }
    }

    /// What is known now.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// What a look finds that begins after this call.
    pub async fn fresh(&self) -> Health {
        // The one that is under way may have begun before.
        let wanted = self.health.borrow().looks + 2;
        let mut health = self.health.clone();
        loop {
            let known = health.borrow_and_update().clone();
            if known.looks >= wanted || matches!(known.verdict, Verdict::Dead { .. }) {
                return known;
            }
            self.now.notify_one();
            if health.changed().await.is_err() {
                // The task ends only after it has said that the media are dead.
                return health.borrow().clone();
            }
        }
    }

    /// As [`Monitor::fresh`], once it is certain: while something is only suspected it is waited.
    pub async fn settled(&self) -> Health {
        loop {
            let health = self.fresh().await;
            if !matches!(health.verdict, Verdict::Suspect { .. }) {
                return health;
            }
        }
    }

    /// Comes back when the media are dead, with how that is known.
    pub async fn death(&self) -> Health {
        let mut health = self.health.clone();
        let is_dead = |health: &Health| matches!(health.verdict, Verdict::Dead { .. });
        match health.wait_for(is_dead).await {
            Ok(health) => health.clone(),
            Err(_) => std::future::pending().await,
        }
    }
}

/// Comes back when the mount's process ends; never without one, nor for one whose end was told already.
async fn ended_once(ended: &mut Option<watch::Receiver<Option<crate::plex::runtime::Exit>>>) {
    if let Some(ended) = ended
        && ended.wait_for(Option::is_some).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}
