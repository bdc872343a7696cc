//! Looking at a burst again and again, also while its depot is away: what was seen last stays, with since when nothing new
//! was. Must not: take a depot that does not answer for a burst that has ended.

use std::time::Duration;

use super::elsewhere::Elsewhere;
use super::live::{self, Row};
use crate::config::{self, Settings};
use crate::depot::Depot;
use crate::error::Result;
use crate::term::{Printer, whole};

/// How long one look may take, and how long a depot is asked again within it: whoever watches wants to know.
const ANSWER: Duration = Duration::from_secs(30);
const PATIENCE_SECONDS: u64 = 8;

/// Since when the depot does not answer, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// The first look that failed.
    pub since: jiff::Timestamp,
    /// Why.
    pub why: String,
}

impl Away {
    /// In words.
    #[must_use]
    pub fn text(&self, now: jiff::Timestamp) -> String {
        let seconds = u64::try_from(now.as_second() - self.since.as_second()).unwrap_or(0);
        format!(
            "does not answer since {} ({}); what is shown is what it said last: {}",
            crate::clock::local(self.since, "%H:%M:%S"),
            whole(Duration::from_secs(seconds)),
            self.why
        )
    }
}

/// What one look came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// The burst as it is.
    Fresh,
    /// The burst as it was when the depot answered last.
    Stale,
    /// The depot answers again; it did not since then.
    Back(Away),
    /// The burst has left the depot, since it has ended.
    Over,
}

/// One burst under watch.
#[derive(Debug)]
pub struct Watcher {
    settings: Settings,
    depot: Depot,
    id: String,
    last: Option<Elsewhere>,
    away: Option<Away>,
}

impl Watcher {
    /// Of the burst `id`. Nothing is asked yet.
    ///
    /// # Errors
    /// The depot's keys cannot be read.
    pub fn new(settings: Settings, id: &str, printer: &Printer) -> Result<Self> {
        let config = config::Depot {
            patience: settings.config.depot.patience.min(PATIENCE_SECONDS),
            ..settings.config.depot.clone()
        };
        Ok(Self {
            depot: Depot::of(&config, "none", printer)?,
            settings,
            id: id.to_owned(),
            last: None,
            away: None,
        })
    }

    /// Looks once more, at `now`.
    ///
    /// # Errors
    /// Nothing was ever seen of it: what the depot says.
    pub async fn look(&mut self, now: jiff::Timestamp) -> Result<Looked> {
        let looked = tokio::time::timeout(ANSWER, live::look(&self.settings, &self.depot, &self.id)).await;
        let why = match looked {
            Ok(Ok(Some(burst))) => {
                self.last = Some(burst);
                return Ok(self.away.take().map_or(Looked::Fresh, Looked::Back));
            }
            Ok(Ok(None)) if self.last.is_none() || !self.depot.is_away() => return Ok(Looked::Over),
            Ok(Err(error)) if self.last.is_none() => return Err(error),
            Ok(Ok(None)) => format!("{} is not there", self.depot.name()),
            Ok(Err(error)) => error.chain(),
            Err(_) => format!("no answer within {} s", ANSWER.as_secs()),
        };
        self.away.get_or_insert(Away { since: now, why });
        Ok(Looked::Stale)
    }

    /// The burst as it was seen last.
    #[must_use]
    pub fn burst(&self) -> Option<&Elsewhere> {
        self.last.as_ref()
    }

    /// Since when it was not seen any more.
    #[must_use]
    pub fn away(&self) -> Option<&Away> {
        self.away.as_ref()
    }

    /// The live view.
    #[must_use]
    pub fn rows(&self, now: jiff::Timestamp) -> Vec<Row> {
        let mut rows = self
            .last
            .as_ref()
            .map(|burst| live::rows(burst, now))
            .unwrap_or_default();
        if let Some(away) = &self.away {
            let text = away.text(now);
            rows.push(Row {
                label: "depot".into(),
                text,
            });
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_when_is_said_in_time_of_day_and_in_hours() {
        let since = jiff::Timestamp::from_second(1_790_000_000).unwrap();
        let away = Away {
            since,
            why: "no answer within 15 s".to_owned(),
        };
        let hour = jiff::Timestamp::from_second(1_790_003_600).unwrap();
        let clock = crate::clock::local(since, "%H:%M:%S");
        assert_eq!(
            away.text(hour),
            format!(
                "does not answer since {clock} (1 h 00 min); what is shown is what it said last: no answer within 15 s"
            )
        );
    }
}
