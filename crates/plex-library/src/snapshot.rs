//! A consistent copy of a library, taken while Plex runs.
//!
//! One pass over each database: its pages at one moment ([`crate::source`]) go into the copy, its hash and its index of
//! pages at once. The two databases have no common transaction, so the moment of the blobs is fixed first and that of
//! the library second: every blob that is in the copy has its owner there. Both marks stand in the manifest.
//!
//! The copy is a folder with both databases (no `-wal`), an index of pages for each, and `manifest.json`. It appears
//! under its name only when all of it is verified and durable.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::error::{At, Error, READ, Result};
use crate::open;
use crate::pages::{IndexWriter, Whole, index_path};
use crate::paths::{Databases, Which};
use crate::progress::{Meter, Progress};
use crate::publish::{self, FileWriter, FolderWriter};
use crate::schema::{self, Migrations};
use crate::source::Source;

/// File name of the manifest within a snapshot.
pub const MANIFEST: &str = "manifest.json";

/// Version of the manifest that is written; older ones can be read.
pub const FORMAT: u32 = 1;

/// What a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// When the moment of the library was fixed, RFC 3339, UTC.
    pub taken_at: String,
    /// Both databases.
    pub databases: BTreeMap<Which, Copied>,
    /// The library's migrations.
    pub schema_migrations: Migrations,
    /// Rows of the tables that matter most, by table; those of `blobs` are counted in the database of blobs.
    pub counts: BTreeMap<String, u64>,
}

/// One database of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Size and hash of the copy.
    #[serde(flatten)]
    pub whole: Whole,
    /// Frames of the write-ahead log that were laid over the file; 0 if the log held nothing that the file lacked.
    pub log_frames: u32,
    /// `PRAGMA user_version`.
    pub user_version: i32,
    /// `PRAGMA application_id`.
    pub application_id: i32,
}

impl Manifest {
    /// Reads the manifest of a snapshot.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is none, [`Error::Mismatch`] if a newer program wrote it.
    pub fn read(snapshot: &Path) -> Result<Self> {
        let path = snapshot.join(MANIFEST);
        let bytes = std::fs::read(&path).at(READ, &path)?;
        read_versioned(&bytes, &path, FORMAT)
    }

    /// One of the databases.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the manifest does not speak of it.
    pub fn database(&self, which: Which) -> Result<&Copied> {
        self.databases
            .get(&which)
            .ok_or_else(|| Error::mismatch(Path::new(MANIFEST), format!("it lacks the {} database", which.word())))
    }
}

/// Reads a JSON document that has a `format`, judging that first: a newer document may have another shape.
pub(crate) fn read_versioned<T: for<'de> Deserialize<'de>>(bytes: &[u8], path: &Path, newest: u32) -> Result<T> {
    #[derive(Deserialize)]
    struct Versioned {
        format: u32,
    }
    let broken = |error: serde_json::Error| Error::damaged(path, error.to_string());
    let Versioned { format } = serde_json::from_slice(bytes).map_err(broken)?;
    if format > newest {
        return Err(Error::mismatch(
            path,
            format!("format {format}, where this program reads up to {newest}"),
        ));
    }
    serde_json::from_slice(bytes).map_err(broken)
}

/// Writes a document of ours as JSON.
pub(crate) fn write_document<T: Serialize>(path: &Path, document: &T) -> Result<()> {
    let mut bytes =
        serde_json::to_vec_pretty(document).map_err(|error| Error::io(path, "write", std::io::Error::other(error)))?;
    bytes.push(b'\n');
    publish::file(path, &bytes)
}

/// Takes a snapshot of `databases` into the folder `dest`, which must not exist or be empty.
///
/// # Errors
/// [`Error::NotALibrary`] if one of the pair is missing, [`Error::Damaged`] if one is no database, [`Error::NoSpace`],
/// [`Error::Cancelled`]. Whatever fails, `dest` is then what it was.
pub fn take(databases: &Databases, dest: &Path, progress: &dyn Progress) -> Result<Manifest> {
    for which in Which::BOTH {
        if !databases.path(which).exists() {
            return Err(Error::NotALibrary {
                path: databases.dir().to_owned(),
                why: format!("{} is missing; a library is a pair", which.file_name()),
            });
        }
    }
    let folder = FolderWriter::create(dest)?;
    let [blobs, library] = Which::BLOBS_FIRST;
    let sources = [
        (blobs, Source::open(&databases.path(blobs))?),
        (library, Source::open(&databases.path(library))?),
    ];
    let taken_at = Timestamp::now().to_string();
    let mut copied = BTreeMap::new();
    for (which, source) in &sources {
        copied.insert(*which, copy(source, *which, folder.path(), progress)?);
    }
    for (_, source) in &sources {
        source.confirm()?;
    }
    drop(sources);

    let staged = Databases::at(folder.path());
    let reader = open::pair(&staged)?;
    let manifest = Manifest {
        format: FORMAT,
        taken_at,
        databases: copied,
        schema_migrations: schema::migrations(&reader, &databases.library())?,
        counts: counts(&reader, &databases.library())?,
    };
    drop(reader);
    write_document(&folder.path().join(MANIFEST), &manifest)?;
    folder.publish()?;
    Ok(manifest)
}

fn copy(source: &Source, which: Which, dir: &Path, progress: &dyn Progress) -> Result<Copied> {
    let path = Databases::at(dir).path(which);
    let mut out = FileWriter::create(&path)?;
    let mut index = IndexWriter::create(&index_path(dir, which), source.page_size(), source.pages())?;
    let bytes = u64::from(source.pages()) * u64::from(source.page_size());
    let mut meter = Meter::new(progress, which.word(), bytes);
    source.stream(|_, page| {
        out.append(page)?;
        index.add(page)?;
        meter.add(page.len())
    })?;
    let whole = index.publish()?;
    let mut header = None;
    out.publish(|file| {
        let length = file.metadata().at(READ, &path)?.len();
        if length != bytes {
            return Err(Error::damaged(
                &path,
                format!("{length} bytes were written instead of {bytes}"),
            ));
        }
        header = Some(crate::format::header::Header::read(file, source.path())?);
        Ok(())
    })?;
    let (user_version, application_id) = header.map_or((0, 0), |header| (header.user_version, header.application_id));
    Ok(Copied {
        whole,
        log_frames: source.log_frames(),
        user_version,
        application_id,
    })
}

/// Tables whose rows are counted.
const COUNTED: [&str; 8] = [
    "library_sections",
    "metadata_items",
    "media_items",
    "media_parts",
    "media_streams",
    "metadata_item_settings",
    "metadata_item_views",
    "blobs.blobs",
];

fn counts(reader: &Connection, path: &Path) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for table in COUNTED {
        // NOT INDEXED: SQLite might count along the index of a collation that it does not have (facts §1.4).
        let sql = format!("SELECT count(*) FROM {table} NOT INDEXED");
        let count: i64 = reader.query_row(&sql, [], |row| row.get(0)).at(READ, path)?;
        let name = table.rsplit('.').next().unwrap_or(table);
        counts.insert(name.to_owned(), count.unsigned_abs());
    }
    Ok(counts)
}

/// Copies both databases by SQLite's backup API into `dest`: the plain way, against which the other is tested.
///
/// # Errors
/// As [`take`]; `dest` has to exist.
pub fn take_plainly(databases: &Databases, dest: &Path) -> Result<()> {
    let target = Databases::at(dest);
    Which::BLOBS_FIRST
        .into_iter()
        .try_for_each(|which| crate::source::backup(&databases.path(which), &target.path(which)))
}
