//! What exists: a recursive listing straight from the remote (or the directory), without a mount.
//!
//! Guarantees: it is whole or an error, never half; names are as the mount shows them; memory is little more than the
//! names themselves, since a bucket has hundreds of thousands. [`super::compare`] holds a library against it.

mod directory;
mod names;
mod page;
mod rclone;
mod s3;

pub(super) use directory::directory;

use super::error::Error;
use super::remote::Remote;
use super::store::Store;

/// Between two reports of progress.
const REPORT_EVERY: u64 = 1000;
/// Bytes of names that are kept together.
const BLOCK: usize = 1 << 20;

/// Names of files that Plex makes items of; covers, lyrics and subtitles come along with these.
const AUDIO: [&str; 23] = [
    "aac", "aif", "aiff", "alac", "ape", "dsf", "dts", "flac", "m4a", "m4b", "m4p", "mka", "mp2", "mp3", "mpc", "oga",
    "ogg", "opus", "tta", "wav", "wave", "wma", "wv",
];
const VIDEO: [&str; 26] = [
    "3gp", "asf", "avi", "divx", "flv", "iso", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogm", "ogv",
    "qt", "rm", "rmvb", "ts", "vob", "webm", "wmv", "wtv", "xvid", "strm",
];
const IMAGES: [&str; 9] = ["bmp", "gif", "heic", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// The files below one section root, by path relative to it, in the order of their paths.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    root: String,
    blocks: Vec<String>,
    entries: Vec<Entry>,
}

/// One file: where its name lies, and its bytes.
#[derive(Debug, Clone, Copy)]
struct Entry {
    size: u64,
    block: u32,
    at: u32,
    len: u32,
}

impl Listing {
    /// A listing of `root` (home's absolute path) from (relative path, bytes).
    pub fn new(root: &str, files: impl IntoIterator<Item = (String, u64)>) -> Self {
        let mut builder = Builder::default();
        for (path, size) in files {
            builder.add(&path, size);
        }
        builder.finish(root)
    }

    /// How many files there are, covers and the like among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The section root (home's absolute path) without a slash at its end.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Bytes of a file, by home's absolute path; none when it does not exist.
    #[must_use]
    pub fn size(&self, path: &str) -> Option<u64> {
        let at = self.find(path)?;
        Some(self.entries[at].size)
    }

    /// Home's absolute paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        (0..self.len()).map(|at| self.path(at))
    }

    /// The number of a file, by home's absolute path.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        let relative = self.relative(path)?;
        self.entries
            .binary_search_by(|entry| self.text(entry).cmp(relative))
            .ok()
    }

    /// Home's absolute path of a file by its number.
    pub(super) fn path(&self, at: usize) -> String {
        format!("{}/{}", self.root, self.name(at))
    }

    /// The path of a file by its number, relative to the root.
    pub(super) fn name(&self, at: usize) -> &str {
        self.text(&self.entries[at])
    }

    /// Bytes of a file by its number.
    pub(super) fn bytes(&self, at: usize) -> u64 {
        self.entries[at].size
    }

    /// Whether a path (home's, absolute) lies below the root.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        self.relative(path).is_some()
    }

    /// The path below the root, if it is below.
    fn relative<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&self.root)?.strip_prefix('/')
    }

    fn text(&self, entry: &Entry) -> &str {
        text(&self.blocks, entry)
    }
}

fn text<'a>(blocks: &'a [String], entry: &Entry) -> &'a str {
    let (block, at, len) = (entry.block as usize, entry.at as usize, entry.len as usize);
    &blocks[block][at..at + len]
}

/// Whether Plex would make an item of a file with this name, in whatever section.
pub(super) fn is_media(path: &str) -> bool {
    has_extension(path, &[&AUDIO, &VIDEO, &IMAGES])
}

/// The same of a section of this kind, by the API's word.
pub(super) fn is_media_of(kind: &str, path: &str) -> bool {
    match kind {
        "artist" => has_extension(path, &[&AUDIO]),
        "movie" | "show" => has_extension(path, &[&VIDEO]),
        "photo" => has_extension(path, &[&IMAGES, &VIDEO]),
        _ => is_media(path),
    }
}

