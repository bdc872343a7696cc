//! What a file is that is no archive of a library, said so that a person knows what to do with it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::broken;
use crate::error::{At, Error, OPEN};

/// Archives that others make and that are not read here, by how they begin.
const OTHERS: [(&[u8], &str); 7] = [
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xfd7zXZ\0", "compressed by xz"),
    (b"BZh", "compressed by bzip2"),
    (b"\x04\x22\x4d\x18", "compressed by lz4"),
    (b"SQLite format 3\0", "a database"),
];

/// Why `path`, a file, is neither a library nor an archive of one.
#[must_use]
pub fn strange(path: &Path) -> Error {
    let mut head = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(16).read_to_end(&mut head))
        .at(OPEN, path);
    if let Err(error) = read {
        return error;
    }
    let other = OTHERS.iter().find(|(begin, _)| head.starts_with(begin));
    let why = match other {
        Some((_, what)) => {
            format!("it is {what}, which is not read here: unpack it, and pack that anew as .tar.gz or .tar.zst")
        }
        None if head.is_empty() => "it is empty".into(),
        None => "it is neither a database nor tar, plain or in gzip or zstd".into(),
    };
    Error::NotALibrary {
        path: path.to_path_buf(),
        why,
    }
}

/// What it means that not even the first entry of an archive can be read.
pub(super) fn beginning(archive: &Path, cause: &io::Error) -> Error {
    let text = cause.to_string();
    if text.starts_with("numeric field") || text.contains("header checksum") {
        return Error::NotALibrary {
            path: archive.to_path_buf(),
            why: "what it begins with is no entry of a tar archive".into(),
        };
    }
    broken(archive, cause)
}
