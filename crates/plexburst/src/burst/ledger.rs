//! What a burst has at a cloud provider, kept in its journal.

use super::journal::{Entry, Event, ResourceEvent};
use super::phase::Phase;
use super::side::Side;
use crate::cloud::lifecycle::Known;
use crate::cloud::provider::Ledger;
use crate::cloud::{Kind, Resource};
use crate::error::Result;

/// The journal of a side as the ledger of what it rents.
pub struct JournalLedger<'a> {
    side: &'a Side,
    phase: Phase,
}

impl<'a> JournalLedger<'a> {
    /// What is written down is written down under `phase`.
    pub fn new(side: &'a Side, phase: Phase) -> Self {
        Self { side, phase }
    }

    fn write(&self, event: ResourceEvent) -> Result<()> {
        // Written once: a look that finds the same again is no news.
        let is_news = {
            let journal = self.side.journal();
            journal.entries().iter().rev().find_map(|e| match &e.event {
                Event::Resource(last) if about(last) == about(&event) && about(last).is_some() => Some(*last != event),
                _ => None,
            })
        };
        match is_news {
            Some(false) => Ok(()),
            _ => self.side.write(self.phase, Event::Resource(event)),
        }
    }
}

fn about(event: &ResourceEvent) -> Option<(Kind, &str)> {
    match event {
        ResourceEvent::Intended { .. } => None,
        ResourceEvent::Known(resource) | ResourceEvent::Gone(resource) => Some((resource.kind, &resource.id)),
    }
}

impl Ledger for JournalLedger<'_> {
    fn intend(&self, kind: Kind, zone: &str) -> Result<()> {
        self.write(ResourceEvent::Intended {
            kind,
            zone: zone.to_owned(),
        })
    }

    fn learn(&self, resource: &Resource) -> Result<()> {
        self.write(ResourceEvent::Known(resource.clone()))
    }

    fn gone(&self, resource: &Resource) -> Result<()> {
        self.write(ResourceEvent::Gone(resource.clone()))
    }
}

/// What a journal says that its burst may still have.
#[must_use]
pub fn known(entries: &[Entry]) -> Known {
    let mut known = Known::default();
    let mut open: Vec<(Kind, &str)> = Vec::new();
    for entry in entries {
        match &entry.event {
            Event::Resource(ResourceEvent::Intended { kind, zone }) => {
                known.zones.insert(zone.clone());
                open.push((*kind, zone));
            }
            Event::Resource(ResourceEvent::Known(resource)) => {
                known.zones.insert(resource.zone.clone());
                open.retain(|(kind, zone)| *kind != resource.kind || *zone != resource.zone);
                known.resources.insert(resource.clone());
            }
            Event::Resource(ResourceEvent::Gone(resource)) => {
                known
                    .resources
                    .retain(|r| (r.kind, &r.id) != (resource.kind, &resource.id));
            }
            _ => {}
        }
    }
    known.open_intents = open.into_iter().map(|(_, zone)| zone.to_owned()).collect();
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::burst::store;
    use crate::term::Printer;

    fn server(id: &str) -> Resource {
        Resource {
            kind: Kind::Server,
            id: id.to_owned(),
            zone: "fr-par-1".to_owned(),
            name: String::new(),
        }
    }

    #[test]
    fn what_was_intended_learnt_and_gone_is_told_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let entries = || super::super::journal::Journal::read(&store::journal_path(dir.path())).unwrap();
        let side = Side::open(dir.path(), Printer::new(true)).unwrap();
        let ledger = JournalLedger::new(&side, Phase::Provision);
        ledger.intend(Kind::Server, "fr-par-1").unwrap();
        assert_eq!(known(&entries()).open_intents.len(), 1);
        ledger.learn(&server("a")).unwrap();
        ledger.learn(&server("a")).unwrap();
        assert_eq!(entries().len(), 2);
        let now = known(&entries());
        assert!(now.open_intents.is_empty() && now.resources.contains(&server("a")));
        ledger.gone(&server("a")).unwrap();
        let now = known(&entries());
        assert!(now.resources.is_empty() && now.zones.contains("fr-par-1"));
    }
}
