//! The monitor over a real mount, on every kind of bad day.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plexburst::clock::SystemClock;
use plexburst::media::Opened;
use plexburst::media::health::{Limits, Monitor, Root, Verdict};
use rustix::process::Signal;
use sim::proxy::Fault;

use crate::support::{Bucket, KEYS, LONG, abort_connection, mounts, signal};

/// Quick enough for a test, in the proportions of the real ones, and slow enough for a machine that is busy.
const LIMITS: Limits = Limits {
    probe: Duration::from_secs(4),
    interval: Duration::from_millis(400),
    dead: Duration::from_secs(6),
    slow: Duration::from_millis(500),
};

fn watch(bucket: &Bucket, opened: &Opened) -> Monitor {
    let root = Root {
        root: "/Media/Music".to_owned(),
        files: bucket.files(),
    };
    Monitor::start(opened.prober(), vec![root], LIMITS, Arc::new(SystemClock))
}

fn is_dead(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Dead { .. })
}

/// Puts the fault in force and waits for a verdict; the media come back afterwards, and are proved.
async fn dies_and_comes_back(bucket: &Bucket, opened: &mut Opened, fault: Fault, others: impl FnOnce()) -> String {
    let monitor = watch(bucket, opened);
    assert!(monitor.settled().await.verdict.is_alive());
    bucket.proxy.set(fault);
    others();
    let health = tokio::time::timeout(LONG, async {
        loop {
            let health = monitor.settled().await;
            if is_dead(&health.verdict) {
                return health;
            }
        }
    });
    let health = health
        .await
        .unwrap_or_else(|_| panic!("{fault:?}: no verdict, but {}", monitor.health()));
    drop(monitor);
    let begun = Instant::now();
    opened.give_up().await.unwrap();
    // Nothing that hangs is waited for: rclone itself would be, for 45 s.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(!opened.is_running() && mounts(bucket.dir.path()).is_empty());
    bucket.proxy.set(Fault::None);
    opened.come_back(&SystemClock).await.unwrap();
    opened.refresh("/Media/Music", LONG, &SystemClock).await.unwrap();
    let monitor = watch(bucket, opened);
    let better = monitor.settled().await;
    assert!(better.verdict.is_alive(), "{better}");
    health.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_that_is_gone_is_known_at_once_and_comes_back() {
    let Some(bucket) = Bucket::start("a_mount_that_is_gone_is_known_at_once_and_comes_back", 40, 200_000).await else {
        return;
    };
    let mut opened = bucket.open().await.unwrap();
    let killed = dies_and_comes_back(&bucket, &mut opened, Fault::None, || {
        signal(bucket.rclone(), Signal::KILL)
    })
    .await;
    // Either is known first: that the process has ended, that its connection has, or that its guardian took the mount away.
    let signs = ["process ended", "connection has ended", "the mount is gone"];
    assert!(signs.iter().any(|sign| killed.contains(sign)), "{killed}");
    let mut can = true;
    let aborted = dies_and_comes_back(&bucket, &mut opened, Fault::None, || {
        can = abort_connection(bucket.dir.path());
        if !can {
            crate::common::skip("a connection that is aborted", "fusectl is not to be had");
            signal(bucket.rclone(), Signal::KILL);
        }
    })
    .await;
    assert!(!can || aborted.contains("dead"), "{aborted}");
    opened.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_and_one_that_is_silent() {
    let Some(bucket) = Bucket::start("a_store_that_refuses_and_one_that_is_silent", 60, 200_000).await else {
        return;
    };
    let mut opened = bucket.open().await.unwrap();
    for fault in [Fault::Status(403), Fault::Silent, Fault::NoBodies { hang: false }] {
        let said = dies_and_comes_back(&bucket, &mut opened, fault, || ()).await;
        assert!(
            said.contains("/Media/Music") || said.contains("the store does not"),
            "{fault:?}: {said}"
        );
    }
    let stopped = dies_and_comes_back(&bucket, &mut opened, Fault::None, || {
        signal(bucket.rclone(), Signal::STOP)
    })
    .await;
    assert!(stopped.contains("no answer"), "{stopped}");
    opened.close().await.unwrap();
}

/// rclone writes down what its cache holds only when it closes a file, seconds after the last reader or as long as somebody
/// has it open: what is read from there must not pass for the store's.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_answers_for_a_store_that_refuses() {
    use std::io::Read;
    let Some(bucket) = Bucket::start("a_cache_that_answers_for_a_store_that_refuses", 9, 200_000).await else {
        return;
    };
    let mut opened = bucket.open().await.unwrap();
    let folder = opened.binds(["/Media/Music"]).unwrap()[0].media.join("Artist");
    // Whoever plays them keeps them open: all but two are cached whole, and no note says so.
    let mut readers = Vec::new();
    for number in 0..7 {
        let mut reader = std::fs::File::open(folder.join(format!("{number:03}.flac"))).unwrap();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 200_000);
        readers.push(reader);
    }
    let cached = bucket.files()[..7].to_vec();
    let dies = async |files: &[String]| {
        let root = Root {
            root: "/Media/Music".to_owned(),
            files: files.to_vec(),
        };
        let monitor = Monitor::start(opened.prober(), vec![root], LIMITS, Arc::new(SystemClock));
        let health = tokio::time::timeout(LONG, monitor.death()).await;
        health.unwrap_or_else(|_| panic!("no verdict, but {}", monitor.health()))
    };
    bucket.proxy.set(Fault::Status(403));
    // Every look is a bad one: it dies as soon as it may.
    let health = dies(&cached).await;
    let said = health.to_string();
    assert!(said.contains("from the cache alone") && health.read == (4, 4), "{said}");
    let health = dies(&bucket.files()).await;
    assert!(health.read.0 < health.read.1, "{health}");
    let proof = opened.prove(&cached, LONG).await.unwrap();
    assert!(
        proof.is_dead() && proof.to_string().contains("from the cache alone"),
        "{proof}"
    );
    bucket.proxy.set(Fault::None);
    let proof = opened.prove(&cached, LONG).await.unwrap();
    assert!(proof.holds() && proof.fresh() == 0, "{proof}");
    drop(readers);
    opened.give_up().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_alone_make_a_remote_and_stand_on_no_command_line() {
    use std::os::unix::fs::PermissionsExt;
    let Some(bucket) = Bucket::start("keys_alone_make_a_remote_and_stand_on_no_command_line", 5, 50_000).await else {
        return;
    };
    let keys = bucket.dir.path().join("keys");
    let [key, secret] = KEYS;
    std::fs::write(
        &keys,
        format!("AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}\n"),
    )
    .unwrap();
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = plexburst::config::Media {
        remote: None,
        rclone_config: None,
        s3: Some(plexburst::config::S3 {
            bucket: "bucket".to_owned(),
            endpoint: Some(format!("http://{}", bucket.proxy.address())),
            provider: Some("Rclone".to_owned()),
            credentials_file: Some(keys),
            ..Default::default()
        }),
        ..bucket.config()
    };
    let opened = bucket.open_as(&config).await.unwrap();
    let folder = &opened.binds(["/Media/Music"]).unwrap()[0].media;
    assert_eq!(std::fs::read(folder.join("Artist/003.flac")).unwrap(), vec![3; 50_000]);
    let speed = opened.speed(&bucket.files(), LONG).await.unwrap().unwrap();
    assert_eq!((speed.bytes, speed.failed), (200_000, 0));
    let warmed = opened.warm(&bucket.files(), LONG).await.unwrap();
    assert_eq!((warmed.read, warmed.missing, warmed.unreadable), (5, 0, 0), "{warmed}");
    assert!(opened.by_name("/Media/Music/Artist/003.flac").await.unwrap());
    assert!(!opened.by_name("/Media/Music/Artist/none.flac").await.unwrap());
    // The store's own command line has it; no process of the mount does.
    let (secret, work) = ("forty/chars", bucket.dir.path().join("work").display().to_string());
    let ours = crate::common::processes_with(&work);
    let told = crate::common::processes_with(secret);
    assert!(
        !ours.is_empty() && ours.iter().all(|pid| !told.contains(pid)),
        "{ours:?} {told:?}"
    );
    let log = std::fs::read_to_string(bucket.dir.path().join("work/rclone.log")).unwrap_or_default();
    assert!(!log.contains(secret));
    opened.close().await.unwrap();
}
