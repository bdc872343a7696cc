//! No false alarm: a store that is slow and makes some errors for a long time is never taken for dead, and looking at it
//! leaves nothing behind.

use std::fs;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plexburst::clock::SystemClock;
use plexburst::media::health::{Limits, Monitor, Root, Verdict};
use sim::proxy::Fault;

use crate::support::{Bucket, LONG, mounts, threads};

/// Seconds of the whole soak: an hour.
const WHOLE: u64 = 3600;
/// Seconds of the share in every test run.
const SHARE: u64 = 25;

fn seconds() -> u64 {
    match std::env::var("PLEXBURST_SOAK_SECONDS") {
        Ok(text) => text.parse().unwrap(),
        Err(_) if std::env::var_os("PLEXBURST_SOAK").is_some() => WHOLE,
        Err(_) => SHARE,
    }
}

/// Verdicts by their name.
fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Unknown => "unknown",
        Verdict::Healthy => "healthy",
        Verdict::Slow => "slow",
        Verdict::Suspect { .. } => "suspect",
        Verdict::Dead { .. } => "dead",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_with_some_errors_is_never_dead() {
    let test = "slow_with_some_errors_is_never_dead";
    // More than can be cached in the time: 2 s for each of the requests that a file needs.
    let Some(bucket) = Bucket::start(test, 1500, 60_000).await else {
        return;
    };
    let seconds = seconds();
    let whole = seconds > SHARE;
    let opened = bucket.open().await.unwrap();
    let before = (threads(), below());
    bucket.proxy.set(Fault::Slow {
        from: Duration::from_secs(2),
        to: Duration::from_millis(2200),
        errors: 10,
    });
    // As the program has them; in the share of it, more looks in less time.
    let mut limits = Limits::of(&plexburst::config::Limits::default());
    if !whole {
        limits.interval = Duration::from_secs(1);
    }
    let root = Root {
        root: "/Media/Music".to_owned(),
        files: bucket.files(),
    };
    let monitor = Monitor::start(opened.prober(), vec![root], limits, Arc::new(SystemClock));
    // A scanner reads on meanwhile, one file after the other.
    let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let scanner = {
        let folder = opened.binds(["/Media/Music"]).unwrap()[0].media.join("Artist");
        let (stop, failed) = (stop.clone(), failed.clone());
        std::thread::spawn(move || {
            let mut read = 0_u64;
            for number in 0..1500 {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let mut first = [0; 1024];
                let file = fs::File::open(folder.join(format!("{number:03}.flac")));
                match file.and_then(|mut file| file.read(&mut first)) {
                    Ok(1..) => read += 1,
                    _ => {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            read
        })
    };
    let begun = Instant::now();
    let (mut seen, mut counts) = (0, std::collections::BTreeMap::<&str, u64>::new());
    while begun.elapsed() < Duration::from_secs(seconds) {
        let health = monitor.health();
        if health.looks > seen {
            seen = health.looks;
            *counts.entry(name(&health.verdict)).or_default() += 1;
            assert!(!matches!(health.verdict, Verdict::Dead { .. }), "{health}");
            if seen % 20 == 1 {
                let open = fs::read_dir("/proc/self/fd").unwrap().count();
                println!("{} s: {health}; {open} files open", begun.elapsed().as_secs());
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!(
        "{seconds} s, {} requests, {} of them spoilt: looks {counts:?}",
        bucket.proxy.requests(),
        bucket.proxy.spoilt()
    );
    assert!(seen >= 2 && counts.contains_key("slow"), "{counts:?}");
    // A stop waits for nothing: neither for a look nor for the slow store.
    let begun = Instant::now();
    drop(monitor);
    stop.store(true, Ordering::Relaxed);
    opened.close().await.unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    let read = scanner.join().unwrap();
    println!(
        "the scanner read {read} files, {} failed; the stop took {took:?}",
        failed.load(Ordering::Relaxed)
    );
    assert!(mounts(bucket.dir.path()).is_empty());
    let gone = || below() < before.1 && threads() <= before.0 + 1;
    crate::common::wait_until("the end of everything that was started", LONG, gone);
}

/// Processes below this one that are this test's: the store stays, the mount and the probes do not.
fn below() -> usize {
    let me = std::process::id().cast_signed();
    plexburst::plex::runtime::processes::below(me).unwrap().len() - 1
}
