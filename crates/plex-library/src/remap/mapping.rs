//! Which prefix becomes which, and how a single value is rewritten.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{At, Error, READ, Result};

const URL: &str = "file://";

/// One root and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// The root as the library has it.
    pub old: String,
    /// The root that it shall have.
    pub new: String,
}

impl Mapping {
    /// A mapping of two absolute paths; separators at their ends do not count.
    ///
    /// # Errors
    /// [`Error::Refused`] if one of them is not absolute, or both are the same.
    pub fn new(old: &str, new: &str) -> Result<Self> {
        let refuse = |why: &str| Error::Refused {
            what: format!("cannot map {old:?} to {new:?}"),
            items: vec![why.to_owned()],
            hint: "give both as absolute folders: /old/root=/new/root".into(),
        };
        let mapping = Self {
            old: without_end(old).to_owned(),
            new: without_end(new).to_owned(),
        };
        if !is_absolute(old) || !is_absolute(new) {
            return Err(refuse("both have to be absolute paths"));
        }
        if mapping.old == mapping.new {
            return Err(refuse("they are the same"));
        }
        Ok(mapping)
    }

    /// The same, from `OLD=NEW`. A folder whose name has a `=` can be given in a file of mappings.
    ///
    /// # Errors
    /// As [`Mapping::new`].
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((old, new)) => Self::new(old, new),
            None => Err(Error::Refused {
                what: format!("{text:?} is no mapping"),
                items: vec!["there is no = in it".into()],
                hint: "write --map /old/root=/new/root".into(),
            }),
        }
    }
}

/// Reads `path_mappings.json`: `{"mappings": {"/old/root": "/new/root"}}`, as the earlier scripts had it.
///
/// # Errors
/// A file that cannot be read, or has another form.
pub fn read_mappings(path: &Path) -> Result<Vec<Mapping>> {
    #[derive(Deserialize)]
    struct File {
        mappings: std::collections::BTreeMap<String, String>,
    }
    let bytes = std::fs::read(path).at(READ, path)?;
    let file: File = serde_json::from_slice(&bytes).map_err(|error| Error::damaged(path, error.to_string()))?;
    file.mappings.iter().map(|(old, new)| Mapping::new(old, new)).collect()
}

fn is_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    let has_drive = bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':';
    path.starts_with('/') || path.starts_with('\\') || has_drive
}

fn without_end(path: &str) -> &str {
    path.trim_end_matches(['/', '\\'])
}

/// How one value is rewritten: `from` is its beginning as it stands there, `to` what stands there afterwards; the rest
/// stays, byte for byte, but for its separators ([`follow`]).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Rewrite {
    /// The mapping that did it.
    pub(super) mapping: usize,
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
}

impl Rewrite {
    pub(super) fn apply(&self, value: &[u8]) -> Vec<u8> {
        follow(&self.from, &self.to, &value[self.from.len()..])
    }
}

/// What stands behind `from` in a value, behind `to`. Between Windows and other systems the separators change as well.
pub(super) fn follow(from: &[u8], to: &[u8], rest: &[u8]) -> Vec<u8> {
    let (old, new) = match (is_windows(from), is_windows(to)) {
        (true, false) => (b'\\', b'/'),
        (false, true) => (b'/', b'\\'),
        _ => return [to, rest].concat(),
    };
    let turned = rest.iter().map(|&byte| if byte == old { new } else { byte });
    to.iter().copied().chain(turned).collect()
}

/// Whether a path begins with a drive or, as a share does, with a backslash.
fn is_windows(path: &[u8]) -> bool {
    matches!(path, [b'\\', ..]) || matches!(path, [drive, b':', ..] if drive.is_ascii_alphabetic())
}

/// Mappings in the order in which they are tried.
#[derive(Debug, Clone)]
pub(super) struct Mappings {
    /// Longest old root first.
    ordered: Vec<Mapping>,
}

impl Mappings {
    /// # Errors
    /// [`Error::Refused`] if there is none, or one root is to become two.
    pub(super) fn new(mappings: &[Mapping]) -> Result<Self> {
        let mut ordered: Vec<Mapping> = Vec::new();
        for mapping in mappings {
            // Again, since the fields are anybody's to fill.
            let mapping = Mapping::new(&or_root(&mapping.old), &or_root(&mapping.new))?;
            if let Some(other) = ordered.iter().find(|other| other.old == mapping.old) {
                if *other == mapping {
                    continue;
                }
                return Err(Error::Refused {
                    what: format!("{} is mapped twice", or_root(&mapping.old)),
                    items: vec![or_root(&other.new), or_root(&mapping.new)],
                    hint: "give each old root once".into(),
                });
            }
            ordered.push(mapping);
        }
        if ordered.is_empty() {
            return Err(Error::Refused {
                what: "nothing is to be mapped".into(),
                items: vec!["no mapping was given".into()],
                hint: "give --map OLD=NEW or --mappings FILE".into(),
            });
        }
        // Stable: of equal length, the one given first.
        ordered.sort_by_key(|mapping| std::cmp::Reverse(mapping.old.len()));
        Ok(Self { ordered })
    }

