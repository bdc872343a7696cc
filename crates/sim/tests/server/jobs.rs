//! Scans and analyses as activities, with scripts in the place of the children so that they end when the test says so.

use std::fs;

use crate::support::{Home, add_music, wait_until};

/// A scanner that writes down its arguments, waits for the file `go`, and ends early on SIGTERM.
const PATIENT: &str = r#"trap 'echo terminated >> "$DIR/calls"; exit 0' TERM
echo "$@" >> "$DIR/calls"
echo "progress 50 3 Some Album"
while [ ! -e "$DIR/go" ]; do sleep 0.05; done"#;

fn home() -> Home {
    let mut home = Home::new();
    home.replace_program("Plex Media Scanner", PATIENT);
    home.replace_program("Plex Music Analyzer", PATIENT);
    home.start();
    home
}

fn calls(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(home.path().join("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn go(home: &Home) {
    fs::write(home.path().join("go"), "").unwrap();
}

#[test]
fn a_new_section_is_scanned_at_once() {
    let home = home();
    let created = home.call(
        "POST",
        "/library/sections?name=My%20Music&type=artist&agent=tv.plex.agents.music&scanner=Plex%20Music\
         &language=en-US&location=/music&location=/more&prefs%5BmusicAnalysis%5D=1",
        &[],
    );
    assert_eq!(
        (created.status, created.headers["location"].as_str()),
        (201, "/library/sections/1")
    );
    let uuid = created.headers["x-plex-activity"].clone();
    wait_until("the scan shows progress", || {
        home.json("/activities")["Activity"][0]["progress"] == 50
    });
    let activity = &home.json("/activities")["Activity"][0];
    assert_eq!(activity["uuid"], uuid);
    assert_eq!(activity["type"], "library.update.section");
    assert_eq!(activity["subtitle"], "Some Album");
    assert_eq!(activity["cancellable"], true);
    assert_eq!(activity["Context"]["librarySectionID"], "1");
    assert_eq!(home.json("/library/sections")["Directory"][0]["refreshing"], true);
    go(&home);
    home.settle();
    assert_eq!(home.json("/library/sections")["Directory"][0]["refreshing"], false);
    assert_eq!(calls(&home), ["--scan --refresh --section 1", "--analyze --section 1"]);
    let locations = home.json("/library/sections")["Directory"][0]["Location"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(locations, 2);
    assert_eq!(
        home.value::<String>("SELECT type FROM activities ORDER BY id LIMIT 1"),
        "library.update.section"
    );
}

#[test]
fn the_newer_form_of_creating_a_section() {
    let home = home();
    go(&home);
    let created = home.call("POST", "/library/sections/all?name=Films&type=1&locations=/films", &[]);
    assert_eq!(created.status, 201);
    let section = &home.json("/library/sections")["Directory"][0];
    assert_eq!(
        (&section["type"], &section["agent"]),
        (&"movie".into(), &"tv.plex.agents.movie".into())
    );
    home.settle();
    home.ok(
        "PUT",
        "/library/sections/1?name=Cinema&agent=tv.plex.agents.movie&location=/films&location=/other",
    );
    home.settle();
    let section = &home.json("/library/sections")["Directory"][0];
    assert_eq!(
        (&section["title"], section["Location"].as_array().unwrap().len()),
        (&"Cinema".into(), 2)
    );
    home.ok("DELETE", "/library/sections/1");
    assert_eq!(home.json("/library/sections")["size"], 0);
    assert_eq!(home.value::<i64>("SELECT count(*) FROM section_locations"), 0);
}

#[test]
fn one_scan_at_a_time_per_section() {
    let home = home();
    add_music(&home);
    home.ok("GET", "/library/sections/1/refresh?force=1");
    wait_until("the first scan runs", || calls(&home).len() == 1);
    home.ok("POST", "/library/sections/1/refresh?path=/music/A%20B");
    home.ok("GET", "/library/sections/1/refresh?path=/music/A%20B");
    let elsewhere = home.call("GET", "/library/sections/1/refresh?path=/musicals/A", &[]);
    assert_eq!(elsewhere.status, 400, "no location of the section has it");
    assert_eq!(home.json("/activities")["size"], 2, "an equal scan is not queued twice");
    assert_eq!(calls(&home).len(), 1);
    go(&home);
    home.settle();
    assert_eq!(
        calls(&home)
            .into_iter()
            .filter(|call| call.starts_with("--scan"))
            .collect::<Vec<_>>(),
        [
            "--scan --refresh --force --section 1",
            "--scan --refresh --section 1 --directory /music/A B"
        ]
    );
}

#[test]
fn scans_and_activities_are_cancelled() {
    let home = home();
    add_music(&home);
    home.ok("GET", "/library/sections/1/refresh");
    wait_until("the scan runs", || calls(&home).len() == 1);
    home.ok("GET", "/library/sections/1/refresh?force=1");
    home.ok("DELETE", "/library/sections/1/refresh");
    home.settle();
    assert_eq!(calls(&home)[1], "terminated");
    assert!(
        !calls(&home).iter().any(|call| call.contains("--force")),
        "what waited is forgotten"
    );
    assert_eq!(
        home.call("DELETE", "/activities/00000000-0000-0000-0000-000000000000", &[])
            .status,
        404
    );
    home.ok("PUT", "/library/sections/1/analyze");
    wait_until("the analysis shows", || home.json("/activities")["size"] == 1);
    let uuid = home.json("/activities")["Activity"][0]["uuid"]
        .as_str()
        .unwrap()
        .to_owned();
    home.ok("DELETE", &format!("/activities/{uuid}"));
    home.settle();
    home.ok("GET", "/library/sections/all/refresh");
    home.ok("DELETE", "/library/sections/all/refresh");
    home.settle();
}

#[test]
fn the_context_of_an_activity_comes_late() {
    let mut home = Home::new();
    home.replace_program("Plex Media Scanner", PATIENT);
    home.tempo(r#"{"activity_context_delay_ms":700}"#);
    home.start();
    add_music(&home);
    home.ok("GET", "/library/sections/1/refresh");
    assert!(home.json("/activities")["Activity"][0]["Context"].is_null());
    wait_until("the context shows", || {
        home.json("/activities")["Activity"][0]["Context"]["librarySectionID"] == "1"
    });
    // SIGHUP reads the tempo again.
    home.tempo(r#"{"activity_context_delay_ms":0}"#);
    home.signal("HUP");
    wait_until("the new tempo is in effect", || {
        home.ok("PUT", "/library/metadata/3/analyze");
        let activities = home.json("/activities");
        activities["Activity"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["Context"]["key"] == "/library/metadata/3")
    });
    go(&home);
    home.settle();
}

#[test]
fn a_stop_ends_the_children() {
    let mut home = home();
    add_music(&home);
    home.ok("GET", "/library/sections/1/refresh");
    wait_until("the scan runs", || calls(&home).len() == 1);
    assert!(home.stop().success());
    assert_eq!(calls(&home)[1], "terminated");
    assert_eq!(calls(&home).len(), 2, "nothing new is begun");
}

#[test]
fn a_child_that_cannot_be_started_is_said_in_the_log() {
    let home = home();
    add_music(&home);
    fs::remove_file(home.programs().join("Plex Media Scanner")).unwrap();
    home.ok("GET", "/library/sections/1/refresh");
    home.settle();
    assert!(home.log().contains("cannot start"), "{}", home.log());
}
