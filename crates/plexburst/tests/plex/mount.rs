//! Media behind a real S3 server, through a real rclone mount.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plexburst::clock::SystemClock;
use plexburst::config;
use plexburst::media::compare::Comparison;
use plexburst::media::proof::Outcome;
use plexburst::media::{Error, Media, Opened, mount};

use crate::support::{Killed, PROGRAM, free_port, has, play, role, skip, wait_until};

const SOON: Duration = Duration::from_secs(30);
/// Keys as long as real ones: 20 and 40 characters.
const KEYS: [&str; 2] = ["PLEXBURSTTESTKEY0001", "plexburst/test/secret/of/forty/chars/001"];

struct Bucket {
    dir: tempfile::TempDir,
    port: u16,
    server: Child,
}

impl Bucket {
    /// An S3 server with a bucket of a few files; none where it cannot be had.
    fn start(test: &str) -> Option<Self> {
        if !has("rclone") {
            skip(test, "rclone is not installed");
            return None;
        }
        if !Path::new("/dev/fuse").exists() || !has("fusermount3") {
            skip(test, "FUSE is not to be had");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("plexburst-test-").tempdir().unwrap();
        let files = dir.path().join("s3/bucket/Musik/Artist");
        fs::create_dir_all(&files).unwrap();
        for number in 0..20u8 {
            fs::write(
                files.join(format!("{number:02} - Ein Stück.flac")),
                vec![number; 300_000],
            )
            .unwrap();
        }
        fs::create_dir_all(dir.path().join("work")).unwrap();
        let port = free_port();
        let server = Command::new("rclone")
            .args([
                "serve",
                "s3",
                "--dir-cache-time",
                "0s",
                "--config",
                "/dev/null",
                "--auth-key",
                &KEYS.join(","),
            ])
            .args(["--addr", &format!("127.0.0.1:{port}")])
            .arg(dir.path().join("s3"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let bucket = Self { dir, port, server };
        bucket.configure(KEYS);
        wait_until("the S3 server", SOON, || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(bucket)
    }

    fn configure(&self, [key, secret]: [&str; 2]) {
        let text = format!(
            "[s3]\ntype = s3\nprovider = Rclone\nendpoint = http://127.0.0.1:{}\naccess_key_id = {key}\n\
             secret_access_key = {secret}\n",
            self.port
        );
        fs::write(self.dir.path().join("rclone.conf"), text).unwrap();
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn media(&self, remote: &str) -> Media {
        media(self.dir.path(), remote)
    }

    async fn open(&self, remote: &str) -> Result<Opened, Error> {
        open(&self.media(remote), &self.work()).await
    }

    fn signal(&self, signal: &str) {
        let pid = self.server.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.signal("-CONT");
        let _ = self.server.kill();
        let _ = self.server.wait();
        for mount in mounts(self.dir.path()) {
            let _ = Command::new("fusermount3").arg("-uz").arg(mount).status();
        }
    }
}

fn media(dir: &Path, remote: &str) -> Media {
    Media::of(&config::Media {
        remote: Some(remote.to_owned()),
        rclone_config: Some(dir.join("rclone.conf")),
        roots: [("/movies/Music".to_owned(), "Musik".to_owned())].into(),
        ..config::Media::default()
    })
    .unwrap()
}

async fn open(media: &Media, work: &Path) -> Result<Opened, Error> {
    let known = ["/movies/Music/Artist/03 - Ein Stück.flac".to_owned()];
    media.open(work, Path::new(PROGRAM), &known, SOON, &SystemClock).await
}

/// Mount points below a folder, by the kernel's word.
fn mounts(dir: &Path) -> Vec<String> {
    let dir = dir.canonicalize().unwrap().display().to_string();
    let text = fs::read_to_string("/proc/self/mounts").unwrap();
    text.lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|at| at.starts_with(&dir))
        .map(str::to_owned)
        .collect()
}

/// Not a test: a worker that mounts and waits to be killed.
#[tokio::test]
async fn worker() {
    let Some(args) = role("mount-worker") else {
        return;
    };
    let dir = Path::new(&args[0]);
    let _opened = open(&media(dir, "s3:bucket"), &dir.join("work")).await.unwrap();
    fs::write(dir.join("ready"), "").unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn mounted_listed_proved_and_gone() {
    let Some(bucket) = Bucket::start("mounted_listed_proved_and_gone") else {
        return;
    };
    let media = bucket.media("s3:bucket");
    let listing = media.list("/movies/Music", &mut |_| ()).await.unwrap();
    assert_eq!(listing.len(), 20);
    let known = [
        "/movies/Music/Artist/03 - Ein Stück.flac",
        "/movies/Music/Artist/gone.flac",
    ];
    assert_eq!(listing.size(known[0]), Some(300_000));
    let mut found = Comparison::new(&listing);
    assert_eq!(
        known.map(|path| found.add(&listing, path, Some(300_000))),
        [true, false]
    );
    assert_eq!((found.present, found.changed, found.new_files(&listing).0), (1, 0, 19));

    let opened = bucket.open("s3:bucket").await.unwrap();
    let bind = &opened.binds(["/movies/Music"]).unwrap()[0];
    assert_eq!(
        fs::read(bind.media.join("Artist/07 - Ein Stück.flac")).unwrap(),
        vec![7; 300_000]
    );
    assert!(fs::write(bind.media.join("new"), "x").is_err());
    let proof = opened.prove(&known.map(str::to_owned), SOON).await.unwrap();
    assert!(matches!(proof.files[0].outcome, Outcome::Read { .. }), "{proof}");
    assert_eq!(proof.files[1].outcome, Outcome::Missing);
    assert!(!proof.holds() && !proof.is_dead());
    let root = opened.prove(&["/movies/Music".to_owned()], SOON).await.unwrap();
    assert!(root.holds(), "{root}");
    opened.close().await.unwrap();
    assert!(mounts(bucket.dir.path()).is_empty());
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_is_mounted() {
    let Some(bucket) = Bucket::start("what_is_wrong_is_said_before_anything_is_mounted") else {
        return;
    };
    assert!(matches!(bucket.open("s3:nobucket").await, Err(Error::NoBucket { .. })));
    assert!(matches!(bucket.open("other:bucket").await, Err(Error::NoRemote { .. })));
    let missing = bucket.media("s3:bucket/Musik").list("/movies/Music", &mut |_| ()).await;
    assert!(matches!(missing, Err(Error::FolderMissing { .. })), "{missing:?}");
    bucket.configure(["PLEXBURSTTESTKEY0002", KEYS[1]]);
    let error = bucket.open("s3:bucket").await.unwrap_err();
    assert!(
        matches!(&error, Error::WrongKeys { said, .. } if said.contains("InvalidAccessKeyId")),
        "{error}"
    );
    assert!(!error.to_string().contains(KEYS[1]) && error.hint().is_some());
    assert!(mounts(bucket.dir.path()).is_empty());
}

#[tokio::test]
async fn a_silent_store_cannot_hang_the_proof_nor_the_unmount() {
    let Some(bucket) = Bucket::start("a_silent_store_cannot_hang_the_proof_nor_the_unmount") else {
        return;
    };
    let opened = bucket.open("s3:bucket").await.unwrap();
    bucket.signal("-STOP");
    let begun = Instant::now();
    let files = [5, 6].map(|number| format!("/movies/Music/Artist/{number:02} - Ein Stück.flac"));
    let proof = opened.prove(&files, Duration::from_secs(2)).await.unwrap();
    assert!(
        proof.is_dead() && proof.files[1].outcome == Outcome::TimedOut,
        "{proof}"
    );
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    opened.close().await.unwrap();
    assert!(mounts(bucket.dir.path()).is_empty());
}

#[tokio::test]
async fn what_a_killed_worker_left_is_cleared() {
    let Some(bucket) = Bucket::start("what_a_killed_worker_left_is_cleared") else {
        return;
    };
    let mut worker = Killed(
        play("mount::worker", "mount-worker", &[bucket.dir.path()])
            .spawn()
            .unwrap(),
    );
    wait_until("the mount", SOON, || bucket.dir.path().join("ready").exists());
    // The guardian first and as hard as the rest: nobody is left to unmount.
    let mut below = plexburst::plex::runtime::processes::below(i32::try_from(worker.0.id()).unwrap()).unwrap();
    below.rotate_left(1);
    for process in below {
        let _ = Command::new("kill").args(["-9", &process.pid.to_string()]).output();
    }
    worker.0.wait().unwrap();
    assert_eq!(mounts(bucket.dir.path()).len(), 1);
    let opened = bucket.open("s3:bucket").await.unwrap();
    assert!(opened.is_running());
    opened.close().await.unwrap();
    mount::clear(&bucket.work()).await.unwrap();
    assert!(mounts(bucket.dir.path()).is_empty());
}

#[tokio::test]
async fn a_worker_that_is_killed_takes_its_mount_along() {
    let Some(bucket) = Bucket::start("a_worker_that_is_killed_takes_its_mount_along") else {
        return;
    };
    let mut worker = Killed(
        play("mount::worker", "mount-worker", &[bucket.dir.path()])
            .spawn()
            .unwrap(),
    );
    wait_until("the mount", SOON, || !mounts(bucket.dir.path()).is_empty());
    worker.0.kill().unwrap();
    worker.0.wait().unwrap();
    wait_until("the unmount", SOON, || mounts(bucket.dir.path()).is_empty());
}

/// A named pipe that nobody writes to: opening it never comes back, as a read on a dead mount does not.
fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn directory(dir: &Path) -> Media {
    Media::of(&config::Media {
        directory: Some(dir.to_owned()),
        roots: [("/movies".to_owned(), String::new())].into(),
        ..config::Media::default()
    })
    .unwrap()
}

#[tokio::test]
async fn a_read_that_never_comes_back_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..6 {
        fs::write(dir.path().join(format!("{number}.flac")), "sound").unwrap();
    }
    // As many as the probe reads at the same time, so that nothing after them gets a turn.
    let pipes = ["a", "b", "c", "d"].map(|name| format!("/movies/{name}.flac"));
    for name in ["a", "b", "c", "d"] {
        pipe(&dir.path().join(format!("{name}.flac")));
    }
    let opened = directory(dir.path())
        .open(dir.path(), Path::new(PROGRAM), &[], SOON, &SystemClock)
        .await
        .unwrap();
    let mut files = vec!["/movies/0.flac".to_owned()];
    files.extend(pipes);
    files.push("/movies/1.flac".to_owned());
    let begun = Instant::now();
    let proof = opened.prove(&files, Duration::from_millis(500)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let read = |at: usize| matches!(proof.files[at].outcome, Outcome::Read { .. });
    assert!(read(0) && !proof.holds() && !proof.is_dead(), "{proof}");
    assert!(
        proof.files[1..5]
            .iter()
            .all(|probed| probed.outcome == Outcome::TimedOut),
        "{proof}"
    );
    assert_eq!(proof.files[3].file, Path::new("/movies/c.flac"));
    opened.close().await.unwrap();
}

#[tokio::test]
async fn a_directory_is_proved_by_its_files_and_needs_no_mount() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("A/B")).unwrap();
    fs::write(dir.path().join("A/B/1.flac"), vec![1; 100_000]).unwrap();
    fs::write(dir.path().join("A/B/2.flac"), "").unwrap();
    let opened = directory(dir.path())
        .open(dir.path(), Path::new(PROGRAM), &[], SOON, &SystemClock)
        .await
        .unwrap();
    let proof = opened
        .prove(&["/movies".to_owned(), "/movies/A/B/1.flac".to_owned()], SOON)
        .await
        .unwrap();
    assert!(proof.holds(), "{proof}");
    let proof = opened.prove(&["/movies/A/B/2.flac".to_owned()], SOON).await.unwrap();
    assert!(
        matches!(&proof.files[0].outcome, Outcome::Unreadable { reason } if reason == "the file is empty"),
        "{proof}"
    );
    assert!(opened.prove(&["/elsewhere/1.flac".to_owned()], SOON).await.is_err());
    let nobody = directory(dir.path())
        .open(dir.path(), Path::new("/no/plexburst"), &[], SOON, &SystemClock)
        .await;
    assert!(nobody.unwrap().prove(&["/movies".to_owned()], SOON).await.is_err());
}

#[tokio::test]
async fn known_files_that_are_gone_do_not_make_a_mount_dead() {
    let Some(bucket) = Bucket::start("known_files_that_are_gone_do_not_make_a_mount_dead") else {
        return;
    };
    let gone = ["/movies/Music/gone.flac".to_owned()];
    let media = bucket.media("s3:bucket");
    let opened = media
        .open(&bucket.work(), Path::new(PROGRAM), &gone, SOON, &SystemClock)
        .await
        .unwrap();
    opened.close().await.unwrap();
}
