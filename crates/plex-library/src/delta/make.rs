//! Making a delta: one pass over the result, beside the base's index of pages.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::Path;

use jiff::Timestamp;

use super::{Change, FORMAT, MANIFEST, Manifest, object_name, stream};
use crate::error::{At, Result};
use crate::hashing::Hashing;
use crate::packer::{Effort, Packer, Threads};
use crate::pages::{Index, Whole, hash_page, index_path};
use crate::paths::{Databases, Which};
use crate::progress::{Meter, Progress};
use crate::publish::FolderWriter;
use crate::snapshot::write_document;
use crate::source::Source;

/// Writes into the folder `out` (which must not exist or be empty) what turns the databases whose indices lie in
/// `base_index` ([`crate::pages::index_pair`], or a snapshot) into `result`.
///
/// `result` may have a write-ahead log and even be in use: its pages are those of one moment.
///
/// # Errors
/// [`crate::Error::Damaged`] for a broken index or database, [`crate::Error::NoSpace`], [`crate::Error::Cancelled`].
pub fn make(base_index: &Path, result: &Databases, out: &Path, progress: &dyn Progress) -> Result<Manifest> {
    make_of(base_index, out, progress, |which, dir| {
        Source::open_in(&result.path(which), dir)
    })
}

/// As [`make`], of the pages that `open` gives; it may put a private copy into the folder that it is told.
pub(crate) fn make_of(
    base_index: &Path,
    out: &Path,
    progress: &dyn Progress,
    open: impl Fn(Which, &Path) -> Result<Source>,
) -> Result<Manifest> {
    let folder = FolderWriter::create(out)?;
    let [blobs, library] = Which::BLOBS_FIRST;
    let sources = [
        (blobs, open(blobs, folder.path())?),
        (library, open(library, folder.path())?),
    ];
    let mut databases = BTreeMap::new();
    // One is compressed to its end and made durable while the other is read; the greater one first, since it is the last
    // whose end is waited for.
    std::thread::scope(|scope| {
        let mut ends = Vec::new();
        for (which, source) in sources.iter().rev() {
            let mut changes = Changes::against(base_index, source, *which, folder.path())?;
            let mut hash = Hashing::begin();
            let mut meter = Meter::new(progress, which.word(), source.bytes());
            source.shared_chunks(|first, pages| {
                hash.update_shared(pages);
                changes.add(first, pages)?;
                meter.add(pages.len())
            })?;
            let result = Whole::of(source, hash.finish());
            ends.push((*which, scope.spawn(move || changes.publish(result))));
        }
        for (which, end) in ends {
            databases.insert(which, end.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok(())
    })?;
    for (_, source) in &sources {
        source.confirm()?;
    }
    // A copy that was needed lies in the folder until its source goes.
    drop(sources);
    let manifest = seal(databases, folder.path())?;
    folder.publish()?;
    Ok(manifest)
}

/// Writes the manifest of a delta into its folder.
pub(crate) fn seal(databases: BTreeMap<Which, Change>, dir: &Path) -> Result<Manifest> {
    let manifest = Manifest {
        format: FORMAT,
        made_at: Timestamp::now().to_string(),
        databases,
    };
    write_document(&dir.join(MANIFEST), &manifest)?;
    Ok(manifest)
}

/// The changed pages of one database, picked out while its pages pass by.
pub(crate) struct Changes {
    path: std::path::PathBuf,
    base: Index,
    page_size: usize,
    is_comparable: bool,
    runs: stream::Writer<Packer>,
    changed_pages: u32,
}

impl Changes {
    /// Begins in the folder `dir` what turns the database indexed in `base_index` into `source`.
    pub(crate) fn against(base_index: &Path, source: &Source, which: Which, dir: &Path) -> Result<Self> {
        let base = Index::open(&index_path(base_index, which))?;
        let path = dir.join(object_name(which));
        let page_size = source.page_size();
        Ok(Self {
            // With another page size no page can be the same; the index is then of no use but for the base's hash.
            is_comparable: base.whole().page_size == page_size,
            base,
            page_size: page_size as usize,
            runs: stream::Writer::new(Packer::create(&path, Threads::All, Effort::Pages)?, page_size),
            path,
            changed_pages: 0,
        })
    }

    /// Takes the next pages, in order, the first of them having that number.
    pub(crate) fn add(&mut self, first: u32, pages: &[u8]) -> Result<()> {
        for (number, page) in (first..).zip(pages.chunks_exact(self.page_size)) {
            let before = if self.is_comparable { self.base.next()? } else { None };
            if before != Some(hash_page(page)) {
                self.changed_pages += 1;
                self.runs.add(number, page).at("write", &self.path)?;
            }
        }
        Ok(())
    }

    /// Ends the object; `result` is what all pages together are.
    pub(crate) fn publish(self, result: Whole) -> Result<Change> {
        let object = self.runs.finish().at("write", &self.path)?.publish()?;
        Ok(Change {
            base: self.base.whole().clone(),
            result,
            changed_pages: self.changed_pages,
            object,
        })
    }
}
