//! Small objects that are replaced again and again: a journal, a line of progress.
//!
//! In a folder each word is there when [`Status::say`] comes back. To another machine the newest word is brought by a task
//! of its own, so that a depot that does not answer for a while holds nobody up. A word that could not be put is tried again
//! until there is a newer one. [`Status::settled`] is for the moments that count.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::Depot;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};

/// Between two tries to put the newest word, when it could not be put.
const AGAIN: Duration = Duration::from_secs(10);

/// A content, and how many were said before it.
type Word = (u64, Arc<Vec<u8>>);
/// The number of the last word that was dealt with, and why it could not be put.
type Outcome = (u64, Option<Arc<Error>>);
/// The last word, when it could not be put into a folder, and why.
type Unput = Mutex<Option<(Vec<u8>, Arc<Error>)>>;

/// One object's newest content on its way into the depot.
#[derive(Debug)]
pub struct Status {
    depot: Depot,
    key: String,
    say: watch::Sender<Word>,
    heard: watch::Receiver<Outcome>,
    unput: Arc<Unput>,
}

impl Status {
    /// The object `key` of `depot`. Has to be called within a runtime; its tasks end when this is dropped.
    pub fn new(depot: Depot, key: impl Into<String>) -> Self {
        Self::by(depot, key, Arc::new(SystemClock))
    }

    /// The same, by another clock.
    fn by(depot: Depot, key: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        let key = key.into();
        let (say, words) = watch::channel((0, Arc::new(Vec::new())));
        let (tell, heard) = watch::channel((0, None));
        let unput = Arc::new(Unput::default());
        tokio::spawn(bring(depot.clone(), key.clone(), words, tell, clock.clone()));
        tokio::spawn(put_again(depot.clone(), key.clone(), Arc::downgrade(&unput), clock));
        Self {
            depot,
            key,
            say,
            heard,
            unput,
        }
    }

    /// The object's content is to be `bytes` from now on.
    pub fn say(&self, bytes: Vec<u8>) {
        // Held while it is put: words do not overtake each other.
        let mut unput = self.unput.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = self.depot.put_now(&self.key, &bytes) {
            *unput = done.err().map(|error| (bytes, noted(error)));
            return;
        }
        let bytes = Arc::new(bytes);
        self.say.send_modify(|(number, word)| {
            *number += 1;
            *word = bytes;
        });
    }

    /// Comes back when what was said last is in the depot.
    ///
    /// # Errors
    /// It could not be put.
    pub async fn settled(&self) -> Result<()> {
        let said = self.say.borrow().0;
        let mut heard = self.heard.clone();
        let outcome = heard
            .wait_for(|(number, _)| *number >= said)
            .await
            .map_err(|e| Error::unexpected("the depot's own task has ended").because(e))?
            .1
            .clone();
        let unput = self.unput.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = unput.as_ref().map(|(_, error)| error.clone());
        match outcome.or(failed) {
            None => Ok(()),
            Some(error) => {
                let again = Error::new(error.exit(), error.chain());
                Err(match error.hint_text() {
                    Some(hint) => again.hint(hint),
                    None => again,
                })
            }
        }
    }
}

/// Brings the newest word to another machine; one that could not be put is tried again until there is a newer one.
async fn bring(
    depot: Depot,
    key: String,
    mut words: watch::Receiver<Word>,
    tell: watch::Sender<Outcome>,
    clock: Arc<dyn Clock>,
) {
    let mut has_failed = false;
    loop {
        tokio::select! {
            changed = words.changed() => if changed.is_err() { return },
            () = clock.sleep(AGAIN), if has_failed => {}
        }
        let (number, bytes) = words.borrow_and_update().clone();
        let error = depot.put_bytes(&key, &bytes).await.err();
        has_failed = error.is_some();
        tell.send_replace((number, error.map(noted)));
    }
}

/// Puts what a folder could not take once it can: there may be no newer word for hours.
async fn put_again(depot: Depot, key: String, unput: Weak<Unput>, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep(AGAIN).await;
        let Some(unput) = unput.upgrade() else { return };
        let mut unput = unput.lock().unwrap_or_else(PoisonError::into_inner);
        let again = unput.as_ref().and_then(|(bytes, _)| depot.put_now(&key, bytes));
        if let Some(Ok(())) = again {
            *unput = None;
        }
    }
}

fn noted(error: Error) -> Arc<Error> {
    tracing::warn!("{}", error.chain());
    Arc::new(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::config;
    use crate::term::Printer;

    #[tokio::test]
    async fn what_was_said_last_is_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let config = config::Depot {
            directory: Some(dir.path().to_path_buf()),
            ..config::Depot::default()
        };
        let depot = Depot::of(&config, "B", &Printer::new(true)).unwrap();
        let status = Status::new(depot.clone(), "worker/progress.json");
        status.settled().await.unwrap();
        for number in 0..20 {
            status.say(format!("word {number}").into_bytes());
        }
        status.settled().await.unwrap();
        assert_eq!(depot.read("worker/progress.json").await.unwrap().unwrap(), b"word 19");

        // A folder that is away takes the last word when it is back, without another one.
        let (place, away) = (dir.path().join("B"), dir.path().join("away"));
        let clock = Arc::new(ManualClock::with_pause(Duration::from_millis(10)));
        let patient = Status::by(depot.clone(), "worker/journal.jsonl", clock.clone());
        std::fs::rename(&place, &away).unwrap();
        std::fs::write(&place, "").unwrap();
        patient.say(b"the last line".to_vec());
        assert!(patient.settled().await.is_err());
        std::fs::remove_file(&place).unwrap();
        std::fs::rename(&away, &place).unwrap();
        while patient.settled().await.is_err() {
            assert!(clock.passed() < 1000 * AGAIN, "it is not put again");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let kept = depot.read("worker/journal.jsonl").await.unwrap();
        assert_eq!(kept.unwrap(), b"the last line");

        // A folder that cannot be written is told when it counts.
        let blocked = Status::new(depot, "worker/progress.json/below");
        blocked.say(b"x".to_vec());
        assert!(blocked.settled().await.is_err());
    }
}
