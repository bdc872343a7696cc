//! Archives: a library in one file. Ours are tar in zstd; those of the earlier scripts (tar in gzip, rooted anywhere, or a
//! bare library.db) are read as well.
//!
//! What is taken out: the two databases, what nobody knows beside them, the bundle trees, and our own notes. What never is:
//! identity (Preferences.xml, .LocalAdminToken, Cache), dated backups of the databases and `restore/`; they are listed. No
//! name in an archive can lead out of the folder that it is unpacked to.

mod lone;
mod names;
mod strange;
mod take;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tar::EntryType;

use crate::error::{At, Error, Result};
use crate::pages::Whole;
use crate::paths::{BLOBS_DB, DATABASES_DIR, Databases, LIBRARY_DB, Which};
use crate::publish::FileWriter;
use crate::{delta, snapshot};
use names::Root;

pub use names::{Holds, Why};
pub use strange::strange;

/// Folder in an archive with our own notes.
pub const NOTES: &str = "plexburst";
/// Folder of our notes with the pages that lead from a result back to its base.
pub const REVERSE: &str = "reverse";
const SUPPORT: &str = "Plug-in Support";
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const SQLITE: &[u8] = b"SQLite format 3\0";
/// How many entries that are left out are named.
const NAMED: usize = 1000;

/// What to do with a library.db that comes without its blobs.db.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lone {
    /// Refuse it and say why.
    Refused,
    /// Give it an empty blobs.db.
    Accepted,
    /// Take it out as it is, to be looked at.
    Half,
}

/// An archive that was unpacked.
#[derive(Debug)]
pub struct Unpacked {
    root: PathBuf,
    /// What it holds.
    pub holds: Holds,
    /// Whether its blobs.db was not in the archive: one was made for it, or there is none.
    pub is_lone: bool,
    /// Entries that were left out, by name (at most the first thousand of each kind).
    pub left_out: BTreeMap<Why, Vec<String>>,
    /// What else lay beside the databases, by its path below their folder. It was taken out too.
    pub extras: Vec<PathBuf>,
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
        Databases::at(self.root.join(DATABASES_DIR))
    }

    /// Our own notes.
    #[must_use]
    pub fn notes(&self) -> PathBuf {
        self.root.join(NOTES)
    }

    /// The pair by size and hash, as our own notes have it; `None` in archives of others.
    ///
    /// # Errors
    /// Notes that are damaged, or of a newer program.
    pub fn sealed(&self) -> Result<Option<BTreeMap<Which, Whole>>> {
        let reverse = self.notes().join(REVERSE);
        if reverse.join(delta::MANIFEST).is_file() {
            // The way back begins with the pair that is in the archive.
            let manifest = delta::Manifest::read(&reverse)?;
            return Ok(Some(
                manifest
                    .databases
                    .into_iter()
                    .map(|(which, change)| (which, change.base))
                    .collect(),
            ));
        }
        if self.notes().join(snapshot::MANIFEST).is_file() {
            return Ok(Some(snapshot::Manifest::read(&self.notes())?.sealed()));
        }
        Ok(None)
    }

    fn leave_out(&mut self, why: Why, name: &Path) {
        let names = self.left_out.entry(why).or_default();
        if names.len() < NAMED {
            names.push(name.display().to_string());
        }
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

/// Whether a file begins as one of SQLite's does, whatever its name: a dated backup of Plex's, or one that the remaps of
/// earlier scripts left (`plex_db_backup_*.db`).
#[must_use]
pub fn is_database(path: &Path) -> bool {
    let mut head = [0; 16];
    File::open(path).and_then(|mut f| f.read_exact(&mut head)).is_ok() && head == SQLITE
}

/// Unpacks the library in `archive` into the folder `dest` (made if missing).
///
/// # Errors
/// [`Error::NotALibrary`] when there is none in it; [`Error::Refused`] when only one file of the pair is;
/// [`Error::BrokenArchive`] when it ends early or cannot be decompressed; the disk.
pub fn unpack(archive: &Path, dest: &Path) -> Result<Unpacked> {
    unpack_with(archive, dest, Lone::Refused)
}

/// The same; `lone` says what becomes of a library.db without its blobs.db.
///
/// # Errors
/// As [`unpack`].
pub fn unpack_with(archive: &Path, dest: &Path, lone: Lone) -> Result<Unpacked> {
    let mut unpacked = Unpacked {
        root: dest.to_path_buf(),
        holds: Holds::by_name(archive),
        is_lone: false,
        left_out: BTreeMap::new(),
        extras: Vec::new(),
    };
    let databases = unpacked.databases();
    if is_database(archive) {
        if lone == Lone::Refused {
            return Err(without_blobs(archive));
        }
        std::fs::create_dir_all(databases.dir()).at("make", databases.dir())?;
        copy(archive, &databases.library())?;
    } else {
        take::take_out(archive, &mut unpacked)?;
    }
    if !databases.library().is_file() {
        return Err(Error::NotALibrary {
            path: archive.to_path_buf(),
            why: format!("it holds no {LIBRARY_DB}"),
        });
    }
    if unpacked.notes().join(REVERSE).is_dir() {
        unpacked.holds = Holds::Result;
    } else if unpacked.notes().join(crate::snapshot::MANIFEST).is_file() {
        unpacked.holds = Holds::Export;
    }
    if !databases.blobs().is_file() {
        match lone {
            Lone::Refused => return Err(without_blobs(archive)),
            Lone::Accepted => lone::empty_blobs(&databases.library(), &databases.blobs())?,
            Lone::Half => {}
        }
        unpacked.is_lone = true;
    }
    Ok(unpacked)
}

/// The bytes alone: the modes of what lies in somebody's archive folder are not ours.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = File::open(from).at("open", from)?;
    let mut target = File::create(to).at("create", to)?;
    std::io::copy(&mut source, &mut target).at("write", to).map(drop)
}

