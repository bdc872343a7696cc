//! What was heard, shared between whoever listens and whoever judges.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::message::{Told, told};
use crate::plex::client::Activity;

/// All that one listener hears.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_listening: bool,
    why_not: Option<String>,
    /// How each activity that has not ended was told last, and whether it has moved since somebody asked.
    going: HashMap<String, (Activity, bool)>,
    item: String,
    moves: u64,
    /// Those that were asked for.
    told: u64,
    last: Option<String>,
}

/// What was heard since somebody asked last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Notifications of work that went on.
    pub moves: u64,
    /// All of them before.
    pub before: u64,
    /// Activities that have moved and, as far as was heard, have not ended.
    pub at_work: Vec<String>,
    /// What the newest of them was about.
    pub last: Option<String>,
    /// Whether anything can be heard right now.
    pub is_listening: bool,
    /// Why not.
    pub why_not: Option<String>,
}

impl Heard {
    /// Takes in one message. The same told again is no movement: a server may repeat what a scanner said that hangs.
    pub fn hear(&self, text: &str) {
        let mut state = self.lock();
        for told in told(text) {
            match told {
                Told::Goes(activity) if activity.is_work() => {
                    let before = state.going.get(&activity.uuid);
                    if before.is_none_or(|(before, _)| has_moved(before, &activity)) {
                        state.moves += 1;
                        state.last = Some(activity.text());
                        state.going.insert(activity.uuid.clone(), (activity, true));
                    }
                }
                Told::Ended(activity) if activity.is_work() => {
                    state.going.remove(&activity.uuid);
                    state.moves += 1;
                    state.last = Some(format!("{} has ended", activity.name()));
                }
                Told::Item(entry, title) if entry != state.item => {
                    state.moves += 1;
                    state.item = entry;
                    state.last = Some(title);
                }
                Told::Goes(_) | Told::Ended(_) | Told::Item(..) => {}
            }
        }
    }

    /// Somebody listens from now on. What was told of activities before may have ended unheard.
    pub(super) fn begins(&self) {
        let mut state = self.lock();
        state.is_listening = true;
        state.why_not = None;
        state.going.clear();
    }

    /// Nobody listens any more.
    pub(super) fn ends(&self, why: String) {
        let mut state = self.lock();
        state.is_listening = false;
        state.why_not = Some(why);
    }

    /// What was heard since this was called last.
    pub fn news(&self) -> News {
        let mut state = self.lock();
        let mut at_work = Vec::new();
        for (activity, moved) in state.going.values_mut() {
            if std::mem::take(moved) {
                at_work.push(activity.text());
            }
        }
        at_work.sort();
        let (moves, before) = (std::mem::take(&mut state.moves), state.told);
        state.told += moves;
        News {
            moves,
            before,
            at_work,
            last: state.last.take(),
            is_listening: state.is_listening,
            why_not: state.why_not.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is whole before it is seen.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_moved(before: &Activity, now: &Activity) -> bool {
    before.subtitle != now.subtitle || before.progress.to_bits() != now.progress.to_bits()
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.moves, &self.last, &self.why_not) {
            (0, _, _) if self.is_listening && self.before > 0 => {
                write!(f, "nothing heard now, {} before", notifications(self.before))
            }
            (0, _, _) if self.is_listening => f.write_str("nothing heard"),
            (0, _, Some(why)) => write!(f, "no websocket ({why})"),
            (0, _, None) => f.write_str("no websocket yet"),
            (moves, Some(last), _) => write!(f, "{} heard, the last of {last}", notifications(moves)),
            (moves, None, _) => write!(f, "{} heard", notifications(moves)),
        }
    }
}

fn notifications(count: u64) -> String {
    match count {
        1 => "1 notification".to_owned(),
        more => format!("{more} notifications"),
    }
}
