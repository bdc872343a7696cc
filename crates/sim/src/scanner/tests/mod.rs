//! Scans of real files, with the rows they leave.

mod change;
mod first;
mod trash;
mod video;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lofty::config::WriteOptions;
use lofty::tag::{Accessor, ItemKey, Tag, TagExt, TagType};
use rusqlite::Connection;

use super::walk::{self, Outcome, Request};
use crate::process::{Cancel, Process, Progress};
use crate::schema::{self, Version};
use crate::store::clock;

/// A server's data directory, a folder with media, and a section over it.
pub(crate) struct World {
    _dir: tempfile::TempDir,
    pub(crate) support: PathBuf,
    pub(crate) media: PathBuf,
    pub(crate) section: i64,
}

impl World {
    fn new(kind: i64, agent: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (support, media) = (dir.path().join("support"), dir.path().join("media"));
        fs::create_dir_all(&media).unwrap();
        schema::create(
            &support.join("Plex Media Server/Plug-in Support/Databases"),
            Version::Plex2026,
        )
        .unwrap();
        let mut world = Self {
            _dir: dir,
            support,
            media,
            section: 0,
        };
        let library = world.process().db.library;
        library
            .execute(
                "INSERT INTO library_sections (name, section_type, agent, language, uuid) VALUES ('Things', ?1, ?2, 'xn', 'u')",
                (kind, agent),
            )
            .unwrap();
        world.section = library.last_insert_rowid();
        library
            .execute(
                "INSERT INTO section_locations (library_section_id, root_path) VALUES (?1, ?2)",
                (world.section, world.media.to_str().unwrap()),
            )
            .unwrap();
        world
    }

    pub(crate) fn music() -> Self {
        Self::new(8, "tv.plex.agents.music")
    }

    pub(crate) fn process(&self) -> Process {
        Process::open(&self.support, Cancel::default(), Progress::to(std::io::sink())).unwrap()
    }

    pub(crate) fn library(&self) -> Connection {
        self.process().db.library
    }

    pub(crate) fn scan(&self) -> Outcome {
        self.request(&Request {
            section: self.section,
            ..Request::default()
        })
    }

    fn forced(&self) -> Outcome {
        self.request(&Request {
            section: self.section,
            force: true,
            directory: None,
        })
    }

    fn request(&self, request: &Request) -> Outcome {
        walk::scan(&mut self.process(), request).unwrap()
    }

    pub(crate) fn keep_trash(&self) {
        fs::write(
            self.support.join("Plex Media Server/Preferences.xml"),
            "<?xml version=\"1.0\"?><Preferences autoEmptyTrash=\"0\"/>",
        )
        .unwrap();
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.library().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        let library = self.library();
        let mut statement = library.prepare(sql).unwrap();
        let rows = statement
            .query_map([], |row| Ok(row.get::<_, Option<String>>(0)?.unwrap_or_default()))
            .unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Titles of what is there and not in the trash.
    fn titles(&self, kind: i64) -> Vec<String> {
        self.texts(&format!(
            "SELECT title FROM metadata_items WHERE metadata_type = {kind} AND deleted_at IS NULL ORDER BY title"
        ))
    }

    /// Every row of the tables that a scan writes, but for the times of the scan itself.
    fn rows(&self) -> BTreeMap<&'static str, Vec<String>> {
        let library = self.library();
        let dump = |table: &str, without: &[&str]| {
            let mut statement = library
                .prepare(&format!("SELECT * FROM {table} NOT INDEXED ORDER BY id"))
                .unwrap();
            let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
            let mut rows = statement.query([]).unwrap();
            let mut all = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                let columns = names
                    .iter()
                    .enumerate()
                    .filter(|(_, name)| !without.contains(&name.as_str()));
                all.push(
                    columns
                        .map(|(n, name)| format!("{name}={:?} ", row.get_ref(n).unwrap()))
                        .collect(),
                );
            }
            all
        };
        BTreeMap::from([
            ("directories", dump("directories", &[])),
            ("library_sections", dump("library_sections", &["scanned_at"])),
            ("media_items", dump("media_items", &[])),
            ("media_parts", dump("media_parts", &[])),
            ("media_streams", dump("media_streams", &[])),
            ("metadata_items", dump("metadata_items", &[])),
            ("section_locations", dump("section_locations", &["scanned_at"])),
            ("taggings", dump("taggings", &[])),
            ("tags", dump("tags", &[])),
        ])
    }

    /// Writes a tagged song; its sound depends on all of the names.
    fn song(&self, artist: &str, album: &str, number: u32, title: &str) -> PathBuf {
        let path = self
            .media
            .join(artist)
            .join(album)
            .join(format!("{number:02} - {title}.wav"));
        wav(&path, &format!("{artist}{album}{number}{title}"));
        let mut tag = Tag::new(TagType::Id3v2);
        tag.set_artist(artist.to_owned());
        tag.set_album(album.to_owned());
        tag.set_title(title.to_owned());
        tag.set_track(number);
        tag.set_genre("Ambient".to_owned());
        tag.insert_text(ItemKey::AlbumArtist, artist.to_owned());
        tag.save_to_path(&path, WriteOptions::default()).unwrap();
        path
    }

    /// Writes a file with that content.
    fn file(&self, path: &str, content: &str) -> PathBuf {
        let path = self.media.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }
}

/// A tenth of a second of 8 kHz mono that depends on `seed`.
fn wav(path: &Path, seed: &str) {
    let step = seed
        .bytes()
        .fold(17_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)))
        % 200
        + 3;
    let samples: Vec<u8> = (0..800_u32)
        .flat_map(|n| i16::try_from(n * step % 20_000).unwrap().to_le_bytes())
        .collect();
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend(u32::try_from(36 + samples.len()).unwrap().to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(8000_u32.to_le_bytes());
    file.extend(16_000_u32.to_le_bytes());
    file.extend(2_u16.to_le_bytes());
    file.extend(16_u16.to_le_bytes());
    file.extend(b"data");
    file.extend(u32::try_from(samples.len()).unwrap().to_le_bytes());
    file.extend(samples);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, file).unwrap();
}

/// Moves a folder's time, as a remote mount does when it is mounted again.
fn touch(path: &Path, seconds: i64) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(seconds).unwrap());
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

/// Long enough ago that a scan trusts the time of a folder.
fn settle(folder: &Path) {
    let long_ago = clock::now() - 3600;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            settle(&path);
        }
    }
    touch(folder, long_ago);
}
