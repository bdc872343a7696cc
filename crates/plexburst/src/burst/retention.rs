//! What of the depot is still needed, and what may go.
//!
//! A plan is made first and shown; what is removed is that plan. Nothing that this machine does not know for certain
//! to be over is ever removed by itself: what another machine may have put there goes only by its name.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::journal::{self, Journal};
use super::kept::{self, Kept};
use super::phase::Phase;
use super::spec::{Made, Parked};
use super::store::{self, Known, Standing};
use crate::depot::{Depot, Listed, Object};
use crate::error::{Error, Result};

/// Why something in the depot is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// A burst that has not ended needs it.
    Live,
    /// The base that the next burst goes on from.
    Base,
    /// The result of one of the last bursts, which `depot.keep` keeps.
    Kept,
    /// The burst it is of has ended.
    Over,
    /// This machine does not know it.
    Unknown,
}

impl Need {
    /// As a table says it.
    pub fn word(self) -> &'static str {
        match self {
            Need::Live => "of a burst that has not ended",
            Need::Base => "base of the next burst",
            Need::Kept => "kept",
            Need::Over => "over",
            Need::Unknown => "not of this machine",
        }
    }
}

/// One folder of the depot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// Its name: a burst's id, or `bases/` and the id of the burst that began it.
    pub name: String,
    /// When that burst began.
    pub since: Option<jiff::Timestamp>,
    /// Why it is there.
    pub need: Need,
    /// How many objects it has.
    pub objects: usize,
    /// What they weigh as they are kept.
    pub bytes: u64,
    /// Objects in it that nothing speaks of: left by transfers that were given up.
    pub orphans: Vec<String>,
}

impl Holding {
    /// Whether `prune` removes all of it.
    pub fn is_over(&self) -> bool {
        self.need == Need::Over
    }
}

/// What this machine knows about the depot.
pub struct Knowledge {
    bursts: Vec<Known>,
    /// Bursts that cannot be understood: what they need is not known.
    is_in_doubt: bool,
    kept: Vec<Kept>,
}

