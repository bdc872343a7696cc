//! A burst while it runs, as `attach` and `serve` show it and `logs` tells it: from what is in the depot alone.

use std::borrow::Cow;
use std::time::Duration;

use super::elsewhere::{self, Elsewhere};
use super::journal::{Entry, Event};
use super::phase::Phase;
use super::store::{self, Standing};
use super::tail::Tail;
use crate::cloud::offer::Offer;
use crate::cloud::price::Euros;
use crate::config::Settings;
use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::term::whole;

/// A worker that has said nothing for so long is named as silent; it says something at every look at Plex.
const SILENT: i64 = 300;

/// What the parts of a worker's line are about, and the word that says so in the line itself.
const PARTS: [(&str, &str); 3] = [("now", ""), ("waits", "waiting "), ("media", "media ")];

/// As the depot tells; `None` for a burst that has left it, since it has ended.
///
/// # Errors
/// The depot; a burst that has put nothing there yet.
pub async fn look(settings: &Settings, place: &Depot, id: &str) -> Result<Option<Elsewhere>> {
    if place.beside(id).read(elsewhere::REQUEST).await?.is_some() {
        match elsewhere::look(place, id).await {
            // It ended while it was looked at.
            Err(_) if place.beside(id).read(elsewhere::REQUEST).await?.is_none() => {}
            looked => return looked.map(Some),
        }
    }
    match store::find(&settings.state_dir, Some(id)) {
        Ok(known) if matches!(known.standing, Standing::Resumable { .. }) => {
            Err(Error::usage(format!("burst {id} has left nothing in the depot yet"))
                .hint("`plexburst status` shows where it stands"))
        }
        _ => Ok(None),
    }
}

/// How far both sides' journals were read.
pub type Seen = [Tail; 2];

/// What each side has noted beyond `seen`, by time. Counted by side: what another machine noted before comes later.
pub fn fresh(burst: &Elsewhere, seen: &mut Seen) -> Vec<(jiff::Timestamp, String)> {
    let mut all = Vec::new();
    let sides = [("home", &burst.controller), ("worker", &burst.worker)];
    for ((name, entries), seen) in sides.into_iter().zip(seen) {
        let lines = seen.take(entries).iter();
        all.extend(lines.filter_map(|entry| Some((entry.at, line(name, entry)?))));
    }
    all.sort_by_key(|(at, _)| *at);
    all
}

fn line(side: &str, entry: &Entry) -> Option<String> {
    let phase = entry.phase;
    Some(match &entry.event {
        Event::Started => format!("{side:<7} {phase}: begins"),
        Event::Done { .. } => format!("{side:<7} {phase}: done"),
        Event::Failed { error, .. } => format!("{side:<7} {phase}: failed: {error}"),
        Event::Undone => format!("{side:<7} {phase}: taken back"),
        Event::Note { text } => format!("{side:<7} {phase}: {text}"),
        Event::Resource(_) => return None,
    })
}

/// One line of the live view.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Row {
    /// What it is about; empty where it belongs to the row above.
    pub label: Cow<'static, str>,
    /// What there is to say.
    pub text: String,
}

/// The live view.
#[must_use]
pub fn rows(burst: &Elsewhere, now: jiff::Timestamp) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut put = |label: &'static str, text: &str| {
        let text = text.to_owned();
        rows.push(Row {
            label: Cow::Borrowed(label),
            text,
        });
    };
    let since = |at: jiff::Timestamp| now.as_second() - at.as_second();
    let span = |seconds: i64| whole(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    let request = &burst.request;
    put(
        "burst",
        &format!(
            "{}, begun {} ago{}",
            request.id,
            span(since(request.created_at)),
            super::version::unlike(request.program.as_deref())
        ),
    );
    let holder = match &burst.holder {
        Some(holder) => format!(", controlled by {}", holder.machine),
        None => String::new(),
    };
    match &burst.standing {
        Standing::Resumable { phase, error } => {
            put("phase", &format!("{phase}{holder}"));
            if let Some(error) = error {
                put("failed", error);
            }
        }
        other => put("phase", other.word()),
    }
    let done: Vec<String> = done_phases(&burst.worker);
    if !done.is_empty() {
        put("done", &done.join(", "));
    }
    if let Some(text) = burst.worker_text() {
        let program = burst.progress.as_ref().and_then(|progress| progress.program.as_deref());
        let text = text.strip_prefix("the worker ").unwrap_or(&text);
        put("worker", &format!("{text}{}", super::version::unlike(program)));
    }
    if let Some(progress) = &burst.progress {
        let parts = if progress.parts.is_empty() {
            std::slice::from_ref(&progress.text)
        } else {
            &progress.parts
        };
        for (part, (label, word)) in parts.iter().zip(PARTS) {
            put(label, part.strip_prefix(word).unwrap_or(part));
        }
        let silent = since(progress.at);
        let word = if silent > SILENT {
            ", longer than it should be"
        } else {
            ""
        };
        put("alive", &format!("said something {} ago{word}", span(silent.max(0))));
    }
    if let Some(kept) = last_checkpoint(&burst.worker) {
        put("kept", &format!("{} ({} ago)", kept.1, span(since(kept.0))));
    }
    if let Some(cost) = cost(&burst.controller, now) {
        put("cost", &format!("{} so far", Euros(cost)));
    }
    put("safe", safe(&burst.controller));
    rows
}

