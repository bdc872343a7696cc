//! A bucket behind a fault proxy, and what a mount of it leaves behind.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plexburst::clock::SystemClock;
use plexburst::config;
use plexburst::media::{Error, Media, Opened};
use sim::proxy::Proxy;

use crate::common::{PROGRAM, free_port, has, skip, wait_until};

/// For what takes a moment: nothing here is about how fast the machine is.
pub(crate) const LONG: Duration = Duration::from_secs(300);
/// Keys as long as real ones: 20 and 40 characters.
pub(crate) const KEYS: [&str; 2] = ["PLEXBURSTTESTKEY0001", "plexburst/test/secret/of/forty/chars/001"];

/// `rclone serve s3` over a folder of buckets.
pub(crate) struct Store {
    server: Child,
    port: u16,
}

impl Store {
    /// None where it cannot be had; the reason is printed.
    pub(crate) fn start(test: &str, folder: &Path) -> Option<Self> {
        if !has("rclone") {
            skip(test, "rclone is not installed");
            return None;
        }
        if !Path::new("/dev/fuse").exists() || !has("fusermount3") {
            skip(test, "FUSE is not to be had");
            return None;
        }
        let port = free_port();
        let server = Command::new("rclone")
            .args(["serve", "s3", "--dir-cache-time", "0s", "--config", "/dev/null"])
            .args(["--auth-key", &KEYS.join(","), "--addr", &format!("127.0.0.1:{port}")])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let store = Self { server, port };
        wait_until("the S3 server", LONG, || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(store)
    }

    pub(crate) async fn proxy(&self, seed: u64) -> Proxy {
        Proxy::start(([127, 0, 0, 1], self.port).into(), seed).await.unwrap()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// An rclone.conf that knows the store at `address` as `s3`.
pub(crate) fn rclone_conf(path: &Path, address: SocketAddr) {
    let [key, secret] = KEYS;
    let text = format!(
        "[s3]\ntype = s3\nprovider = Rclone\nendpoint = http://{address}\naccess_key_id = {key}\n\
         secret_access_key = {secret}\n"
    );
    fs::write(path, text).unwrap();
}

/// A bucket of files behind a proxy.
pub(crate) struct Bucket {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) proxy: Proxy,
    _store: Store,
}

impl Bucket {
    /// `files` files of `bytes` bytes each, below /Media/Music.
    pub(crate) async fn start(test: &str, files: usize, bytes: usize) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix("plexburst-test-").tempdir().unwrap();
        let folder = dir.path().join("s3/bucket/Music/Artist");
        fs::create_dir_all(&folder).unwrap();
        for number in 0..files {
            let content = vec![u8::try_from(number % 251).unwrap(); bytes];
            fs::write(folder.join(format!("{number:03}.flac")), content).unwrap();
        }
        let store = Store::start(test, &dir.path().join("s3"))?;
        let proxy = store.proxy(1).await;
        rclone_conf(&dir.path().join("rclone.conf"), proxy.address());
        Some(Self {
            dir,
            proxy,
            _store: store,
        })
    }

    pub(crate) fn config(&self) -> config::Media {
        config::Media {
            remote: Some("s3:bucket".to_owned()),
            rclone_config: Some(self.dir.path().join("rclone.conf")),
            roots: [("/Media".to_owned(), String::new())].into(),
            ..config::Media::default()
        }
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let folder = self.dir.path().join("s3/bucket/Music/Artist");
        let names = fs::read_dir(folder).unwrap();
        let mut files: Vec<String> = names
            .map(|entry| format!("/Media/Music/Artist/{}", entry.unwrap().file_name().to_string_lossy()))
            .collect();
        files.sort();
        files
    }

    /// Mounted, and proved by any file.
    pub(crate) async fn open(&self) -> Result<Opened, Error> {
        self.open_as(&self.config()).await
    }

    pub(crate) async fn open_as(&self, config: &config::Media) -> Result<Opened, Error> {
        let work = self.dir.path().join("work");
        Media::of(config)?
            .open(&work, Path::new(PROGRAM), &[], LONG, &SystemClock)
            .await
    }

    /// The mount's own rclone.
    pub(crate) fn rclone(&self) -> i32 {
        let work = self.dir.path().join("work").display().to_string();
        let found = crate::common::processes_with(&work);
        let is_rclone = |pid: &&i32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == "rclone"
        };
        *found.iter().find(is_rclone).expect("an rclone that mounts")
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        for mount in mounts(self.dir.path()) {
            let _ = Command::new("fusermount3").arg("-uz").arg(mount).status();
        }
    }
}

/// Mount points below a folder, by the kernel's word.
pub(crate) fn mounts(dir: &Path) -> Vec<String> {
    let dir = dir.canonicalize().unwrap().display().to_string();
    let text = fs::read_to_string("/proc/self/mounts").unwrap();
    text.lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|at| at.starts_with(&dir))
        .map(str::to_owned)
        .collect()
}

/// Threads of this process.
pub(crate) fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

pub(crate) fn signal(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Ends the connection of the mount at or below `dir`, as root can through fusectl; false where it cannot be had.
pub(crate) fn abort_connection(dir: &Path) -> bool {
    let dir = dir.canonicalize().unwrap().display().to_string();
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let minor = text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let is_ours = fields[4].starts_with(&dir) && line.contains("fuse.rclone");
        is_ours.then(|| fields[2].split_once(':').unwrap().1.to_owned())
    });
    let Some(minor) = minor else { return false };
    fusectl().is_some_and(|control: PathBuf| fs::write(control.join(minor).join("abort"), "1").is_ok())
}

/// Where fusectl is mounted; mounts it where it belongs when nobody has.
fn fusectl() -> Option<PathBuf> {
    let place = PathBuf::from("/sys/fs/fuse/connections");
    let is_mounted = || fs::read_to_string("/proc/self/mounts").unwrap().contains(" fusectl ");
    if !is_mounted() {
        let _ = Command::new("mount")
            .args(["-t", "fusectl", "none"])
            .arg(&place)
            .status();
    }
    is_mounted().then_some(place)
}
