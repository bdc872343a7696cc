//! How much of a section has to be scanned: the new folders alone, or all of it.
//!
//! Decided from a listing held against the library ([`super::compare`]). Folders are enough only when nothing but new files was
//! listed: what is missing or replaced is somebody's move, which only a scan of everything sees from both ends. Must not: be
//! taken for the scan's result. Whether every new file was found is asked of the library afterwards.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::compare::Comparison;
use super::listing::{Listing, is_media_of};

/// With more folders a scan of everything is less work: Plex was seen to become unsteady over many single ones (facts/plex.md §6).
const MOST: usize = 20;

/// What is to be scanned, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// These folders, by absolute path.
    Folders {
        /// None lies inside of another.
        folders: Vec<String>,
        /// New files in them.
        files: u64,
    },
    /// The whole section.
    Whole {
        /// Why.
        why: String,
    },
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folders { folders, files } => {
                let first = folders.first().map_or("", String::as_str);
                let many = |count: u64| if count == 1 { "" } else { "s" };
                let count = folders.len() as u64;
                write!(
                    f,
                    "scanned by path: {files} new file{} in {count} folder{}, {first}",
                    many(*files),
                    many(count)
                )?;
                if count > 1 { f.write_str(" first") } else { Ok(()) }
            }
            Self::Whole { why } => write!(f, "scanned whole: {why}"),
        }
    }
}

impl Scope {
    /// The whole section.
    #[must_use]
    pub fn whole(why: impl Into<String>) -> Self {
        Self::Whole { why: why.into() }
    }

    /// Of a deep scan.
    #[must_use]
    pub fn deep() -> Self {
        Self::whole("--force-deep-scan looks into every folder, and refreshes all metadata on its way")
    }

    /// Of a section of this kind (the API's word), with the new files that its library has to have afterwards. `missing` known
    /// files below its roots were not listed.
    #[must_use]
    pub fn of(kind: &str, held: &[(Listing, Comparison)], missing: u64) -> (Self, Vec<String>) {
        let whole = |why: String| (Self::Whole { why }, Vec::new());
        let count = |of: fn(&Comparison) -> u64| held.iter().map(|(_, comparison)| of(comparison)).sum::<u64>();
        let changed = count(|comparison| comparison.changed);
        if count(|comparison| comparison.present) == 0 {
            return whole("its library knows no file of it yet".to_owned());
        }
        if missing > 0 {
            return whole(format!("{missing} known files are not where they were"));
        }
        if changed > 0 {
            return whole(format!("{changed} known files have another size"));
        }
        let mut folders = BTreeSet::new();
        let mut files = Vec::new();
        for (listing, comparison) in held {
            let new: Vec<String> = comparison.unknown(listing).map(|file| file.path).collect();
            let new: Vec<String> = new.into_iter().filter(|path| is_media_of(kind, path)).collect();
            if new.is_empty() {
                continue;
            }
            let known: HashSet<String> = comparison.known(listing).filter_map(|path| parent(&path)).collect();
            let known = with_parents(known, listing.root());
            for path in &new {
                match topmost_new(path, listing.root(), &known) {
                    Some(folder) => folders.insert(folder),
                    None => return whole(format!("{path} is new and lies in no folder of its own")),
                };
            }
            files.extend(new);
        }
        if files.is_empty() {
            return whole("nothing new was listed, and what a listing does not show only a scan finds".to_owned());
        }
        // In their order a folder comes before what lies inside of it.
        let mut apart: Vec<String> = Vec::new();
        for folder in folders {
            if !apart.iter().any(|above| is_below(&folder, above)) {
                apart.push(folder);
            }
        }
        if apart.len() > MOST {
            return whole(format!("{} new folders are more than {MOST}", apart.len()));
        }
        let scope = Self::Folders {
            files: files.len() as u64,
            folders: apart,
        };
        (scope, files)
    }
}

/// The highest folder above `path` and below `root` without any known file; the file's own folder when each has some. None
/// when that is the root itself.
fn topmost_new(path: &str, root: &str, known: &HashSet<String>) -> Option<String> {
    let own = parent(path)?;
    let below = own.strip_prefix(root)?.strip_prefix('/')?;
    let mut folder = root.to_owned();
    for name in below.split('/') {
        folder.push('/');
        folder.push_str(name);
        if !known.contains(&folder) {
            break;
        }
    }
    Some(folder)
}

