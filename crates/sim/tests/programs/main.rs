//! The programs as processes: install, start, stop, `Plex Music Analyzer` from its first track to its end or its kill.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod analyzer;
mod service;
mod wesnoth;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sim::music::Spec;
use sim::schema::{self, Version};
use sim::store;

/// An installation, a data directory with one music section, and its media.
struct World {
    dir: tempfile::TempDir,
    server: PathBuf,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = sim::install(&dir.path().join("lib"), Path::new(env!("CARGO_BIN_EXE_plex-sim"))).unwrap();
        let world = Self { dir, server };
        fs::create_dir_all(world.media()).unwrap();
        world
    }

    /// With a library that has one section of music, and no server.
    fn with_library() -> Self {
        let world = Self::new();
        schema::create(&world.databases(), Version::Plex2026).unwrap();
        let library = world.db().library;
        let section = "INSERT INTO library_sections (id, name, section_type, agent) VALUES (1, 'Music', 8, ?1)";
        library.execute(section, ["tv.plex.agents.music"]).unwrap();
        let location = "INSERT INTO section_locations (library_section_id, root_path) VALUES (1, ?1)";
        library.execute(location, [world.media().to_str().unwrap()]).unwrap();
        world
    }

    fn media(&self) -> PathBuf {
        self.dir.path().join("media")
    }

    fn support(&self) -> PathBuf {
        self.dir.path().join("support")
    }

    fn data(&self) -> PathBuf {
        self.support().join("Plex Media Server")
    }

    fn databases(&self) -> PathBuf {
        self.data().join("Plug-in Support/Databases")
    }

    fn db(&self) -> store::Pair {
        store::open(&self.databases()).unwrap()
    }

    fn tempo(&self, json: &str) {
        fs::create_dir_all(self.data()).unwrap();
        fs::write(self.data().join("sim.json"), json).unwrap();
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.server.with_file_name(name));
        command
            .env("PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR", self.support())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn scan(&self) {
        let output = self
            .program("Plex Media Scanner")
            .args(["--scan", "--refresh", "--section", "1"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Runs the analyzer and returns its standard output and its log.
    fn analyse(&self) -> (String, String) {
        let output = self.program("Plex Music Analyzer").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    }

    /// The vector of each track, by its file's name.
    fn vectors(&self) -> BTreeMap<String, Vec<f64>> {
        let db = self.db();
        let file = "SELECT p.file FROM media_items m JOIN media_parts p ON p.media_item_id = m.id WHERE m.metadata_item_id = ?1";
        let mut statement = db
            .blobs
            .prepare("SELECT linked_id, blob FROM blobs WHERE blob_type = 7")
            .unwrap();
        let mut rows = statement.query([]).unwrap();
        let mut vectors = BTreeMap::new();
        while let Some(row) = rows.next().unwrap() {
            let (track, blob): (i64, Vec<u8>) = (row.get(0).unwrap(), row.get(1).unwrap());
            let file: String = db.library.query_row(file, [track], |row| row.get(0)).unwrap();
            let mut text = String::new();
            flate2::read::GzDecoder::new(blob.as_slice())
                .read_to_string(&mut text)
                .unwrap();
            let name = Path::new(&file).file_name().unwrap().to_str().unwrap().to_owned();
            vectors.insert(name, text.split(',').map(|number| number.parse().unwrap()).collect());
        }
        vectors
    }

    fn number(&self, sql: &str) -> i64 {
        self.db().library.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn music(tracks: usize) -> Spec {
    Spec {
        artists: 1,
        albums: 1,
        tracks,
        seconds: 1.0,
        ..Spec::default()
    }
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn env(pairs: &[(&str, &Path)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}