fn done_phases(worker: &[Entry]) -> Vec<String> {
    let mut done: Vec<String> = Vec::new();
    for entry in worker {
        let name = entry.phase.to_string();
        if matches!(entry.event, Event::Done { .. }) && !done.contains(&name) {
            done.push(name);
        }
    }
    done
}

fn last_checkpoint(worker: &[Entry]) -> Option<(jiff::Timestamp, &str)> {
    worker.iter().rev().find_map(|entry| match &entry.event {
        Event::Note { text } if text.starts_with("checkpoint ") => Some((entry.at, text.as_str())),
        _ => None,
    })
}

/// By the price of the rented machine; nothing where none is.
fn cost(controller: &[Entry], now: jiff::Timestamp) -> Option<f64> {
    let rented = crate::burst::journal::done(controller, Phase::Provision)?;
    let offer: Offer = serde_json::from_value(rented.get("offer")?.clone()).ok()?;
    let since = rented.get("since")?.as_i64()?;
    Some(offer.price.of(u64::try_from(now.as_second() - since).unwrap_or(0)))
}

/// What an interruption does at this moment.
fn safe(controller: &[Entry]) -> &'static str {
    let last = controller.iter().rev().find(|entry| entry.event.is_transition());
    match last.map(|entry| (entry.phase, &entry.event)) {
        Some((Phase::Swap | Phase::Health | Phase::Rollback, Event::Started)) => {
            "not now: home is being given its library; this takes seconds, and is undone if it fails"
        }
        Some((Phase::Work, Event::Started)) => {
            "this view, the controller and this machine: the worker goes on by itself, and `plexburst resume` finds it"
        }
        _ => "everything: `plexburst resume` goes on where it was, and home is what it was",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(phase: Phase, event: Event) -> Entry {
        Entry {
            v: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            epoch: 1,
            phase,
            event,
        }
    }

    #[test]
    fn what_may_be_interrupted_depends_on_the_phase() {
        assert!(safe(&[]).starts_with("everything"));
        assert!(safe(&[entry(Phase::Work, Event::Started)]).starts_with("this view"));
        let swapping = [
            entry(
                Phase::Work,
                Event::Done {
                    facts: serde_json::Value::Null,
                },
            ),
            entry(Phase::Swap, Event::Started),
        ];
        assert!(safe(&swapping).starts_with("not now"));
        let note = entry(
            Phase::Swap,
            Event::Note {
                text: "waiting".to_owned(),
            },
        );
        assert!(
            safe(&[swapping[1].clone(), note]).starts_with("not now"),
            "a note is no transition"
        );
    }

    #[test]
    fn lines_say_who_and_what() {
        let failed = Event::Failed {
            error: "no disk".to_owned(),
            hint: None,
            exit: 4,
        };
        assert_eq!(
            line("worker", &entry(Phase::Restore, failed)).unwrap(),
            "worker  restore: failed: no disk"
        );
        let index = [
            entry(
                Phase::Restore,
                Event::Done {
                    facts: serde_json::Value::Null,
                },
            ),
            entry(
                Phase::Index { section: 3 },
                Event::Note {
                    text: "checkpoint 2 in the depot, 1 B, after the scan".to_owned(),
                },
            ),
            entry(
                Phase::Index { section: 3 },
                Event::Note {
                    text: "scanning".to_owned(),
                },
            ),
        ];
        assert_eq!(done_phases(&index), ["restore"]);
        assert!(last_checkpoint(&index).unwrap().1.starts_with("checkpoint 2"));
        assert_eq!(cost(&index, jiff::Timestamp::UNIX_EPOCH), None);
    }
}
