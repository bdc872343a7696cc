//! Making a delta: one pass over the result, beside the base's index of pages.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use jiff::Timestamp;

use super::{Change, FORMAT, MANIFEST, Manifest, Object, object_name, stream};
use crate::error::{At, Error, Result};
use crate::pages::{Index, Whole, hash_page, index_path};
use crate::paths::{Databases, Which};
use crate::progress::{Meter, Progress};
use crate::publish::{FileWriter, FolderWriter};
use crate::snapshot::write_document;
use crate::source::Source;

/// Level of zstd. Measured by the bench of deltas: higher levels cost several times the time for a few per cent.
const LEVEL: i32 = 3;

/// Writes into the folder `out` (which must not exist or be empty) what turns the databases whose indices lie in
/// `base_index` ([`crate::pages::index_pair`], or a snapshot) into `result`.
///
/// `result` may have a write-ahead log and even be in use: its pages are those of one moment.
///
/// # Errors
/// [`Error::Damaged`] for a broken index or database, [`Error::NoSpace`], [`Error::Cancelled`].
pub fn make(base_index: &Path, result: &Databases, out: &Path, progress: &dyn Progress) -> Result<Manifest> {
    let folder = FolderWriter::create(out)?;
    let [blobs, library] = Which::BLOBS_FIRST;
    let sources = [
        (blobs, Source::open(&result.path(blobs))?),
        (library, Source::open(&result.path(library))?),
    ];
    let mut databases = BTreeMap::new();
    for (which, source) in &sources {
        let index = Index::open(&index_path(base_index, *which))?;
        databases.insert(*which, change(index, source, *which, folder.path(), progress)?);
    }
    for (_, source) in &sources {
        source.confirm()?;
    }
    let manifest = Manifest {
        format: FORMAT,
        made_at: Timestamp::now().to_string(),
        databases,
    };
    write_document(&folder.path().join(MANIFEST), &manifest)?;
    folder.publish()?;
    Ok(manifest)
}

fn change(mut base: Index, source: &Source, which: Which, dir: &Path, progress: &dyn Progress) -> Result<Change> {
    let file = object_name(which);
    let path = dir.join(&file);
    let page_size = source.page_size();
    // With another page size no page can be the same; the index is then of no use but for the base's hash.
    let is_comparable = base.whole().page_size == page_size;
    let bytes = u64::from(source.pages()) * u64::from(page_size);
    let mut meter = Meter::new(progress, which.word(), bytes);

    let sealed = Hashed {
        out: FileWriter::create(&path)?,
        hash: blake3::Hasher::new(),
    };
    let mut encoder = zstd::Encoder::new(sealed, LEVEL).at("compress", &path)?;
    encoder.include_checksum(true).at("compress", &path)?;
    let mut runs = stream::Writer::new(encoder, page_size);
    let mut whole = blake3::Hasher::new();
    let mut changed_pages = 0;
    source.stream(|number, page| {
        whole.update(page);
        let before = if is_comparable { base.next()? } else { None };
        if before != Some(hash_page(page)) {
            changed_pages += 1;
            runs.add(number, page).map_err(|error| unwrap_io(error, &path))?;
        }
        meter.add(page.len())
    })?;
    let sealed = runs.finish().and_then(zstd::Encoder::finish).at("write", &path)?;

    let (bytes_out, blake3) = (sealed.out.written(), sealed.hash.finalize().to_hex().to_string());
    sealed.out.publish(|file| {
        let mut read = blake3::Hasher::new();
        read.update_reader(file).at("read", &path)?;
        if read.finalize().to_hex().as_str() == blake3 {
            Ok(())
        } else {
            Err(Error::damaged(&path, "reads back other bytes than were written"))
        }
    })?;
    let result = Whole {
        bytes,
        page_size,
        pages: source.pages(),
        blake3: whole.finalize().to_hex().to_string(),
    };
    let object = Object {
        file,
        bytes: bytes_out,
        blake3,
    };
    Ok(Change {
        base: base.whole().clone(),
        result,
        changed_pages,
        object,
    })
}

fn unwrap_io(error: std::io::Error, path: &Path) -> Error {
    Error::io(path, "write", error)
}

/// Hashes what passes through to the file.
struct Hashed {
    out: FileWriter,
    hash: blake3::Hasher,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
