//! What a library knows, held against a listing: present, missing, new; and of the missing those that are there under
//! another spelling.

use std::collections::HashMap;

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};

use super::listing::{Listing, is_media};

/// A file as a library or a listing has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct File {
    /// Home's absolute path.
    pub path: String,
    /// Bytes; none when the library does not know.
    pub size: Option<u64>,
}

/// A library held against one listing.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// Known files that exist.
    pub present: u64,
    /// Known files that exist with other bytes than the library knows.
    pub changed: u64,
    /// Which files of the listing are known.
    seen: Vec<bool>,
}

impl Comparison {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(listing: &Listing) -> Self {
        Self {
            seen: vec![false; listing.len()],
            ..Self::default()
        }
    }

    /// Holds one known file against the listing, and tells whether it exists; the same path may come several times.
    pub fn add(&mut self, listing: &Listing, path: &str, size: Option<u64>) -> bool {
        let Some(at) = listing.find(path) else {
            return false;
        };
        self.present += 1;
        self.changed += u64::from(size.is_some_and(|size| size != listing.bytes(at)));
        self.seen[at] = true;
        true
    }

    /// The files of the listing that the library knows.
    pub fn known(&self, listing: &Listing) -> impl Iterator<Item = String> {
        let numbers = self.seen.iter().enumerate().filter(|(_, seen)| **seen);
        numbers.map(|(at, _)| listing.path(at))
    }

    /// Media files that the library does not know.
    pub fn unknown(&self, listing: &Listing) -> impl Iterator<Item = File> {
        self.unknown_numbers(listing).map(|at| File {
            path: listing.path(at),
            size: Some(listing.bytes(at)),
        })
    }

    /// How many of those there are, and their bytes.
    #[must_use]
    pub fn new_files(&self, listing: &Listing) -> (u64, u64) {
        self.unknown_numbers(listing)
            .fold((0, 0), |(files, bytes), at| (files + 1, bytes + listing.bytes(at)))
    }

    fn unknown_numbers(&self, listing: &Listing) -> impl Iterator<Item = usize> {
        let numbers = self.seen.iter().enumerate().filter(|(_, seen)| !**seen);
        numbers.map(|(at, _)| at).filter(|at| is_media(listing.name(*at)))
    }
}

/// In which way a file's name differs from the one that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spelling {
    /// Composed against decomposed letters.
    NormalForm,
    /// Capital against small letters.
    Case,
    /// `%20` against a space.
    PercentEncoding,
    /// Spaces or dots at the end of a name.
    TrailingSign,
    /// More than one of them.
    Several,
}

impl Spelling {
    /// What it is, for a person.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NormalForm => "another Unicode form",
            Self::Case => "capital and small letters",
            Self::PercentEncoding => "percent-encoding",
            Self::TrailingSign => "spaces or dots at the end of a name",
            Self::Several => "several differences in spelling",
        }
    }

    /// Where it comes from and what to do.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::NormalForm => {
                "a copy through macOS does that: rename them in the media (`rclone moveto`), or upload them again with \
                 rclone's --local-unicode-normalization"
            }
            Self::Case => "a copy through a file system that ignores case does that: rename them in the media",
            Self::PercentEncoding => {
                "an upload through a web client does that: rename them in the media (`rclone moveto`)"
            }
            Self::TrailingSign => {
                "Windows and SMB drop them: rename them in the media, or at home and have home scan them again"
            }
            Self::Several => "rename them in the media as home has them",
        }
    }
}

/// A missing file that is there under another spelling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Respelled {
    /// As the library has it.
    pub known: String,
    /// As it exists.
    pub there: String,
    /// How they differ.
    pub how: Spelling,
}

/// Of missing paths those that exist under another spelling, if only one file answers to it.
///
/// They are no less missing, since Plex compares bytes; but the remedy is another one than for a file that is gone.
#[must_use]
pub fn respelled(missing: &[File], unknown: &[File]) -> Vec<Respelled> {
    let mut by_gist: HashMap<String, Vec<&File>> = HashMap::new();
    for file in unknown {
        by_gist.entry(gist(&file.path)).or_default().push(file);
    }
    let other = |file: &File| {
        let [there] = by_gist.get(&gist(&file.path))?.as_slice() else {
            return None;
        };
        Some(Respelled {
            known: file.path.clone(),
            there: there.path.clone(),
            how: difference(&file.path, &there.path),
        })
    };
    missing.iter().filter_map(other).collect()
}

