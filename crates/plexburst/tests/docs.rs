//! The documentation as a book: every page is in SUMMARY.md once, and every link leads somewhere.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Every page of the documentation with its text.
fn pages() -> BTreeMap<PathBuf, String> {
    let top = top();
    let mut paths: Vec<PathBuf> = [
        "README.md",
        "README.fr.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ]
    .iter()
    .map(|name| top.join(name))
    .collect();
    for entry in std::fs::read_dir(top.join("docs")).unwrap() {
        paths.push(entry.unwrap().path());
    }
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "md"));
    paths
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// What stands outside of code.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut out = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
            continue;
        }
        if is_code || line.starts_with("    ") {
            continue;
        }
        // Every second piece between backticks is code.
        for (number, piece) in line.split('`').enumerate() {
            if number % 2 == 0 {
                out.push_str(piece);
            }
        }
        out.push('\n');
    }
    out
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let mut found = Vec::new();
    for (at, _) in prose.match_indices("](") {
        let rest = &prose[at + 2..];
        if let Some(end) = rest.find(')') {
            found.push(rest[..end].to_owned());
        }
    }
    found
}

/// The names by which mdBook and code forges know the headings of a page.
fn anchors(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            heading
                .chars()
                .filter_map(|c| match c {
                    ' ' => Some('-'),
                    c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                    _ => None,
                })
                .collect()
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (path, text) in &pages {
        for link in links(text) {
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            seen += 1;
            let (file, anchor) = link
                .split_once('#')
                .map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            let Ok(target) = target.canonicalize() else {
                wrong.push(format!("{}: {link} is not there", path.display()));
                continue;
            };
            let known = pages.get(&target);
            if let (Some(anchor), Some(text)) = (anchor, known)
                && !anchors(text).iter().any(|known| known == anchor)
            {
                wrong.push(format!("{}: {link} names no heading", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 50, "only {seen} links were found");
}

#[test]
fn the_book_has_every_page_once() {
    let docs = top().join("docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let mut named = links(&summary);
    named.sort();
    let mut there: Vec<String> = std::fs::read_dir(&docs)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
        .collect();
    there.sort();
    assert_eq!(named, there);
}

#[test]
fn pictures_are_there_and_small() {
    for (path, text) in pages() {
        for link in links(&text).into_iter().filter(|link| link.ends_with(".png")) {
            let picture = path.parent().unwrap().join(&link);
            let size = std::fs::metadata(&picture)
                .unwrap_or_else(|e| panic!("{}: {link}: {e}", path.display()))
                .len();
            assert!(size > 1000 && size < 400_000, "{link} has {size} bytes");
        }
    }
}
