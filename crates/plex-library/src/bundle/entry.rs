//! The inside of a pack: one entry after the other, compressed as one stream.
//!
//! An entry is: kind (1 file, 2 symbolic link, 0 end), length of the path and the path, mode, modification time (seconds
//! and nanoseconds), length of the content, the content (of a link: where it leads), and the content's BLAKE3. Numbers
//! are little-endian, all but the kind 8 bytes.

use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use super::TREES;

/// Longer paths than the kernel takes are damage.
const LONGEST_PATH: u64 = 4096;

/// What an entry says of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) is_link: bool,
    /// Relative to the data directory.
    pub(super) path: Vec<u8>,
    pub(super) mode: u32,
    pub(super) modified: (i64, i64),
    pub(super) bytes: u64,
}

impl Entry {
    /// Writes the entry with its content, which has to be as long as it says.
    pub(super) fn write(&self, out: &mut impl Write, content: &mut impl Read) -> io::Result<()> {
        out.write_all(&[if self.is_link { 2 } else { 1 }])?;
        out.write_all(&(self.path.len() as u64).to_le_bytes())?;
        out.write_all(&self.path)?;
        out.write_all(&u64::from(self.mode).to_le_bytes())?;
        out.write_all(&self.modified.0.to_le_bytes())?;
        out.write_all(&self.modified.1.to_le_bytes())?;
        out.write_all(&self.bytes.to_le_bytes())?;
        let mut both = Tee {
            out,
            hash: blake3::Hasher::new(),
        };
        let copied = io::copy(&mut content.take(self.bytes), &mut both)?;
        let hash = both.hash.finalize();
        if copied != self.bytes {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was read",
            ));
        }
        out.write_all(hash.as_bytes())
    }

    /// Reads what precedes the content; `None` at the end of the pack.
    pub(super) fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        let mut kind = [0];
        input.read_exact(&mut kind)?;
        let is_link = match kind[0] {
            0 => return Ok(None),
            1 => false,
            2 => true,
            _ => return Err(broken("an entry of an unknown kind")),
        };
        let length = number(input)?;
        if length > LONGEST_PATH {
            return Err(broken("a path longer than any can be"));
        }
        let mut path = vec![0; usize::try_from(length).map_err(|_| broken("a path longer than memory"))?];
        input.read_exact(&mut path)?;
        let mode = u32::try_from(number(input)?).map_err(|_| broken("a mode that is none"))?;
        let modified = (number(input)?.cast_signed(), number(input)?.cast_signed());
        let bytes = number(input)?;
        if is_link && bytes > LONGEST_PATH {
            return Err(broken("a link longer than any can be"));
        }
        Ok(Some(Self {
            is_link,
            path,
            mode,
            modified,
            bytes,
        }))
    }

    /// Copies the content and checks its hash.
    pub(super) fn read_content(&self, input: &mut impl Read, out: &mut impl Write) -> io::Result<blake3::Hash> {
        let mut both = Tee {
            out,
            hash: blake3::Hasher::new(),
        };
        let copied = io::copy(&mut input.take(self.bytes), &mut both)?;
        let hash = both.hash.finalize();
        let mut stored = [0; 32];
        input.read_exact(&mut stored)?;
        if copied != self.bytes || hash != blake3::Hash::from_bytes(stored) {
            return Err(broken("a file with another hash than was promised"));
        }
        Ok(hash)
    }
}

/// Ends a pack.
pub(super) fn write_end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0])
}

/// The tree that a path is in, and the rest of it; `None` for one that leads anywhere else.
pub(super) fn inside(path: &Path) -> Option<(&'static str, PathBuf)> {
    let mut parts = path.components();
    let Some(Component::Normal(first)) = parts.next() else {
        return None;
    };
    let tree = TREES.into_iter().find(|&tree| first == tree)?;
    let rest: PathBuf = parts.as_path().to_owned();
    let is_plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
    let has_nul = path.as_os_str().as_encoded_bytes().contains(&0);
    (is_plain && !has_nul && rest.components().next().is_some()).then_some((tree, rest))
}

/// Whether a link at `path` that leads to `target` stays within its tree.
pub(crate) fn link_stays_inside(path: &Path, target: &Path) -> bool {
    let Some((_, rest)) = inside(path) else {
        return false;
    };
    let mut depth = rest.components().count() - 1;
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}

fn number(input: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

struct Tee<'a, W> {
    out: &'a mut W,
    hash: blake3::Hasher,
}

impl<W: Write> Write for Tee<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_paths_below_the_trees_are_inside() {
        assert_eq!(
            inside(Path::new("Media/localhost/3/x")),
            Some(("Media", "localhost/3/x".into()))
        );
        for path in [
            "Media",
            "",
            "/Media/x",
            "Plug-in Support/x",
            "Media/../x",
            "../Media/x",
            "Metadata/a/../../x",
            "Media/a\0b",
        ] {
            assert_eq!(inside(Path::new(path)), None, "{path:?}");
        }
    }

    #[test]
    fn links_may_not_lead_out() {
        let at = Path::new("Metadata/Movies/0/x.bundle/Contents/_combined/posters/p");
        assert!(link_stays_inside(at, Path::new("../../agent/posters/p")));
        assert!(link_stays_inside(at, Path::new("../../../../../../Movies/q")));
        assert!(!link_stays_inside(at, Path::new("../../../../../../../q")));
        assert!(!link_stays_inside(at, Path::new("/etc/passwd")));
        assert!(!link_stays_inside(Path::new("Media/p"), Path::new("..")));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            path in prop::collection::vec(1_u8..255, 1..60), content in prop::collection::vec(any::<u8>(), 0..500),
            mode in 0..0o777_u32, time in any::<i64>(), cut in 0..600_usize,
        ) {
            let entry = Entry { is_link: false, path, mode, modified: (time, 7), bytes: content.len() as u64 };
            let mut bytes = Vec::new();
            entry.write(&mut bytes, &mut content.as_slice()).unwrap();
            write_end(&mut bytes).unwrap();
            let mut input = bytes.as_slice();
            prop_assert_eq!(Entry::read(&mut input).unwrap(), Some(entry.clone()));
            let mut back = Vec::new();
            entry.read_content(&mut input, &mut back).unwrap();
            prop_assert_eq!(back, content);
            prop_assert_eq!(Entry::read(&mut input).unwrap(), None);

            let mut input = &bytes[..cut.min(bytes.len() - 1)];
            let whole = Entry::read(&mut input).and_then(|entry| {
                entry.map_or(Ok(()), |entry| entry.read_content(&mut input, &mut io::sink()).map(|_| ()))?;
                Entry::read(&mut input)
            });
            prop_assert!(whole.is_err());
        }
    }
}
