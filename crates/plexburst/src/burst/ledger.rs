//! What a burst has at a cloud provider, kept in its journal.

use super::journal::{Entry, Event, ResourceEvent};
use super::phase::Phase;
use super::side::Side;
use crate::cloud::lifecycle::Known;
use crate::cloud::provider::{Ledger, Taken};
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
        ResourceEvent::Intended { .. } | ResourceEvent::Refused { .. } => None,
        ResourceEvent::Known(resource) | ResourceEvent::Gone(resource) => Some((resource.kind, &resource.id)),
    }
}

impl Ledger for JournalLedger<'_> {
    fn intend(&self, kind: Kind, zone: &str, taken: Option<&Taken>) -> Result<()> {
        self.write(ResourceEvent::Intended {
            kind,
            zone: zone.to_owned(),
            taken: taken.cloned().map(Box::new),
        })
    }

    fn refused(&self, kind: Kind, zone: &str) -> Result<()> {
        self.write(ResourceEvent::Refused {
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
            Event::Resource(ResourceEvent::Intended { kind, zone, taken }) => {
                known.zones.insert(zone.clone());
                open.push((*kind, zone));
                if let Some(taken) = taken {
                    known.taken = Some((**taken).clone());
                }
            }
            Event::Resource(ResourceEvent::Refused { kind, zone }) => {
                let last = open.iter().rposition(|(k, z)| k == kind && z == zone);
                last.map(|at| open.remove(at));
                if *kind == Kind::Server {
                    known.taken = None;
                }
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
                if resource.kind == Kind::Server {
                    known.taken = None;
                }
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

    fn taken(commercial_type: &str) -> Taken {
        Taken {
            offer: crate::cloud::offer::Offer {
                commercial_type: commercial_type.to_owned(),
                zone: "fr-par-1".to_owned(),
                cpus: 3,
                memory: 4 << 30,
                volume_gb: 40,
                is_local: true,
                arch: "x86_64".to_owned(),
                price: crate::cloud::price::Price::none(),
                stock: "available".to_owned(),
            },
            since: 1,
            deadline: 3601,
        }
    }

    #[test]
    fn what_was_intended_learnt_and_gone_is_told_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let entries = || super::super::journal::Journal::read(&store::journal_path(dir.path())).unwrap();
        let side = Side::open(dir.path(), Printer::new(true)).unwrap();
        let ledger = JournalLedger::new(&side, Phase::Provision);
        ledger.intend(Kind::Server, "nl-ams-1", Some(&taken("DEV1-S"))).unwrap();
        ledger.refused(Kind::Server, "nl-ams-1").unwrap();
        let refused = known(&entries());
        assert!(refused.open_intents.is_empty() && refused.taken.is_none());
        ledger.intend(Kind::Server, "fr-par-1", Some(&taken("DEV1-M"))).unwrap();
        assert_eq!(known(&entries()).open_intents.len(), 1);
        assert_eq!(known(&entries()).taken, Some(taken("DEV1-M")));
        ledger.learn(&server("a")).unwrap();
        ledger.learn(&server("a")).unwrap();
        assert_eq!(entries().len(), 4);
        let now = known(&entries());
        assert!(now.open_intents.is_empty() && now.resources.contains(&server("a")));
        assert_eq!(now.taken, Some(taken("DEV1-M")));
        ledger.gone(&server("a")).unwrap();
        let now = known(&entries());
        assert!(now.resources.is_empty() && now.taken.is_none() && now.zones.contains("fr-par-1"));
    }
}
