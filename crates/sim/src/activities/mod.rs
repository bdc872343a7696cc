//! What the server is busy with, as `/activities` and the notifications show it.
//!
//! An activity lives as long as its [`Handle`]: dropping the handle ends it, so work that returns early or panics leaves
//! none behind. A real server shows the section of a scan (its Context) up to a second late, and the activity itself
//! a little after the request that caused it; both delays come from the tempo file.
//! What ended is history: a row of the table `activities`, which grows for ever on a real server as well.

pub(crate) mod cancel;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::params;
use serde_json::json;
use tokio::sync::broadcast;

use crate::server::pool::Pool;
use crate::server::random;
use crate::store::StoreError;
use crate::store::clock;
pub(crate) use cancel::Cancel;

/// What an activity is, from its start to its end.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// The type, such as `library.update.section`.
    pub(crate) kind: &'static str,
    /// The first line that a client shows.
    pub(crate) title: String,
    /// The section that it works on, if it is one.
    pub(crate) section: Option<i64>,
    /// The key of the item that it works on, if it is one.
    pub(crate) key: Option<String>,
    /// Whether `DELETE /activities/<uuid>` may end it.
    pub(crate) cancellable: bool,
    /// The account that asked for it; 1 is the owner and the server itself.
    pub(crate) account: i64,
}

impl Subject {
    /// Something that the server does for its owner and that may be cancelled.
    pub(crate) fn new(kind: &'static str, title: impl Into<String>) -> Self {
        Self {
            kind,
            title: title.into(),
            section: None,
            key: None,
            cancellable: true,
            account: 1,
        }
    }

    /// Names the section.
    pub(crate) fn in_section(mut self, section: i64) -> Self {
        self.section = Some(section);
        self
    }

    /// Names the item.
    pub(crate) fn of_item(mut self, item: i64) -> Self {
        self.key = Some(format!("/library/metadata/{item}"));
        self
    }
}

/// An activity as it stands at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Activity {
    /// Its name in the API.
    pub(crate) uuid: String,
    /// What it is.
    pub(crate) subject: Subject,
    /// The second line: the item that is worked on.
    pub(crate) subtitle: String,
    /// Percent, or -1 when nobody knows.
    pub(crate) progress: f64,
    /// How it is cancelled.
    pub(crate) cancel: Arc<Cancel>,
    seen_from: Instant,
    context_from: Instant,
    /// Whether its beginning was told: no message speaks of it before it can be seen.
    is_told: bool,
    /// Unix seconds.
    started_at: i64,
}

impl Activity {
    /// Whether a client is told the section and item yet.
    pub(crate) fn shows_context(&self) -> bool {
        Instant::now() >= self.context_from
    }

    /// Whether this is the moment from which messages speak of it.
    fn begins_to_be_told(&mut self) -> bool {
        let begins = !self.is_told && Instant::now() >= self.seen_from;
        self.is_told |= begins;
        begins
    }

    fn message(&self, event: &str) -> String {
        let subject = &self.subject;
        let mut activity = json!({
            "uuid": self.uuid, "type": subject.kind, "cancellable": subject.cancellable, "userID": subject.account,
            "title": subject.title, "subtitle": self.subtitle, "progress": self.progress,
        });
        if self.shows_context() && (subject.section.is_some() || subject.key.is_some()) {
            let mut context = json!({});
            if let Some(section) = subject.section {
                context["librarySectionID"] = json!(section.to_string());
            }
            if let Some(key) = &subject.key {
                context["key"] = json!(key);
            }
            activity["Context"] = context;
        }
        let entry = json!([{ "event": event, "uuid": self.uuid, "Activity": activity }]);
        notification("activity", "ActivityNotification", &entry)
    }
}

/// One websocket message: `{"NotificationContainer":{"type":…,"size":n,"<key>":[…]}}`.
pub(crate) fn notification(kind: &str, key: &str, entries: &serde_json::Value) -> String {
    let size = entries.as_array().map_or(0, Vec::len);
    json!({ "NotificationContainer": { "type": kind, "size": size, key: entries } }).to_string()
}

/// All activities of a server, and the channel that its websockets listen to.
#[derive(Debug)]
pub(crate) struct Activities {
    current: Mutex<Vec<Activity>>,
    delays: Mutex<(Duration, Duration)>,
    notices: broadcast::Sender<String>,
    history: Arc<Pool>,
}

impl Activities {
    /// None yet; messages go to `notices`, what ended into the library of `history`.
    pub(crate) fn new(notices: broadcast::Sender<String>, history: Arc<Pool>) -> Self {
        Self {
            current: Mutex::default(),
            delays: Mutex::default(),
            notices,
            history,
        }
    }

    /// How late an activity is seen, and how late its Context.
    pub(crate) fn set_delays(&self, seen: Duration, context: Duration) {
        *self.delays.lock().unwrap_or_else(PoisonError::into_inner) = (seen, context);
    }

    /// Starts one.
    pub(crate) fn start(self: &Arc<Self>, subject: Subject) -> Handle {
        let (seen, context) = *self.delays.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let activity = Activity {
            // Without /dev/urandom a name that is merely unlikely to repeat has to do: a uuid is no secret.
            uuid: random::uuid().unwrap_or_else(|_| ulid::Ulid::generate().to_string()),
            subject,
            subtitle: String::new(),
            progress: -1.0,
            cancel: Arc::default(),
            seen_from: now + seen,
            context_from: now + seen + context,
            is_told: seen.is_zero(),
            started_at: clock::now(),
        };
        if activity.is_told {
            self.send(activity.message("started"));
        }
        let handle = Handle {
            uuid: activity.uuid.clone(),
            cancel: Arc::clone(&activity.cancel),
            activities: Arc::clone(self),
        };
        self.lock().push(activity);
        handle
    }

