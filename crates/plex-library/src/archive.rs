//! Archives: a library in one file. Ours are tar in zstd; those of the earlier scripts (tar in gzip, rooted anywhere)
//! are read as well.
//!
//! What is taken out: the two databases, the bundle trees, and our own notes. What never is: identity
//! (Preferences.xml, .LocalAdminToken, Cache), dated backups of the databases and `restore/`; they are listed. No name
//! in an archive can lead out of the folder that it is unpacked to.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use tar::EntryType;

use crate::error::{At, Error, Result};
use crate::paths::{BLOBS_DB, Databases, LIBRARY_DB};
use crate::publish::FileWriter;

/// Folder in an archive with our own notes.
pub const NOTES: &str = "plexburst";
const SUPPORT: &str = "Plug-in Support";
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// An archive that was unpacked.
#[derive(Debug)]
pub struct Unpacked {
    root: PathBuf,
    /// Entries that were left out, by name (at most the first thousand).
    pub left_out: Vec<String>,
}

impl Unpacked {
    /// The folder that stands for "Plex Media Server".
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.root
    }

    /// The pair.
    #[must_use]
    pub fn databases(&self) -> Databases {
        Databases::at(self.root.join(SUPPORT).join("Databases"))
    }

    /// Our own notes.
    #[must_use]
    pub fn notes(&self) -> PathBuf {
        self.root.join(NOTES)
    }
}

/// Whether `path` is a file that begins like an archive.
#[must_use]
pub fn is_archive(path: &Path) -> bool {
    let mut head = [0; 262];
    let Ok(n) = File::open(path).and_then(|f| f.take(262).read(&mut head)) else {
        return false;
    };
    head.starts_with(&GZIP) || head.starts_with(&ZSTD) || (n == 262 && &head[257..262] == b"ustar")
}

/// Unpacks the library in `archive` into the folder `dest` (made if missing).
///
/// # Errors
/// [`Error::NotALibrary`] when there is none in it, or only one file of the pair; [`Error::Damaged`] when it ends early
/// or cannot be decompressed; the disk.
pub fn unpack(archive: &Path, dest: &Path) -> Result<Unpacked> {
    let root = find_root(archive)?;
    std::fs::create_dir_all(dest).at("make", dest)?;
    let mut unpacked = Unpacked {
        root: dest.to_path_buf(),
        left_out: Vec::new(),
    };
    let mut tar = open(archive)?;
    for entry in tar.entries().map_err(|e| damaged(archive, &e))? {
        let mut entry = entry.map_err(|e| damaged(archive, &e))?;
        let path = entry.path().map_err(|e| damaged(archive, &e))?.into_owned();
        if !matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Continuous) {
            continue;
        }
        let Some(wanted) = wanted(&path, &root) else {
            if unpacked.left_out.len() < 1000 {
                unpacked.left_out.push(path.display().to_string());
            }
            continue;
        };
        let to = dest.join(wanted);
        if let Some(dir) = to.parent() {
            std::fs::create_dir_all(dir).at("make", dir)?;
        }
        let mut out = File::create(&to).at("create", &to)?;
        let expected = entry.header().size().map_err(|e| damaged(archive, &e))?;
        let written = std::io::copy(&mut entry, &mut out).map_err(|e| match e.kind() {
            std::io::ErrorKind::StorageFull => Error::NoSpace {
                path: to.clone(),
                op: "unpack",
                source: e,
            },
            _ => damaged(archive, &e),
        })?;
        if written != expected {
            return Err(Error::Damaged {
                path: archive.to_path_buf(),
                what: format!("it ends in the middle of {}", path.display()),
            });
        }
    }
    // To the very end: the checksum of the compression stands there, behind the last entry.
    std::io::copy(&mut tar.into_inner(), &mut std::io::sink()).map_err(|e| damaged(archive, &e))?;
    let databases = unpacked.databases();
    for file in [databases.library(), databases.blobs()] {
        if !file.is_file() {
            return Err(Error::NotALibrary {
                path: archive.to_path_buf(),
                why: format!(
                    "it holds no {}, and the two databases only mean something together",
                    file.file_name().unwrap_or_default().to_string_lossy()
                ),
            });
        }
    }
    Ok(unpacked)
}

/// Writes `files` (name in the archive, file on disk) as an archive that appears when it is whole.
///
/// # Errors
/// A file that cannot be read; the disk.
pub fn pack(files: &[(String, PathBuf)], archive: &Path) -> Result<u64> {
    let out = FileWriter::create(archive)?;
    let encoder = zstd::Encoder::new(out, 3).at("write", archive)?;
    let mut tar = tar::Builder::new(encoder);
    for (name, path) in files {
        let mut file = File::open(path).at("open", path)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(file.metadata().at("look at", path)?.len());
        header.set_mode(0o600);
        header.set_entry_type(EntryType::Regular);
        tar.append_data(&mut header, name, &mut file).at("write", archive)?;
    }
    let encoder = tar.into_inner().at("write", archive)?;
    let out = encoder.finish().at("write", archive)?;
    let bytes = out.written();
    out.publish(|_| Ok(()))?;
    Ok(bytes)
}

