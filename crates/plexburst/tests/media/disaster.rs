//! The worst day of the earlier scripts, on purpose: a mount that lists and cannot read, scanned by a Plex that empties its
//! trash, with nobody on guard.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plexburst::clock::SystemClock;
use plexburst::plex::client::{Client, ItemKind, NewSection};
use plexburst::plex::preferences;
use plexburst::plex::ready;
use plexburst::plex::runtime::{Confinement, Native, Runtime, Spec};
use sim::proxy::Fault;

use crate::common::{PROGRAM, free_port, skip};
use crate::support::Bucket;

const ROOT: &str = "/Media/Music";
const LIMIT: Duration = Duration::from_secs(180);

fn client(server: &Native) -> Client {
    let token = preferences::local_token(server.data_dir());
    Client::new("worker", &server.address(), token.as_ref()).unwrap()
}

/// Has the section scanned and counts its tracks.
async fn scan(client: &Client, section: i64, support: &Path) -> usize {
    let before = scanned_at(client, section).await;
    // Two scans in one second would have the same date.
    while before >= Some(jiff::Timestamp::now().as_second()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.refresh(section, false, None).await.unwrap();
    let begun = Instant::now();
    while scanned_at(client, section).await == before {
        assert!(begun.elapsed() < LIMIT, "the scan does not end:\n{}", log(support));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    settle(client, section, |_| true).await
}

/// The end of the server's log.
fn log(support: &Path) -> String {
    let log = support.join("Plex Media Server/Logs/Plex Media Server.log");
    let text = std::fs::read_to_string(&log).unwrap_or_else(|error| format!("{}: {error}", log.display()));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// Waits until Plex is still with as many tracks as it should have; says how many.
async fn settle(client: &Client, section: i64, enough: impl Fn(usize) -> bool) -> usize {
    let begun = Instant::now();
    loop {
        let is_still = client.activities().await.unwrap().is_empty()
            && client
                .sections()
                .await
                .unwrap()
                .iter()
                .all(|section| !section.refreshing);
        let tracks = client
            .items(section, ItemKind::Track, 0, 1000)
            .await
            .unwrap()
            .items
            .len();
        if is_still && enough(tracks) {
            return tracks;
        }
        assert!(begun.elapsed() < LIMIT, "Plex is not still, or has {tracks} tracks");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// In whole seconds, as Plex has it.
async fn scanned_at(client: &Client, section: i64) -> Option<i64> {
    let sections = client.sections().await.unwrap();
    sections
        .into_iter()
        .find(|other| other.id == section)
        .unwrap()
        .scanned_at
}

#[tokio::test(flavor = "multi_thread")]
async fn without_guards_a_mount_that_only_lists_takes_the_library_with_it() {
    let test = "without_guards_a_mount_that_only_lists_takes_the_library_with_it";
    let Some(bucket) = Bucket::start(test, 0, 0).await else {
        return;
    };
    let music = bucket.dir.path().join("s3/bucket/Music");
    let spec = sim::music::Spec {
        artists: 1,
        albums: 2,
        tracks: 3,
        seconds: 1.0,
        seed: 3,
        ..Default::default()
    };
    sim::music::synthesise(&music, &spec).unwrap();
    let mut opened = bucket.open().await.unwrap();
    let support = bucket.dir.path().join("support");
    let port = free_port();
    let prepared = Native::prepare(Spec {
        server: sim::install(&bucket.dir.path().join("pms"), Path::new(PROGRAM)).unwrap(),
        support: support.clone(),
        work: bucket.dir.path().join("plex"),
        roots: opened.binds([ROOT]).unwrap(),
        env: vec![
            ("PLEX_SIM_PORT".into(), port.to_string().into()),
            ("PLEX_SIM_PLEXTV".into(), support.join("plextv").into()),
        ],
        port,
        program: PROGRAM.into(),
        confinement: Confinement::Cell,
        internet: false,
        writable: Vec::<PathBuf>::new(),
    });
    let mut server = match prepared {
        Ok(server) => server,
        Err(error) => {
            skip(test, &format!("in a cell: {error}"));
            return;
        }
    };
    // As Plex comes: autoEmptyTrash is on.
    start(&mut server).await;
    let new = NewSection {
        title: "Music".into(),
        kind: "artist".into(),
        agent: "tv.plex.agents.music".into(),
        scanner: "Plex Music".into(),
        language: "en-US".into(),
        locations: vec![ROOT.into()],
    };
    let section = client(&server).create_section(&new).await.unwrap();
    // A new section is scanned as it is made.
    settle(&client(&server), section, |tracks| tracks == 6).await;
    assert!(server.stop(LIMIT).await.unwrap().clean);

    // Another day: the mount is fresh, its cache empty. Its folders have been listed, and nothing can be read any more.
    opened.give_up().await.unwrap();
    opened.forget_cache().unwrap();
    opened.come_back(&SystemClock).await.unwrap();
    opened.refresh(ROOT, LIMIT, &SystemClock).await.unwrap();
    bucket.proxy.set(Fault::Status(403));
    start(&mut server).await;
    let left = scan(&client(&server), section, &support).await;
    // The one or two that the mount proved itself by are in its cache.
    assert!(left <= 2, "{left} of 6 tracks are left");
    bucket.proxy.set(Fault::None);
    server.stop(LIMIT).await.unwrap();
    opened.close().await.unwrap();
}

async fn start(server: &mut Native) {
    server.start().await.unwrap();
    let limits = ready::Limits {
        interval: Duration::from_millis(50),
        ..ready::Limits::of_total(LIMIT)
    };
    let state = || server.state();
    let process = ready::Process {
        state: &state,
        data_dir: server.data_dir(),
    };
    let make = || Ok(client(server));
    ready::wait_for_process(&SystemClock, &limits, make, Some(process), &mut |_| ())
        .await
        .unwrap();
}
