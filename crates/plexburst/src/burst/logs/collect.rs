//! Copying logs as they grow, so that nothing is lost when they are rotated away (Plex keeps 5 × 10 MB).
//!
//! A file is known by its inode and how it begins, whatever it is called by now; what was added to it since the last pass is
//! cut into lines, cleared of secrets and appended to the chunks of its name. Chunks are zstd frames one after the other.
//! Beyond [`super::MOST`] the middle goes: the beginning of a run and its end are what explains it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::redact::Redactor;
use crate::error::{Context, Error, Result};

/// A chunk that is this long is followed by another.
const CHUNK: u64 = 512 << 10;
/// What is read of a file at a time.
const BITE: u64 = 1 << 20;
/// How much of its beginning a file is known by.
const HEAD: usize = 200;
const STATE: &str = "state.json";

/// Where logs are.
#[derive(Debug, Clone)]
pub struct Source {
    /// A file, or a folder with files that end in `.log`, those in its folders included.
    pub path: PathBuf,
    /// What stands before their names.
    pub prefix: &'static str,
}

/// One file as far as it was copied.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Known {
    inode: u64,
    head: Vec<u8>,
    copied: u64,
    name: String,
}

/// What outlives the process.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// Which collection this is; the names of a fresh worker's chunks never meet those of the one before.
    id: String,
    known: Vec<Known>,
    /// Name → its chunks: number → bytes.
    chunks: BTreeMap<String, BTreeMap<u32, u64>>,
    /// Chunks that were left out, by name.
    left_out: BTreeMap<String, u32>,
}

/// The logs of one worker.
#[derive(Debug)]
pub struct Collector {
    dir: PathBuf,
    sources: Vec<Source>,
    most: u64,
    state: State,
    /// Chunks that have changed since they were last taken.
    changed: Vec<String>,
    /// Chunks that are gone since.
    gone: Vec<String>,
}

impl Collector {
    /// Goes on with what is in `dir`, or begins.
    ///
    /// # Errors
    /// The disk.
    pub fn open(dir: &Path, sources: Vec<Source>, most: u64) -> Result<Self> {
        std::fs::create_dir_all(dir).context(|| format!("cannot make {}", dir.display()))?;
        // What cannot be read is begun anew under another name; nothing of the old one is overwritten.
        let mut state: State = std::fs::read(dir.join(STATE))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        if state.id.is_empty() {
            state.id = ulid::Ulid::generate().to_string();
        }
        let mut collector = Self {
            dir: dir.to_path_buf(),
            sources,
            most,
            state,
            changed: Vec::new(),
            gone: Vec::new(),
        };
        collector.changed = collector.all();
        Ok(collector)
    }

    fn all(&self) -> Vec<String> {
        let chunks = self.state.chunks.iter();
        chunks
            .flat_map(|(name, chunks)| chunks.keys().map(|number| key(&self.state.id, name, *number)))
            .collect()
    }

    /// Copies what is new. Files that cannot be read are passed over.
    ///
    /// # Errors
    /// The disk that it is copied to.
    pub fn pass(&mut self, redactor: &Redactor) -> Result<()> {
        let mut found: Vec<(String, u32, PathBuf)> = Vec::new();
        for source in &self.sources {
            let mut files = Vec::new();
            walk(&source.path, source.path.is_file(), &mut files);
            found.extend(files.into_iter().map(|path| {
                let (name, rotation) = name_of(&path);
                (format!("{}{name}", source.prefix), rotation, path)
            }));
        }
        // The oldest of a name first.
        found.sort_by(|a, b| (&a.0, std::cmp::Reverse(a.1)).cmp(&(&b.0, std::cmp::Reverse(b.1))));
        let mut seen = Vec::new();
        for (name, _, path) in found {
            if let Some(known) = self.copy(&name, &path, redactor)? {
                seen.push(known);
            }
        }
        self.state.known = seen;
        self.bound()?;
        let state = serde_json::to_vec(&self.state).map_err(|e| Error::unexpected("cannot note logs").because(e))?;
        plex_library::publish::file(&self.dir.join(STATE), &state)?;
        Ok(())
    }

    /// Chunks that are to be put into the depot, with their files; and keys that are no more. Until the next pass they are
    /// not told again.
    pub fn take_changed(&mut self) -> (Vec<(String, PathBuf)>, Vec<String>) {
        let changed = std::mem::take(&mut self.changed);
        let files = changed.into_iter().map(|key| {
            let path = self.dir.join(&key);
            (key, path)
        });
        (files.collect(), std::mem::take(&mut self.gone))
    }

