//! Media files as a scan sees them: which names count, how big, how old, and Plex's hash of the content.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use sha1::{Digest, Sha1};

use super::section::Kind;
use crate::store::clock;

/// Bytes at either end that the hash covers (facts/plex.md §2.3).
const HASHED: u64 = 64 * 1024;

const AUDIO: &[&str] = &[
    "flac", "mp3", "ogg", "oga", "opus", "m4a", "m4b", "wav", "aif", "aiff", "wma", "ape",
];
const VIDEO: &[&str] = &["mkv", "mp4", "m4v", "avi", "mov", "mpg", "mpeg", "ts", "wmv", "webm"];
const PHOTO: &[&str] = &["jpg", "jpeg", "png", "gif", "webp", "heic", "tif", "tiff", "bmp"];

/// Size and time of a file that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// Bytes.
    pub(super) size: i64,
    /// Modification time, in seconds since the epoch.
    pub(super) modified: i64,
}

/// Whether a section of that kind takes files with that name.
pub(super) fn is_media(kind: Kind, name: &str) -> bool {
    let Some(extension) = extension(name) else { return false };
    let extensions = match kind {
        Kind::Artist => AUDIO,
        Kind::Movie | Kind::Show => VIDEO,
        Kind::Photo => PHOTO,
    };
    extensions.contains(&extension.as_str())
}

/// The part of the name behind its last dot, in lower case.
pub(super) fn extension(name: &str) -> Option<String> {
    Path::new(name)
        .extension()
        .map(|extension| extension.to_string_lossy().to_ascii_lowercase())
}

/// What the file is like; an error when not even its first byte can be read, however well it is listed.
pub(super) fn probe(path: &Path) -> io::Result<Stat> {
    let mut file = File::open(path)?;
    let stat = stat(&file)?;
    let mut first = [0_u8; 1];
    if stat.size > 0 {
        file.read_exact(&mut first)?;
    }
    Ok(stat)
}

/// What the file is like, and Plex's hash of its content.
pub(super) fn hash(path: &Path) -> io::Result<(Stat, String)> {
    let mut file = File::open(path)?;
    let stat = stat(&file)?;
    let size = u64::try_from(stat.size).unwrap_or_default();
    let mut signature = format!("{size}{}", sha1_of(&mut file, HASHED.min(size))?);
    if size < HASHED {
        return Ok((stat, signature));
    }
    file.seek(SeekFrom::Start(size - HASHED))?;
    signature.push_str(&sha1_of(&mut file, HASHED)?);
    Ok((stat, hex(&Sha1::digest(signature.as_bytes()))))
}

fn stat(file: &File) -> io::Result<Stat> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let size = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
    Ok(Stat {
        size,
        modified: clock::seconds(metadata.modified()?),
    })
}

fn sha1_of(file: &mut File, bytes: u64) -> io::Result<String> {
    let mut content = Vec::new();
    file.take(bytes).read_to_end(&mut content)?;
    if (content.len() as u64) < bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(hex(&Sha1::digest(&content)))
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// sha1 of a text, in hexadecimal: `metadata_items.hash` of a guid.
pub(crate) fn sha1_hex(text: &str) -> String {
    hex(&Sha1::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by hand: size and sha1 of the start, and for a file that has one sha1 of the end.
    #[test]
    fn small_files_are_hashed_with_their_size_in_front() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("small");
        std::fs::write(&path, b"abc").unwrap();
        let (stat, hash) = hash(&path).unwrap();
        assert_eq!(stat.size, 3);
        assert_eq!(hash, "3a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    #[test]
    fn large_files_are_hashed_at_both_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        let content: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(&path, &content).unwrap();
        let expected = sha1_hex(&format!(
            "200000{}{}",
            hex(&Sha1::digest(&content[..65536])),
            hex(&Sha1::digest(&content[200_000 - 65536..]))
        ));
        assert_eq!(hash(&path).unwrap().1, expected);
        let mut other = content;
        other[100_000] ^= 1;
        std::fs::write(&path, &other).unwrap();
        assert_eq!(hash(&path).unwrap().1, expected, "the middle does not count");
    }

    #[test]
    fn a_file_that_is_only_listed_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("gone.flac");
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
        assert!(probe(&link).is_err());
        assert!(hash(&link).is_err());
        assert!(probe(dir.path()).is_err());
    }

    #[test]
    fn names_that_count() {
        assert!(is_media(Kind::Artist, "a.FLAC"));
        assert!(!is_media(Kind::Artist, "a.mkv"));
        assert!(is_media(Kind::Show, "a.mkv"));
        assert!(!is_media(Kind::Photo, "notes"));
    }
}