/// What is left of a path when every way of spelling it is the same.
fn gist(path: &str) -> String {
    composed(&trimmed(&composed(&decoded(path))).to_lowercase())
}

fn difference(one: &str, other: &str) -> Spelling {
    let same = |how: fn(&str) -> String| how(one) == how(other);
    if same(composed) {
        Spelling::NormalForm
    } else if same(str::to_lowercase) {
        Spelling::Case
    } else if same(decoded) {
        Spelling::PercentEncoding
    } else if same(trimmed) {
        Spelling::TrailingSign
    } else {
        Spelling::Several
    }
}

fn composed(path: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(path).into_owned()
}

fn decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .map_or_else(|_| path.to_owned(), std::borrow::Cow::into_owned)
}

/// Also before the ending of a name: `Title .flac`.
fn trimmed(path: &str) -> String {
    let tidy = |name: &str| -> String {
        let name = name.trim_end_matches([' ', '.']);
        match name.rsplit_once('.') {
            Some((stem, ending)) if !stem.is_empty() => {
                format!("{}.{ending}", stem.trim_end_matches([' ', '.']))
            }
            _ => name.to_owned(),
        }
    };
    path.split('/').map(tidy).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<File> {
        paths
            .iter()
            .map(|path| File {
                path: (*path).to_owned(),
                size: Some(5),
            })
            .collect()
    }

    #[test]
    fn present_missing_and_new() {
        let files = ["A/1.flac", "A/2.flac", "A/cover.jpg", "A/notes.txt", "A/.hidden.flac"];
        let listing = Listing::new("/movies/", files.map(|file| (file.to_owned(), 5)));
        let mut found = Comparison::new(&listing);
        for (path, size, is_there) in [
            ("/movies/A/1.flac", Some(5), true),
            ("/movies/A/1.flac", Some(6), true),
            ("/movies/B/9.flac", None, false),
            ("/moviesA/1.flac", None, false),
        ] {
            assert_eq!(found.add(&listing, path, size), is_there, "{path}");
        }
        assert_eq!((found.present, found.changed), (2, 1));
        assert_eq!(found.known(&listing).collect::<Vec<_>>(), ["/movies/A/1.flac"]);
        assert_eq!(found.new_files(&listing), (2, 10));
        let new: Vec<String> = found.unknown(&listing).map(|file| file.path).collect();
        assert_eq!(new, ["/movies/A/2.flac", "/movies/A/cover.jpg"]);
    }

    #[test]
    fn every_way_of_spelling_is_told_apart() {
        let cases = [
            ("/m/Bj\u{f6}rk/1.flac", "/m/Bjo\u{308}rk/1.flac", Spelling::NormalForm),
            ("/m/AC-DC/1.flac", "/m/ac-dc/1.FLAC", Spelling::Case),
            ("/m/A B/1.flac", "/m/A%20B/1.flac", Spelling::PercentEncoding),
            ("/m/R.E.M./1.mp3", "/m/R.E.M/1.mp3", Spelling::TrailingSign),
            ("/m/What /2.mp3", "/m/What/2.mp3", Spelling::TrailingSign),
            ("/m/B /3 .mp3", "/m/b/3.mp3", Spelling::Several),
        ];
        for (known, there, how) in cases {
            let found = respelled(&files(&[known, "/m/gone.flac"]), &files(&[there, "/m/other.flac"]));
            assert_eq!(found.len(), 1, "{known}");
            assert_eq!((found[0].known.as_str(), found[0].there.as_str()), (known, there));
            assert_eq!(found[0].how, how, "{known}");
        }
    }

    #[test]
    fn two_that_answer_are_none() {
        let found = respelled(&files(&["/m/a/1.flac"]), &files(&["/m/A/1.flac", "/m/a /1.flac"]));
        assert!(found.is_empty(), "{found:?}");
    }
}