    pub(super) fn list(&self) -> &[Mapping] {
        &self.ordered
    }

    /// The way back: new to old, longest first. Of several old roots that became one, the first that was given is meant.
    pub(super) fn reversed(&self) -> Self {
        let mut ordered: Vec<Mapping> = Vec::new();
        for Mapping { old, new } in &self.ordered {
            if !ordered.iter().any(|mapping| mapping.old == *new) {
                ordered.push(Mapping {
                    old: new.clone(),
                    new: old.clone(),
                });
            }
        }
        ordered.sort_by_key(|mapping| std::cmp::Reverse(mapping.old.len()));
        Self { ordered }
    }

    /// What becomes of a value, if a mapping covers it.
    pub(super) fn rewrite(&self, value: &[u8]) -> Option<Rewrite> {
        if let Some(encoded) = value.strip_prefix(URL.as_bytes()) {
            return self.ordered.iter().enumerate().find_map(|(number, mapping)| {
                let length = encoded_prefix(encoded, mapping.old.as_bytes())?;
                let is_whole = length == encoded.len();
                let to = encode(&root_or(&mapping.new, is_whole));
                Some(Rewrite {
                    mapping: number,
                    from: value[..URL.len() + length].to_vec(),
                    to: format!("{URL}{to}").into_bytes(),
                })
            });
        }
        self.ordered.iter().enumerate().find_map(|(number, mapping)| {
            let old = mapping.old.as_bytes();
            let rest = value.strip_prefix(old)?;
            if old.is_empty() && rest.is_empty() || !ends_at_separator(rest) {
                return None;
            }
            // A root that becomes the file system's own is `/`, and what is below it has the separator already.
            let is_separator = matches!(rest, b"/" | b"\\");
            let is_whole = rest.is_empty() || is_separator && (old.is_empty() || mapping.new.is_empty());
            let rewrite = Rewrite {
                mapping: number,
                from: if is_whole { value.to_vec() } else { old.to_vec() },
                to: root_or(&mapping.new, is_whole).into_bytes(),
            };
            // A name with the other system's separator in it could not be told from its folders on the way back.
            let after = rewrite.apply(value);
            let is_exact = follow(&rewrite.to, &rewrite.from, &after[rewrite.to.len()..]) == value;
            Some(match is_exact {
                true => rewrite,
                false => Rewrite {
                    from: value.to_vec(),
                    to: after,
                    ..rewrite
                },
            })
        })
    }
}

fn or_root(path: &str) -> String {
    root_or(path, true)
}

fn root_or(path: &str, is_whole: bool) -> String {
    if path.is_empty() && is_whole {
        "/".into()
    } else {
        path.to_owned()
    }
}

fn ends_at_separator(rest: &[u8]) -> bool {
    matches!(rest.first(), None | Some(b'/' | b'\\'))
}

/// How many bytes of a percent-encoded path stand for `prefix`, if it begins with it and goes on at a separator.
fn encoded_prefix(encoded: &[u8], prefix: &[u8]) -> Option<usize> {
    let mut at = 0;
    for &wanted in prefix {
        let (byte, length) = decode_at(encoded, at)?;
        if byte != wanted {
            return None;
        }
        at += length;
    }
    let next = decode_at(encoded, at).map(|(byte, _)| byte);
    (at > 0 || next.is_some()).then_some(())?;
    matches!(next, None | Some(b'/' | b'\\')).then_some(at)
}

fn decode_at(encoded: &[u8], at: usize) -> Option<(u8, usize)> {
    let &byte = encoded.get(at)?;
    let digit = |at: usize| encoded.get(at).and_then(|&digit| char::from(digit).to_digit(16));
    match (byte, digit(at + 1), digit(at + 2)) {
        (b'%', Some(high), Some(low)) => Some((u8::try_from(high * 16 + low).ok()?, 3)),
        _ => Some((byte, 1)),
    }
}

