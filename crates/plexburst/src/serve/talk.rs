//! What `serve` here and a home on another machine say to each other, a line of JSON each; and home's side of it.
//!
//! Home's side looks things up when it is asked, as a page of its own machine would, and ends with its connection: by the end
//! of what it is told, or by silence. It writes nothing but what its owner wrote down for it.

use std::io::BufRead;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::Shown;
use super::view::{Found, Live, Past, View};
use crate::error::{Context, Error, Result};

/// A side that asks says something at least so often.
pub(super) const ALIVE: Duration = Duration::from_secs(30);
/// One that has said nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(180);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Question {
    /// The live burst.
    Live,
    /// The bursts that there were.
    History,
    /// One of them.
    Burst(String),
    /// Nothing: a sign of life.
    Nothing,
}

/// What is answered; `None` to a question after a burst that is not there.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Live(Box<Live>),
    History(Vec<Past>),
    Burst(Option<Found>),
    Nothing,
    /// There is nothing to be shown at all.
    Failed(Failure),
}

/// An error on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    code: u8,
    text: String,
    hint: Option<String>,
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        let error = Error::new(self.code, self.text);
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// What is heard on this process's stdin.
pub struct Asked(mpsc::Receiver<String>);

impl Asked {
    /// Begins to listen.
    #[must_use]
    pub fn open() -> Self {
        let (heard, asked) = mpsc::channel(8);
        // Reading blocks, and a thread that still reads keeps nobody from ending.
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
                if heard.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self(asked)
    }

    /// The next line; `None` when nobody asks any more.
    pub async fn next(&mut self) -> Option<String> {
        tokio::time::timeout(SILENCE, self.0.recv()).await.ok().flatten()
    }
}

/// Answers what is asked about `shown`; an error of making it is the answer to whoever waits for one.
///
/// # Errors
/// Nobody listens any more; a question that is none.
pub async fn answer(shown: Result<Shown>, asked: &mut Asked) -> Result<()> {
    let view = match shown {
        Ok(shown) => View::new(shown),
        Err(error) => {
            let failure = Failure {
                code: error.exit(),
                text: error.chain(),
                hint: error.hint_text().map(str::to_owned),
            };
            return say(&Answer::Failed(failure));
        }
    };
    while let Some(line) = asked.next().await {
        let question: Question =
            serde_json::from_str(&line).map_err(|e| Error::unexpected("cannot understand a question").because(e))?;
        say(&match question {
            Question::Live => Answer::Live(Box::new((*view.live().await).clone())),
            Question::History => Answer::History(view.history()),
            Question::Burst(id) => Answer::Burst(view.burst(&id)),
            Question::Nothing => Answer::Nothing,
        })?;
    }
    Ok(())
}

fn say(answer: &Answer) -> Result<()> {
    let line = serde_json::to_string(answer).map_err(|e| Error::unexpected("cannot write an answer").because(e))?;
    crate::term::result(&line).context(|| "nobody listens any more".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_are_one_line_each() {
        for question in [Question::Live, Question::Burst("a\nb".to_owned()), Question::Nothing] {
            let line = serde_json::to_string(&question).unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(serde_json::from_str::<Question>(&line).unwrap(), question);
        }
        let line = serde_json::to_string(&Answer::Burst(None)).unwrap();
        assert!(
            matches!(serde_json::from_str(&line).unwrap(), Answer::Burst(None)),
            "{line}"
        );
    }

    #[test]
    fn an_error_arrives_as_it_was() {
        let sent = Failure {
            code: crate::exit::REFUSED,
            text: "no".to_owned(),
            hint: Some("yes".to_owned()),
        };
        let line = serde_json::to_string(&Answer::Failed(sent)).unwrap();
        let Answer::Failed(failure) = serde_json::from_str(&line).unwrap() else {
            panic!("{line}");
        };
        let error = failure.into_error();
        assert_eq!((error.exit(), error.hint_text()), (crate::exit::REFUSED, Some("yes")));
        assert_eq!(error.chain(), "no");
    }
}
