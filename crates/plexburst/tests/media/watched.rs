//! The monitor over a real mount, on every kind of bad day.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plexburst::clock::SystemClock;
use plexburst::media::Opened;
use plexburst::media::health::{Limits, Monitor, Root, Verdict};
use rustix::process::Signal;
use sim::proxy::Fault;

use crate::support::{Bucket, abort_connection, mounts, signal};

/// Quick enough for a test, in the proportions of the real ones.
const LIMITS: Limits = Limits {
    probe: Duration::from_millis(1500),
    interval: Duration::from_millis(400),
    dead: Duration::from_millis(2500),
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
    let health = tokio::time::timeout(Duration::from_secs(40), async {
        loop {
            let health = monitor.settled().await;
            if is_dead(&health.verdict) {
                return health;
            }
        }
    });
    let health = health.await.expect("a verdict");
    drop(monitor);
    let begun = Instant::now();
    opened.give_up().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(!opened.is_running() && mounts(bucket.dir.path()).is_empty());
    bucket.proxy.set(Fault::None);
    opened.come_back(&SystemClock).await.unwrap();
    opened
        .refresh("/Media/Music", Duration::from_secs(20), &SystemClock)
        .await
        .unwrap();
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
    // Either is known first: that the process has ended, or that its connection has.
    assert!(
        killed.contains("process ended") || killed.contains("connection has ended"),
        "{killed}"
    );
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
