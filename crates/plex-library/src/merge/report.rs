//! What a merge did, for a person and for the journal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::wishes::Wish;

/// Everything that was carried, decided or kept aside. The form is versioned by its fields: new ones get a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Rows of the result that were written for home's sake, per table.
    pub carried: BTreeMap<String, Carried>,
    /// Files that both sides had found: home's ids, the worker's analysis.
    #[serde(default)]
    pub same_files: Vec<SameFile>,
    /// Rows made by the worker that had to give up their id, per table.
    #[serde(default)]
    pub renumbered: BTreeMap<String, u64>,
    /// Bundles below `Metadata/` whose item got another guid: from the worker's hash to the result's.
    #[serde(default)]
    pub bundles: Vec<BundleMove>,
    /// What both sides had changed in different ways, and whose was taken.
    #[serde(default)]
    pub decided: Vec<Decided>,
    /// What could not be written by this program and has to be made through Plex after the start.
    #[serde(default)]
    pub kept_aside: Vec<KeptAside>,
    /// What of it the server can make by itself, once it runs.
    #[serde(default)]
    pub to_make: Vec<Wish>,
    /// User state that is in the result and waits there for an item that the result does not have (yet).
    #[serde(default)]
    pub waiting: Vec<KeptAside>,
    /// How many rows stand where home's own `Plex SQLite` says that they belong among the titles.
    #[serde(default)]
    pub placed_by_plex: u64,
    /// Why home's `Plex SQLite`, which was at hand and needed, was not asked.
    #[serde(default)]
    pub unasked: Option<String>,
}

/// How many rows of a table were written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Rows that the result did not have.
    pub inserted: u64,
    /// Rows that it had in another form.
    pub updated: u64,
    /// Rows that it had and home had not, or no more.
    pub deleted: u64,
}

impl Carried {
    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A file that home's own scan and the worker's both had found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SameFile {
    /// Path as the library has it.
    pub file: String,
    /// Id of its `metadata_items` row at home and in the result.
    pub home: i64,
    /// Id that the worker had given it.
    pub worker: i64,
}

/// A bundle of the worker that has to go under another name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BundleMove {
    /// `metadata_items.hash` as the worker had it.
    pub from: String,
    /// `metadata_items.hash` in the result.
    pub to: String,
}

/// A field that both sides had changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Table of the row.
    pub table: String,
    /// Its id.
    pub id: i64,
    /// What it was about: columns, or the whole row.
    pub about: String,
    /// What was done.
    pub taken: String,
}

/// A row of home's, and what remains to be done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAside {
    /// Table of the row.
    pub table: String,
    /// Its id at home.
    pub id: i64,
    /// What it is, in a person's words: kind and title.
    pub what: String,
    /// Why it could not be written.
    pub why: String,
    /// What remains to be done.
    pub remedy: String,
    /// The row's columns, so that it can be made again.
    pub row: BTreeMap<String, serde_json::Value>,
}

impl KeptAside {
    /// Whether it is about the same row as another one.
    #[must_use]
    pub fn is_about_the_same(&self, other: &Self) -> bool {
        (&self.table, self.id) == (&other.table, other.id)
    }
}

/// Adds what came later; of two that are the same the later one stays.
fn unite<T>(earlier: &mut Vec<T>, later: Vec<T>, is_same: impl Fn(&T, &T) -> bool) {
    earlier.retain(|one| !later.iter().any(|other| is_same(one, other)));
    earlier.extend(later);
}

impl Report {
    /// The counts of a table, to be added to.
    pub(super) fn carried(&mut self, table: &str) -> &mut Carried {
        if !self.carried.contains_key(table) {
            self.carried.insert(table.to_owned(), Carried::default());
        }
        #[expect(clippy::expect_used, reason = "it was inserted in the line above")]
        self.carried.get_mut(table).expect("present")
    }

    /// Whether the result was what it had to be already.
    #[must_use]
    pub fn changed_nothing(&self) -> bool {
        self.carried.values().all(Carried::is_empty) && self.renumbered.is_empty()
    }

    /// What two merges did, one after the other. What both speak of is said as the later one says it.
    #[must_use]
    pub fn followed_by(mut self, later: Self) -> Self {
        for (table, more) in later.carried {
            let carried = self.carried(&table);
            carried.inserted += more.inserted;
            carried.updated += more.updated;
            carried.deleted += more.deleted;
        }
        for (table, more) in later.renumbered {
            *self.renumbered.entry(table).or_default() += more;
        }
        unite(&mut self.same_files, later.same_files, |a, b| a.home == b.home);
        unite(&mut self.bundles, later.bundles, |a, b| a == b);
        unite(&mut self.decided, later.decided, |a, b| {
            (&a.table, a.id, &a.about) == (&b.table, b.id, &b.about)
        });
        unite(&mut self.kept_aside, later.kept_aside, KeptAside::is_about_the_same);
        unite(&mut self.to_make, later.to_make, Wish::is_about_the_same);
        unite(&mut self.waiting, later.waiting, KeptAside::is_about_the_same);
        self.placed_by_plex += later.placed_by_plex;
        self.unasked = later.unasked.or(self.unasked);
        self
    }

    /// Drops what is empty, so that reports can be compared and read.
    pub(super) fn tidy(mut self) -> Self {
        self.carried.retain(|_, carried| !carried.is_empty());
        self.bundles.sort();
        self.bundles.dedup();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(id: i64, what: &str) -> KeptAside {
        KeptAside {
            table: "metadata_items".into(),
            id,
            what: what.into(),
            why: String::new(),
            remedy: String::new(),
            row: BTreeMap::new(),
        }
    }

    fn name(id: i64, title: &str) -> Wish {
        Wish::Name {
            id,
            title: title.into(),
            title_sort: None,
        }
    }

    #[test]
    fn what_two_merges_speak_of_is_said_once_as_the_later_one_says_it() {
        let mut earlier = Report {
            kept_aside: vec![kept(1, "one"), kept(2, "two")],
            to_make: vec![name(1, "one"), name(2, "two")],
            ..Report::default()
        };
        earlier.carried("tags").inserted = 3;
        let mut later = Report {
            kept_aside: vec![kept(2, "two, renamed"), kept(3, "three")],
            to_make: vec![name(2, "two, renamed")],
            ..Report::default()
        };
        later.carried("tags").inserted = 4;
        let both = earlier.clone().followed_by(later);
        assert_eq!(both.carried["tags"].inserted, 7);
        let said: Vec<&str> = both.kept_aside.iter().map(|kept| kept.what.as_str()).collect();
        assert_eq!(said, ["one", "two, renamed", "three"]);
        assert_eq!(both.to_make, [name(1, "one"), name(2, "two, renamed")]);
        // A second half that had nothing to add takes nothing away.
        assert_eq!(earlier.clone().followed_by(Report::default()), earlier);
    }
}