    /// It could not be put: it is told again.
    pub fn put_again(&mut self, key: String) {
        if !self.changed.contains(&key) && self.dir.join(&key).is_file() {
            self.changed.push(key);
        }
    }

    fn copy(&mut self, name: &str, path: &Path, redactor: &Redactor) -> Result<Option<Known>> {
        let Ok(mut file) = File::open(path) else {
            return Ok(None);
        };
        let Ok(meta) = file.metadata() else { return Ok(None) };
        let mut head = vec![0; HEAD];
        let Ok(length) = read_full(&mut file, &mut head) else {
            return Ok(None);
        };
        head.truncate(length);
        let was =
            self.state.known.iter().position(|known| {
                known.inode == meta.ino() && meta.len() >= known.copied && head.starts_with(&known.head)
            });
        let mut known = match was {
            Some(at) => self.state.known.swap_remove(at),
            None => Known {
                inode: meta.ino(),
                head: Vec::new(),
                copied: 0,
                name: name.to_owned(),
            },
        };
        known.head = head;
        while known.copied < meta.len() {
            let mut bite = Vec::new();
            let read = file
                .seek(SeekFrom::Start(known.copied))
                .and_then(|_| (&mut file).take(BITE).read_to_end(&mut bite));
            if read.is_err() {
                break;
            }
            // A line that is not finished yet is left for the next pass, so that no secret is cut in two.
            let end = match bite.iter().rposition(|byte| *byte == b'\n') {
                Some(at) => at + 1,
                None if bite.len() as u64 == BITE => bite.len(),
                None => break,
            };
            let text = redactor.text(&String::from_utf8_lossy(&bite[..end]));
            self.append(&known.name.clone(), text.as_bytes())?;
            known.copied += end as u64;
        }
        Ok(Some(known))
    }

    fn append(&mut self, name: &str, text: &[u8]) -> Result<()> {
        let chunks = self.state.chunks.entry(name.to_owned()).or_default();
        let last = chunks.last_key_value().map(|(number, bytes)| (*number, *bytes));
        let number = match last {
            Some((number, bytes)) if bytes < CHUNK => number,
            Some((number, _)) => number + 1,
            None => 0,
        };
        let key = key(&self.state.id, name, number);
        let path = self.dir.join(&key);
        let failed = || format!("cannot write {}", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).context(failed)?;
        }
        let frame = zstd::encode_all(text, 3).context(failed)?;
        let bytes = chunks.entry(number).or_default();
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .context(failed)?;
        // What a pass that was killed appended is written again.
        file.set_len(*bytes).context(failed)?;
        file.seek(SeekFrom::End(0)).context(failed)?;
        file.write_all(&frame).context(failed)?;
        *bytes += frame.len() as u64;
        if !self.changed.contains(&key) {
            self.changed.push(key);
        }
        Ok(())
    }

    /// The middle of whatever is longest goes until all is short enough.
    fn bound(&mut self) -> Result<()> {
        let total = |chunks: &BTreeMap<u32, u64>| chunks.values().sum::<u64>();
        while self.state.chunks.values().map(total).sum::<u64>() > self.most {
            let longest = self.state.chunks.iter_mut().filter(|(_, chunks)| chunks.len() > 2);
            let Some((name, chunks)) = longest.max_by_key(|(_, chunks)| total(chunks)) else {
                return Ok(());
            };
            let Some(number) = chunks.keys().nth(1).copied() else {
                return Ok(());
            };
            chunks.remove(&number);
            let key = key(&self.state.id, name, number);
            *self.state.left_out.entry(name.clone()).or_default() += 1;
            let path = self.dir.join(&key);
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::failed(format!("cannot remove {}", path.display())).because(e));
                }
                _ => {}
            }
            self.changed.retain(|changed| *changed != key);
            self.gone.push(key);
        }
        Ok(())
    }
}

/// A chunk's name, below the folder and below the depot's.
fn key(id: &str, name: &str, number: u32) -> String {
    format!("{id}/{name}/{number:06}.zst")
}

