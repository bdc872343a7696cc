//! Listings straight from a store: whole or an error, as the mount would name them, in less time than `rclone lsf -R`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "a measurement has to be seen")]

mod common;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

use common::{has, skip};
use plexburst::config;
use plexburst::media::compare::Comparison;
use plexburst::media::listing::Listing;
use plexburst::media::{Error, Media};
use sim::bucket::{self, Bucket, Fault, Served};

struct World {
    dir: tempfile::TempDir,
    served: Served,
    keys: Vec<(String, u64)>,
}

impl World {
    fn new(test: &str, keys: Vec<(String, u64)>) -> Option<Self> {
        if !has("rclone") {
            skip(test, "rclone is not installed");
            return None;
        }
        let served = Served::start(Bucket::new("music", keys.clone())).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rclone.conf"), served.rclone_conf()).unwrap();
        Some(Self { dir, served, keys })
    }

    fn media(&self, folder: &str) -> Media {
        Media::of(&config::Media {
            remote: Some("bucket:music".to_owned()),
            rclone_config: Some(self.dir.path().join("rclone.conf")),
            roots: [("/Media".to_owned(), folder.to_owned())].into(),
            ..config::Media::default()
        })
        .unwrap()
    }

    async fn list(&self, folder: &str) -> Result<Listing, Error> {
        self.media(folder).list("/Media", &mut |_| ()).await
    }

