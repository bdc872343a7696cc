//! Moves recognised: files that are missing where the library has them and lie somewhere else, told by base name, size and
//! neighbours, and offered as mappings of folders; of single files where a restructuring was broken off inside of a folder.
//!
//! Guarantees: an offered mapping covers no file that is where the library has it, and leads no file to a place where
//! another one lies; where several places would do, nothing is offered and [`Moves::doubts`] says so. Must not: decide.
//! A mapping counts only when it stands in the configuration.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::compare::File;

/// Files that answer alone for a folder, however many of it are gone.
const ENOUGH: usize = 3;
/// Files of a folder that are mapped one by one where others of it stayed: where a restructuring was broken off. More are a
/// folder that was taken apart, which somebody has to look at.
const ONE_BY_ONE: usize = 25;
/// Places that a doubt names.
const NAMED: usize = 3;

/// What is known of the files.
pub struct Ground<'a> {
    /// The roots of all sections: nothing above them is ever mapped.
    pub roots: &'a [String],
    /// Known files that are not where the library has them.
    pub missing: &'a [File],
    /// Media files that the library does not know, by home's paths.
    pub unknown: &'a [File],
    /// Known files that are where the library has them.
    pub present: &'a Present,
}

/// The files that are where the library has them, and every folder above one of them.
#[derive(Debug, Clone, Default)]
pub struct Present {
    folders: HashSet<String>,
    beside: HashSet<String>,
}

impl Present {
    /// Of the paths of files; `near` are the folders whose files may be asked for one by one.
    pub fn new(files: impl Iterator<Item = String>, near: &HashSet<String>) -> Self {
        let mut present = Self::default();
        for file in files {
            let mut above = parent(&file);
            while !above.is_empty() && !present.folders.contains(above) {
                present.folders.insert(above.to_owned());
                above = parent(above);
            }
            if near.contains(parent(&file)) {
                present.beside.insert(file);
            }
        }
        present
    }

    /// Whether one of them is below a folder.
    fn is_below(&self, folder: &str) -> bool {
        self.folders.contains(folder)
    }
}

/// A folder that was moved, or a file where only some of a folder's were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Where the library has it.
    pub from: String,
    /// Where it lies now.
    pub to: String,
    /// Missing files that it explains.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A folder of missing files for which nothing is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// The folder.
    pub folder: String,
    /// Missing files of it that lie elsewhere.
    pub files: u64,
    /// Why.
    pub why: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moves {
    /// Missing files in all.
    pub missing: u64,
    /// Folders that were moved, the one that explains most first.
    pub offers: Vec<Offer>,
    /// Folders that may have been.
    pub doubts: Vec<Doubt>,
}

impl Moves {
    /// Missing files that the offers explain.
    #[must_use]
    pub fn explained(&self) -> u64 {
        self.offers.iter().map(|offer| offer.files).sum()
    }

    /// Whether an offer covers a path.
    #[must_use]
    pub fn explains(&self, path: &str) -> bool {
        self.offers.iter().any(|offer| is_below(path, &offer.from))
    }
}

/// Finds the moves.
#[must_use]
pub fn find(ground: &Ground<'_>) -> Moves {
    let search = Search::new(ground);
    let (mut rules, mut doubts) = search.folders();
    search.drop_collisions(&mut rules, &mut doubts);
    search.generalise(&mut rules, &doubts);
    search.drop_collisions(&mut rules, &mut doubts);
    search.moves(&rules, doubts)
}

/// Where a folder's files go: from → to.
type Rules = BTreeMap<String, String>;
/// Folder → the places where its files were seen, and why none of them was taken.
type Doubts = BTreeMap<String, (BTreeSet<String>, String)>;

