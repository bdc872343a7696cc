//! Whole bursts through a depot that is not a folder.

use std::path::{Path, PathBuf};

use crate::common::{World, files, look};
use crate::support::{Place, SECRET};

/// A home with 4 tracks and 4 more in the media; its depot is `place`, encrypted.
async fn world(place: &mut Place) -> (World, i64) {
    let mut world = World::new();
    world.music(1, 1, 1, 4, 2.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 4).await;
    place.config.encryption = None;
    place.config.identity_file = Some(world.path("identity"));
    place.config.part_bytes = 32 << 10;
    world.depot_config = toml::to_string(&place.config).unwrap();
    world.configure(&[(&root, "Music")]);
    world.json(&["depot", "init", "--json"]);
    (world, section)
}

/// Everything in a folder, with what is in it.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(tree(&path)),
            false => found.push((path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found
}

fn has(content: &[u8], word: &str) -> bool {
    content.windows(word.len()).any(|w| w == word.as_bytes())
}

/// One more burst, after `seed` put four more tracks into the media.
async fn burst(world: &World, section: i64, seed: u64, tracks: usize) -> serde_json::Value {
    let before = files(&world.tracks(section).await);
    world.music(seed, 1, 1, 4, 2.0);
    world.issue_claim();
    let report = world.json(&["sync", "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    let now = files(&world.tracks(section).await);
    assert_eq!(now.len(), tracks, "{report:#}");
    for (id, file) in &before {
        assert_eq!(now.get(id), Some(file), "home's ids stay");
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_burst_sends_what_changed() {
    let test = "the_second_burst_sends_what_changed";
    let Some(mut place) = Place::s3(test, true) else { return };
    let (world, section) = world(&mut place).await;
    let kept = place.kept().parent().unwrap().to_path_buf();

    let first = burst(&world, section, 2, 8).await;
    assert_eq!(first["bytes_saved_up"], 0, "{first:#}");
    let in_depot = tree(&kept);
    assert!(!in_depot.is_empty(), "the base stays");
    for (path, content) in &in_depot {
        assert!(path.starts_with(kept.join("bases")), "{}", path.display());
        assert!(content.starts_with(b"age-encryption.org/v1"), "{}", path.display());
    }

    let second = burst(&world, section, 3, 12).await;
    let number = |key: &str| second[key].as_u64().unwrap();
    let (sent, saved) = (number("bytes_up"), number("bytes_saved_up"));
    assert!(sent < saved, "{sent} bytes were sent, {saved} saved\n{}", world.logs());

    // Of what the depot keeps a part gets lost: the whole library goes, and why is said.
    let (part, _) = tree(&kept).pop().unwrap();
    std::fs::remove_file(part).unwrap();
    let third = burst(&world, section, 4, 16).await;
    assert_eq!(third["bytes_saved_up"], 0, "{third:#}");
    assert!(world.logs().contains("missing from the depot"), "{}", world.logs());
    assert_eq!(look("verify", &world.data_dir())["ok"], true);

    // No secret anywhere but in the files that are for secrets.
    let identity = std::fs::read_to_string(world.path("identity")).unwrap();
    let identity = identity.lines().last().unwrap();
    for (path, content) in tree(&world.path("state")).iter().chain(&tree(&world.path("worker"))) {
        assert!(!has(content, SECRET), "{}", path.display());
        assert!(!has(content, identity), "{}", path.display());
        let is_key = path.extension().is_some_and(|e| e == "key");
        assert!(is_key || !has(content, "AGE-SECRET-KEY"), "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_goes_round_through_an_sftp_host() {
    let test = "a_burst_goes_round_through_an_sftp_host";
    let Some(mut place) = Place::sftp(test) else { return };
    let (world, section) = world(&mut place).await;
    let report = burst(&world, section, 2, 8).await;
    assert!(report["bytes_up"].as_u64().unwrap() > 0);
    assert!(report["bytes_saved_down"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(look("verify", &world.data_dir())["ok"], true);
}
