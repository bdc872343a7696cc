//! What a household does with its server, read back through the API and in the rows (facts/plex.md §2.1).

use crate::support::{Home, add_music};

const TV: [(&str, &str); 3] = [
    ("X-Plex-Client-Identifier", "tv"),
    ("X-Plex-Device-Name", "The TV"),
    ("X-Plex-Platform", "webOS"),
];

fn home() -> Home {
    let home = Home::started();
    add_music(&home);
    home
}

fn by_tv(home: &Home, path: &str) {
    let answer = home.call("GET", path, &TV);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
}

#[test]
fn played_rated_and_taken_back() {
    let home = home();
    by_tv(&home, "/:/scrobble?key=3&identifier=com.plexapp.plugins.library");
    by_tv(&home, "/:/scrobble?key=3&identifier=com.plexapp.plugins.library");
    by_tv(&home, "/:/rate?key=3&identifier=com.plexapp.plugins.library&rating=8");
    let track = &home.json("/library/metadata/3")["Metadata"][0];
    assert_eq!((&track["viewCount"], &track["userRating"]), (&2.into(), &8.0.into()));
    assert!(track["lastViewedAt"].is_i64() && track["lastRatedAt"].is_i64());
    // The parents count along; the history has one row per playing, with the device.
    assert_eq!(home.json("/library/metadata/2")["Metadata"][0]["viewCount"], 2);
    assert_eq!(home.json("/library/metadata/1")["Metadata"][0]["viewedLeafCount"], 1);
    let history = home.json("/status/sessions/history/all?sort=viewedAt:desc");
    assert_eq!(
        (&history["size"], &history["Metadata"][0]["ratingKey"]),
        (&2.into(), &"3".into())
    );
    assert_eq!(
        home.value::<String>("SELECT name FROM devices WHERE identifier = 'tv'"),
        "The TV"
    );
    assert_eq!(
        home.value::<i64>("SELECT count(*) FROM metadata_item_settings WHERE guid = 'plex://track/c'"),
        1
    );
    assert!(home.value::<i64>("SELECT min(changed_at) FROM metadata_item_settings") > 9);
    assert_eq!(home.value::<i64>("SELECT max(count) FROM statistics_media"), 2);

    by_tv(&home, "/:/unscrobble?key=3&identifier=com.plexapp.plugins.library");
    by_tv(&home, "/:/rate?key=3&identifier=com.plexapp.plugins.library&rating=-1");
    let track = &home.json("/library/metadata/3")["Metadata"][0];
    assert!(track["viewCount"].is_null() && track["userRating"].is_null(), "{track}");
    assert_eq!(home.value::<i64>("SELECT count(*) FROM metadata_item_views"), 2);
    let extra: String = home.value("SELECT extra_data FROM metadata_item_settings WHERE guid = 'plex://track/c'");
    assert!(extra.contains("pv:unplayedAt"), "{extra}");
}

#[test]
fn marking_an_album_marks_its_tracks() {
    let home = home();
    by_tv(&home, "/:/scrobble?key=2&identifier=com.plexapp.plugins.library");
    assert_eq!(home.json("/library/sections/1/all?type=10&unwatched=1")["size"], 0);
    assert_eq!(home.value::<i64>("SELECT count(*) FROM metadata_item_views"), 2);
    by_tv(&home, "/:/unscrobble?key=2&identifier=com.plexapp.plugins.library");
    assert_eq!(home.json("/library/sections/1/all?type=10&unwatched=1")["size"], 2);
}

