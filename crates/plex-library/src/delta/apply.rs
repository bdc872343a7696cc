//! Applying a delta: one pass over the base, with the changed pages put in.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::{Change, Manifest, stream};
use crate::error::{At, Error, OPEN, READ, Result};
use crate::hashing::Hashing;
use crate::pages::Whole;
use crate::paths::{Databases, Which};
use crate::progress::{Meter, Progress};
use crate::publish::{FileWriter, FolderWriter};
use crate::source::Source;

/// Makes, in the folder `dest` (which must not exist or be empty), the databases that `delta` was made from, out of
/// those in `base`. The result has no write-ahead log.
///
/// # Errors
/// [`Error::Mismatch`] if `base` is not the one that the delta was made against, [`Error::Damaged`] if an object or the
/// outcome has another hash than promised; [`Error::NoSpace`], [`Error::Cancelled`]. Whatever fails, `dest` is then
/// what it was.
pub fn apply(base: &Path, delta: &Path, dest: &Path, progress: &dyn Progress) -> Result<Manifest> {
    let manifest = Manifest::read(delta)?;
    let folder = FolderWriter::create(dest)?;
    for which in Which::BLOBS_FIRST {
        let change = manifest.databases.get(&which).ok_or_else(|| {
            Error::damaged(
                &delta.join(super::MANIFEST),
                format!("it lacks the {} database", which.word()),
            )
        })?;
        verify_object(&delta.join(&change.object.file), change)?;
        let target = Databases::at(folder.path()).path(which);
        apply_one(&Databases::at(base).path(which), delta, change, &target, &mut |bytes| {
            Meter::new(progress, which.word(), bytes)
        })?;
    }
    folder.publish()?;
    Ok(manifest)
}

fn verify_object(path: &Path, change: &Change) -> Result<()> {
    let mut file = File::open(path).at(OPEN, path)?;
    let mut hash = blake3::Hasher::new();
    hash.update_reader(&mut file).at(READ, path)?;
    if hash.finalize().to_hex().as_str() == change.object.blake3 {
        Ok(())
    } else {
        Err(Error::damaged(path, "its hash is not the one in the manifest"))
    }
}

fn apply_one<'a>(
    base: &Path,
    delta: &Path,
    change: &Change,
    target: &Path,
    meter: &mut dyn FnMut(u64) -> Meter<'a>,
) -> Result<()> {
    let object = delta.join(&change.object.file);
    let source = Source::open(base)?;
    if (source.page_size(), source.pages()) != (change.base.page_size, change.base.pages) {
        let found = format!("{} pages of {} bytes", source.pages(), source.page_size());
        return Err(not_the_base(base, &change.base, &found));
    }
    let result = &change.result;
    if result.page_size < 512 || result.page_size > 65536 || !result.page_size.is_power_of_two() {
        return Err(Error::damaged(
            &object,
            format!("it speaks of pages of {} bytes", result.page_size),
        ));
    }
    let compressed = File::open(&object).at(OPEN, &object)?;
    let decoder = zstd::Decoder::with_buffer(BufReader::new(compressed)).at(READ, &object)?;
    let mut changed = stream::Reader::new(decoder).at(READ, &object)?;
    let is_comparable = source.page_size() == result.page_size;

    let mut out = Output {
        // Most pages are the base's: where blocks can be shared, only the others take room.
        writer: match source.plain_file() {
            Some(file) if is_comparable => FileWriter::create_like(target, file)?,
            _ => FileWriter::create(target)?,
        },
        hash: Hashing::begin(),
    };
    let mut page = vec![0; result.page_size as usize];
    let mut meter = meter(source.pages().max(result.pages).into());
    let mut base_hash = Hashing::begin();
    source.stream(|number, bytes| {
        base_hash.update(bytes);
        if is_comparable && number <= result.pages {
            if changed.peek() == Some(number) {
                changed.read(&mut page).at(READ, &object)?;
                out.append(&page)?;
            } else {
                out.append_same(bytes)?;
            }
        }
        meter.add(1)
    })?;
    source.confirm()?;
    if base_hash.finish().to_hex().as_str() != change.base.blake3 {
        return Err(not_the_base(base, &change.base, "other content"));
    }
    let first_new = if is_comparable {
        source.pages().saturating_add(1)
    } else {
        1
    };
    for number in first_new..=result.pages {
        if changed.peek() != Some(number) {
            return Err(Error::damaged(
                &object,
                format!("page {number} of the result is in neither side"),
            ));
        }
        changed.read(&mut page).at(READ, &object)?;
        out.append(&page)?;
    }
    if changed.peek().is_some() {
        return Err(Error::damaged(&object, "it holds pages behind the end of the result"));
    }
    let Output { writer, hash } = out;
    if hash.finish().to_hex().as_str() != result.blake3 {
        return Err(Error::damaged(
            target,
            "its hash is not the one of the result that was promised",
        ));
    }
    writer.publish(|file| {
        let length = file.metadata().at(READ, target)?.len();
        if length == result.bytes {
            Ok(())
        } else {
            Err(Error::damaged(target, format!("it has {length} bytes")))
        }
    })
}

struct Output {
    writer: FileWriter,
    hash: Hashing,
}

impl Output {
    fn append(&mut self, page: &[u8]) -> Result<()> {
        self.hash.update(page);
        self.writer.append(page)
    }

    fn append_same(&mut self, page: &[u8]) -> Result<()> {
        self.hash.update(page);
        self.writer.append_same(page)
    }
}

fn not_the_base(path: &Path, expected: &Whole, found: &str) -> Error {
    Error::mismatch(
        path,
        format!(
            "the delta was made against {} pages of {} bytes with hash {:.16}…, this has {found}",
            expected.pages, expected.page_size, expected.blake3
        ),
    )
}
