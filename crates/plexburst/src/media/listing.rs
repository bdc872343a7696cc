//! What exists: a recursive listing straight from the remote (or the directory), without a mount, and what of it a
//! library knows.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::error::{Error, io_error};
use super::remote::{Remote, cannot_run};

/// Between two reports of progress.
const REPORT_EVERY: u64 = 1000;

/// Names of files that Plex makes items of; covers, lyrics and subtitles come along with these.
const MEDIA: [&str; 58] = [
    "3gp", "aac", "aif", "aiff", "alac", "ape", "asf", "avi", "bmp", "divx", "dsf", "dts", "flac", "flv", "gif",
    "heic", "iso", "jpeg", "jpg", "m2ts", "m4a", "m4b", "m4p", "m4v", "mka", "mkv", "mov", "mp2", "mp3", "mp4", "mpc",
    "mpeg", "mpg", "mts", "oga", "ogg", "ogm", "ogv", "opus", "png", "qt", "rm", "rmvb", "tif", "tiff", "ts", "tta",
    "vob", "wav", "wave", "webm", "webp", "wma", "wmv", "wtv", "wv", "xvid", "strm",
];

/// The files below one section root, by path relative to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    root: String,
    files: HashMap<Box<str>, u64>,
}

/// What a library knows, held against a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Known files that exist.
    pub present: usize,
    /// Known files that do not, as the library spells them.
    pub missing: Vec<String>,
    /// Media files that the library does not know.
    pub new: usize,
}

impl Listing {
    /// A listing of `root` (home's absolute path) from (relative path, bytes).
    pub fn new(root: &str, files: impl IntoIterator<Item = (String, u64)>) -> Self {
        let files = files
            .into_iter()
            .map(|(path, size)| (path.into_boxed_str(), size))
            .collect();
        Self {
            root: root.trim_end_matches('/').to_owned(),
            files,
        }
    }

    /// How many files there are, covers and the like among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Bytes of a file, by home's absolute path; none when it does not exist.
    #[must_use]
    pub fn size(&self, path: &str) -> Option<u64> {
        self.files.get(self.relative(path)?).copied()
    }

    /// Home's absolute paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.files.keys().map(|path| format!("{}/{path}", self.root))
    }

    fn relative<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&self.root)?.strip_prefix('/')
    }

    /// Compares with the paths that a library knows below this root; the same path may come several times.
    pub fn compare<'a>(&self, known: impl Iterator<Item = &'a str>) -> Comparison {
        let mut seen: HashSet<&str> = HashSet::new();
        let mut comparison = Comparison::default();
        for path in known {
            match self
                .relative(path)
                .and_then(|relative| self.files.get_key_value(relative))
            {
                Some((file, _)) => {
                    comparison.present += 1;
                    seen.insert(file);
                }
                None => comparison.missing.push(path.to_owned()),
            }
        }
        let new = self
            .files
            .keys()
            .filter(|file| is_media(file) && !seen.contains(&***file));
        comparison.new = new.count();
        comparison
    }

    /// Of missing paths those that exist in another Unicode normal form: (as the library has it, as it exists).
    ///
    /// They are no less missing, since Plex compares bytes; but the reason is the spelling (a copy through macOS), and
    /// the remedy is another one than for a file that is gone.
    #[must_use]
    pub fn respelled(&self, missing: &[String]) -> Vec<(String, String)> {
        if missing.is_empty() {
            return Vec::new();
        }
        let normalizer = ComposingNormalizerBorrowed::new_nfc();
        let by_form: HashMap<String, &str> = self
            .files
            .keys()
            .map(|file| (normalizer.normalize(file).into_owned(), &**file))
            .collect();
        let other = |path: &String| {
            let found = by_form.get(&*normalizer.normalize(self.relative(path)?))?;
            Some((path.clone(), format!("{}/{found}", self.root)))
        };
        missing.iter().filter_map(other).collect()
    }
}

