//! A world for whole bursts: a home run by the simulator, media in a folder or behind a real S3 server, and the built
//! program driven from outside. Everything lies in one temporary folder; every process is stopped when it is dropped.

#![allow(dead_code, reason = "each test binary uses another part of it")]
#![allow(clippy::print_stdout, reason = "a skip has to be seen")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use plexburst::plex::client::{Address, Client, Item, ItemKind, NewSection};
use plexburst::plex::preferences;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_plexburst");

/// Waits until `what` holds; a test waits for conditions, never for times.
pub(crate) fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Prints why a test could not run here; `./dev test` counts the line.
pub(crate) fn skip(test: &str, why: &str) {
    println!("SKIPPED {test}: {why}");
}

pub(crate) fn has(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// One home and one configuration.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) server: PathBuf,
    pub(crate) port: u16,
    pub(crate) extra_config: String,
    pub(crate) media_config: String,
    /// What stands under `[depot]`; empty: a folder.
    pub(crate) depot_config: String,
    pub(crate) cell: &'static str,
    /// More lines under `[worker]`, in place of the binary.
    pub(crate) worker_config: String,
    /// Where the worker's server listens without a cell; unset: a free port.
    pub(crate) worker_port: Option<u16>,
    helpers: Vec<Child>,
}

impl World {
    /// An empty world; home is not running.
    pub(crate) fn new() -> Self {
        Self::new_in(&std::env::temp_dir())
    }

