//! This side of a page about a home on another machine: one process there is asked for what the page shows, as long as the
//! page is served. A connection that is lost is made again when somebody looks; until then the page says so, beside what was
//! seen last.

use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::talk::{ALIVE, Answer, Question};
use super::view::{Found, Live, Past};
use crate::config::Settings;
use crate::distant::Machine;
use crate::distant::settle::{self, Account};
use crate::error::{Error, Result};
use crate::host::Talk;

/// So long an answer may take: what the depot is waited for, and as much again.
const PATIENCE: Duration = Duration::from_secs(60);
/// After an attempt to reach it that came to nothing, the next one.
const PAUSE: Duration = Duration::from_secs(5);

/// A question, and where its answer goes.
struct Post {
    question: Question,
    to: oneshot::Sender<Result<Answer>>,
}

/// Home's machine as the page asks it.
#[derive(Debug)]
pub(super) struct Afar {
    name: String,
    /// Gone once it was ended.
    post: Mutex<Option<mpsc::Sender<Post>>>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    seen: Mutex<Seen>,
}

/// What was seen last.
#[derive(Debug, Default)]
struct Seen {
    live: Option<Live>,
    history: Vec<Past>,
}

impl Afar {
    /// Begins to ask `machine`; `run` is the burst that is to be shown.
    ///
    /// # Errors
    /// It has nothing to show, in its own words; the connection.
    pub(super) async fn open(machine: Machine, settings: Settings, run: Option<String>) -> Result<Self> {
        let (post, box_) = mpsc::channel(8);
        let name = machine.name().to_owned();
        let keeper = Keeper { machine, settings, run };
        let afar = Self {
            name,
            post: Mutex::new(Some(post)),
            keeper: Mutex::new(Some(tokio::spawn(keeper.keep(box_)))),
            seen: Mutex::default(),
        };
        match afar.ask(Question::History).await {
            Ok(Answer::History(history)) => afar.seen.lock().await.history = history,
            Ok(_) => return Err(strange()),
            Err(error) => {
                afar.end().await;
                return Err(error);
            }
        }
        Ok(afar)
    }

    /// What the page calls it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn live(&self) -> Live {
        let answer = self.ask(Question::Live).await;
        let mut seen = self.seen.lock().await;
        let error = match answer {
            Ok(Answer::Live(live)) => {
                seen.live = Some((*live).clone());
                return *live;
            }
            Ok(_) => strange(),
            Err(error) => error,
        };
        Live::out_of_reach(&self.name, &error, seen.live.as_ref())
    }

    pub(super) async fn history(&self) -> Vec<Past> {
        let answer = self.ask(Question::History).await;
        let mut seen = self.seen.lock().await;
        if let Ok(Answer::History(history)) = answer {
            seen.history = history;
        }
        seen.history.clone()
    }

    pub(super) async fn burst(&self, id: &str) -> Result<Option<Found>> {
        match self.ask(Question::Burst(id.to_owned())).await? {
            Answer::Burst(found) => Ok(found),
            _ => Err(strange()),
        }
    }

    async fn ask(&self, question: Question) -> Result<Answer> {
        let (to, answer) = oneshot::channel();
        let gone = || Error::unexpected("nothing asks home's machine any more");
        let post = self.post.lock().await.clone().ok_or_else(gone)?;
        post.send(Post { question, to }).await.map_err(|_| gone())?;
        drop(post);
        answer.await.map_err(|_| gone())?
    }

    /// Lets the process there end, and comes back when it has.
    pub(super) async fn end(&self) {
        drop(self.post.lock().await.take());
        if let Some(keeper) = self.keeper.lock().await.take() {
            // Whoever cannot be told any more finds out by itself.
            drop(tokio::time::timeout(PATIENCE, keeper).await);
        }
    }
}

fn strange() -> Error {
    Error::unexpected("home's machine answers what was not asked")
}

/// Has the connection.
struct Keeper {
    machine: Machine,
    settings: Settings,
    run: Option<String>,
}