impl Knowledge {
    /// What stands in the state folder `state`.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn of(state: &std::path::Path) -> Result<Self> {
        let (bursts, errors) = store::all(state)?;
        Ok(Self {
            bursts,
            is_in_doubt: !errors.is_empty(),
            kept: Kept::all(state),
        })
    }

    /// Everything in the depot, told apart; `keep` results of bursts that have ended are kept.
    ///
    /// # Errors
    /// A journal cannot be read.
    pub fn judge(&self, listed: &[Listed], keep: usize) -> Result<Vec<Holding>> {
        let mut folders: BTreeMap<String, Vec<&Listed>> = BTreeMap::new();
        for object in listed {
            folders.entry(folder_of(&object.key)).or_default().push(object);
        }
        let live: BTreeSet<&str> = self.ids(|s| matches!(s, Standing::Resumable { .. }));
        let ended: BTreeSet<&str> = self.ids(|s| !matches!(s, Standing::Resumable { .. }));
        let results: BTreeSet<&str> = {
            let there = ended.iter().copied().filter(|id| folders.contains_key(*id));
            // Ids sort by time.
            there.rev().take(keep).collect()
        };
        let (mut bases, mut retired) = (BTreeSet::new(), BTreeSet::new());
        for chain in self.kept.iter().filter_map(Kept::chain) {
            bases.extend(chain.base.kept);
            retired.extend(chain.retired);
        }
        let needed = self.bases_of_live()?;
        let need = |name: &str| match name.strip_prefix("bases/") {
            Some(id) if live.contains(id) || needed.contains(id) => Need::Live,
            Some(id) if bases.contains(id) => Need::Base,
            Some(id) if retired.contains(id) && !self.is_in_doubt => Need::Over,
            Some(_) => Need::Unknown,
            None if live.contains(name) => Need::Live,
            None if results.contains(name) => Need::Kept,
            None if ended.contains(name) => Need::Over,
            None => Need::Unknown,
        };
        let holdings = folders.into_iter().map(|(name, objects)| Holding {
            since: began(&name),
            need: need(&name),
            objects: objects.len(),
            bytes: objects.iter().map(|o| o.bytes).sum(),
            orphans: if live.is_empty() && need(&name) == Need::Base {
                self.orphans(&name, &objects)
            } else {
                Vec::new()
            },
            name,
        });
        Ok(holdings.collect())
    }

    fn ids(&self, is_wanted: impl Fn(&Standing) -> bool) -> BTreeSet<&str> {
        let bursts = self.bursts.iter().filter(|b| is_wanted(&b.standing));
        bursts.map(|b| b.request.id.as_str()).collect()
    }

    /// Kept bases that a burst which has not ended was told to use.
    fn bases_of_live(&self) -> Result<BTreeSet<String>> {
        let mut needed = BTreeSet::new();
        for burst in &self.bursts {
            let path = store::journal_path(&burst.dir);
            if matches!(burst.standing, Standing::Resumable { .. }) && path.exists() {
                let parked: Option<Parked> = journal::facts(&Journal::read(&path)?, Phase::Park)?;
                needed.extend(parked.and_then(|parked| parked.kept));
            }
        }
        Ok(needed)
    }

    fn orphans(&self, name: &str, objects: &[&Listed]) -> Vec<String> {
        let chains = self.kept.iter().filter_map(Kept::chain);
        let known: BTreeSet<String> = chains
            .filter(|chain| chain.base.kept.as_deref().map(kept::folder).as_deref() == Some(name))
            .flat_map(|chain| {
                let objects = chain.base.objects().into_iter().cloned().collect::<Vec<_>>();
                objects.into_iter().flat_map(|o| o.names(name))
            })
            .collect();
        let unknown = objects.iter().filter(|o| !known.contains(&o.key));
        unknown.map(|o| o.key.clone()).collect()
    }

    /// Parts that a burst which has not ended, or the next one, needs and that are not in the depot.
    ///
    /// # Errors
    /// A journal cannot be read.
    pub fn missing(&self, listed: &[Listed]) -> Result<Vec<String>> {
        let there: BTreeMap<&str, u64> = listed.iter().map(|l| (l.key.as_str(), l.bytes)).collect();
        let mut wanted: Vec<(String, Object)> = Vec::new();
        for parked in self.kept.iter().filter_map(Kept::chain).map(|chain| chain.base) {
            wanted.extend(named(parked, ""));
        }
        for burst in &self.bursts {
            let path = store::journal_path(&burst.dir);
            if !matches!(burst.standing, Standing::Resumable { .. }) || !path.exists() {
                continue;
            }
            let entries = Journal::read(&path)?;
            let id = &burst.request.id;
            let made: Option<Made> = journal::facts(&entries, Phase::Work)?;
            let parked: Option<Parked> = journal::facts(&entries, Phase::Park)?;
            match (made, parked) {
                // Once there is a result nobody needs the base in the depot.
                (Some(made), _) => {
                    wanted.extend(made.objects().map(|o| (id.clone(), o.clone())));
                }
                (None, Some(parked)) => wanted.extend(named(parked, id)),
                (None, None) => {}
            }
        }
        let mut missing = BTreeSet::new();
        for (folder, object) in wanted {
            for (name, part) in object.names(&folder).into_iter().zip(&object.parts) {
                match there.get(name.as_str()) {
                    None => missing.insert(format!("{name} is missing")),
                    Some(bytes) if *bytes != part.bytes => missing.insert(format!("{name} has {bytes} bytes")),
                    Some(_) => false,
                };
            }
        }
        Ok(missing.into_iter().collect())
    }

    /// Forgets what is no longer in the depot.
    fn forget(&self, gone: &[String]) -> Result<()> {
        self.kept.iter().try_for_each(|kept| kept.forget(gone))
    }
}

/// The objects of a base with the folder that they are in.
fn named(parked: Parked, burst: &str) -> Vec<(String, Object)> {
    let folder = parked.kept.as_deref().map_or_else(|| burst.to_owned(), kept::folder);
    let objects = parked.objects().into_iter().cloned();
    objects.map(|object| (folder.clone(), object)).collect()
}

/// What a pruning removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Folders that are gone.
    pub removed: Vec<String>,
    /// Objects that nothing spoke of.
    pub orphans: Vec<String>,
    /// What all of that weighed.
    pub bytes: u64,
}

