//! `scan`: from a home without sections to a library that a worker has indexed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics"
)]

mod common;

use common::{World, has};

#[tokio::test(flavor = "multi_thread")]
async fn sections_of_the_earlier_scripts_are_made_and_indexed() {
    let mut world = World::new();
    world.cell = if has("bwrap") { "auto" } else { "never" };
    world.music(1, 1, 1, 3, 1.0);
    world.start_home();
    let music = world.media().join("Music");
    let more = world.media().join("More");
    // A second root, with an artist of its own.
    world.music(2, 1, 1, 2, 1.0);
    let artists: Vec<_> = std::fs::read_dir(&music).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(artists.len(), 2, "{artists:?}");
    std::fs::create_dir_all(&more).unwrap();
    std::fs::rename(&artists[1], more.join(artists[1].file_name().unwrap())).unwrap();
    let (music, more) = (music.display().to_string(), more.display().to_string());
    world.issue_claim();
    world.configure(&[(&music, "Music"), (&more, "More")]);
    // Nothing is configured yet.
    let none = world.run(&["scan", "-y"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&none.stderr).contains("[[sections]]"),
        "{none:?}"
    );
    let wanted = serde_json::json!([{"title": "Musique", "type": "artist", "paths": [music, more]}]);
    std::fs::write(world.path("plex_libraries.json"), wanted.to_string()).unwrap();
    let dry = world.json(&["scan", "--dry-run", "--json"]);
    assert_eq!(dry["sections"][0]["is_made"], true, "{dry}");
    assert!(world.client().sections().await.unwrap().is_empty());
    // Without somebody to ask nothing is made.
    let unasked = world.run(&["scan"]);
    assert_eq!(unasked.status.code(), Some(2));
    assert!(world.client().sections().await.unwrap().is_empty());

    let report = world.json(&["scan", "-y", "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    let section = &world.client().sections().await.unwrap()[0];
    assert_eq!(section.title, "Musique");
    let mut roots: Vec<&str> = section
        .locations
        .iter()
        .map(|location| location.path.as_str())
        .collect();
    roots.sort_unstable();
    let mut both = [music.as_str(), more.as_str()];
    both.sort_unstable();
    assert_eq!(roots, both);
    assert_eq!(world.tracks(section.id).await.len(), 5);
    assert_eq!(report["after"]["sections"][0]["sonic_analysed"], 5, "{report:#}");

    // A second time there is nothing to make, and a section that differs is the user's to decide about.
    let dry = world.json(&["scan", "--dry-run", "--json"]);
    assert_eq!(dry["sections"][0]["is_made"], false, "{dry}");
    let wanted = serde_json::json!([{"title": "Musique", "type": "artist", "paths": ["/other"]}]);
    std::fs::write(world.path("plex_libraries.json"), wanted.to_string()).unwrap();
    let other = world.run(&["scan", "-y"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&other.stderr).contains("lacks /other"),
        "{other:?}"
    );
    world.stop_home();
}