#[test]
fn a_player_reports_and_stops() {
    let home = home();
    let report = |state: &str, time: i64| {
        by_tv(
            &home,
            &format!("/:/timeline?ratingKey=4&key=/library/metadata/4&state={state}&time={time}&duration=200000"),
        );
    };
    report("playing", 1000);
    let sessions = home.json("/status/sessions");
    assert_eq!(sessions["size"], 1);
    assert_eq!(sessions["Metadata"][0]["Player"]["state"], "playing");
    assert_eq!(sessions["Metadata"][0]["User"]["id"], "1");
    assert!(
        home.json("/library/metadata/4")["Metadata"][0]["viewOffset"].is_null(),
        "below MinimumProgressTime"
    );
    report("paused", 90_000);
    assert_eq!(home.json("/library/metadata/4")["Metadata"][0]["viewOffset"], 90_000);
    report("stopped", 190_000);
    assert_eq!(home.json("/status/sessions")["size"], 0);
    let track = &home.json("/library/metadata/4")["Metadata"][0];
    assert!(track["viewOffset"].is_null());
    assert_eq!(track["viewCount"], 1);
    assert!(home.json("/statistics/bandwidth?timespan=4")["size"].as_i64().unwrap() > 0);
}

#[test]
fn a_position_is_kept_and_forgotten() {
    let home = home();
    by_tv(
        &home,
        "/:/progress?key=3&identifier=com.plexapp.plugins.library&time=42000&state=stopped",
    );
    assert_eq!(home.json("/library/metadata/3")["Metadata"][0]["viewOffset"], 42_000);
    by_tv(
        &home,
        "/:/progress?key=3&identifier=com.plexapp.plugins.library&time=0&state=stopped",
    );
    assert!(home.json("/library/metadata/3")["Metadata"][0]["viewOffset"].is_null());
}

