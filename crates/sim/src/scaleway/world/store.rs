//! Resources by id, with the ones that are gone: lists show them for a while.

use std::collections::BTreeMap;

use super::super::clock::Micros;

/// When a resource was made, changed and removed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    pub(crate) created: Micros,
    pub(crate) modified: Micros,
    /// Set once it is 404.
    pub(crate) gone: Option<Micros>,
    sequence: u64,
}

impl Life {
    pub(crate) fn new(created: Micros, sequence: u64) -> Self {
        Self {
            created,
            modified: created,
            gone: None,
            sequence,
        }
    }

    pub(crate) fn exists(&self) -> bool {
        self.gone.is_none()
    }

    /// Whether a list that is `lag` behind shows it.
    fn is_listed(&self, now: Micros, lag: Micros) -> bool {
        let then = now - lag;
        self.created <= then && self.gone.is_none_or(|gone| gone > then)
    }
}

/// What a [`Store`] holds.
pub(crate) trait Resource {
    fn id(&self) -> &str;
    fn life(&self) -> &Life;
    fn life_mut(&mut self) -> &mut Life;
}

/// All resources of one kind that there ever were.
#[derive(Debug)]
pub(crate) struct Store<T>(BTreeMap<String, T>);

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Resource> Store<T> {
    pub(crate) fn add(&mut self, resource: T) {
        self.0.insert(resource.id().to_owned(), resource);
    }

    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.0.get(id).filter(|resource| resource.life().exists())
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.0.get_mut(id).filter(|resource| resource.life().exists())
    }

    /// Notes a change at `now` and gives the resource to make it.
    pub(crate) fn touch(&mut self, id: &str, now: Micros) -> Option<&mut T> {
        let resource = self.get_mut(id)?;
        resource.life_mut().modified = now;
        Some(resource)
    }

    /// Makes it 404.
    pub(crate) fn remove(&mut self, id: &str, now: Micros) {
        if let Some(resource) = self.touch(id, now) {
            resource.life_mut().gone = Some(now);
        }
    }

    /// What there is.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.values().filter(|resource| resource.life().exists())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.values_mut().filter(|resource| resource.life().exists())
    }

    /// What a list shows, the newest first.
    pub(crate) fn listed(&self, now: Micros, lag: Micros) -> Vec<&T> {
        let mut listed: Vec<&T> = self
            .0
            .values()
            .filter(|resource| resource.life().is_listed(now, lag))
            .collect();
        listed.sort_by_key(|resource| std::cmp::Reverse(resource.life().sequence));
        listed
    }
}

/// Gives a type with the fields `id` and `life` to a [`Store`].
macro_rules! resource {
    ($($name:ty),+) => {$(
        impl $crate::scaleway::world::Resource for $name {
            fn id(&self) -> &str {
                &self.id
            }
            fn life(&self) -> &$crate::scaleway::world::Life {
                &self.life
            }
            fn life_mut(&mut self) -> &mut $crate::scaleway::world::Life {
                &mut self.life
            }
        }
    )+};
}
pub(super) use resource;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Thing {
        id: String,
        life: Life,
    }
    resource!(Thing);

    #[test]
    fn lists_lag_behind_and_looking_by_id_does_not() {
        let mut store = Store::default();
        store.add(Thing {
            id: "a".to_owned(),
            life: Life::new(100, 1),
        });
        store.add(Thing {
            id: "b".to_owned(),
            life: Life::new(100, 2),
        });
        assert!(store.get("a").is_some() && store.listed(105, 10).is_empty());
        let ids: Vec<&str> = store.listed(110, 10).iter().map(|thing| thing.id.as_str()).collect();
        assert_eq!(ids, ["b", "a"]);
        store.remove("a", 120);
        assert!(store.get("a").is_none());
        assert_eq!((store.listed(125, 10).len(), store.listed(130, 10).len()), (2, 1));
    }
}
