//! Ways of `export` and `import` beside the plain file: another home's folder, a library parked in the depot, an archive whose
//! bundles stay where they are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{World, files};

/// A running home with 4 tracks.
async fn home() -> (World, i64) {
    let world = World::new();
    world.music(1, 1, 1, 4, 2.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 4).await;
    world.configure(&[(&root, "Music")]);
    (world, section)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_parked_in_the_depot_comes_back_and_the_household_keeps_its_state() {
    let (world, section) = home().await;
    let before = world.tracks(section).await;
    let client = world.client();
    client.rate(before[0].id, 4.0).await.unwrap();
    let parked = world.json(&["export", "--to-depot", "--json"]);
    let id = parked["id"].as_str().unwrap();
    client.rate(before[0].id, 10.0).await.unwrap();
    client.scrobble(before[1].id).await.unwrap();

    let unknown = world.run(&["import", "-y", "--from-depot", "01J8AD0Y1YVGBZEX7HABHM154Z"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(i32::from(plexburst::exit::USAGE)), "{said}");
    assert!(said.contains("hint: `plexburst export --to-depot`"), "{said}");

    let report = world.json(&["import", "-y", "--json", "--from-depot", id]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    let after = world.tracks(section).await;
    assert_eq!(files(&after), files(&before), "ids of home never change");
    let client = world.client();
    let item = async |n: usize| client.item(before[n].id).await.unwrap().unwrap();
    assert_eq!(
        item(0).await.user_rating,
        Some(10.0),
        "what the household did since is home's"
    );
    assert_eq!(item(1).await.view_count, Some(1));
    // The archive that was made of it is gone, and it is in the depot still.
    let left: Vec<String> = std::fs::read_dir(world.path("state"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".tar.zst"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let again = world.json(&["import", "-y", "--json", "--from-depot", id]);
    assert_eq!(again["outcome"], "committed", "{again:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_of_an_archive_stay_there_when_that_is_said() {
    let (world, section) = home().await;
    let poster = world
        .data_dir()
        .join("Metadata/Albums/a/b.bundle/Contents/_combined/posters/p");
    std::fs::create_dir_all(poster.parent().unwrap()).unwrap();
    std::fs::write(&poster, "a poster").unwrap();
    let before = world.tracks(section).await;
    let archive = world.path("whole.tar.zst");
    let archive = archive.to_str().unwrap();
    let exported = world.json(&["export", "--json", "--with-bundles", archive]);
    assert!(exported["bundle_files"].as_u64().unwrap() >= 1, "{exported:#}");
    std::fs::remove_file(&poster).unwrap();

    let report = world.json(&["import", "-y", "--json", "--without-bundles", archive]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    assert!(!poster.exists(), "it was to stay where it is");
    let report = world.json(&["import", "-y", "--json", archive]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    assert_eq!(std::fs::read_to_string(&poster).unwrap(), "a poster");
    assert_eq!(files(&world.tracks(section).await), files(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_named_is_the_home_that_is_meant() {
    let (world, _section) = home().await;
    // Another home, not running, of three films.
    let other = world.path("other/Plex Media Server");
    sim::fixture::Builder::new(other.join("Plug-in Support/Databases"))
        .movies("Films", "/films", 3)
        .build()
        .unwrap();
    let other = other.to_str().unwrap();
    let file = world.path("other.tar.zst");
    world.json(&["export", "--json", "--home", other, file.to_str().unwrap()]);
    let inspected = common::look("inspect", &file);
    assert_eq!(inspected["sections"][0]["name"], "Films", "{inspected:#}");

    // One that is none is named, and nothing is written.
    let nowhere = world.path("nowhere");
    let none = world.path("none.tar.zst");
    let refused = world.run(&["export", "--home", nowhere.to_str().unwrap(), none.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(i32::from(plexburst::exit::USAGE)), "{said}");
    assert!(
        said.contains("nowhere") && said.contains("hint:") && !none.exists(),
        "{said}"
    );
}