    /// Those that a client may see by now.
    pub(crate) fn visible(&self) -> Vec<Activity> {
        let now = Instant::now();
        self.lock()
            .iter()
            .filter(|activity| now >= activity.seen_from)
            .cloned()
            .collect()
    }

    /// The one with that uuid, seen or not.
    pub(crate) fn find(&self, uuid: &str) -> Option<Activity> {
        self.lock().iter().find(|activity| activity.uuid == uuid).cloned()
    }

    /// Cancels every one of them, for a stop.
    pub(crate) fn cancel_all(&self) {
        let cancels: Vec<_> = self
            .lock()
            .iter()
            .map(|activity| Arc::clone(&activity.cancel))
            .collect();
        for cancel in cancels {
            cancel.cancel();
        }
    }

    /// Sends a message to everybody who listens.
    pub(crate) fn send(&self, message: String) {
        // An error says that nobody listens, which is the usual case.
        let _ = self.notices.send(message);
    }

    /// Listens to the messages.
    pub(crate) fn listen(&self) -> broadcast::Receiver<String> {
        self.notices.subscribe()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Activity>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running activity; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Handle {
    uuid: String,
    cancel: Arc<Cancel>,
    activities: Arc<Activities>,
}

impl Handle {
    /// Its name in the API.
    pub(crate) fn uuid(&self) -> &str {
        &self.uuid
    }

    /// How it is cancelled.
    pub(crate) fn cancel(&self) -> &Arc<Cancel> {
        &self.cancel
    }

    /// Says how far it is.
    pub(crate) fn progress(&self, percent: f64, subtitle: &str) {
        let mut current = self.activities.lock();
        if let Some(activity) = current.iter_mut().find(|activity| activity.uuid == self.uuid) {
            activity.progress = percent;
            subtitle.clone_into(&mut activity.subtitle);
            let started = activity.begins_to_be_told().then(|| activity.message("started"));
            let updated = activity.is_told.then(|| activity.message("updated"));
            drop(current);
            for message in started.into_iter().chain(updated) {
                self.activities.send(message);
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut current = self.activities.lock();
        if let Some(at) = current.iter().position(|activity| activity.uuid == self.uuid) {
            let mut activity = current.remove(at);
            drop(current);
            activity.progress = 100.0;
            if activity.is_told {
                self.activities.send(activity.message("ended"));
            }
            // History is worth no failure: nobody is left to be told.
            let _ = record(&self.activities.history, &activity);
        }
    }
}

fn record(history: &Pool, activity: &Activity) -> Result<(), StoreError> {
    let subject = &activity.subject;
    history.get()?.library.execute(
        "INSERT INTO activities (type, title, subtitle, started_at, finished_at, cancelled)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            subject.kind,
            subject.title,
            activity.subtitle,
            activity.started_at,
            clock::now(),
            activity.cancel.is_cancelled()
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activities() -> (Arc<Activities>, broadcast::Receiver<String>) {
        let (notices, receiver) = broadcast::channel(64);
        let nowhere = Arc::new(Pool::of(std::path::Path::new("/nonexistent")));
        (Arc::new(Activities::new(notices, nowhere)), receiver)
    }

    #[test]
    fn lives_as_long_as_its_handle_and_says_so() {
        let (activities, mut messages) = activities();
        let handle = activities.start(Subject::new("library.update.section", "Scanning Music").in_section(3));
        handle.progress(50.0, "Album");
        assert_eq!(activities.visible().len(), 1);
        drop(handle);
        assert!(activities.visible().is_empty());
        let events: Vec<serde_json::Value> = std::iter::from_fn(|| messages.try_recv().ok())
            .map(|text| serde_json::from_str(&text).unwrap())
            .collect();
        let names: Vec<_> = events
            .iter()
            .map(|event| {
                event["NotificationContainer"]["ActivityNotification"][0]["event"]
                    .as_str()
                    .unwrap()
            })
            .collect();
        assert_eq!(names, ["started", "updated", "ended"]);
        let context = &events[1]["NotificationContainer"]["ActivityNotification"][0]["Activity"]["Context"];
        assert_eq!(context["librarySectionID"], "3");
    }

    #[test]
    fn may_be_seen_late_and_its_context_later() {
        let (activities, mut messages) = activities();
        activities.set_delays(Duration::ZERO, Duration::from_secs(60));
        let late = activities.start(Subject::new("library.update.section", "Scanning").in_section(3));
        assert!(!activities.visible()[0].shows_context());
        activities.set_delays(Duration::from_secs(60), Duration::ZERO);
        let unseen = activities.start(Subject::new("library.update.section", "Scanning"));
        unseen.progress(50.0, "Album");
        assert_eq!(activities.visible().len(), 1);
        assert!(messages.try_recv().unwrap().contains("started"));
        assert!(messages.try_recv().is_err(), "nothing is told of what cannot be seen");
        activities.cancel_all();
        assert!(late.cancel().is_cancelled() && unseen.cancel().is_cancelled());
    }
}