/// The part of the names before "Plug-in Support".
fn find_root(archive: &Path) -> Result<PathBuf> {
    let mut tar = open(archive)?;
    for entry in tar.entries().map_err(|e| damaged(archive, &e))? {
        let entry = entry.map_err(|e| damaged(archive, &e))?;
        let path = entry.path().map_err(|e| damaged(archive, &e))?;
        let mut root = PathBuf::new();
        for part in path.components() {
            if part.as_os_str() == SUPPORT {
                return Ok(root);
            }
            root.push(part);
        }
    }
    Err(Error::NotALibrary {
        path: archive.to_path_buf(),
        why: format!("nothing in it lies in a folder {SUPPORT:?}"),
    })
}

/// Where an entry goes below the destination; `None` when it is not taken out.
fn wanted(path: &Path, root: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix(root).ok()?;
    let mut parts = Vec::new();
    for part in below.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    let is_wanted = match parts.as_slice() {
        [SUPPORT, "Databases", name] => *name == LIBRARY_DB || *name == BLOBS_DB,
        ["Metadata" | "Media", _, ..] | [NOTES, _, ..] => true,
        _ => false,
    };
    is_wanted.then(|| parts.iter().collect())
}

fn open(archive: &Path) -> Result<tar::Archive<Box<dyn Read>>> {
    let mut file = File::open(archive).at("open", archive)?;
    let mut magic = [0; 4];
    let n = file.read(&mut magic).at("read", archive)?;
    file.seek(SeekFrom::Start(0)).at("read", archive)?;
    let file = BufReader::with_capacity(1 << 17, file);
    let reader: Box<dyn Read> = if magic[..n].starts_with(&GZIP) {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else if magic[..n].starts_with(&ZSTD) {
        Box::new(zstd::Decoder::new(file).at("read", archive)?)
    } else if is_archive(archive) {
        Box::new(file)
    } else {
        return Err(Error::NotALibrary {
            path: archive.to_path_buf(),
            why: "it is neither tar nor tar in gzip or zstd".to_owned(),
        });
    };
    Ok(tar::Archive::new(reader))
}

fn damaged(archive: &Path, cause: &std::io::Error) -> Error {
    Error::Damaged {
        path: archive.to_path_buf(),
        what: cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_gz(dir: &Path, names: &[&str]) -> PathBuf {
        let path = dir.join("a.tar.gz");
        let encoder = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(encoder);
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(4);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, &b"data"[..]).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        path
    }

    const PAIR: [&str; 2] = [
        "Plug-in Support/Databases/com.plexapp.plugins.library.db",
        "Plug-in Support/Databases/com.plexapp.plugins.library.blobs.db",
    ];

    #[test]
    fn root_is_found_at_any_depth_and_identity_stays_out() {
        for prefix in ["", "Plex Media Server/", "a/b/Plex Media Server/"] {
            let dir = tempfile::tempdir().unwrap();
            let mut names: Vec<String> = PAIR.iter().map(|n| format!("{prefix}{n}")).collect();
            names.insert(0, format!("{prefix}Metadata/Movies/1/x.bundle/Contents/y"));
            names.push(format!("{prefix}Preferences.xml"));
            names.push(format!("{prefix}{}-2026-01-02", PAIR[0]));
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let dest = dir.path().join("out");
            let unpacked = unpack(&tar_gz(dir.path(), &names), &dest).unwrap();
            assert!(unpacked.databases().library().is_file());
            assert!(dest.join("Metadata/Movies/1/x.bundle/Contents/y").is_file());
            assert!(!dest.join("Preferences.xml").exists());
            assert_eq!(unpacked.left_out.len(), 2);
        }
    }

    #[test]
    fn a_lone_database_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        let e = unpack(&tar_gz(dir.path(), &PAIR[..1]), &dir.path().join("out")).unwrap_err();
        assert!(e.to_string().contains("library.blobs.db"), "{e}");
    }

    #[test]
    fn cut_archives_are_damaged_not_short() {
        let dir = tempfile::tempdir().unwrap();
        let path = tar_gz(dir.path(), &PAIR);
        let bytes = std::fs::read(&path).unwrap();
        for cut in [bytes.len() / 4, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let e = unpack(&path, &dir.path().join("out")).unwrap_err();
            assert!(matches!(e, Error::Damaged { .. } | Error::NotALibrary { .. }), "{e}");
        }
    }

    #[test]
    fn names_cannot_lead_out() {
        assert_eq!(wanted(Path::new("Metadata/../../etc/passwd"), Path::new("")), None);
        assert_eq!(wanted(Path::new("/Metadata/x/y"), Path::new("")), None);
        assert_eq!(
            wanted(Path::new("plexburst/manifest.json"), Path::new("")),
            Some("plexburst/manifest.json".into())
        );
    }

    #[test]
    fn packed_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        std::fs::write(&from, b"content").unwrap();
        let files: Vec<(String, PathBuf)> = PAIR.iter().map(|n| ((*n).to_owned(), from.clone())).collect();
        let archive = dir.path().join("x.tar.zst");
        pack(&files, &archive).unwrap();
        assert!(is_archive(&archive));
        let unpacked = unpack(&archive, &dir.path().join("out")).unwrap();
        assert_eq!(std::fs::read(unpacked.databases().blobs()).unwrap(), b"content");
    }
}