fn read_full(file: &mut File, into: &mut [u8]) -> std::io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match file.read(&mut into[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

/// Files below `path`; in folders those that are logs.
fn walk(path: &Path, is_named: bool, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let Ok(entries) = std::fs::read_dir(path) else { return };
        for entry in entries.flatten() {
            // A link may lead into a mount that hangs.
            if entry.file_type().is_ok_and(|kind| !kind.is_symlink()) {
                walk(&entry.path(), false, found);
            }
        }
    } else if is_named || path.extension().is_some_and(|extension| extension == "log") {
        found.push(path.to_path_buf());
    }
}

/// `Plex Media Server.2.log` is `Plex-Media-Server.log`, for the second time rotated.
fn name_of(path: &Path) -> (String, u32) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
    let rotated = stem
        .rsplit_once('.')
        .and_then(|(base, number)| Some((base, number.parse::<u32>().ok()?)));
    let (base, rotation) = rotated.unwrap_or((stem, 0));
    let clean = |text: &str| -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '-'
            }
        };
        text.chars().map(plain).collect()
    };
    match extension {
        "" => (clean(base), rotation),
        extension => (format!("{}.{}", clean(base), clean(extension)), rotation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector(dir: &Path, most: u64) -> Collector {
        let sources = vec![Source {
            path: dir.join("Logs"),
            prefix: "plex-",
        }];
        Collector::open(&dir.join("copied"), sources, most).unwrap()
    }

    fn text(dir: &Path, collector: &Collector, name: &str) -> String {
        let mut text = Vec::new();
        for number in collector.state.chunks[name].keys() {
            let bytes = std::fs::read(dir.join("copied").join(key(&collector.state.id, name, *number))).unwrap();
            text.extend(zstd::decode_all(bytes.as_slice()).unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn nothing_that_is_rotated_away_is_lost_and_nothing_is_there_twice() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("Logs");
        std::fs::create_dir(&logs).unwrap();
        let at = |number: u32| match number {
            0 => logs.join("Plex Media Server.log"),
            number => logs.join(format!("Plex Media Server.{number}.log")),
        };
        let mut collector = collector(dir.path(), super::super::MOST);
        let mut expected = String::new();
        for round in 0..40 {
            let mut file = File::options().create(true).append(true).open(at(0)).unwrap();
            for line in 0..5 {
                let line = format!("Nov 26, 2026 04:00:{round:02}.{line:03} token=abcdefgh line {round} {line}\n");
                file.write_all(line.as_bytes()).unwrap();
                expected += &line.replace("abcdefgh", "(removed)");
            }
            if round % 7 == 3 {
                // A line that is not finished when it is looked at, and then rotated.
                file.write_all(b"half a token=abc").unwrap();
                collector.pass(&Redactor::default()).unwrap();
                file.write_all(b"defgh line\n").unwrap();
                expected += "half a token=(removed) line\n";
            }
            for number in (0..5).rev().filter(|_| round % 3 == 0) {
                if at(number).exists() {
                    std::fs::rename(at(number), at(number + 1)).unwrap();
                }
            }
            if round % 4 == 0 {
                collector.pass(&Redactor::default()).unwrap();
            }
            if round == 20 {
                // The process is begun again.
                let sources = collector.sources.clone();
                collector = Collector::open(&dir.path().join("copied"), sources, super::super::MOST).unwrap();
            }
        }
        collector.pass(&Redactor::default()).unwrap();
        collector.pass(&Redactor::default()).unwrap();
        assert_eq!(text(dir.path(), &collector, "plex-Plex-Media-Server.log"), expected);
        let (changed, gone) = collector.take_changed();
        assert!(!changed.is_empty() && gone.is_empty());
        collector.pass(&Redactor::default()).unwrap();
        assert!(collector.take_changed().0.is_empty(), "nothing new");
    }

    #[test]
    fn what_is_too_much_loses_its_middle() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("Logs")).unwrap();
        let most = 3 * CHUNK;
        let mut collector = collector(dir.path(), most);
        let mut random = fastrand::Rng::with_seed(7);
        let path = dir.path().join("Logs/scanner.log");
        for round in 0..12 {
            // Random letters hardly become less.
            let mut line: String = (0..300_000).map(|_| random.alphanumeric()).collect();
            line = format!("begin {round} {line}\n");
            File::options()
                .create(true)
                .append(true)
                .open(&path)
                .unwrap()
                .write_all(line.as_bytes())
                .unwrap();
            collector.pass(&Redactor::default()).unwrap();
        }
        let kept = text(dir.path(), &collector, "plex-scanner.log");
        assert!(kept.starts_with("begin 0 ") && kept.contains("begin 11 ") && !kept.contains("begin 4 "));
        let bytes: u64 = collector.state.chunks.values().flat_map(BTreeMap::values).sum();
        assert!(bytes <= most, "{bytes}");
        let (_, gone) = collector.take_changed();
        assert_eq!(
            gone.len(),
            usize::try_from(collector.state.left_out["plex-scanner.log"]).unwrap()
        );
    }
}
