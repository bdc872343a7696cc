//! What there is to show: the live burst as `attach` shows it, and the bursts that this machine knows. Looked up when somebody
//! asks, and then good for a moment, so that ten open pages ask the depot no more often than one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::Shown;
use crate::burst::live::{self, Row};
use crate::burst::store::{self, Known, Standing};
use crate::burst::{elsewhere, side};
use crate::clock::local;
use crate::error::{Error, Result};
use crate::report::Report;

/// So long a look is good for.
const GOOD_FOR: Duration = Duration::from_secs(2);
/// So long a page waits for the depot.
const DEPOT: Duration = Duration::from_secs(15);
/// Lines of what both sides have noted.
const NOTES: usize = 30;
/// Bursts of the history.
const HISTORY: usize = 100;

/// Where things are looked up.
#[derive(Debug)]
pub(super) struct View {
    shown: Shown,
    live: Mutex<Option<(Instant, Arc<Live>)>>,
}

/// The live burst, or that there is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Live {
    /// Its id.
    pub(super) burst: Option<String>,
    /// How it is.
    pub(super) state: State,
    /// In words.
    pub(super) headline: String,
    /// As `attach` shows it.
    pub(super) rows: Vec<Row>,
    /// What both sides noted last.
    pub(super) notes: Vec<Note>,
    /// Another text when the history is another one.
    pub(super) history: String,
    /// When this was looked up.
    pub(super) at: String,
}

/// How the live burst is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Somebody runs it.
    Running,
    /// For `plexburst resume`.
    Waiting,
    /// There is none.
    Idle,
    /// Home's machine cannot be asked.
    Unreached,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Idle => "idle",
            Self::Unreached => "unreached",
        }
    }
}

/// One line of what was noted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Note {
    /// Its time of day at home.
    pub(super) at: String,
    /// What was noted.
    pub(super) text: String,
}

/// One burst of the history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Past {
    pub(super) id: String,
    pub(super) begun: String,
    pub(super) from: String,
    /// How it stands, and whether that is good.
    pub(super) stands: String,
    pub(super) is_good: bool,
    pub(super) brought: String,
    pub(super) cost: String,
}

/// One burst of this machine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Found {
    /// It has a report.
    Report(Box<Report>),
    /// It has none yet.
    Unended(Vec<Note>),
}

impl View {
    pub(super) fn new(shown: Shown) -> Self {
        let live = Mutex::default();
        Self { shown, live }
    }

    /// The live burst; whoever asks meanwhile gets the same look.
    pub(super) async fn live(&self) -> Arc<Live> {
        let mut last = self.live.lock().await;
        if let Some((at, live)) = &*last
            && at.elapsed() < GOOD_FOR
        {
            return live.clone();
        }
        let live = Arc::new(self.look().await);
        *last = Some((Instant::now(), live.clone()));
        live
    }

    async fn look(&self) -> Live {
        let known = self.known();
        let history = fingerprint(&known);
        let mut live = match (&self.shown.burst, running_or_newest(&known)) {
            (Some(id), _) => {
                self.depot_tells(id, known.iter().find(|burst| burst.request.id == *id))
                    .await
            }
            (None, Some(burst)) => self.depot_tells(&burst.request.id, Some(burst)).await,
            (None, None) => idle("no burst is under way"),
        };
        live.history = history;
        live
    }

    async fn depot_tells(&self, id: &str, known: Option<&Known>) -> Live {
        if known.is_some_and(|burst| !matches!(burst.standing, Standing::Resumable { .. })) {
            return idle(&format!("burst {id} has ended"));
        }
        let told = match &self.shown.depot {
            Ok(depot) => match tokio::time::timeout(DEPOT, live::look(&self.shown.settings, depot, id)).await {
                Ok(Ok(burst)) => Ok(burst),
                Ok(Err(error)) => Err(error.chain()),
                Err(_) => Err(format!("the depot at {} does not answer", depot.name())),
            },
            Err(error) => Err(error.chain()),
        };
        let is_running = known.is_some_and(is_run);
        let now = Timestamp::now();
        let (rows, notes) = match (told, known) {
            (Ok(Some(burst)), _) => {
                if !matches!(burst.standing, Standing::Resumable { .. }) {
                    return idle(&format!("burst {id} has ended"));
                }
                (
                    live::rows(&burst, now),
                    notes(live::fresh(&burst, &mut live::Seen::default())),
                )
            }
            (Ok(None), _) => return idle(&format!("burst {id} has ended")),
            (Err(why), known) => (here_tells(known, why), Vec::new()),
        };
        let (state, headline) = match (is_running, known) {
            (true, _) => (State::Running, "a burst is under way".to_owned()),
            (false, Some(_)) => (
                State::Waiting,
                format!("a burst waits: `plexburst resume {id}` goes on with it"),
            ),
            // Whether its controller lives only its own machine knows.
            (false, None) => (State::Running, "a burst of another machine".to_owned()),
        };
        Live {
            burst: Some(id.to_owned()),
            state,
            headline,
            rows,
            notes,
            history: String::new(),
            at: time_of_day(now),
        }
    }

