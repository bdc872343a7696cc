//! Path mappings as configured: where a folder of home's is on the worker.

use std::borrow::Cow;

use crate::config::{Mapping, MappingKind};
use crate::error::{Error, Result};

/// All mappings, the longest `from` first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mappings(Vec<Mapping>);

impl Mappings {
    /// Those of `[[media.mappings]]`.
    ///
    /// # Errors
    /// One that is no pair of absolute folders, or two for the same folder.
    pub fn of(config: &crate::config::Media) -> Result<Self> {
        let mut mappings: Vec<Mapping> = config
            .mappings
            .iter()
            .map(|mapping| Mapping {
                from: mapping.from.trim_end_matches('/').to_owned(),
                to: mapping.to.trim_end_matches('/').to_owned(),
                kind: mapping.kind,
            })
            .collect();
        for mapping in &mappings {
            if !mapping.from.starts_with('/') || !mapping.to.starts_with('/') || mapping.from == mapping.to {
                return Err(
                    Error::usage(format!("the mapping {:?} → {:?} is none", mapping.from, mapping.to))
                        .hint("in `media.mappings` `from` and `to` are two different absolute folders, or files"),
                );
            }
        }
        mappings.sort_by(|a, b| b.from.len().cmp(&a.from.len()).then_with(|| a.from.cmp(&b.from)));
        if let Some(twice) = mappings.windows(2).find(|pair| pair[0].from == pair[1].from) {
            return Err(Error::usage(format!("{} is mapped twice", twice[0].from))
                .hint("leave one of the two in `media.mappings`"));
        }
        // The two kinds are taken back at different moments, so neither may build on the other.
        for (outer, inner) in mappings.iter().flat_map(|a| mappings.iter().map(move |b| (a, b))) {
            let is_inside = |path: &str, folder: &str| {
                path.strip_prefix(folder)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let meets = [&outer.from, &outer.to]
                .iter()
                .any(|folder| is_inside(&inner.from, folder) || is_inside(&inner.to, folder));
            if outer.kind != inner.kind && meets {
                return Err(Error::usage(format!(
                    "the mappings of {} and {} are of two kinds and lie in one another",
                    outer.from, inner.from
                ))
                .hint("give both one kind in `media.mappings`"));
            }
        }
        Ok(Self(mappings))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Pairs of one kind: from, to.
    pub fn of_kind(&self, kind: MappingKind) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter(move |mapping| mapping.kind == kind)
            .map(|mapping| (mapping.from.as_str(), mapping.to.as_str()))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.0.iter()
    }

    /// A path of home's as the worker has it: by the nearest folder that is mapped, once.
    #[must_use]
    pub fn map<'p>(&self, path: &'p str) -> Cow<'p, str> {
        match self.find(path) {
            Some((mapping, rest)) => Cow::Owned(format!("{}{rest}", mapping.to)),
            None => Cow::Borrowed(path),
        }
    }

    /// Whether a mapping covers a path.
    #[must_use]
    pub fn is_mapped(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    fn find<'p>(&self, path: &'p str) -> Option<(&Mapping, &'p str)> {
        self.0.iter().find_map(|mapping| {
            let rest = path.strip_prefix(mapping.from.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((mapping, rest))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mappings(pairs: &[(&str, &str, MappingKind)]) -> Result<Mappings> {
        let mappings = pairs.iter().map(|(from, to, kind)| Mapping {
            from: (*from).to_owned(),
            to: (*to).to_owned(),
            kind: *kind,
        });
        Mappings::of(&crate::config::Media {
            mappings: mappings.collect(),
            ..Default::default()
        })
    }

    #[test]
    fn the_nearest_folder_counts_and_ends_at_a_separator() {
        use MappingKind::{Permanent, Worker};
        let mappings = mappings(&[
            ("/m/TV/", "/n/TV", Permanent),
            ("/m/TV/A", "/x", Permanent),
            ("/c", "/d", Worker),
        ])
        .unwrap();
        for (path, mapped) in [
            ("/m/TV/B/1.mkv", "/n/TV/B/1.mkv"),
            ("/m/TV/A/1.mkv", "/x/1.mkv"),
            ("/m/TV/AB/1.mkv", "/n/TV/AB/1.mkv"),
            ("/m/TV", "/n/TV"),
            ("/m/TVShows/1", "/m/TVShows/1"),
        ] {
            assert_eq!(mappings.map(path), mapped);
        }
        assert_eq!(mappings.of_kind(Worker).collect::<Vec<_>>(), [("/c", "/d")]);
    }

    #[test]
    fn what_is_no_mapping_is_wrong_use() {
        use MappingKind::{Permanent, Worker};
        for wrong in [
            &[("tv", "/x", Worker)][..],
            &[("/tv", "/tv/", Worker)],
            &[("/tv", "/a", Worker), ("/tv/", "/b", Worker)],
            &[("/tv", "/a", Worker), ("/tv/x", "/b", Permanent)],
            &[("/tv", "/a", Worker), ("/b", "/a/b", Permanent)],
        ] {
            assert_eq!(mappings(wrong).unwrap_err().exit(), crate::exit::USAGE);
        }
    }
}
