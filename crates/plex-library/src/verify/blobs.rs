//! The blobs themselves: Plex writes them as gzip, whose checksum tells whether the content is what was written.

use std::io::{Read, Seek};

use flate2::read::MultiGzDecoder;

use super::{FindingKind, Findings};
use crate::error::{At, READ, Result};
use crate::open::Reader;
use crate::paths::Which;

const GZIP: [u8; 2] = [0x1f, 0x8b];

pub(super) fn check(reader: &Reader, found: &mut Findings) -> Result<()> {
    let path = reader.path();
    let mut ids = reader
        .prepare("SELECT id FROM blobs WHERE length(blob) > 2")
        .at(READ, path)?;
    let mut rows = ids.query([]).at(READ, path)?;
    while let Some(row) = rows.next().at(READ, path)? {
        let id: i64 = row.get(0).at(READ, path)?;
        // Read piece by piece: a blob may be big, and there are many.
        let Ok(mut blob) = reader.blob_open("main", "blobs", "blob", id, true) else {
            continue;
        };
        let mut start = [0; 2];
        if blob.read_exact(&mut start).is_err() || start != GZIP || blob.rewind().is_err() {
            continue;
        }
        if let Err(error) = std::io::copy(&mut MultiGzDecoder::new(blob), &mut std::io::sink()) {
            found.problem(Which::Blobs, FindingKind::Blob, format!("blob {id}"), error.to_string());
        }
    }
    Ok(())
}
