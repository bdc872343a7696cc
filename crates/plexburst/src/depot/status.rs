//! Small objects that are replaced again and again: a journal, a line of progress.
//!
//! Whoever has something to say says it and goes on; a task of its own puts the newest word into the depot, so that a
//! depot that does not answer for a while holds nobody up. [`Status::settled`] is for the moments that count.

use std::sync::Arc;

use tokio::sync::watch;

use super::Depot;
use crate::error::{Error, Result};

/// A word, and how many were said before it.
type Word = (u64, Arc<Vec<u8>>);
/// The number of the last word that was dealt with, and why it could not be put.
type Outcome = (u64, Option<Arc<Error>>);

/// One object's newest content on its way into the depot.
#[derive(Debug)]
pub struct Status {
    say: watch::Sender<Word>,
    heard: watch::Receiver<Outcome>,
}

impl Status {
    /// The object `key` of `depot`. Has to be called within a runtime; the task ends when this is dropped.
    pub fn new(depot: Depot, key: impl Into<String>) -> Self {
        let key = key.into();
        let (say, mut words) = watch::channel((0, Arc::new(Vec::new())));
        let (tell, heard) = watch::channel((0, None));
        tokio::spawn(async move {
            while words.changed().await.is_ok() {
                let (number, bytes) = words.borrow_and_update().clone();
                let error = depot.put_bytes(&key, &bytes).await.err();
                if let Some(error) = &error {
                    tracing::warn!("{}", error.chain());
                }
                tell.send_replace((number, error.map(Arc::new)));
            }
        });
        Self { say, heard }
    }

    /// The object's content is to be `bytes` from now on.
    pub fn say(&self, bytes: Vec<u8>) {
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
