//! One remote out of an `rclone.conf`, with those that it wraps: all that another machine has to know of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::error::{Error, Result};

/// What stands before the content of a file that rclone itself encrypted.
const ENCRYPTED: &str = "RCLONE_ENCRYPT_V0";

/// The remotes that the file knows, in its order; none when it is encrypted.
#[must_use]
pub fn remotes(text: &str) -> Vec<String> {
    let names = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'));
    names.map(str::to_owned).collect()
}

/// The sections that the remote `name` needs, as a file of their own.
///
/// # Errors
/// The file is encrypted, or does not know the remote.
pub fn extract(text: &str, name: &str) -> Result<String> {
    let name = name.trim_end_matches(':');
    if text.lines().any(|line| line.starts_with(ENCRYPTED)) {
        return Err(
            Error::usage("rclone.conf is encrypted, so no part of it can be sent to another machine")
                .hint("name an rclone.conf without a password with `media.rclone_config` and `depot.rclone_config`"),
        );
    }
    let sections = sections(text);
    let mut needed = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(next) = open.pop() {
        let Some(lines) = sections.get(next.as_str()) else {
            if next == name {
                return Err(Error::usage(format!("rclone.conf knows no remote {name:?}"))
                    .hint("`rclone listremotes` names those that there are"));
            }
            continue;
        };
        if !needed.insert(next.clone()) {
            continue;
        }
        // crypt, alias, chunker, compress, hasher and cache name one in `remote`; union and combine several in `upstreams`.
        for (key, value) in lines {
            if matches!(*key, "remote" | "upstreams") {
                open.extend(
                    value
                        .split_whitespace()
                        .filter_map(wrapped)
                        .filter(|n| sections.contains_key(n.as_str())),
                );
            }
        }
    }
    let mut out = String::new();
    for name in needed {
        let _ = writeln!(out, "[{name}]");
        for (key, value) in sections.get(name.as_str()).into_iter().flatten() {
            let _ = writeln!(out, "{key} = {value}");
        }
    }
    Ok(out)
}

/// `dir=name:path` and `name:path` both name `name`.
fn wrapped(word: &str) -> Option<String> {
    let before = word.trim_matches('"').split_once(':')?.0;
    let name = before.rsplit_once('=').map_or(before, |(_, name)| name);
    (!name.is_empty()).then(|| name.to_owned())
}

fn sections(text: &str) -> BTreeMap<&str, Vec<(&str, &str)>> {
    let mut sections: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('#') || line.starts_with(';') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            current = Some(name);
            sections.entry(name).or_default();
        } else if let (Some(name), Some((key, value))) = (current, line.split_once('=')) {
            sections.entry(name).or_default().push((key.trim(), value.trim()));
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_are_listed_in_their_order() {
        assert_eq!(remotes("# c\n[b]\ntype = s3\n\n [a] \ntype = local\n"), ["b", "a"]);
        assert_eq!(remotes("RCLONE_ENCRYPT_V0:\nxyz"), Vec::<String>::new());
    }

    const CONF: &str = "[s3]\ntype = s3\nsecret_access_key = S\n\n[photos]\ntype = drive\ntoken = T\n[secret]\ntype = crypt\n\
        remote = \"s3:bucket/x\"\npassword = P=Q\n[all]\ntype = combine\nupstreams = a=secret: b=s3:y\n";

    #[test]
    fn only_what_is_needed_travels() {
        let text = extract(CONF, "all:").unwrap();
        assert!(text.contains("password = P=Q") && text.contains("secret_access_key = S") && text.contains("[all]"));
        assert!(!text.contains("token"), "{text}");
        let text = extract(CONF, "s3").unwrap();
        assert!(!text.contains("password"), "{text}");
        assert!(extract(CONF, "nope").is_err());
        assert!(
            extract("RCLONE_ENCRYPT_V0:\nabc", "s3")
                .unwrap_err()
                .chain()
                .contains("encrypted")
        );
    }
}