#[test]
fn silent_players_are_forgotten() {
    let mut home = Home::new();
    home.tempo(r#"{"session_timeout_seconds":0}"#);
    home.start();
    add_music(&home);
    by_tv(
        &home,
        "/:/timeline?ratingKey=4&key=/library/metadata/4&state=playing&time=1&duration=200000",
    );
    assert_eq!(home.json("/status/sessions")["size"], 0);
}

#[test]
fn playlists() {
    let home = home();
    let uri = "server%3A%2F%2Fx%2Fcom.plexapp.plugins.library%2Flibrary%2Fmetadata%2F4%2C3";
    let created = home
        .ok("POST", &format!("/playlists?type=audio&title=Mine&smart=0&uri={uri}"))
        .body;
    assert!(
        created.contains("playlistType=\"audio\"") && created.contains("leafCount=\"2\""),
        "{created}"
    );
    let list = home.json("/playlists?playlistType=audio");
    let id = list["Metadata"][0]["ratingKey"].as_str().unwrap().to_owned();
    let titles = || -> Vec<String> {
        let items = home.json(&format!("/playlists/{id}/items"));
        let items = items["Metadata"].as_array().cloned().unwrap_or_default();
        items
            .iter()
            .map(|item| item["title"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(titles(), ["Second", "First & \"only\""]);
    home.ok("PUT", &format!("/playlists/{id}/items?uri=/library/metadata/2"));
    assert_eq!(titles().len(), 4);
    let items = home.json(&format!("/playlists/{id}/items"));
    let entry = |at: usize| items["Metadata"][at]["playlistItemID"].as_i64().unwrap();
    home.ok("PUT", &format!("/playlists/{id}/items/{}/move", entry(1)));
    home.ok("DELETE", &format!("/playlists/{id}/items/{}", entry(2)));
    home.ok("DELETE", &format!("/playlists/{id}/items/{}", entry(3)));
    assert_eq!(titles(), ["First & \"only\"", "Second"]);
    // The rows of a real playlist.
    assert_eq!(
        home.value::<i64>("SELECT metadata_type FROM metadata_items WHERE title = 'Mine'"),
        15
    );
    assert_eq!(
        home.value::<i64>("SELECT count(*) FROM play_queue_generators WHERE playlist_id IS NOT NULL"),
        2
    );
    assert_eq!(home.value::<i64>("SELECT account_id FROM metadata_item_accounts"), 1);
    home.ok("PUT", &format!("/playlists/{id}?title=Ours"));
    assert_eq!(home.json("/playlists?title=Ours")["size"], 1);
    home.ok("DELETE", &format!("/playlists/{id}"));
    assert_eq!(home.json("/playlists")["size"], 0);
    assert_eq!(home.value::<i64>("SELECT count(*) FROM play_queue_generators"), 0);
}

#[test]
fn play_queues_replace_each_other() {
    let home = home();
    for _ in 0..2 {
        let answer = home.call("POST", "/playQueues?type=audio&uri=/library/metadata/2&shuffle=0", &TV);
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("playQueueTotalCount=\"2\""), "{}", answer.body);
    }
    assert_eq!(
        home.value::<i64>("SELECT count(*) FROM play_queues WHERE client_identifier = 'tv'"),
        1
    );
    assert_eq!(home.value::<i64>("SELECT count(*) FROM play_queue_items"), 2);
}

#[test]
fn collections() {
    let home = home();
    home.ok(
        "POST",
        "/library/collections?type=9&title=Best&smart=0&sectionId=1&uri=/library/metadata/2",
    );
    let list = home.json("/library/sections/1/collections");
    let id = list["Metadata"][0]["ratingKey"].as_str().unwrap().to_owned();
    assert_eq!(
        home.json(&format!("/library/collections/{id}/children"))["Metadata"][0]["title"],
        "Album"
    );
    assert_eq!(home.json("/library/sections/1/all?type=9&collection=Best")["size"], 1);
    assert_eq!(
        home.value::<String>("SELECT tags_collection FROM metadata_items WHERE id = 2"),
        "Best"
    );
    home.ok(
        "PUT",
        &format!("/library/collections/{id}/items?uri=/library/metadata/1"),
    );
    home.ok("DELETE", &format!("/library/collections/{id}/items/2"));
    assert_eq!(
        home.json(&format!("/library/collections/{id}/items"))["Metadata"][0]["title"],
        "Artist"
    );
    home.ok("DELETE", &format!("/library/collections/{id}"));
    assert_eq!(home.value::<i64>("SELECT count(*) FROM taggings"), 0);
}

#[test]
fn edits_lock_their_fields_and_reach_the_search() {
    let home = home();
    home.ok(
        "PUT",
        "/library/metadata/3?title.value=Renamed&title.locked=1&summary.value=Good&summary.locked=1",
    );
    let track = &home.json("/library/metadata/3")["Metadata"][0];
    assert_eq!(
        (&track["title"], &track["summary"]),
        (&"Renamed".into(), &"Good".into())
    );
    assert_eq!(track["Field"].as_array().unwrap().len(), 2);
    assert_eq!(
        home.value::<String>("SELECT user_fields FROM metadata_items WHERE id = 3"),
        "lockedFields=1|8"
    );
    home.ok("PUT", "/library/metadata/3?summary.locked=0");
    assert_eq!(
        home.value::<String>("SELECT user_fields FROM metadata_items WHERE id = 3"),
        "lockedFields=1"
    );
    assert_eq!(home.json("/search?query=renam")["size"], 1);
    assert_eq!(
        home.json("/hubs/search?query=renam")["Hub"][0]["Metadata"][0]["title"],
        "Renamed"
    );
    assert_eq!(
        home.value::<i64>("SELECT count(*) FROM fts4_metadata_titles_icu WHERE title MATCH 'renamed'"),
        1,
        "the triggers keep the search index"
    );
    assert_eq!(
        home.call("PUT", "/library/metadata/3?nonsense.value=1", &[]).status,
        400
    );
}

#[test]
fn media_is_deleted_only_when_allowed() {
    let home = home();
    home.ok("PUT", "/:/prefs?allowMediaDeletion=0");
    assert_eq!(home.call("DELETE", "/library/metadata/3", &[]).status, 403);
    home.ok("PUT", "/:/prefs?allowMediaDeletion=1");
    by_tv(&home, "/:/scrobble?key=3&identifier=x");
    home.ok("DELETE", "/library/metadata/3");
    assert_eq!(home.get("/library/metadata/3").status, 404);
    assert_eq!(home.value::<i64>("SELECT count(*) FROM media_parts"), 1);
    assert_eq!(
        home.value::<i64>("SELECT count(*) FROM metadata_item_views"),
        1,
        "what people did stays"
    );
}
