//! A server on a free port with a data directory of its own, and a small HTTP client.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use serde_json::Value;
use sim::server::DataDir;
use tempfile::TempDir;

/// Longer than anything here takes, shorter than a person's patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One server and its directories; killed when dropped.
pub(crate) struct Home {
    dir: TempDir,
    pub(crate) port: u16,
    child: Option<Child>,
    environment: Vec<(String, String)>,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A port that nobody listens on right now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Waits for a condition, asking again and again.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Home {
    /// A data directory without anything in it, and programs that are the simulator's own.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Self {
            dir,
            port: free_port(),
            child: None,
            environment: Vec::new(),
        };
        fs::create_dir_all(home.programs()).unwrap();
        for name in ["Plex Media Server", "Plex Media Scanner", "Plex Music Analyzer"] {
            symlink(env!("CARGO_BIN_EXE_plex-sim"), home.programs().join(name)).unwrap();
        }
        home
    }

    /// A server that runs.
    pub(crate) fn started() -> Self {
        let mut home = Self::new();
        home.start();
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn programs(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    pub(crate) fn data(&self) -> DataDir {
        DataDir::below(&self.dir.path().join("support"))
    }

    pub(crate) fn plextv(&self) -> PathBuf {
        self.dir.path().join("plextv")
    }

    /// Sets a variable of the server's environment for later starts.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Writes the tempo file.
    pub(crate) fn tempo(&self, json: &str) {
        fs::create_dir_all(self.data().root()).unwrap();
        fs::write(self.data().tempo(), json).unwrap();
    }

    /// Puts a shell script in the place of a child program. `$DIR` is this home's directory.
    pub(crate) fn replace_program(&self, name: &str, script: &str) {
        let path = self.programs().join(name);
        fs::remove_file(&path).unwrap();
        fs::write(&path, format!("#!/bin/sh\nDIR='{}'\n{script}\n", self.path().display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The command that starts this server.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.programs().join("Plex Media Server"));
        command
            .env(
                "PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR",
                self.dir.path().join("support"),
            )
            .env("PLEX_SIM_PORT", self.port.to_string())
            .env("PLEX_SIM_PLEXTV", self.plextv())
            .env_remove("PLEX_CLAIM")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Starts it without waiting.
    pub(crate) fn spawn(&mut self) {
        self.child = Some(self.command().spawn().unwrap());
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(&mut self) {
        self.spawn();
        wait_until("/identity answers 200", || {
            assert!(
                self.child.as_mut().unwrap().try_wait().unwrap().is_none(),
                "the server ended: {}",
                self.log()
            );
            self.try_call("GET", "/identity", &[])
                .is_some_and(|answer| answer.status == 200)
        });
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        self.wait();
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server did not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// All of the server's log, oldest line first.
    pub(crate) fn log(&self) -> String {
        let path = |age: u32| match age {
            0 => self.data().logs().join("Plex Media Server.log"),
            n => self.data().logs().join(format!("Plex Media Server.{n}.log")),
        };
        (0..=5)
            .rev()
            .filter_map(|age| fs::read_to_string(path(age)).ok())
            .collect()
    }

    /// One request; `None` when nobody answers.
    pub(crate) fn try_call(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Option<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).ok()?;
        let text = String::from_utf8(text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Some(Answer {
            status,
            headers,
            body: body.to_owned(),
        })
    }

    pub(crate) fn call(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.try_call(method, path, headers)
            .unwrap_or_else(|| panic!("no answer to {method} {path}: {}", self.log()))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[])
    }

    /// A request that must be answered with 200.
    pub(crate) fn ok(&self, method: &str, path: &str) -> Answer {
        let answer = self.call(method, path, &[]);
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}\n{}", self.log());
        answer
    }

    /// GET as JSON, without its root.
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.call("GET", path, &[("Accept", "application/json")]);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let mut root = answer.json();
        root.as_object_mut().unwrap().values_mut().next().unwrap().take()
    }

    /// Waits until the server is busy with nothing.
    pub(crate) fn settle(&self) {
        wait_until("no activity is left", || self.json("/activities")["size"] == 0);
    }

    /// The library, read and written beside the server.
    pub(crate) fn library(&self) -> Connection {
        sim::store::open(&self.data().databases()).unwrap().library
    }

    /// One value of the library.
    pub(crate) fn value<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.library().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The rows of a small music section: section 1, artist 1, album 2, tracks 3 and 4 of 200 s.
pub(crate) fn add_music(home: &Home) {
    let db = home.library();
    db.execute_batch(
        "INSERT INTO library_sections (id, name, name_sort, section_type, language, agent, scanner, uuid, created_at,
             updated_at, scanned_at, changed_at, content_changed_at, user_fields)
         VALUES (1, 'Music', 'Music', 8, 'en-US', 'tv.plex.agents.music', 'Plex Music',
             '6a1e0a2c-0000-4000-8000-000000000001', 1700000000, 1700000001, 1700000002, 5, 7, '{\"url\":\"\"}');
         INSERT INTO section_locations (id, library_section_id, root_path, available) VALUES (1, 1, '/music', 1);",
    )
    .unwrap();
    let rows = [
        (1, None::<i64>, 8, "plex://artist/a", "Artist", 1),
        (2, Some(1), 9, "plex://album/b", "Album", 1),
        (3, Some(2), 10, "plex://track/c", "First & \"only\"", 1),
        (4, Some(2), 10, "local://4", "Second", 2),
    ];
    for (id, parent, kind, guid, title, index) in rows {
        db.execute(
            "INSERT INTO metadata_items (id, library_section_id, parent_id, metadata_type, guid, title, title_sort, \"index\",
                 duration, added_at, updated_at, changed_at, extra_data)
             VALUES (?1, 1, ?2, ?3, ?4, ?5, ?5, ?6, 200000, 1700000000, 1700000001, 9, '{\"url\":\"\"}')",
            params![id, parent, kind, guid, title, index],
        )
        .unwrap();
    }
    for id in [3, 4] {
        db.execute(
            "INSERT INTO media_items (id, library_section_id, metadata_item_id, duration, bitrate, container, audio_codec,
                 audio_channels, extra_data) VALUES (?1, 1, ?1, 200000, 900000, 'flac', 'flac', 2, '{\"url\":\"\"}')",
            [id],
        )
        .unwrap();
        db.execute(
            "INSERT INTO media_parts (id, media_item_id, hash, file, \"index\", size, duration, created_at, extra_data)
             VALUES (?1, ?1, 'abc', ?2, 0, 1000, 200000, 1700000000, '{\"ma:container\":\"flac\",\"url\":\"\"}')",
            params![id, format!("/music/Artist/Album/{id}.flac")],
        )
        .unwrap();
        db.execute(
            "INSERT INTO media_streams (id, stream_type_id, media_item_id, media_part_id, codec, \"index\", channels,
                 extra_data) VALUES (?1, 2, ?1, ?1, 'flac', 0, 2, '{\"ld:gain\":\"-3.25\",\"ld:loudness\":\"-14.75\",\"url\":\"\"}')",
            [id],
        )
        .unwrap();
    }
}