fn has_extension(path: &str, lists: &[&[&str]]) -> bool {
    let hidden = path.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    let is_known = |extension: &str| {
        lists
            .iter()
            .any(|list| list.iter().any(|known| extension.eq_ignore_ascii_case(known)))
    };
    !hidden && extension.is_some_and(is_known)
}

/// A listing that is being put together.
#[derive(Debug, Default)]
pub(super) struct Builder {
    blocks: Vec<String>,
    entries: Vec<Entry>,
}

impl Builder {
    /// Adds a file.
    pub(super) fn add(&mut self, name: &str, size: u64) {
        let has_room = |block: &String| block.is_empty() || block.len() + name.len() <= BLOCK;
        if !self.blocks.last().is_some_and(has_room) {
            self.blocks.push(String::new());
        }
        let block = self.blocks.len() - 1;
        let text = &mut self.blocks[block];
        // A block is a MiB, or one name: neither reaches four GiB.
        let entry = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        self.entries.push(Entry {
            size,
            block: entry(block),
            at: entry(text.len()),
            len: entry(name.len()),
        });
        text.push_str(name);
    }

    /// Adds all files of another one.
    pub(super) fn append(&mut self, mut other: Self) {
        let first = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        other.blocks.iter_mut().for_each(String::shrink_to_fit);
        self.blocks.append(&mut other.blocks);
        self.entries.extend(other.entries.into_iter().map(|entry| Entry {
            block: entry.block + first,
            ..entry
        }));
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// In the order of the paths, each once.
    pub(super) fn finish(mut self, root: &str) -> Listing {
        let blocks = std::mem::take(&mut self.blocks);
        self.entries
            .sort_unstable_by(|a, b| text(&blocks, a).cmp(text(&blocks, b)));
        self.entries.dedup_by(|a, b| text(&blocks, a) == text(&blocks, b));
        self.entries.shrink_to_fit();
        Listing {
            root: root.trim_end_matches('/').to_owned(),
            blocks,
            entries: self.entries,
        }
    }
}

/// Lists a folder of a remote, whole or not at all; `folder` is inside of it, `root` what stands for it at home.
pub(super) async fn remote(
    remote: &Remote,
    folder: &str,
    root: &str,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Listing, Error> {
    if let Some(store) = Store::of(remote).await? {
        let prefix = format!("{}/{}", store.folder, folder.trim_matches('/'));
        match s3::list(&store, &prefix, root, progress).await {
            Err(Error::NoRanges) => {}
            other => return other,
        }
    }
    rclone::list(&remote.folder(folder), root, progress).await
}

/// How many files were seen, told now and then.
#[derive(Debug, Default)]
struct Count {
    seen: u64,
    told: u64,
}

impl Count {
    fn add(&mut self, files: u64, progress: &mut dyn FnMut(u64)) {
        self.seen += files;
        if self.seen - self.told >= REPORT_EVERY {
            self.told = self.seen;
            progress(self.seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_put_together_in_order_each_file_once() {
        let mut whole = Builder::default();
        for part in 0..5 {
            let mut builder = Builder::default();
            for number in (0..20_000).rev() {
                builder.add(&format!("part {}/{number:060}", part % 4), number);
            }
            whole.append(builder);
        }
        assert!(whole.blocks.len() > 5);
        let listing = whole.finish("/m/");
        assert_eq!(listing.len(), 80_000);
        assert!((1..listing.len()).all(|at| listing.name(at - 1) < listing.name(at)));
        assert_eq!(listing.size(&format!("/m/part 3/{:060}", 77)), Some(77));
        assert_eq!(listing.size("/m/part 3"), None);
        assert_eq!(listing.size("/mpart 3"), None);
    }

    #[test]
    fn a_file_of_media_is_told_by_its_name() {
        assert!(is_media("a/b.FLAC") && is_media("x.mkv"));
        assert!(!is_media("a/cover.txt") && !is_media("a/.hidden.flac") && !is_media("flac"));
    }
}
