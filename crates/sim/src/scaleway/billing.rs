//! What is billed, from when to when, and for how much (facts/cloud.md §0.6, §1.5).
//!
//! Each resource has a meter of its own. A period costs an hour at least and every hour that was started; a server that is
//! started again begins a new period. A meter that is open is what "still billed" means.

use serde::Serialize;

use super::clock::{Micros, SECOND};

const HOUR: Micros = 3600 * SECOND;

/// One uninterrupted period of one resource.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Meter {
    /// `server`, `ip`, `volume`, `block_volume`, `snapshot`.
    pub(crate) kind: &'static str,
    /// Its resource.
    pub(crate) id: String,
    /// A commercial type, a kind of volume, an address.
    pub(crate) what: String,
    pub(crate) project: String,
    pub(crate) zone: String,
    pub(crate) eur_per_hour: f64,
    pub(crate) opened: Micros,
    /// Unset as long as it runs.
    pub(crate) closed: Option<Micros>,
}

impl Meter {
    /// What the period costs so far.
    pub(crate) fn eur(&self, now: Micros) -> f64 {
        let time = (self.closed.unwrap_or(now) - self.opened).max(1);
        // Hours are few enough for a float.
        ((time + HOUR - 1) / HOUR) as f64 * self.eur_per_hour
    }
}

/// All meters there ever were.
#[derive(Debug, Default)]
pub(crate) struct Bill {
    meters: Vec<Meter>,
}

impl Bill {
    /// Begins a period, unless one is running for that resource.
    pub(crate) fn open(&mut self, meter: Meter) {
        if !self.is_open(meter.kind, &meter.id) {
            self.meters.push(meter);
        }
    }

    /// Ends the period of a resource, if one runs.
    pub(crate) fn close(&mut self, kind: &str, id: &str, now: Micros) {
        for meter in &mut self.meters {
            if meter.kind == kind && meter.id == id && meter.closed.is_none() {
                meter.closed = Some(now);
            }
        }
    }

    pub(crate) fn is_open(&self, kind: &str, id: &str) -> bool {
        self.open_meters().any(|meter| meter.kind == kind && meter.id == id)
    }

    pub(crate) fn meters(&self) -> &[Meter] {
        &self.meters
    }

    /// What is still billed.
    pub(crate) fn open_meters(&self) -> impl Iterator<Item = &Meter> {
        self.meters.iter().filter(|meter| meter.closed.is_none())
    }

    pub(crate) fn total(&self, now: Micros) -> f64 {
        self.meters.iter().map(|meter| meter.eur(now)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(opened: Micros) -> Meter {
        Meter {
            kind: "server",
            id: "a".to_owned(),
            what: "DEV1-S".to_owned(),
            project: String::new(),
            zone: "fr-par-1".to_owned(),
            eur_per_hour: 0.5,
            opened,
            closed: None,
        }
    }

    #[test]
    fn an_hour_at_least_and_every_started_hour() {
        let mut bill = Bill::default();
        bill.open(meter(0));
        assert_eq!(bill.total(0), 0.5);
        assert_eq!(bill.total(HOUR), 0.5);
        assert_eq!(bill.total(HOUR + 1), 1.0);
        bill.close("server", "a", 2 * SECOND);
        assert_eq!(bill.total(100 * HOUR), 0.5);
        assert_eq!(bill.open_meters().count(), 0);
    }

    #[test]
    fn destroying_and_making_again_within_the_hour_pays_twice() {
        let mut bill = Bill::default();
        bill.open(meter(0));
        bill.open(meter(SECOND));
        assert_eq!(bill.meters().len(), 1, "one period of a resource at a time");
        bill.close("server", "a", 10 * SECOND);
        bill.open(meter(20 * SECOND));
        assert_eq!(bill.total(30 * SECOND), 1.0);
    }
}