    fn known(&self) -> Vec<Known> {
        // One that cannot be understood is named by `runs`.
        let all = tokio::task::block_in_place(|| store::all(&self.shown.settings.state_dir));
        all.map(|(known, _)| known).unwrap_or_default()
    }

    /// The bursts, newest first.
    pub(super) fn history(&self) -> Vec<Past> {
        let known = self.known();
        tokio::task::block_in_place(|| known.iter().take(HISTORY).map(past).collect())
    }

    /// One of them.
    pub(super) fn burst(&self, id: &str) -> Option<Found> {
        let known = self.known();
        let burst = known.iter().find(|burst| burst.request.id == id)?;
        tokio::task::block_in_place(|| match Report::load(&burst.dir) {
            Ok(report) => Some(Found::Report(Box::new(report))),
            Err(_) => Some(Found::Unended(notes(of_journal(burst).unwrap_or_default()))),
        })
    }
}

impl Live {
    /// In the place of one that cannot be asked for; `last` is what was seen before.
    pub(super) fn out_of_reach(name: &str, why: &Error, last: Option<&Self>) -> Self {
        let asked = last.map_or_else(
            || "it was not seen yet".to_owned(),
            |last| format!("what stands here was seen at {}", last.at),
        );
        Self {
            state: State::Unreached,
            headline: format!("{name} cannot be asked ({}); {asked}", why.chain()),
            ..last.cloned().unwrap_or_else(|| idle(""))
        }
    }
}

fn idle(headline: &str) -> Live {
    Live {
        burst: None,
        state: State::Idle,
        headline: headline.to_owned(),
        rows: Vec::new(),
        notes: Vec::new(),
        history: String::new(),
        at: time_of_day(Timestamp::now()),
    }
}

/// What is worth being shown: a burst that a process runs, else the newest, if it has not ended.
fn running_or_newest(known: &[Known]) -> Option<&Known> {
    let is_open = |burst: &&Known| matches!(burst.standing, Standing::Resumable { .. });
    known
        .iter()
        .filter(is_open)
        .find(|burst| is_run(burst))
        .or_else(|| known.first().filter(is_open))
}

fn is_run(burst: &Known) -> bool {
    side::is_held(&burst.dir.join("lock")).unwrap_or(false)
}

/// What this machine knows where the depot says nothing.
fn here_tells(known: Option<&Known>, why: String) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut put = |label: &'static str, text: String| {
        rows.push(Row {
            label: label.into(),
            text,
        });
    };
    if let Some(burst) = known {
        put("burst", burst.request.id.clone());
        if let Standing::Resumable { phase, error } = &burst.standing {
            put("phase", phase.clone());
            if let Some(error) = error {
                put("failed", error.clone());
            }
        }
    }
    put("depot", why);
    rows
}

fn of_journal(burst: &Known) -> Result<Vec<(Timestamp, String)>> {
    let path = store::journal_path(&burst.dir);
    let controller = crate::burst::journal::Journal::read(&path)?;
    let burst = elsewhere::Elsewhere {
        request: burst.request.clone(),
        holder: None,
        standing: burst.standing.clone(),
        controller,
        worker: Vec::new(),
        progress: None,
    };
    Ok(live::fresh(&burst, &mut live::Seen::default()))
}

fn notes(lines: Vec<(Timestamp, String)>) -> Vec<Note> {
    let from = lines.len().saturating_sub(NOTES);
    let last = lines.into_iter().skip(from);
    last.map(|(at, text)| Note {
        at: time_of_day(at),
        text,
    })
    .collect()
}

fn fingerprint(known: &[Known]) -> String {
    let mut all = blake3::Hasher::new();
    for burst in known {
        all.update(burst.request.id.as_bytes());
        all.update(burst.standing.word().as_bytes());
    }
    all.finalize().to_hex()[..16].to_owned()
}

fn past(burst: &Known) -> Past {
    let report = Report::load(&burst.dir).ok();
    let stands = match (&burst.standing, &report) {
        (Standing::Resumable { phase, .. }, None) => format!("at {phase}"),
        (Standing::Resumable { phase, .. }, Some(report)) => format!("{}, at {phase}", report.outcome.word()),
        (_, Some(report)) => report.outcome.word().to_owned(),
        (ended, None) => ended.word().to_owned(),
    };
    Past {
        id: burst.request.id.clone(),
        begun: local(burst.request.created_at, "%Y-%m-%d %H:%M"),
        from: burst.request.source.word().to_owned(),
        stands,
        is_good: matches!(burst.standing, Standing::Committed),
        brought: report.as_ref().map(Report::gained).unwrap_or_default(),
        cost: report.and_then(|report| report.cost).unwrap_or_default(),
    }
}

fn time_of_day(at: Timestamp) -> String {
    local(at, "%H:%M:%S")
}