/// What went to a place.
enum Gone<'p> {
    /// A folder with all that was in it.
    Folder(&'p str),
    /// A folder's missing files, each by itself.
    Files(&'p str),
}

struct Search<'a> {
    ground: &'a Ground<'a>,
    /// Missing files by folder.
    folders: BTreeMap<&'a str, Vec<&'a File>>,
    /// Folders of unknown files by base name and size.
    places: HashMap<(&'a str, u64), Vec<&'a str>>,
    sizes: HashMap<&'a str, Option<u64>>,
    /// How many missing and unknown files are called so.
    names: HashMap<&'a str, u32>,
}

impl<'a> Search<'a> {
    fn new(ground: &'a Ground<'a>) -> Self {
        let mut folders: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
        for file in ground.missing {
            folders.entry(parent(&file.path)).or_default().push(file);
        }
        let mut places: HashMap<(&str, u64), Vec<&str>> = HashMap::new();
        for file in ground.unknown {
            if let Some(size) = file.size.filter(|size| *size > 0) {
                places
                    .entry((base(&file.path), size))
                    .or_default()
                    .push(parent(&file.path));
            }
        }
        let mut names: HashMap<&str, u32> = HashMap::new();
        for file in ground.missing.iter().chain(ground.unknown) {
            *names.entry(base(&file.path)).or_default() += 1;
        }
        let sizes = ground
            .unknown
            .iter()
            .map(|file| (file.path.as_str(), file.size))
            .collect();
        Self {
            ground,
            folders,
            places,
            sizes,
            names,
        }
    }

    /// Each folder with missing files of its own, by itself.
    fn folders(&self) -> (Rules, Doubts) {
        let (mut rules, mut doubts) = (Rules::new(), Doubts::new());
        for (folder, files) in &self.folders {
            let mut seen: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
            for (number, file) in files.iter().enumerate() {
                let Some(size) = file.size else { continue };
                for place in self.places.get(&(base(&file.path), size)).into_iter().flatten() {
                    seen.entry(place).or_default().insert(number);
                }
            }
            match self.choose(folder, files.len(), &seen) {
                Ok(Some(Gone::Folder(place))) => drop(rules.insert((*folder).to_owned(), place.to_owned())),
                Ok(Some(Gone::Files(place))) => {
                    let one = |file: &&File| (file.path.clone(), format!("{place}/{}", base(&file.path)));
                    rules.extend(files.iter().map(one));
                }
                Ok(None) => {}
                Err(why) => {
                    let places = seen.keys().map(|place| (*place).to_owned()).collect();
                    doubts.insert((*folder).to_owned(), (places, why));
                }
            }
        }
        (rules, doubts)
    }

    /// The one place where a folder's missing files are; none when they are nowhere; why not when it cannot be told.
    fn choose<'p>(
        &self,
        folder: &str,
        count: usize,
        seen: &BTreeMap<&'p str, BTreeSet<usize>>,
    ) -> Result<Option<Gone<'p>>, String> {
        let Some((best, files)) = seen.iter().max_by_key(|(_, files)| files.len()) else {
            return Ok(None);
        };
        // Neighbours decide: a place where less than half of these files lie is no rival of the one where all do.
        let rivals: Vec<&str> = seen
            .iter()
            .filter(|(place, others)| *place != best && (others.len() * 2 > files.len() || !others.is_subset(files)))
            .map(|(place, _)| *place)
            .collect();
        if !rivals.is_empty() {
            let mut named: Vec<&str> = std::iter::once(*best).chain(rivals).take(NAMED).collect();
            named.sort_unstable();
            return Err(format!(
                "files of the same name and size are in {}",
                named.join(" and in ")
            ));
        }
        if self.ground.present.is_below(folder) {
            // Each missing one is there with all its neighbours, or has a name that no other has; nothing else is led there.
            let is_all = files.len() == count && count <= ONE_BY_ONE;
            if is_all && (count >= ENOUGH || self.are_named_alone(folder)) {
                return Ok(Some(Gone::Files(best)));
            }
            return Err(format!(
                "only some of its files were moved (to {best}): a mapping would lead the others astray; move the rest of them \
                 as well"
            ));
        }
        if files.len() < ENOUGH && files.len() * 2 < count {
            return Err(format!(
                "only {} of {count} of its files were found, in {best}",
                files.len()
            ));
        }
        Ok(Some(Gone::Folder(best)))
    }

    /// Whether no other missing or unknown file is called as one of a folder's missing ones, but for the one at its new place.
    fn are_named_alone(&self, folder: &str) -> bool {
        let files = self.folders.get(folder).into_iter().flatten();
        files
            .map(|file| base(&file.path))
            .all(|name| self.names.get(name) == Some(&2))
    }

    /// What would lead a file onto another one is not offered.
    fn drop_collisions(&self, rules: &mut Rules, doubts: &mut Doubts) {
        loop {
            let mut users: HashMap<String, &str> = HashMap::new();
            let mut bad: BTreeMap<String, String> = BTreeMap::new();
            for file in self.ground.missing {
                let Some((from, to)) = longest(rules, &file.path) else {
                    continue;
                };
                let target = moved(&file.path, from, to);
                let is_other = |size: &Option<u64>| file.size.is_some() && *size != file.size;
                if self.ground.present.beside.contains(&target) || self.sizes.get(target.as_str()).is_some_and(is_other)
                {
                    bad.insert(
                        from.to_owned(),
                        format!("its {} would meet another file in {to}", base(&file.path)),
                    );
                }
                if let Some(other) = users.insert(target, from)
                    && other != from
                {
                    let why = format!("files of {other} and of {from} would meet in {to}");
                    bad.insert(other.to_owned(), why.clone());
                    bad.insert(from.to_owned(), why);
                }
            }
            if bad.is_empty() {
                return;
            }
            for (from, why) in bad {
                if let Some(to) = rules.remove(&from) {
                    doubts.insert(from, (BTreeSet::from([to]), why));
                }
            }
        }
    }

    /// Where everything in a folder went the same way, the folder itself went: from the deepest upwards.
    fn generalise(&self, rules: &mut Rules, doubts: &Doubts) {
        let depth = |path: &str| path.matches('/').count();
        let deepest = rules.keys().map(|from| depth(from)).max().unwrap_or(0);
        for level in (1..=deepest).rev() {
            let above: BTreeSet<String> = rules
                .keys()
                .filter(|from| depth(from) == level)
                .map(|from| parent(from).to_owned())
                .collect();
            for folder in above {
                self.lift(&folder, rules, doubts);
            }
        }
    }

    /// Replaces the mappings of a folder's own folders by one of itself, where that is right for every missing file.
    fn lift(&self, folder: &str, rules: &mut Rules, doubts: &Doubts) {
        let is_inside = |root: &String| {
            let root = root.trim_end_matches('/');
            folder == root || is_below(folder, root)
        };
        if !self.ground.roots.iter().any(is_inside) || self.ground.present.is_below(folder) {
            return;
        }
        let mut weights: BTreeMap<String, usize> = BTreeMap::new();
        for (from, to) in rules.iter() {
            if parent(from) == folder && base(from) == base(to) {
                *weights.entry(parent(to).to_owned()).or_default() += self.below(from).count();
            }
        }
        let own = rules.get(folder).cloned();
        let best = match &own {
            Some(to) => weights.contains_key(to).then(|| to.clone()),
            None => {
                let total = self.below(folder).count();
                let best = weights.iter().max_by_key(|(_, weight)| **weight);
                best.filter(|(_, weight)| **weight * 2 > total)
                    .map(|(to, _)| to.clone())
            }
        };
        let Some(to) = best.filter(|to| to != folder && !to.is_empty()) else {
            return;
        };
        // Every folder below either goes along, or has a mapping of its own, or was seen nowhere else.
        let fits = doubts
            .iter()
            .filter(|(doubtful, _)| is_below(doubtful, folder) && longest(rules, doubtful).is_none())
            .all(|(doubtful, (places, _))| places.contains(&moved(doubtful, folder, &to)));
        let is_free = self
            .below(folder)
            .filter(|file| longest(rules, &file.path).is_none())
            .all(|file| {
                let target = moved(&file.path, folder, &to);
                !self.ground.present.beside.contains(&target)
                    && self.sizes.get(target.as_str()).is_none_or(|size| *size == file.size)
            });
        if !fits || !is_free {
            return;
        }
        rules.retain(|from, target| !(parent(from) == folder && *target == moved(from, folder, &to)));
        rules.insert(folder.to_owned(), to);
    }

    /// Missing files anywhere below a folder.
    fn below(&self, folder: &str) -> impl Iterator<Item = &'a File> {
        let prefix = format!("{folder}/");
        let own = self.folders.get(folder).into_iter().flatten().copied();
        let below: Vec<&'a File> = self
            .folders
            .range(prefix.as_str()..)
            .take_while(|(path, _)| path.starts_with(&prefix))
            .flat_map(|(_, files)| files.iter().copied())
            .collect();
        own.chain(below)
    }

    fn moves(&self, rules: &Rules, doubts: Doubts) -> Moves {
        let mut offers: BTreeMap<&str, Offer> = BTreeMap::new();
        let mut explained: HashSet<&str> = HashSet::new();
        for file in self.ground.missing {
            let Some((from, to)) = longest(rules, &file.path) else {
                continue;
            };
            if self.sizes.get(moved(&file.path, from, to).as_str()) != Some(&file.size) {
                continue;
            }
            explained.insert(parent(&file.path));
            let offer = offers.entry(from).or_insert_with(|| Offer {
                from: from.to_owned(),
                to: to.to_owned(),
                files: 0,
                bytes: 0,
            });
            offer.files += 1;
            offer.bytes += file.size.unwrap_or(0);
        }
        let mut offers: Vec<Offer> = offers.into_values().collect();
        offers.sort_by(|a, b| b.files.cmp(&a.files).then_with(|| a.from.cmp(&b.from)));
        let doubts = doubts
            .into_iter()
            .filter(|(folder, _)| !explained.contains(folder.as_str()))
            .map(|(folder, (_, why))| Doubt {
                files: self.folders.get(folder.as_str()).map_or(0, Vec::len) as u64,
                folder,
                why,
            });
        Moves {
            missing: self.ground.missing.len() as u64,
            offers,
            doubts: doubts.collect(),
        }
    }
}

/// The mapping of the nearest folder above a path.
fn longest<'r>(rules: &'r Rules, path: &str) -> Option<(&'r str, &'r str)> {
    let mut above = path;
    while !above.is_empty() {
        if let Some((from, to)) = rules.get_key_value(above) {
            return Some((from, to));
        }
        above = parent(above);
    }
    None
}

fn moved(path: &str, from: &str, to: &str) -> String {
    format!("{to}{}", path.strip_prefix(from).unwrap_or_default())
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn base(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, base)| base)
}

#[cfg(test)]
mod tests;
