//! `logs.tar.zst`: everything that a burst has said, on both sides, as one archive without secrets.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::redact::Redactor;
use crate::error::{Context, Error, Result};

/// The archive's name in the burst's folder.
pub const FILE: &str = "logs.tar.zst";

/// Writes it to `target`: the texts by their names, and below `worker/` what is in the folder `chunks`, put together again.
///
/// # Errors
/// The disk. A text that is not there is left out.
pub fn write(target: &Path, texts: &[(&str, PathBuf)], chunks: &Path, redactor: &Redactor) -> Result<()> {
    let failed = || format!("cannot write {}", target.display());
    let mut out = plex_library::publish::FileWriter::create(target)?;
    let encoder = zstd::Encoder::new(&mut out, 3).context(failed)?;
    let mut tar = tar::Builder::new(encoder);
    for (name, path) in texts {
        if let Ok(bytes) = std::fs::read(path) {
            let text = redactor.text(&String::from_utf8_lossy(&bytes));
            append(&mut tar, name, text.len() as u64, text.as_bytes()).context(failed)?;
        }
    }
    for collection in folders(chunks)? {
        for log in folders(&collection)? {
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut whole = tempfile::tempfile().context(failed)?;
            put_together(&log, &mut whole).context(|| format!("cannot read {}", log.display()))?;
            let bytes = whole.stream_position().context(failed)?;
            whole.seek(SeekFrom::Start(0)).context(failed)?;
            let name = format!("worker/{}/{}", name(&collection), name(&log));
            append(&mut tar, &name, bytes, whole).context(failed)?;
        }
    }
    let encoder = tar.into_inner().context(failed)?;
    encoder.finish().context(failed)?;
    out.publish(|_| Ok(())).map_err(Error::from)
}

fn append(tar: &mut tar::Builder<impl Write>, name: &str, bytes: u64, content: impl Read) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    tar.append_data(&mut header, name, content)
}

/// The chunks of a log one after the other; where some are missing that is said.
fn put_together(log: &Path, whole: &mut impl Write) -> std::io::Result<()> {
    let mut chunks: Vec<PathBuf> = std::fs::read_dir(log)?.flatten().map(|entry| entry.path()).collect();
    chunks.sort();
    let mut next = 0;
    for chunk in chunks {
        let number = chunk.file_stem().and_then(|stem| stem.to_str()?.parse::<u32>().ok());
        let Some(number) = number else { continue };
        if number > next {
            writeln!(whole, "… {} parts of this log are left out here …", number - next)?;
        }
        next = number + 1;
        zstd::stream::copy_decode(std::fs::File::open(&chunk)?, &mut *whole)?;
    }
    Ok(())
}

/// The folders in a folder, by name; none when it is not there.
fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = match std::fs::read_dir(dir) {
        Ok(entries) => entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::failed(format!("cannot list {}", dir.display())).because(e)),
    };
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_chunks_become_one_archive_that_says_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("log.txt"), "X-Plex-Token=abcdef\nnothing\n").unwrap();
        let log = at("logs/01A/plex.log");
        std::fs::create_dir_all(&log).unwrap();
        for (number, text) in [(0, "one\n"), (1, "two\n"), (4, "five\n")] {
            let frame = zstd::encode_all(text.as_bytes(), 3).unwrap();
            std::fs::write(log.join(format!("{number:06}.zst")), frame).unwrap();
        }
        let texts = [("terminal.log", at("log.txt")), ("none", at("none"))];
        write(&at(FILE), &texts, &at("logs"), &Redactor::default()).unwrap();
        let bytes = zstd::decode_all(std::fs::File::open(at(FILE)).unwrap()).unwrap();
        let mut tar = tar::Archive::new(bytes.as_slice());
        let entries = tar.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.path().unwrap().display().to_string(), text)
        });
        let expected = [
            ("terminal.log", "X-Plex-Token=(removed)\nnothing\n"),
            (
                "worker/01A/plex.log",
                "one\ntwo\n… 2 parts of this log are left out here …\nfive\n",
            ),
        ];
        assert_eq!(
            entries.collect::<Vec<_>>(),
            expected.map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
    }
}