/// Percent-encoding of everything but the unreserved characters and the separator.
fn encode(path: &str) -> String {
    let mut encoded = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mappings(pairs: &[(&str, &str)]) -> Mappings {
        let list: Vec<Mapping> = pairs.iter().map(|(old, new)| Mapping::new(old, new).unwrap()).collect();
        Mappings::new(&list).unwrap()
    }

    fn rewritten(mappings: &Mappings, value: &str) -> Option<String> {
        mappings
            .rewrite(value.as_bytes())
            .map(|rewrite| String::from_utf8(rewrite.apply(value.as_bytes())).unwrap())
    }

    #[test]
    fn prefixes_end_at_separators_and_the_longest_wins() {
        let mappings = mappings(&[("/a", "/x"), ("/a/b/", "/y"), ("/x", "/a")]);
        for (value, expected) in [
            ("/a/1", Some("/x/1")),
            ("/a/b/1", Some("/y/1")),
            ("/a/bc/1", Some("/x/bc/1")),
            ("/a", Some("/x")),
            ("/a/", Some("/x/")),
            ("/ab/1", None),
            ("/z/a/1", None),
            // Exchanged, not chained.
            ("/x/1", Some("/a/1")),
            ("", None),
            ("a/1", None),
        ] {
            assert_eq!(rewritten(&mappings, value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn urls_are_matched_decoded_and_written_encoded() {
        let mappings = mappings(&[("/Été & co", "/neu é")]);
        assert_eq!(
            rewritten(&mappings, "file:///%C3%89t%c3%a9%20&%20co/a%20b.lrc").as_deref(),
            Some("file:///neu%20%C3%A9/a%20b.lrc")
        );
        assert_eq!(rewritten(&mappings, "file:///%C3%89t%c3%a9%20&%20cod/a"), None);
        assert_eq!(rewritten(&mappings, "/Été & co/a%20b").as_deref(), Some("/neu é/a%20b"));
    }

    #[test]
    fn the_root_of_all_can_be_either_side() {
        let into = mappings(&[("/", "/mnt")]);
        assert_eq!(rewritten(&into, "/a").as_deref(), Some("/mnt/a"));
        assert_eq!(rewritten(&into, "/").as_deref(), Some("/mnt"));
        assert_eq!(rewritten(&into, "file:///a%20b").as_deref(), Some("file:///mnt/a%20b"));
        let out = mappings(&[("/mnt", "/")]);
        assert_eq!(rewritten(&out, "/mnt/a").as_deref(), Some("/a"));
        assert_eq!(rewritten(&out, "/mnt").as_deref(), Some("/"));
    }

    #[test]
    fn separators_follow_the_system_of_the_new_root_and_come_back() {
        let there = mappings(&[("D:\\Music\\", "/music"), ("\\\\nas\\films", "/films"), ("E:\\", "/")]);
        for (value, expected) in [
            ("D:\\Music\\a\\b.flac", "/music/a/b.flac"),
            ("D:\\Music", "/music"),
            ("\\\\nas\\films\\a.mkv", "/films/a.mkv"),
            ("E:\\a\\b", "/a/b"),
            ("E:\\", "/"),
            // Either separator is one on Windows.
            ("D:\\Music\\a/b.flac", "/music/a/b.flac"),
        ] {
            let rewrite = there.rewrite(value.as_bytes()).unwrap();
            let after = rewrite.apply(value.as_bytes());
            assert_eq!(String::from_utf8_lossy(&after), expected);
            let back = follow(&rewrite.to, &rewrite.from, &after[rewrite.to.len()..]);
            assert_eq!(String::from_utf8_lossy(&back), value);
        }
        let back = mappings(&[("/music", "D:\\Music")]);
        assert_eq!(
            rewritten(&back, "/music/a/b.flac").as_deref(),
            Some("D:\\Music\\a\\b.flac")
        );
        let windows = mappings(&[("C:\\a", "D:\\b")]);
        assert_eq!(rewritten(&windows, "C:\\a\\x/y").as_deref(), Some("D:\\b\\x/y"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in ["a=/b", "/a=b", "/a", "/a=/a/"] {
            assert!(Mapping::parse(text).is_err(), "{text}");
        }
        let (one, two) = (Mapping::new("/a", "/b").unwrap(), Mapping::new("/a", "/c").unwrap());
        assert!(Mappings::new(&[one.clone(), two]).is_err());
        assert!(Mappings::new(&[]).is_err());
        assert_eq!(Mappings::new(&[one.clone(), one]).unwrap().list().len(), 1);
        assert!(Mapping::parse("D:\\Music=E:\\Music").is_ok());
    }

    proptest! {
        #[test]
        fn rewriting_has_an_inverse(
            value in "(file://)?(/[a-c%é ]{0,3}){0,5}",
            old in "(/[a-c é]{1,3}){0,3}",
            new in "(/[a-c é]{1,3}){0,3}",
        ) {
            prop_assume!(old != new);
            let mappings = mappings(&[(&or_root(&old), &or_root(&new))]);
            if let Some(rewrite) = mappings.rewrite(value.as_bytes()) {
                let after = rewrite.apply(value.as_bytes());
                let back = Rewrite { from: rewrite.to.clone(), to: rewrite.from.clone(), mapping: 0 };
                prop_assert_eq!(back.apply(&after), value.as_bytes());
            }
        }
    }
}