    /// What rclone itself lists.
    fn rclone(&self, args: &[&str]) -> BTreeSet<String> {
        let output = Command::new("rclone")
            .arg("--config")
            .arg(self.dir.path().join("rclone.conf"))
            .args(args)
            .arg("bucket:music")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout)
            .unwrap()
            .split('\n')
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

fn paths(listing: &Listing) -> BTreeSet<String> {
    listing.paths().map(|path| path["/Media/".len()..].to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_listed_whole_however_its_folders_lie() {
    // Many folders, two folders, none, and files beside folders.
    let mut shapes: Vec<Vec<(String, u64)>> = vec![
        bucket::music("Music", 120, 2, 12).collect(),
        bucket::music("A", 2, 60, 20)
            .chain(bucket::music("B", 1, 1, 3))
            .collect(),
        (0..2500).map(|n| (format!("{n:05}.flac"), n)).collect(),
        bucket::music("x/y/z", 30, 3, 10)
            .chain([("x/loose.mp3".to_owned(), 7)])
            .collect(),
    ];
    for (number, keys) in shapes.drain(..).enumerate() {
        let Some(world) = World::new("a_bucket_is_listed_whole_however_its_folders_lie", keys) else {
            return;
        };
        let listing = world.list("").await.unwrap();
        let wanted: BTreeSet<String> = world.keys.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(paths(&listing), wanted, "shape {number}");
        for (key, size) in world.keys.iter().step_by(97) {
            assert_eq!(listing.size(&format!("/Media/{key}")), Some(*size));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_listed_alone_and_one_that_is_not_there_is_an_error() {
    let keys = bucket::music("Music", 30, 2, 5)
        .chain(bucket::music("Music 2", 3, 1, 5))
        .collect();
    let Some(world) = World::new("a_folder_is_listed_alone_and_one_that_is_not_there_is_an_error", keys) else {
        return;
    };
    let listing = world.list("Music").await.unwrap();
    assert_eq!(listing.len(), 30 * 2 * 7);
    assert!(listing.covers("/Media/x") && !listing.covers("/Media2/x"));
    assert!(matches!(world.list("Musik").await, Err(Error::FolderMissing { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_those_that_rclone_shows() {
    let odd = [
        "a b+c/é%20&<>\"'.flac",
        "ctl/\u{1}\n\t\u{1f}\u{7f}.mp3",
        "pictures/\u{2400}\u{240a}\u{2421}.mp3",
        "dots/./x.mp3",
        "dots/../x.mp3",
        "wide/\u{ff0e}/\u{ff0e}\u{ff0e}/x.mp3",
        "quote/\u{201b}x\u{201b}\u{201b}.mp3",
        "quote/\u{201b}\u{240a}.mp3",
        "quote/\u{201b}\u{2400}\u{201b}\u{ff0f}\u{201b}",
        "slash/\u{ff0f}\u{ff3c}\\.mp3",
        "nfd/Bjo\u{308}rk/1.mp3",
        "space /dot./x .mp3.",
        "日本/🎵.flac",
        "a/…/...",
        "windows/a:b*c?d|e.mp3",
    ];
    let keys = odd
        .iter()
        .map(|key| ((*key).to_owned(), 5))
        .chain([("folder/".to_owned(), 0)]);
    let Some(world) = World::new("names_are_those_that_rclone_shows", keys.collect()) else {
        return;
    };
    let ours = paths(&world.list("").await.unwrap());
    // No name of rclone's holds a line feed: it has a stand-in.
    let theirs = world.rclone(&["lsf", "-R", "--files-only"]);
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), odd.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_listing_is_an_error_whatever_the_store_does() {
    let keys: Vec<_> = bucket::music("Music", 60, 4, 24).collect();
    let Some(world) = World::new("half_a_listing_is_an_error_whatever_the_store_does", keys) else {
        return;
    };
    let whole = world.list("").await.unwrap().len();
    assert_eq!(whole, world.keys.len());
    let pages = world.served.pages();
    let mut tried = 0;
    for at in [0, 1, 2, 5, pages / 2, pages - 2] {
        for fault in [
            Fault::EndsEarly(at),
            Fault::NoToken(at),
            Fault::SameToken(at),
            Fault::HalfPage(at),
            Fault::Cut(at),
            Fault::Status(at, 503),
            Fault::Status(at, 403),
        ] {
            // Waiting for a store that stays broken takes seconds, so the ones that are asked again are tried at one place.
            let is_slow = !matches!(fault, Fault::EndsEarly(_) | Fault::SameToken(_) | Fault::Status(_, 403));
            if is_slow && at != 1 {
                continue;
            }
            world.served.set_fault(Some(fault));
            match world.list("").await {
                // Ranges end at marks that were seen before, so a lie may come too late to matter.
                Ok(listing) => assert_eq!(listing.len(), whole, "{fault:?}"),
                Err(error) => {
                    tried += 1;
                    assert!(!error.to_string().contains("forty"), "no secret: {error}");
                    if matches!(fault, Fault::Status(_, 403)) {
                        assert!(matches!(error, Error::WrongKeys { .. }), "{error:?}");
                    }
                }
            }
        }
    }
    assert!(tried >= 8, "{tried} faults were met");
    world.served.set_fault(None);
    assert_eq!(world.list("").await.unwrap().len(), whole, "nothing is remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_listings_forget_is_there_when_asked_for_by_name() {
    let keys: Vec<_> = bucket::music("Music", 4, 2, 5).collect();
    let Some(world) = World::new("a_file_that_listings_forget_is_there_when_asked_for_by_name", keys) else {
        return;
    };
    world.served.set_fault(Some(Fault::Forgets(7)));
    let listing = world.list("").await.unwrap();
    let forgotten = world
        .keys
        .iter()
        .find(|(key, _)| listing.size(&format!("/Media/{key}")).is_none());
    let forgotten = format!("/Media/{}", forgotten.unwrap().0);
    let media = world.media("");
    assert!(media.by_name(&forgotten).await.unwrap());
    assert!(!media.by_name("/Media/Music/none.flac").await.unwrap());
    let asked = [forgotten, "/Media/Music/none.flac".to_owned()];
    let gone = plexburst::burst::guard::losses::prove_gone(&media, &asked)
        .await
        .unwrap();
    assert_eq!(gone, ["/Media/Music/none.flac"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone_lists_what_is_no_plain_store() {
    let keys: Vec<_> = bucket::music("A", 3, 2, 5)
        .chain(bucket::music("B", 2, 2, 5))
        .chain([("top.mp3".to_owned(), 3)])
        .collect();
    let Some(world) = World::new("rclone_lists_what_is_no_plain_store", keys) else {
        return;
    };
    // An alias is another kind of remote; what is behind it is the same.
    let conf = world.dir.path().join("rclone.conf");
    let text = std::fs::read_to_string(&conf).unwrap() + "\n[other]\ntype = alias\nremote = bucket:music\n";
    std::fs::write(&conf, text).unwrap();
    let media = Media::of(&config::Media {
        remote: Some("other:".to_owned()),
        rclone_config: Some(conf),
        roots: [("/Media".to_owned(), String::new())].into(),
        ..config::Media::default()
    })
    .unwrap();
    let listing = media.list("/Media", &mut |_| ()).await.unwrap();
    assert_eq!(paths(&listing), paths(&world.list("").await.unwrap()));
    world.served.set_fault(Some(Fault::Status(1, 403)));
    assert!(media.list("/Media", &mut |_| ()).await.is_err());
}

/// A share of what `PLEXBURST_SOAK=1` measures in full: 485,000 known paths against 587,000 objects.
#[tokio::test(flavor = "multi_thread")]
async fn a_library_against_a_bucket_beside_rclone() {
    let artists = if std::env::var_os("PLEXBURST_SOAK").is_some() {
        1951
    } else {
        70
    };
    // 18 albums of 13 tracks and two other files; what the library does not know makes up the rest.
    let keys: Vec<_> = bucket::music("Music", artists, 18, 13)
        .chain(bucket::music("New", artists / 7 + 1, 15, 12))
        .collect();
    let known: Vec<(String, u64)> = keys
        .iter()
        .filter(|(key, _)| key.starts_with("Music/") && key.ends_with(".flac"))
        .map(|(key, size)| (format!("/Media/{key}"), *size))
        .collect();
    let Some(world) = World::new("a_library_against_a_bucket_beside_rclone", keys) else {
        return;
    };
    let run = |args: &[&str]| {
        let started = Instant::now();
        let count = world.rclone(args).len();
        (started.elapsed(), count)
    };
    let (rclone, _) = run(&["lsf", "-R", "--files-only"]);
    let (fast_list, count) = run(&["lsf", "-R", "--files-only", "--fast-list"]);
    let started = Instant::now();
    let listing = world.list("").await.unwrap();
    let listed = started.elapsed();
    let mut comparison = Comparison::new(&listing);
    for (path, size) in &known {
        assert!(comparison.add(&listing, path, Some(*size)), "{path}");
    }
    let compared = started.elapsed();
    assert_eq!(listing.len(), count);
    assert_eq!((comparison.present, comparison.changed), (known.len() as u64, 0));
    println!(
        "MEASURED {} known paths against {} objects: listed in {listed:.2?}, compared after {compared:.2?}; rclone lsf -R \
         {rclone:.2?}, with --fast-list {fast_list:.2?}",
        known.len(),
        listing.len()
    );
}