/// Writes artists/albums/tracks as short WAV files of different tones, named as people name them.
pub(crate) fn write_tones(dir: &Path, artists: u32, albums: u32, tracks: u32) {
    const RATE: u32 = 22_050;
    for artist in 1..=artists {
        for album in 1..=albums {
            let folder = dir
                .join(format!("Artist {artist}"))
                .join(format!("Album {artist}-{album}"));
            fs::create_dir_all(&folder).unwrap();
            for track in 1..=tracks {
                let pitch = f64::from(150 + 90 * artist + 40 * album + 15 * track);
                let samples: Vec<u8> = (0..RATE * 2)
                    .flat_map(|at| {
                        let wave = (f64::from(at) * pitch * std::f64::consts::TAU / f64::from(RATE)).sin();
                        #[expect(clippy::cast_possible_truncation, reason = "within the range of the sample")]
                        ((wave * 8000.0) as i16).to_le_bytes()
                    })
                    .collect();
                let size = u32::try_from(samples.len()).unwrap();
                let mut wav = Vec::new();
                wav.extend(b"RIFF");
                wav.extend((36 + size).to_le_bytes());
                wav.extend(b"WAVEfmt ");
                wav.extend(16_u32.to_le_bytes());
                wav.extend([1_u16.to_le_bytes(), 1_u16.to_le_bytes()].concat());
                wav.extend([RATE.to_le_bytes(), (RATE * 2).to_le_bytes()].concat());
                wav.extend([2_u16.to_le_bytes(), 16_u16.to_le_bytes()].concat());
                wav.extend(b"data");
                wav.extend(size.to_le_bytes());
                wav.extend(samples);
                let name = format!("{track:02} - Track {artist}-{album}-{track}.wav");
                fs::write(folder.join(name), wav).unwrap();
            }
        }
    }
}