/// What `prune` would remove of `holdings`: what is over, orphans, and what is named in `also`.
///
/// # Errors
/// `also` names something that is not there or is needed.
pub fn plan(holdings: &[Holding], also: &[String]) -> Result<Vec<Holding>> {
    for name in also {
        let Some(holding) = holdings.iter().find(|h| &h.name == name) else {
            return Err(
                Error::usage(format!("there is no {name} in the depot")).hint("`plexburst depot list` names all")
            );
        };
        if holding.need == Need::Live {
            return Err(Error::refused(format!("a burst that has not ended needs {name}"))
                .hint("`plexburst cancel` or `plexburst resume` ends it"));
        }
    }
    let is_wanted = |h: &&Holding| h.is_over() || !h.orphans.is_empty() || also.contains(&h.name);
    let mut plan: Vec<Holding> = holdings.iter().filter(is_wanted).cloned().collect();
    for holding in plan.iter_mut().filter(|h| also.contains(&h.name)) {
        holding.need = Need::Over;
    }
    Ok(plan)
}

/// Removes what `plan` says.
///
/// # Errors
/// The depot.
pub async fn prune(depot: &Depot, knowledge: &Knowledge, plan: &[Holding], listed: &[Listed]) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    for holding in plan {
        if holding.is_over() {
            depot.beside(&holding.name).remove_all().await?;
            pruned.bytes += holding.bytes;
            pruned.removed.push(holding.name.clone());
            continue;
        }
        for key in &holding.orphans {
            let inner = key.strip_prefix(&format!("{}/", holding.name)).unwrap_or(key);
            depot.beside(&holding.name).remove(inner).await?;
            pruned.bytes += listed.iter().find(|l| &l.key == key).map_or(0, |l| l.bytes);
            pruned.orphans.push(key.clone());
        }
    }
    let bases = pruned.removed.iter().filter_map(|name| name.strip_prefix("bases/"));
    knowledge.forget(&bases.map(str::to_owned).collect::<Vec<_>>())?;
    Ok(pruned)
}

fn folder_of(key: &str) -> String {
    let mut parts = key.split('/');
    match (parts.next(), parts.next()) {
        (Some(kept::FOLDER), Some(id)) => kept::folder(id),
        (first, _) => first.unwrap_or_default().to_owned(),
    }
}

/// An id tells when it was given.
fn began(name: &str) -> Option<jiff::Timestamp> {
    let id = name.rsplit('/').next().unwrap_or(name);
    let id = ulid::Ulid::from_string(id).ok()?;
    jiff::Timestamp::from_millisecond(i64::try_from(id.timestamp_ms()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(keys: &[&str]) -> Vec<Listed> {
        let object = |key: &&str| Listed {
            key: (*key).to_owned(),
            bytes: 10,
        };
        keys.iter().map(object).collect()
    }

    #[test]
    fn what_is_not_known_stays() {
        let nothing = tempfile::tempdir().unwrap();
        let knowledge = Knowledge::of(nothing.path()).unwrap();
        let there = listed(&["01J/base/x", "01J/result/y", "bases/01K/base/z", "notes.txt"]);
        let holdings = knowledge.judge(&there, 0).unwrap();
        let names: Vec<_> = holdings.iter().map(|h| (h.name.as_str(), h.objects, h.need)).collect();
        assert_eq!(
            names,
            [
                ("01J", 2, Need::Unknown),
                ("bases/01K", 1, Need::Unknown),
                ("notes.txt", 1, Need::Unknown)
            ]
        );
        assert_eq!(plan(&holdings, &[]).unwrap(), []);
        let also = plan(&holdings, &["01J".to_owned()]).unwrap();
        assert!(also.len() == 1 && also[0].is_over());
        assert!(plan(&holdings, &["02".to_owned()]).is_err());
    }

    #[test]
    fn what_a_live_burst_needs_cannot_be_named() {
        let live = Holding {
            name: "01J".into(),
            since: None,
            need: Need::Live,
            objects: 1,
            bytes: 1,
            orphans: vec![],
        };
        let e = plan(&[live], &["01J".to_owned()]).unwrap_err();
        assert_eq!(e.exit(), crate::exit::REFUSED);
    }

    #[test]
    fn an_id_tells_its_time() {
        let id = ulid::Ulid::from_parts(1_700_000_000_000, 5).to_string();
        assert_eq!(
            began(&format!("bases/{id}")).unwrap().as_millisecond(),
            1_700_000_000_000
        );
        assert_eq!(began("notes.txt"), None);
    }
}