fn is_media(path: &str) -> bool {
    let hidden = path.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
    let extension = path
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    !hidden && extension.is_some_and(|extension| MEDIA.contains(&extension.as_str()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    path: String,
    size: i64,
}

/// Lists a folder of a remote, whole or not at all: half a listing would make files look lost.
pub(super) async fn remote(
    remote: &Remote,
    root: &str,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Listing, Error> {
    let verb = [
        "lsjson",
        "--recursive",
        "--files-only",
        "--no-mimetype",
        "--no-modtime",
        "--fast-list",
    ];
    let mut child = remote.command(&verb).spawn().map_err(cannot_run)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let complaints = tokio::spawn(async move {
        let mut text = String::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr.read_to_string(&mut text).await;
        }
        text
    });
    let reading = || format!("read the listing of {}", remote.name);
    let mut files = HashMap::new();
    if let Some(stdout) = stdout {
        // One object a line, with a comma at its end; the array's brackets have lines of their own.
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await.map_err(io_error(reading()))? {
            let line = line.trim().trim_end_matches(',');
            if matches!(line, "" | "[" | "]" | "[]") {
                continue;
            }
            let line: Line =
                serde_json::from_str(line).map_err(|error| io_error(reading())(std::io::Error::other(error)))?;
            files.insert(line.path.into_boxed_str(), u64::try_from(line.size).unwrap_or(0));
            report(files.len() as u64, progress);
        }
    }
    let status = child.wait().await.map_err(io_error(reading()))?;
    if !status.success() {
        return Err(remote.complaint(&complaints.await.unwrap_or_default()));
    }
    Ok(Listing {
        root: root.trim_end_matches('/').to_owned(),
        files,
    })
}

/// Lists a folder of this machine; folders behind symlinks count, each once.
pub(super) fn directory(dir: &Path, root: &str, progress: &mut dyn FnMut(u64)) -> Result<Listing, Error> {
    let mut listing = Listing {
        root: root.trim_end_matches('/').to_owned(),
        files: HashMap::new(),
    };
    let mut seen = HashSet::new();
    let mut folders = vec![(dir.to_owned(), OsString::new())];
    while let Some((folder, relative)) = folders.pop() {
        let listing_error = || format!("list {}", folder.display());
        let metadata = fs::metadata(&folder).map_err(io_error(listing_error()))?;
        if !seen.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(io_error(listing_error()))? {
            let entry = entry.map_err(io_error(listing_error()))?;
            let relative = PathBuf::from(&relative).join(entry.file_name());
            // A symlink that leads nowhere is no file.
            let Ok(metadata) = fs::metadata(entry.path()) else {
                continue;
            };
            if metadata.is_dir() {
                folders.push((entry.path(), relative.into_os_string()));
            } else if metadata.is_file() {
                let name = relative.to_string_lossy().into_owned().into_boxed_str();
                listing.files.insert(name, metadata.len());
                report(listing.files.len() as u64, progress);
            }
        }
    }
    Ok(listing)
}

fn report(count: u64, progress: &mut dyn FnMut(u64)) {
    if count.is_multiple_of(REPORT_EVERY) {
        progress(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn present_missing_and_new() {
        let files = ["A/1.flac", "A/2.flac", "A/cover.jpg", "A/notes.txt", "A/.hidden.flac"];
        let listing = Listing::new("/movies/", files.map(|file| (file.to_owned(), 5)));
        let known = [
            "/movies/A/1.flac",
            "/movies/A/1.flac",
            "/movies/B/9.flac",
            "/moviesA/1.flac",
        ];
        let found = listing.compare(known.into_iter());
        assert_eq!(found.present, 2);
        assert_eq!(found.missing, ["/movies/B/9.flac", "/moviesA/1.flac"]);
        assert_eq!(found.new, 2);
        assert_eq!(
            (listing.size("/movies/A/1.flac"), listing.size("/movies/A")),
            (Some(5), None)
        );
    }

    #[test]
    fn the_same_name_in_another_normal_form_is_pointed_out() {
        let listing = Listing::new("/m", [("Bjo\u{308}rk/1.flac".to_owned(), 1)]);
        let known = "/m/Bj\u{f6}rk/1.flac";
        let found = listing.compare([known, "/m/gone.flac"].into_iter());
        assert_eq!(found.missing.len(), 2);
        assert_eq!(
            listing.respelled(&found.missing),
            [(known.to_owned(), "/m/Bjo\u{308}rk/1.flac".to_owned())]
        );
    }

    #[test]
    fn a_directory_with_loops_and_dead_links() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("A/B")).unwrap();
        fs::write(dir.path().join("A/B/1.flac"), "12345").unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("A/loop")).unwrap();
        std::os::unix::fs::symlink("none", dir.path().join("A/dead")).unwrap();
        let listing = directory(dir.path(), "/m", &mut |_| ()).unwrap();
        assert_eq!(listing.paths().collect::<Vec<_>>(), ["/m/A/B/1.flac"]);
        assert!(directory(&dir.path().join("none"), "/m", &mut |_| ()).is_err());
    }
}
