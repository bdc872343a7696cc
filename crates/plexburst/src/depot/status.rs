//! Small objects that are replaced again and again: a journal, a line of progress.
//!
//! Whoever has something to say says it and goes on; a task of its own puts the words into the depot, so that a depot
//! that does not answer for a while holds nobody up. On another machine only the newest word is put, in a folder each in
//! turn. [`Status::settled`] is for the moments that count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, watch};

use super::Depot;
use crate::error::{Error, Result};

/// A content, with the number of the word that it is.
type Word = (u64, Vec<u8>);
/// The number of the last word that was dealt with, and why it could not be put.
type Outcome = (u64, Option<Arc<Error>>);

/// One object's newest content on its way into the depot.
#[derive(Debug)]
pub struct Status {
    said: AtomicU64,
    words: mpsc::UnboundedSender<Word>,
    heard: watch::Receiver<Outcome>,
}

impl Status {
    /// The object `key` of `depot`. Has to be called within a runtime; the task ends when this is dropped.
    pub fn new(depot: Depot, key: impl Into<String>) -> Self {
        let key = key.into();
        let (words, mut queue) = mpsc::unbounded_channel::<Word>();
        let (tell, heard) = watch::channel((0, None));
        tokio::spawn(async move {
            while let Some((mut number, mut bytes)) = queue.recv().await {
                while depot.place.is_remote()
                    && let Ok(newer) = queue.try_recv()
                {
                    (number, bytes) = newer;
                }
                let error = depot.put_bytes(&key, &bytes).await.err();
                if let Some(error) = &error {
                    tracing::warn!("{}", error.chain());
                }
                tell.send_replace((number, error.map(Arc::new)));
            }
        });
        Self {
            said: AtomicU64::new(0),
            words,
            heard,
        }
    }

    /// The object's content is to be `bytes` from now on.
    pub fn say(&self, bytes: Vec<u8>) {
        let number = self.said.fetch_add(1, Ordering::SeqCst) + 1;
        // A task that has ended is noticed by `settled`.
        self.words.send((number, bytes)).ok();
    }

    /// Comes back when what was said last is in the depot.
    ///
    /// # Errors
    /// It could not be put.
    pub async fn settled(&self) -> Result<()> {
        let said = self.said.load(Ordering::SeqCst);
        let mut heard = self.heard.clone();
        let outcome = heard
            .wait_for(|(number, _)| *number >= said)
            .await
            .map_err(|e| Error::unexpected("the depot's own task has ended").because(e))?;
        match &outcome.1 {
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
