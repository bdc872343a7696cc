//! What goes wrong on request, the same way for the same seed (issue list of facts/cloud.md §7).
//!
//! A rule says which requests it is for, and which of those: the first it fits are let through (`skip`), then so many are
//! spoilt (`times`), each with a probability. Rules are held against a request in the order in which they were given; the
//! first that fires is the one.

use serde::{Deserialize, Serialize};

use crate::fixture::random::Random;

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// The request is carried out, and the connection is cut before the answer.
    LoseResponse,
    /// The connection is cut before anything is done.
    Cut,
    /// That status and no body, as a gateway answers: 429, 500, 502, 503, 504.
    Status {
        /// The HTTP status.
        code: u16,
    },
    /// The type of server is sold out.
    OutOfStock,
    /// The organization has all it may have.
    QuotasExceeded,
    /// The resource is just doing something else.
    TransientState,
    /// The key may not do that.
    Denied,
    /// The key has expired.
    Expired,
    /// The answer takes that long, in real time.
    Slow {
        /// Before the request is looked at.
        milliseconds: u64,
    },
    /// A DELETE or a `terminate` is answered as if it had been carried out. It is, so many seconds later by the
    /// simulator's clock; or never, until it is asked for again.
    DeleteLies {
        /// Unset: never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_seconds: Option<f64>,
    },
}

/// A fault, and the requests that meet it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// Only requests with this method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only requests whose path contains this; with a `$` at its end: whose path ends with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// So many of them are let through first.
    #[serde(default)]
    pub skip: u32,
    /// So many are spoilt; unset: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// How likely each is spoilt, 0 to 1.
    #[serde(default = "certain")]
    pub probability: f64,
}

fn certain() -> f64 {
    1.0
}

impl Rule {
    /// For every request, always.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            method: None,
            path: None,
            skip: 0,
            times: None,
            probability: 1.0,
        }
    }

    /// Only for requests with that method, whose path contains `path`.
    #[must_use]
    pub fn on(mut self, method: &str, path: &str) -> Self {
        self.method = Some(method.to_owned());
        self.path = Some(path.to_owned());
        self
    }

    /// Only so many times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Only after so many were let through.
    #[must_use]
    pub fn skip(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// Only with that probability.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// Why the rule makes no sense, if it does not.
    pub(crate) fn objection(&self) -> Option<String> {
        match self.fault {
            Fault::Status { code } if !(400..600).contains(&code) => Some(format!("{code} is no error status")),
            _ if !(0.0..=1.0).contains(&self.probability) => Some(format!("{} is no probability", self.probability)),
            _ => None,
        }
    }

    fn fits(&self, method: &str, path: &str, is_destruction: bool) -> bool {
        (self
            .method
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method)))
            && self.path.as_ref().is_none_or(|wanted| match wanted.strip_suffix('$') {
                Some(end) => path.ends_with(end),
                None => path.contains(wanted.as_str()),
            })
            && (is_destruction || !matches!(self.fault, Fault::DeleteLies { .. }))
    }
}

/// The rules of one simulator.
#[derive(Debug)]
pub(crate) struct Faults {
    rules: Vec<Rule>,
    random: Random,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rules: Vec::new(),
            random: Random::new(seed.wrapping_add(0xfa17)),
        }
    }

    pub(crate) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// Those that can still fire.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.times != Some(0))
    }

    /// What is to go wrong with this request.
    pub(crate) fn take(&mut self, method: &str, path: &str, is_destruction: bool) -> Option<Fault> {
        for rule in &mut self.rules {
            if rule.times == Some(0) || !rule.fits(method, path, is_destruction) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            // 53 bits: what a float between 0 and 1 can hold.
            let drawn = (self.random.next() >> 11) as f64 / (1_u64 << 53) as f64;
            if drawn >= rule.probability {
                continue;
            }
            rule.times = rule.times.map(|times| times - 1);
            return Some(rule.fault.clone());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_create_is_lost_and_only_that() {
        let mut faults = Faults::new(1);
        faults.add(Rule::new(Fault::LoseResponse).on("POST", "/servers$").skip(1).times(1));
        let create = "/instance/v1/zones/fr-par-1/servers";
        assert_eq!(faults.take("GET", create, false), None);
        assert_eq!(faults.take("POST", &format!("{create}/x/action"), false), None);
        assert_eq!(faults.take("POST", create, false), None);
        assert_eq!(faults.take("POST", create, false), Some(Fault::LoseResponse));
        assert_eq!(faults.take("POST", create, false), None);
        assert_eq!(faults.rules().count(), 0);
    }

    #[test]
    fn chance_comes_from_the_seed() {
        let draw = |seed| {
            let mut faults = Faults::new(seed);
            faults.add(Rule::new(Fault::Cut).probability(0.3));
            (0..200)
                .map(|_| faults.take("GET", "/", false).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
        let spoilt = draw(5).iter().filter(|spoilt| **spoilt).count();
        assert!((30..90).contains(&spoilt), "{spoilt}");
    }

    #[test]
    fn only_destruction_can_be_lied_about() {
        let mut faults = Faults::new(1);
        faults.add(Rule::new(Fault::DeleteLies { for_seconds: None }));
        assert_eq!(faults.take("GET", "/x", false), None);
        assert!(faults.take("DELETE", "/x", true).is_some());
    }

    #[test]
    fn a_rule_reads_as_it_is_documented() {
        let rule: Rule =
            serde_json::from_str(r#"{"kind":"status","code":429,"method":"GET","path":"/servers","times":3}"#).unwrap();
        assert_eq!(
            rule,
            Rule::new(Fault::Status { code: 429 }).on("GET", "/servers").times(3)
        );
        assert_eq!(rule.objection(), None);
        assert!(Rule::new(Fault::Status { code: 200 }).objection().is_some());
    }
}