fn with_parents(folders: HashSet<String>, root: &str) -> HashSet<String> {
    let mut all = HashSet::with_capacity(folders.len());
    for folder in folders {
        let mut folder = Some(folder);
        while let Some(one) = folder.filter(|one| one.len() > root.len()) {
            folder = parent(&one);
            if !all.insert(one) {
                break;
            }
        }
    }
    all
}

fn parent(path: &str) -> Option<String> {
    path.rsplit_once('/').map(|(folder, _)| folder.to_owned())
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listing of /m, of which the library knows `known` (path, size as it knows it).
    fn scope(listed: &[&str], known: &[(&str, u64)]) -> (Scope, Vec<String>) {
        let listing = Listing::new("/m", listed.iter().map(|path| ((*path).to_owned(), 7)));
        let mut comparison = Comparison::new(&listing);
        let mut missing = 0;
        for (path, size) in known {
            missing += u64::from(!comparison.add(&listing, path, Some(*size)));
        }
        Scope::of("artist", &[(listing, comparison)], missing)
    }

    fn why(listed: &[&str], known: &[(&str, u64)]) -> String {
        match scope(listed, known) {
            (Scope::Whole { why }, files) if files.is_empty() => why,
            other => panic!("{other:?}"),
        }
    }

    const KNOWN: (&str, u64) = ("/m/A/One/1.flac", 7);

    #[test]
    fn the_topmost_new_folder_or_the_known_one_that_has_the_new_file() {
        let listed = [
            "A/One/1.flac",
            "A/One/2.flac",
            "A/Two/CD 1/1.flac",
            "A/Two/CD 2/1.flac",
            "B/Three/1.flac",
            "A/Two/cover.jpg",
        ];
        let (scope, files) = scope(&listed, &[KNOWN]);
        let folders = ["/m/A/One", "/m/A/Two", "/m/B"].map(str::to_owned).to_vec();
        assert_eq!(scope, Scope::Folders { folders, files: 4 });
        assert_eq!(files.len(), 4);
        assert_eq!(
            scope.to_string(),
            "scanned by path: 4 new files in 3 folders, /m/A/One first"
        );
    }

    #[test]
    fn a_folder_inside_of_another_is_not_named_again() {
        let listed = ["A/One/1.flac", "A/2.flac", "A/Two/1.flac", "A/Two/2.flac"];
        let (scope, _) = scope(&listed, &[KNOWN]);
        let folders = vec!["/m/A".to_owned()];
        assert_eq!(scope, Scope::Folders { folders, files: 3 });
    }

    #[test]
    fn whatever_else_was_seen_takes_the_whole() {
        let new = ["A/One/1.flac", "B/1.flac"];
        assert!(why(&["B/1.flac"], &[KNOWN]).contains("knows no file"));
        assert!(why(&new, &[KNOWN, ("/m/C/1.flac", 7)]).contains("1 known files are not where"));
        assert!(why(&new, &[("/m/A/One/1.flac", 8)]).contains("another size"));
        assert!(why(&["A/One/1.flac", "1.flac"], &[KNOWN]).contains("no folder of its own"));
        // A cover is no file that the library has to have.
        assert!(why(&["A/One/1.flac", "A/One/cover.jpg"], &[KNOWN]).contains("nothing new"));
        let many: Vec<String> = (0..=MOST).map(|number| format!("{number}/1.flac")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).chain(["A/One/1.flac"]).collect();
        assert!(why(&many, &[KNOWN]).contains("21 new folders"));
    }

    #[test]
    fn names_that_begin_alike_are_no_folders_of_each_other() {
        let listed = ["A/One/1.flac", "B/1.flac", "B more/1.flac"];
        let (scope, _) = scope(&listed, &[KNOWN]);
        let folders = vec!["/m/B".to_owned(), "/m/B more".to_owned()];
        assert_eq!(scope, Scope::Folders { folders, files: 2 });
    }
}
