//! What was added to a journal since it was last looked at, also when another journal has taken its place.

use super::journal::Entry;

/// How far a journal was read. A new one was not read at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tail {
    /// When the journal that was read begins: a worker that took another's place has one of its own.
    begins: Option<jiff::Timestamp>,
    seen: usize,
}

impl Tail {
    /// Only what comes after `entries`.
    #[must_use]
    pub fn after(entries: &[Entry]) -> Self {
        Self {
            begins: entries.first().map(|entry| entry.at),
            seen: entries.len(),
        }
    }

    /// What `entries` have beyond what was read; it counts as read from now on.
    pub fn take<'a>(&mut self, entries: &'a [Entry]) -> &'a [Entry] {
        // A depot that shows nothing for a moment has lost no journal.
        if entries.is_empty() {
            return entries;
        }
        let is_known = self.begins == entries.first().map(|entry| entry.at) && self.seen <= entries.len();
        let from = if is_known { self.seen } else { 0 };
        *self = Self::after(entries);
        entries.get(from..).unwrap_or_default()
    }

    /// Whether anything was read.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.seen > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::burst::journal::Event;
    use crate::burst::phase::Phase;

    fn journal(begins: i64, lines: usize) -> Vec<Entry> {
        let at = |line: usize| jiff::Timestamp::from_second(begins + i64::try_from(line).unwrap()).unwrap();
        let entry = |line| Entry {
            v: 1,
            at: at(line),
            epoch: 1,
            phase: Phase::Restore,
            event: Event::Note { text: line.to_string() },
        };
        (0..lines).map(entry).collect()
    }

    #[test]
    fn a_line_is_taken_once_and_a_journal_that_is_another_as_a_whole() {
        let mut tail = Tail::default();
        assert!(tail.take(&[]).is_empty() && !tail.is_begun());
        assert_eq!(tail.take(&journal(100, 3)).len(), 3);
        assert!(tail.take(&journal(100, 3)).is_empty());
        assert_eq!(tail.take(&journal(100, 5))[0].event, journal(100, 5)[3].event);
        // A fresh worker's, that has become longer than the one before at once.
        assert_eq!(tail.take(&journal(900, 7)).len(), 7);
        assert!(tail.take(&[]).is_empty() && tail.take(&journal(900, 7)).is_empty());
        let mut tail = Tail::after(&journal(900, 7));
        assert_eq!(tail.take(&journal(900, 8)).len(), 1);
    }
}
