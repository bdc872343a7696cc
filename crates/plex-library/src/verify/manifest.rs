//! A sealed copy against its manifest: every changed byte is found, whatever it is part of.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Finding, FindingKind, Findings};
use crate::error::{Kind, Result};
use crate::pages::{self, Index, Whole};
use crate::paths::{Databases, Which, journal_of, wal_of};
use crate::source::Source;

/// Compares a pair with what was sealed (see [`crate::snapshot::Manifest::sealed`], [`crate::archive::Unpacked::sealed`]), and
/// says what differs. `indices` is the folder with the page indices of that time, if they are at hand: then the pages are
/// named.
///
/// # Errors
/// Failures to read that say nothing about the files.
pub fn against(databases: &Databases, sealed: &BTreeMap<Which, Whole>, indices: Option<&Path>) -> Result<Vec<Finding>> {
    let mut found = Findings::default();
    for which in Which::BOTH {
        let path = databases.path(which);
        if !path.exists() {
            found.problem(which, FindingKind::Missing, which.file_name(), "it is missing");
            continue;
        }
        // A sealed copy has no log: one that lies beside it was put there, and a server would take it.
        for log in [wal_of(&path), journal_of(&path)] {
            if log.exists() {
                let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
                found.problem(
                    which,
                    FindingKind::Log,
                    name,
                    "it lies beside a sealed copy, which has none",
                );
            }
        }
        let Some(sealed) = sealed.get(&which) else {
            found.problem(
                which,
                FindingKind::Sealed,
                which.file_name(),
                "the manifest does not speak of it",
            );
            continue;
        };
        match compare(&path, which, sealed, indices, &mut found) {
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::NotALibrary) => {
                super::file::explain(error, which, &mut found)?;
            }
            other => other?,
        }
    }
    Ok(found.problems)
}

fn compare(path: &Path, which: Which, sealed: &Whole, indices: Option<&Path>, found: &mut Findings) -> Result<()> {
    let length = std::fs::metadata(path).map_or(0, |meta| meta.len());
    if length != sealed.bytes {
        let message = format!("it has {length} bytes, and the manifest says {}", sealed.bytes);
        found.problem(which, FindingKind::Truncated, which.file_name(), message);
    }
    let source = Source::open(path)?;
    let mut index = indices
        .map(|dir| pages::index_path(dir, which))
        .filter(|file| file.exists())
        .map(|file| Index::open(&file))
        .transpose()?
        .filter(|index| index.whole() == sealed && index.whole().page_size == source.page_size());
    let mut whole = blake3::Hasher::new();
    let mut named = 0;
    source.stream(|number, page| {
        whole.update(page);
        if let Some(index) = &mut index
            && index.next()? != Some(pages::hash_page(page))
        {
            named += 1;
            let message = "it is not the page that was sealed";
            found.problem(which, FindingKind::Sealed, format!("page {number}"), message);
        }
        Ok(())
    })?;
    source.confirm()?;
    if whole.finalize().to_string() != sealed.blake3 && named == 0 {
        let message = "it is not the file that was sealed: its hash is another one than the manifest's";
        found.problem(which, FindingKind::Sealed, which.file_name(), message);
    }
    Ok(())
}
