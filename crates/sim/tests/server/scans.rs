//! Whole scans with the real scanner: what a household sees of them through the API.

use std::fs;

use crate::support::{Home, write_tones};

fn scanned() -> Home {
    let home = Home::started();
    let music = home.path().join("music");
    write_tones(&music, 2, 1, 2);
    let created = home.call(
        "POST",
        &format!("/library/sections?name=Music&type=artist&location={}", music.display()),
        &[],
    );
    assert_eq!(created.status, 201);
    home.settle();
    home
}

fn tracks(home: &Home) -> i64 {
    home.json("/library/sections/1/all?type=10")["size"].as_i64().unwrap()
}

#[test]
fn new_files_are_found_and_analysed() {
    let home = scanned();
    assert_eq!(tracks(&home), 4);
    let track = &home.json("/library/sections/1/all?type=10")["Metadata"][0];
    assert_eq!(track["duration"], 2000);
    let id = track["ratingKey"].as_str().unwrap();
    let stream = home.json(&format!("/library/metadata/{id}"));
    assert_eq!(
        stream["Metadata"][0]["Media"][0]["Part"][0]["Stream"][0]["streamType"],
        2
    );
    write_tones(&home.path().join("music"), 3, 1, 2);
    home.ok("GET", "/library/sections/1/refresh");
    home.settle();
    assert_eq!(tracks(&home), 6);
}

#[test]
fn a_missing_file_goes_to_the_trash_or_for_good() {
    let home = scanned();
    let gone = home.path().join("music/Artist 1/Album 1-1/01 - Track 1-1-1.wav");
    home.ok("PUT", "/:/prefs?autoEmptyTrash=0");
    fs::rename(&gone, home.path().join("aside.wav")).unwrap();
    home.ok("GET", "/library/sections/1/refresh");
    home.settle();
    assert_eq!(tracks(&home), 4, "still there, in the trash");
    assert_eq!(home.json("/library/sections/1/all?type=10&trash=1")["size"], 1);
    assert!(home.get("/library/sections/1/all?type=10").body.contains("deletedAt="));

    // Back again: out of the trash, with the same id.
    let id = home.json("/library/sections/1/all?type=10&trash=1")["Metadata"][0]["ratingKey"].clone();
    fs::rename(home.path().join("aside.wav"), &gone).unwrap();
    home.ok("GET", "/library/sections/1/refresh");
    home.settle();
    assert_eq!(home.json("/library/sections/1/all?type=10&trash=1")["size"], 0);
    assert!(
        home.json("/library/sections/1/all?type=10")["Metadata"]
            .as_array()
            .unwrap()
            .iter()
            .any(|track| track["ratingKey"] == id)
    );

    fs::remove_file(&gone).unwrap();
    home.ok("GET", "/library/sections/1/refresh");
    home.settle();
    home.ok("PUT", "/library/sections/1/emptyTrash");
    assert_eq!(tracks(&home), 3);

    home.ok("PUT", "/:/prefs?autoEmptyTrash=1");
    fs::remove_file(home.path().join("music/Artist 1/Album 1-1/02 - Track 1-1-2.wav")).unwrap();
    home.ok("GET", "/library/sections/1/refresh");
    home.settle();
    assert_eq!(tracks(&home), 2);
    assert_eq!(
        home.json("/library/sections/1/all")["size"],
        1,
        "an artist without tracks goes as well"
    );
}

#[test]
fn a_vanished_root_costs_nothing() {
    let home = scanned();
    fs::rename(home.path().join("music"), home.path().join("unmounted")).unwrap();
    home.ok("GET", "/library/sections/1/refresh");
    home.settle();
    assert_eq!(tracks(&home), 4);
    assert_eq!(home.json("/library/sections/1/all?type=10&trash=1")["size"], 0);
}

#[test]
fn a_household_goes_on_while_a_scan_writes() {
    let home = scanned();
    let id = home.json("/library/sections/1/all?type=10")["Metadata"][0]["ratingKey"]
        .as_str()
        .unwrap()
        .to_owned();
    write_tones(&home.path().join("music"), 8, 3, 2);
    home.ok("GET", "/library/sections/1/refresh");
    let mut played = 0;
    while home.json("/activities")["size"] != 0 || played < 20 {
        home.ok(
            "GET",
            &format!("/:/scrobble?key={id}&identifier=com.plexapp.plugins.library"),
        );
        played += 1;
    }
    assert_eq!(
        home.json(&format!("/library/metadata/{id}"))["Metadata"][0]["viewCount"],
        played
    );
    assert_eq!(tracks(&home), 48);
}
