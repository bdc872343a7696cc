//! Small objects that are replaced again and again: a journal, a line of progress.
//!
//! In a folder each word is there when [`Status::say`] comes back. To another machine the newest word is brought by a task
//! of its own, so that a depot that does not answer for a while holds nobody up. [`Status::settled`] is for the moments
//! that count.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::Depot;
use crate::error::{Error, Result};

/// A content, and how many were said before it.
type Word = (u64, Arc<Vec<u8>>);
/// The number of the last word that was dealt with, and why it could not be put.
type Outcome = (u64, Option<Arc<Error>>);

/// One object's newest content on its way into the depot.
#[derive(Debug)]
pub struct Status {
    depot: Depot,
    key: String,
    say: watch::Sender<Word>,
    heard: watch::Receiver<Outcome>,
    /// Why the last word could not be put, in a folder.
    failed: Mutex<Option<Arc<Error>>>,
}

impl Status {
    /// The object `key` of `depot`. Has to be called within a runtime; the task ends when this is dropped.
    pub fn new(depot: Depot, key: impl Into<String>) -> Self {
        let key = key.into();
        let (say, mut words) = watch::channel((0, Arc::new(Vec::new())));
        let (tell, heard) = watch::channel((0, None));
        let (place, name) = (depot.clone(), key.clone());
        tokio::spawn(async move {
            while words.changed().await.is_ok() {
                let (number, bytes) = words.borrow_and_update().clone();
                let error = place.put_bytes(&name, &bytes).await.err();
                tell.send_replace((number, error.map(noted)));
            }
        });
        Self {
            depot,
            key,
            say,
            heard,
            failed: Mutex::default(),
        }
    }

    /// The object's content is to be `bytes` from now on.
    pub fn say(&self, bytes: Vec<u8>) {
        // Held while it is put: words do not overtake each other.
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = self.depot.put_now(&self.key, &bytes) {
            *failed = done.err().map(noted);
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
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
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

fn noted(error: Error) -> Arc<Error> {
    tracing::warn!("{}", error.chain());
    Arc::new(error)
}

#[cfg(test)]
mod tests {
    use super::*;
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

        // A folder that cannot be written is told when it counts.
        let blocked = Status::new(depot, "worker/progress.json/below");
        blocked.say(b"x".to_vec());
        assert!(blocked.settled().await.is_err());
    }
}