    /// The same, in a folder of `parent`.
    pub(crate) fn new_in(parent: &Path) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("plexburst-test-")
            .tempdir_in(parent)
            .unwrap();
        let server = sim::install(&dir.path().join("pms"), Path::new(PROGRAM)).unwrap();
        std::fs::create_dir_all(dir.path().join("media/Music")).unwrap();
        Self {
            server,
            port: free_port(),
            extra_config: String::new(),
            media_config: String::new(),
            depot_config: String::new(),
            worker_config: String::new(),
            cell: "auto",
            worker_port: None,
            helpers: Vec::new(),
            dir,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn media(&self) -> PathBuf {
        self.path("media")
    }

    pub(crate) fn support(&self) -> PathBuf {
        self.path("home")
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.support().join("Plex Media Server")
    }

    pub(crate) fn databases(&self) -> PathBuf {
        self.data_dir().join("Plug-in Support/Databases")
    }

    pub(crate) fn plextv(&self) -> PathBuf {
        self.path("plextv")
    }

    /// Synthesises `artists` × `albums` × `tracks` into the media's Music folder.
    pub(crate) fn music(&self, seed: u64, artists: usize, albums: usize, tracks: usize, seconds: f64) {
        let spec = sim::music::Spec {
            artists,
            albums,
            tracks,
            seconds,
            seed,
            ..sim::music::Spec::default()
        };
        sim::music::synthesise(&self.media().join("Music"), &spec).unwrap();
    }

    pub(crate) fn start_home(&self) {
        let env = [("PLEX_SIM_PLEXTV".into(), self.plextv().into_os_string())];
        sim::service::start(&self.server, &self.support(), self.port, &env).unwrap();
    }

    pub(crate) fn stop_home(&self) {
        sim::service::stop(&self.support()).unwrap();
    }

    pub(crate) fn client(&self) -> Client {
        let token = preferences::local_token(&self.data_dir());
        Client::new("home", &Address::loopback(self.port), token.as_ref()).unwrap()
    }

    /// Creates a music section at `root` and waits until home has scanned it.
    pub(crate) async fn create_music(&self, root: &str, tracks: u64) -> i64 {
        let id = self
            .client()
            .create_section(&NewSection {
                title: "Music".into(),
                kind: "artist".into(),
                agent: "tv.plex.agents.music".into(),
                scanner: "Plex Music".into(),
                language: "en-US".into(),
                locations: vec![root.into()],
            })
            .await
            .unwrap();
        self.settle(id, tracks).await;
        id
    }

    /// Waits until home is idle with at least `wanted` files of tracks.
    pub(crate) async fn settle(&self, section: i64, wanted: u64) {
        let client = self.client();
        let since = Instant::now();
        loop {
            let is_idle = client.activities().await.unwrap().is_empty()
                && client.sections().await.unwrap().iter().all(|s| !s.refreshing);
            let count = part_count(&self.tracks(section).await);
            if is_idle && count >= wanted {
                return;
            }
            assert!(
                since.elapsed() < Duration::from_secs(120),
                "home found {count} of {wanted} files"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn tracks(&self, section: i64) -> Vec<Item> {
        self.client()
            .items(section, ItemKind::Track, 0, 100_000)
            .await
            .unwrap()
            .items
    }

    /// A fresh claim with a Plex Pass in `claim`.
    pub(crate) fn issue_claim(&self) {
        let claim = sim::plextv::PlexTv::at(&self.plextv()).issue_claim(true).unwrap();
        std::fs::write(self.path("claim"), claim).unwrap();
    }

    /// Writes plexburst.toml; `roots` are section root → folder in the media.
    pub(crate) fn configure(&self, roots: &[(&str, &str)]) {
        let q = |p: &Path| format!("{:?}", p.display().to_string());
        let mut text = String::new();
        let program = q(Path::new(PROGRAM));
        writeln!(text, "state_dir = {}", q(&self.path("state"))).unwrap();
        text.push_str(&self.extra_config);
        writeln!(
            text,
            "\n[home]\ndata_dir = {}\nurl = \"http://127.0.0.1:{}\"\nstop = [{program}, \"sim\", \"stop\", \"--support\", {support}]\n\
             start = [{program}, \"sim\", \"start\", \"--server\", {server}, \"--support\", {support}, \"--port\", \"{}\", \"--plextv\", {}]",
            q(&self.data_dir()),
            self.port,
            self.port,
            q(&self.plextv()),
            support = q(&self.support()),
            server = q(&self.server),
        )
        .unwrap();
        text.push_str("\n[media]\n");
        if self.media_config.is_empty() {
            writeln!(text, "directory = {}", q(&self.media())).unwrap();
        } else {
            text.push_str(&self.media_config);
        }
        text.push_str("\n[media.roots]\n");
        for (root, folder) in roots {
            writeln!(text, "{root:?} = {folder:?}").unwrap();
        }
        writeln!(
            text,
            "\n[depot]\n{}\n\n[worker]\n{}\ndirectory = {}\nclaim_file = {}\nwritable = [{}]\ncell = {:?}\ninternet = false\n\
             env = {{ PLEX_SIM_PLEXTV = {}, PLEX_SIM_PORT = \"{port}\" }}\nport = {port}\n\n[limits]\ninterval = 0.1\ngrace = 1.0\nready = 120\ncloud = {{ interval = 0.1, grace = 1.0 }}",
            match self.depot_config.as_str() {
                "" => format!("directory = {}", q(&self.path("depot"))),
                config => config.to_owned(),
            },
            match self.worker_config.as_str() {
                "" => format!("server = {}", q(&self.server)),
                config => config.to_owned(),
            },
            q(&self.path("worker")),
            q(&self.path("claim")),
            q(&self.plextv()),
            self.cell,
            q(&self.plextv()),
            port = match (self.worker_port, self.cell) {
                (Some(port), _) => port,
                (None, "never") => free_port(),
                // In a cell home's own port is no one else's.
                (None, _) => 32400,
            },
        )
        .unwrap();
        std::fs::write(self.path("plexburst.toml"), text).unwrap();
    }

    /// The program with this world's configuration; no environment of the tester's leaks in.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--config").arg(self.path("plexburst.toml")).args(args);
        command
            .env_remove("PLEX_CLAIM")
            .stdin(Stdio::null())
            .current_dir(self.dir.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs, must succeed, and gives its JSON.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "{args:?} ended with {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
            self.logs(),
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What the burst and its worker said, for a test that fails.
    pub(crate) fn logs(&self) -> String {
        let mut text = String::new();
        for pattern in ["state/bursts", "worker"] {
            let Ok(entries) = std::fs::read_dir(self.path(pattern)) else {
                continue;
            };
            for entry in entries.flatten() {
                for name in ["log.txt", "worker.log", "plex/plex.out"] {
                    if let Ok(log) = std::fs::read_to_string(entry.path().join(name)) {
                        let _ = writeln!(text, "--- {name}\n{log}");
                    }
                }
            }
        }
        text
    }

    /// The folder of the only burst.
    pub(crate) fn burst_dir(&self) -> PathBuf {
        let mut dirs: Vec<PathBuf> = std::fs::read_dir(self.path("state/bursts"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        dirs.sort();
        dirs.pop().unwrap()
    }

    /// The archive of the newest burst's logs, by name.
    pub(crate) fn packed_logs(&self) -> BTreeMap<String, String> {
        let file = std::fs::File::open(self.burst_dir().join("logs.tar.zst")).unwrap();
        let bytes = zstd::decode_all(file).unwrap();
        let mut tar = tar::Archive::new(bytes.as_slice());
        let entries = tar.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.path().unwrap().display().to_string(), text)
        });
        entries.collect()
    }

    /// The media behind a mount by rclone instead of a folder; false, with the reason printed, where none can be had.
    pub(crate) fn mount_media(&mut self, test: &str) -> bool {
        if !has("rclone") || !has("fusermount3") || !Path::new("/dev/fuse").exists() {
            skip(test, "no mount by rclone can be had; the media are a folder");
            return false;
        }
        let conf = self.path("rclone.conf");
        let text = format!("[files]\ntype = alias\nremote = {}\n", self.media().display());
        std::fs::write(&conf, text).unwrap();
        self.media_config = format!("remote = \"files:\"\nrclone_config = {conf:?}\n");
        true
    }

    /// Keeps a helper process until the world ends.
    pub(crate) fn keep(&mut self, child: Child) {
        self.helpers.push(child);
    }

    /// Every process of this world's workers that is still there.
    pub(crate) fn workers(&self) -> Vec<i32> {
        let needle = self.path("worker").display().to_string();
        processes_with(&needle)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for pid in self.workers() {
            kill(pid);
        }
        let _ = sim::service::stop(&self.support());
        for child in &mut self.helpers {
            let _ = child.kill();
            let _ = child.wait();
        }
        // A mount that a failed test left must not be walked into when the folder is removed.
        let prefix = self.dir.path().display().to_string();
        for line in std::fs::read_to_string("/proc/self/mounts").unwrap_or_default().lines() {
            // Blanks are written as octal digits there.
            let point = line.split(' ').nth(1).unwrap_or_default().replace("\\040", " ");
            if point.starts_with(&prefix) {
                let is_fuse = line.split(' ').nth(2).is_some_and(|kind| kind.starts_with("fuse"));
                let (program, flag) = if is_fuse {
                    ("fusermount3", "-uz")
                } else {
                    ("umount", "-l")
                };
                let _ = Command::new(program).args([flag, &point]).status();
            }
        }
    }
}

/// `Databases` bound onto itself: a mount of its own, as in a container.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// `None` where mounts cannot be made.
    pub(crate) fn at(dir: &Path) -> Option<Self> {
        let is_bound = Command::new("mount")
            .arg("--bind")
            .args([dir, dir])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        is_bound.then(|| Self(dir.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Home may still be running in it, or its world has taken it along.
        drop(
            Command::new("umount")
                .arg("-l")
                .arg(&self.0)
                .stderr(Stdio::null())
                .status(),
        );
    }
}

/// What every burst's archive of logs has: what Plex, its scanner, both sides and (with `is_mounted`) the mount have said, and
/// none of `secrets`.
pub(crate) fn hold_everything(logs: &BTreeMap<String, String>, is_mounted: bool, secrets: &[String]) {
    let find = |end: &str| logs.iter().find(|(name, _)| name.ends_with(end));
    let all = [
        "Plex-Media-Server.log",
        "Plex-Media-Scanner.log",
        "worker.log",
        "terminal.log",
    ];
    for end in all.into_iter().chain(is_mounted.then_some("mount-rclone.log")) {
        let (_, text) = find(end).unwrap_or_else(|| panic!("{end} is not in {:?}", logs.keys()));
        // A mount that nothing happened to may have said nothing.
        assert!(
            end == "mount-rclone.log" || !text.is_empty() || end == "worker.log",
            "{end} is empty"
        );
    }
    for name in ["journal.jsonl", "worker-journal.jsonl"] {
        assert!(find(name).is_some(), "{name} is not in {:?}", logs.keys());
    }
    hold_no_secret(logs, secrets);
}

/// None of `secrets` is in the logs.
pub(crate) fn hold_no_secret(logs: &BTreeMap<String, String>, secrets: &[String]) {
    let secrets: Vec<&str> = secrets
        .iter()
        .map(|secret| secret.trim())
        .filter(|secret| !secret.is_empty())
        .collect();
    assert!(!secrets.is_empty());
    for secret in secrets {
        for (name, text) in logs {
            assert!(!text.contains(secret), "{name} has {}…", &secret[..4]);
        }
    }
}

/// Processes with `needle` on their command line, this one left out.
pub(crate) fn processes_with(needle: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(needle) && pid != std::process::id().cast_signed() {
            found.push(pid);
        }
    }
    found
}

pub(crate) fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Files of all items: an item may have several.
pub(crate) fn part_count(items: &[Item]) -> u64 {
    items.iter().map(|i| i.parts().count() as u64).sum()
}

/// Track id → file.
pub(crate) fn files(items: &[Item]) -> BTreeMap<i64, String> {
    items
        .iter()
        .map(|i| (i.id, i.parts().map(|p| p.file.clone()).collect::<Vec<_>>().join("|")))
        .collect()
}

/// `inspect` or `verify` of a path, as JSON.
pub(crate) fn look(command: &str, path: &Path) -> serde_json::Value {
    let output = Command::new(PROGRAM)
        .args([command, "--json"])
        .arg(path)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!(
            "{command} {}: {}",
            path.display(),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// `shared/data/plex-2026` beside the project, when it is there.
pub(crate) fn real_library() -> Option<PathBuf> {
    let path = std::env::var_os("PLEXBURST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/plex-2026"),
        PathBuf::from,
    );
    path.join("media").is_dir().then(|| path.canonicalize().unwrap())
}

/// Copies a tree, writable.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::write(&target, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}