fn without_blobs(archive: &Path) -> Error {
    Error::Refused {
        what: format!(
            "{} has a library without its blobs, and the two only mean something together",
            archive.display()
        ),
        items: vec![format!("{BLOBS_DB} is not in it")],
        hint: "`--without-blobs` takes it all the same: home's own blobs stay, and what Sonic and the detection of \
               intros had found in the lost ones is measured anew"
            .into(),
    }
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

/// Where the library is. Only one half of a pair may be in an archive, so either shows it.
fn find_root(archive: &Path) -> Result<Root> {
    let mut tar = open(archive)?;
    let mut second = None;
    for (number, entry) in tar.entries().map_err(|e| broken(archive, &e))?.enumerate() {
        let entry = entry.map_err(|e| match number {
            0 => strange::beginning(archive, &e),
            _ => broken(archive, &e),
        })?;
        let path = entry.path().map_err(|e| broken(archive, &e))?;
        match Root::shown_by(&path) {
            // Plex's own layout is sure; any other folder with a database is taken only if there is none.
            Some(root) if !root.is_databases => return Ok(root),
            Some(root) => second = second.or(Some(root)),
            None => {}
        }
    }
    second.ok_or_else(|| Error::NotALibrary {
        path: archive.to_path_buf(),
        why: format!("there is no {LIBRARY_DB} in it"),
    })
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
        return Err(strange(archive));
    };
    Ok(tar::Archive::new(reader))
}

/// What the readers of tar say of an entry may hold its bytes: only its beginning is shown, and nothing that moves a cursor.
fn broken(archive: &Path, cause: &std::io::Error) -> Error {
    const SHOWN: usize = 120;
    let what = cause.to_string();
    Error::BrokenArchive {
        path: archive.to_path_buf(),
        what: what.chars().filter(|c| !c.is_control()).take(SHOWN).collect(),
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
            assert_eq!(unpacked.left_out[&Why::Identity].len(), 1);
            assert_eq!(unpacked.left_out[&Why::OldCopy].len(), 1);
        }
    }

    #[test]
    fn a_lone_database_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        let e = unpack(&tar_gz(dir.path(), &PAIR[..1]), &dir.path().join("out")).unwrap_err();
        assert!(e.to_string().contains("library.blobs.db"), "{e}");
        assert!(e.hint().is_some_and(|hint| hint.contains("--without-blobs")), "{e}");
    }

    #[test]
    fn cut_archives_are_damaged_not_short() {
        let dir = tempfile::tempdir().unwrap();
        let path = tar_gz(dir.path(), &PAIR);
        let bytes = std::fs::read(&path).unwrap();
        for cut in [bytes.len() / 4, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let e = unpack(&path, &dir.path().join("out")).unwrap_err();
            assert!(
                matches!(e, Error::BrokenArchive { .. } | Error::NotALibrary { .. }),
                "{e}"
            );
        }
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
