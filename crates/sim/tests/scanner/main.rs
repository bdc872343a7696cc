//! `Plex Media Scanner` as a process: what it prints, how it ends, what it leaves when it is ended early.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod real;
mod terminate;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rusqlite::Connection;
use sim::schema::{self, Version};

/// So many folders with such long names that the lines about them do not fit into a pipe (64 KiB): a scan whose lines
/// nobody reads waits in its midst, however fast the machine is.
const FOLDERS: usize = 450;
const NAME: usize = 230;
const FILES: usize = 2;

/// A server's data directory with one section over a folder of media, and the scanner under its real name.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new(section_type: i64) -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        symlink(env!("CARGO_BIN_EXE_plex-sim"), world.program()).unwrap();
        fs::create_dir_all(world.media()).unwrap();
        schema::create(&world.databases(), Version::Plex2026).unwrap();
        let library = world.library();
        library
            .execute(
                "INSERT INTO library_sections (id, name, section_type, agent) VALUES (1, 'Things', ?1, 'tv.plex.agents.any')",
                [section_type],
            )
            .unwrap();
        library
            .execute(
                "INSERT INTO section_locations (library_section_id, root_path) VALUES (1, ?1)",
                [world.media().to_str().unwrap()],
            )
            .unwrap();
        world
    }

    /// With photos that need nothing but a name.
    fn with_photos() -> Self {
        let world = Self::new(13);
        for folder in 0..FOLDERS {
            let folder = world.media().join(album(folder));
            fs::create_dir_all(&folder).unwrap();
            for file in 0..FILES {
                fs::write(
                    folder.join(format!("{file}.jpg")),
                    format!("{} {file}", folder.display()),
                )
                .unwrap();
            }
        }
        world
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("Plex Media Scanner")
    }

    fn media(&self) -> PathBuf {
        self.dir.path().join("media")
    }

    fn databases(&self) -> PathBuf {
        self.dir.path().join("Plex Media Server/Plug-in Support/Databases")
    }

    fn library(&self) -> Connection {
        sim::store::open(&self.databases()).unwrap().library
    }

    fn number(&self, sql: &str) -> i64 {
        self.library().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        command
            .args(arguments)
            .env("PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR", self.dir.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Nothing is half written: every row has what it refers to, and the file is sound.
    fn assert_consistent(&self) {
        for (what, sql) in [
            (
                "parts without item",
                "SELECT count(*) FROM media_parts WHERE media_item_id NOT IN (SELECT id FROM media_items)",
            ),
            (
                "items without part",
                "SELECT count(*) FROM media_items WHERE id NOT IN (SELECT media_item_id FROM media_parts)",
            ),
            (
                "media without metadata",
                "SELECT count(*) FROM media_items WHERE metadata_item_id NOT IN (SELECT id FROM metadata_items NOT INDEXED)",
            ),
            (
                "photos without media",
                "SELECT count(*) FROM metadata_items WHERE metadata_type = 13 AND id NOT IN (SELECT metadata_item_id FROM media_items)",
            ),
            (
                "parts without folder",
                "SELECT count(*) FROM media_parts WHERE directory_id NOT IN (SELECT id FROM directories)",
            ),
        ] {
            assert_eq!(self.number(sql), 0, "{what}");
        }
        for table in ["metadata_items", "media_items", "media_parts", "directories", "tags"] {
            let sql = format!("PRAGMA integrity_check('{table}')");
            let answer: String = self.library().query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(answer, "ok", "{table}");
        }
    }
}

/// The name of a folder of [`World::with_photos`].
fn album(number: usize) -> String {
    format!("Album {number:03} {}", "x".repeat(NAME))
}

#[test]
fn a_scan_says_how_far_it_is() {
    let world = World::new(13);
    fs::create_dir(world.media().join("Summer")).unwrap();
    fs::write(world.media().join("Summer/one.jpg"), "1").unwrap();
    let output = world.run(&["--scan", "--refresh", "--section", "1"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "progress -1 0 Scanning Things\nprogress -1 0 Scanning Summer\n"
    );
    assert_eq!(world.number("SELECT count(*) FROM media_parts"), 1);
}

#[test]
fn short_options_and_one_folder() {
    let world = World::with_photos();
    let folder = world.media().join(album(7));
    let output = world.run(&["-s", "-r", "-c", "1", "-d", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        world.number("SELECT count(*) FROM media_parts"),
        i64::try_from(FILES).unwrap()
    );
}

#[test]
fn what_cannot_be_done_is_said() {
    let world = World::new(13);
    for (arguments, said) in [
        (&["--scan", "--section", "9"][..], "there is no section 9"),
        (&["--scan"][..], "--scan needs --section"),
        (&["--whatever"][..], "--whatever"),
    ] {
        let output = world.run(arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{output:?}");
    }
    let output = Command::new(world.program())
        .arg("--list")
        .env_remove("PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR")
        .output();
    assert!(String::from_utf8_lossy(&output.unwrap().stderr).contains("is not set"));
    fs::remove_file(world.databases().join(sim::store::BLOBS_DB)).unwrap();
    let output = world.run(&["--list"]);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("library.blobs.db"),
        "{output:?}"
    );
}

#[test]
fn sections_are_listed() {
    let world = World::new(13);
    assert_eq!(
        String::from_utf8(world.run(&["--list"]).stdout).unwrap(),
        "  1: Things\n"
    );
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn folder_of_wesnoth() -> Option<&'static Path> {
    let folder = Path::new("/usr/share/games/wesnoth/1.16/data/core/music");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "skipped: {} is not there (Debian's wesnoth-1.16-music)",
        folder.display()
    );
    None
}