impl Keeper {
    async fn keep(mut self, mut inbox: mpsc::Receiver<Post>) {
        let mut waiting = None;
        while let Some(why) = self.talk(&mut inbox, &mut waiting).await {
            let Some(post) = self.reach(why, &mut inbox, waiting.take()).await else {
                break;
            };
            waiting = Some(post);
        }
        self.machine.leave().await;
    }

    /// Has questions answered there until nobody asks any more (`None`) or the connection is lost. A question that was not
    /// answered then is left in `waiting`, once.
    async fn talk(&self, inbox: &mut mpsc::Receiver<Post>, waiting: &mut Option<Post>) -> Option<Error> {
        let mut is_again = waiting.is_some();
        let mut talk = match self.begin().await {
            Ok(talk) => talk,
            Err(error) => return Some(refuse(error, waiting)),
        };
        loop {
            let post = match waiting.take() {
                Some(post) => post,
                None => match tokio::time::timeout(ALIVE, inbox.recv()).await {
                    Ok(Some(post)) => post,
                    Ok(None) => {
                        talk.end().await;
                        return None;
                    }
                    Err(_) => match ask(&mut talk, &Question::Nothing).await {
                        Ok(_) => continue,
                        Err(error) => return Some(error),
                    },
                },
            };
            match ask(&mut talk, &post.question).await {
                Ok(Answer::Failed(failure)) => {
                    let error = failure.into_error();
                    let why = lost(&self.machine).because(error.chain());
                    drop(post.to.send(Err(error)));
                    return Some(why);
                }
                Ok(answer) => drop(post.to.send(Ok(answer))),
                Err(error) if is_again => {
                    *waiting = Some(post);
                    return Some(refuse(error, waiting));
                }
                Err(error) => {
                    *waiting = Some(post);
                    return Some(error);
                }
            }
            is_again = false;
        }
    }

    async fn begin(&self) -> Result<Talk<'_>> {
        let args = self.run.iter().cloned().collect();
        let order = settle::order(&self.settings, self.machine.folders(), Account::NotNeeded, args)?;
        self.machine.look(&order).await
    }

    /// Reaches it again for the first question that comes, and gives that; `None` when nobody asks any more. Whoever asks
    /// while it cannot be reached is told `why`.
    async fn reach(
        &mut self,
        mut why: Error,
        inbox: &mut mpsc::Receiver<Post>,
        mut waiting: Option<Post>,
    ) -> Option<Post> {
        let mut failed: Option<Instant> = None;
        loop {
            let post = match waiting.take() {
                Some(post) => post,
                None => inbox.recv().await?,
            };
            if failed.is_none_or(|at| at.elapsed() > PAUSE) {
                match self.machine.reach_once().await {
                    Ok(()) => return Some(post),
                    Err(error) => {
                        why = error;
                        failed = Some(Instant::now());
                    }
                }
            }
            drop(post.to.send(Err(same(&why))));
        }
    }
}

async fn ask(talk: &mut Talk<'_>, question: &Question) -> Result<Answer> {
    let line = serde_json::to_string(question).map_err(|e| Error::unexpected("cannot write a question").because(e))?;
    let gone = || Error::failed("the connection is gone");
    let heard = tokio::time::timeout(PATIENCE, async {
        // One that does not listen any more may have said why.
        talk.tell(&line).await;
        talk.hear().await
    });
    let line = heard
        .await
        .map_err(|_| Error::failed("it does not answer"))?
        .ok_or_else(gone)?;
    serde_json::from_str(&line).map_err(|e| Error::unexpected("cannot understand an answer").because(e))
}

/// Whoever waits is told; the error is what it was.
fn refuse(error: Error, waiting: &mut Option<Post>) -> Error {
    if let Some(post) = waiting.take() {
        drop(post.to.send(Err(same(&error))));
    }
    error
}

fn lost(machine: &Machine) -> Error {
    Error::failed(format!("{} shows nothing", machine.name()))
}

/// Errors are told to several.
fn same(error: &Error) -> Error {
    let copy = Error::new(error.exit(), error.chain());
    match error.hint_text() {
        Some(hint) => copy.hint(hint),
        None => copy,
    }
}
