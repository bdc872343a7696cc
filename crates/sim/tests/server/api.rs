//! The shapes of answers, against what the facts say about a real server (facts/plex.md §5).

use crate::support::{Home, add_music};

fn machine(home: &Home) -> String {
    sim::prefs::Preferences::read(&home.data().preferences())
        .unwrap()
        .machine_identifier()
        .to_owned()
}

#[test]
fn identity_needs_no_token_and_has_its_five_attributes() {
    let home = Home::started();
    let answer = home.get("/identity");
    let machine = machine(&home);
    assert_eq!(machine.len(), 40);
    assert_eq!(
        answer.body,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MediaContainer size=\"0\" apiVersion=\"1.2.3\" claimed=\"0\" \
             machineIdentifier=\"{machine}\" version=\"1.43.4.10903-e5521bd8c\">\n</MediaContainer>\n"
        )
    );
    assert_eq!(answer.headers["content-type"], "text/xml;charset=utf-8");
    assert_eq!(answer.headers["x-plex-protocol"], "1.0");
    assert_eq!(answer.headers["cache-control"], "no-cache");
    let json = home.json("/identity");
    assert_eq!(json["claimed"], false);
    assert_eq!(json["machineIdentifier"], machine);
    assert_eq!(json["size"], 0);
}

#[test]
fn errors_are_html_whatever_was_asked_for() {
    let home = Home::started();
    let json = [("Accept", "application/json")];
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("GET", "/library/sections/99/all", 404),
        ("GET", "/library/metadata/99", 404),
        ("PUT", "/library/metadata/99", 404),
        ("PATCH", "/library/sections", 404),
        ("GET", "/library/sections/all/refresh/x", 404),
        ("PUT", "/:/prefs?NoSuchSetting=1", 400),
        ("GET", "/:/scrobble", 400),
        ("GET", "/:/rate?key=1&rating=11", 400),
        ("POST", "/library/sections?name=x&type=artist", 400),
        ("POST", "/library/sections?name=x&type=artist&location=relative", 400),
        ("POST", "/library/sections?name=x&type=nonsense&location=/tmp", 400),
    ] {
        let answer = home.call(method, path, &json);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert_eq!(answer.headers["content-type"], "text/html", "{method} {path}");
        assert!(answer.body.starts_with("<html><head><title>"), "{method} {path}");
    }
}

#[test]
fn sections_in_the_order_of_attributes_that_clients_know() {
    let home = Home::started();
    add_music(&home);
    let body = home.get("/library/sections").body;
    assert!(
        body.contains(
            "<MediaContainer size=\"1\" allowSync=\"0\" title1=\"Plex Library\">\n\
             <Directory allowSync=\"1\" art=\"/:/resources/artist-fanart.jpg\" \
             composite=\"/library/sections/1/composite/1700000001\" filters=\"1\" refreshing=\"0\" \
             thumb=\"/:/resources/artist.png\" key=\"1\" type=\"artist\" title=\"Music\" agent=\"tv.plex.agents.music\" \
             scanner=\"Plex Music\" language=\"en-US\" uuid=\"6a1e0a2c-0000-4000-8000-000000000001\" \
             updatedAt=\"1700000001\" createdAt=\"1700000000\" scannedAt=\"1700000002\" content=\"1\" directory=\"1\" \
             contentChangedAt=\"7\" hidden=\"0\">\n\
             <Location id=\"1\" path=\"/music\" />\n</Directory>\n</MediaContainer>"
        ),
        "{body}"
    );
    assert_eq!(home.get("/library/sections/all").body, body);
    let json = home.json("/library/sections");
    assert_eq!(json["Directory"][0]["Location"][0]["path"], "/music");
    assert_eq!(json["Directory"][0]["refreshing"], false);
    assert_eq!(json["Directory"][0]["key"], "1");
}

#[test]
fn tracks_with_media_and_streams() {
    let home = Home::started();
    add_music(&home);
    let list = home.get("/library/sections/1/all?type=10").body;
    assert!(
        list.contains(
            "<Track ratingKey=\"3\" key=\"/library/metadata/3\" parentRatingKey=\"2\" grandparentRatingKey=\"1\" \
             guid=\"plex://track/c\" parentGuid=\"plex://album/b\" grandparentGuid=\"plex://artist/a\" type=\"track\" \
             title=\"First &amp; &quot;only&quot;\" grandparentKey=\"/library/metadata/1\" \
             parentKey=\"/library/metadata/2\" librarySectionTitle=\"Music\" librarySectionID=\"1\" \
             librarySectionKey=\"/library/sections/1\" grandparentTitle=\"Artist\" parentTitle=\"Album\" summary=\"\" \
             index=\"1\" parentIndex=\"1\" duration=\"200000\" addedAt=\"1700000000\" updatedAt=\"1700000001\">\n\
             <Media id=\"3\" duration=\"200000\" bitrate=\"900\" audioChannels=\"2\" audioCodec=\"flac\" \
             container=\"flac\">\n\
             <Part id=\"3\" key=\"/library/parts/3/1700000000/file.flac\" duration=\"200000\" \
             file=\"/music/Artist/Album/3.flac\" size=\"1000\" container=\"flac\" />\n</Media>\n</Track>"
        ),
        "{list}"
    );
    let one = &home.json("/library/metadata/3")["Metadata"][0];
    let stream = &one["Media"][0]["Part"][0]["Stream"][0];
    assert_eq!(stream["streamType"], 2);
    assert_eq!(stream["gain"], "-3.25");
    assert_eq!(stream["loudness"], "-14.75");
    assert_eq!(home.json("/library/metadata/3,4,99")["size"], 2);
    let tree = home.get("/library/metadata/2/tree").body;
    assert!(
        tree.contains("<MediaPart id=\"3\" file=\"/music/Artist/Album/3.flac\" size=\"1000\" hash=\"abc\""),
        "{tree}"
    );
    let checked = &home.json("/library/sections/1/all?type=10&checkFiles=1")["Metadata"][0]["Media"][0]["Part"][0];
    assert_eq!(checked["exists"], false);
}

#[test]
fn levels_children_and_leaves() {
    let home = Home::started();
    add_music(&home);
    let artist = &home.json("/library/sections/1/all")["Metadata"][0];
    assert_eq!(
        (&artist["type"], &artist["leafCount"], &artist["childCount"]),
        (&"artist".into(), &2.into(), &1.into())
    );
    assert_eq!(
        home.json("/library/metadata/1/children")["Metadata"][0]["type"],
        "album"
    );
    assert_eq!(home.json("/library/metadata/1/allLeaves")["size"], 2);
    assert_eq!(
        home.json("/library/metadata/2/children")["Metadata"][1]["title"],
        "Second"
    );
    assert_eq!(home.json("/library/metadata/3/nearest")["size"], 0);
    assert_eq!(home.json("/library/sections/1")["librarySectionID"], 1);
}

#[test]
fn pages_filters_and_sorts() {
    let home = Home::started();
    add_music(&home);
    let page = home.get("/library/sections/1/all?type=10&X-Plex-Container-Start=1&X-Plex-Container-Size=1");
    assert_eq!(page.headers["x-plex-container-start"], "1");
    assert_eq!(page.headers["x-plex-container-total-size"], "2");
    assert!(
        page.body.contains("size=\"1\" totalSize=\"2\" offset=\"1\""),
        "{}",
        page.body
    );
    let only_totals = home.call(
        "GET",
        "/library/sections/1/all?type=10",
        &[
            ("X-Plex-Container-Start", "0"),
            ("X-Plex-Container-Size", "0"),
            ("Accept", "application/json"),
        ],
    );
    let only_totals = &only_totals.json()["MediaContainer"];
    assert_eq!(
        (&only_totals["size"], &only_totals["totalSize"]),
        (&0.into(), &2.into())
    );
    let count = |query: &str| {
        home.json(&format!("/library/sections/1/all?type=10&{query}"))["size"]
            .as_i64()
            .unwrap()
    };
    assert_eq!(count("file=%2Fmusic%2FArtist%2FAlbum%2F4.flac"), 1);
    assert_eq!(count("title=SECOND"), 1);
    assert_eq!(count("title%3D=Second"), 1);
    assert_eq!(count("title%3D=Sec"), 0);
    assert_eq!(count("unmatched=1"), 1);
    assert_eq!(count("unwatched=1"), 2);
    assert_eq!(count("addedAt%3E%3E=1800000000"), 0);
    assert_eq!(count("artist.id=1"), 2);
    assert_eq!(count("album.title=nothing"), 0);
    assert_eq!(
        home.json("/library/sections/1/all?type=8&track.title=Second")["size"],
        1
    );
    assert_eq!(count("limit=1"), 1);
    let sorted = home.json("/library/sections/1/all?type=10&sort=titleSort:desc");
    assert_eq!(sorted["Metadata"][0]["title"], "Second");
    assert_eq!(home.get("/library/sections/1/all?sort=nonsense").status, 400);
    assert_eq!(home.get("/library/sections/1/all?nonsense=1").status, 400);
    assert_eq!(
        home.get("/library/sections/1/all?X-Plex-Container-Size=many").status,
        400
    );
    let meta =
        &home.json("/library/sections/1/all?includeMeta=1&X-Plex-Container-Start=0&X-Plex-Container-Size=0")["Meta"];
    assert_eq!(meta["Type"][2]["type"], "track");
}

#[test]
fn preferences_in_a_list_and_one_by_one() {
    let home = Home::started();
    let list = home.json("/:/prefs");
    let settings = list["Setting"].as_array().unwrap();
    let find = |id: &str| settings.iter().find(|setting| setting["id"] == id);
    assert_eq!(find("autoEmptyTrash").unwrap()["value"], true);
    assert_eq!(find("ButlerStartHour").unwrap()["default"], 2);
    assert_eq!(find("GenerateBIFBehavior").unwrap()["value"], "never");
    assert_eq!(find("BackgroundQueueIdlePaused").unwrap()["hidden"], true);
    for of_pass in ["MusicAnalysisBehavior", "GenerateIntroMarkerBehavior", "MarkerSource"] {
        assert!(find(of_pass).is_none(), "{of_pass}");
    }
    home.ok("PUT", "/:/prefs?autoEmptyTrash=0");
    assert_eq!(
        home.call("PUT", "/:/prefs?autoEmptyTrash=1&AutoScan=0", &[]).status,
        400
    );
    assert_eq!(
        home.json("/:/prefs/get?id=autoEmptyTrash")["Setting"][0]["value"],
        false
    );
    assert_eq!(home.get("/:/prefs/get?id=AutoScan").status, 404);
    let text = std::fs::read_to_string(home.data().preferences()).unwrap();
    assert!(text.contains("autoEmptyTrash=\"0\""), "{text}");
}

#[test]
fn what_clients_read_first() {
    let home = Home::started();
    let root = home.json("/");
    assert_eq!(root["musicAnalysis"], 2);
    assert_eq!(root["myPlex"], false);
    assert_eq!(root["version"], sim::server::VERSION);
    assert!(root["Directory"].as_array().unwrap().len() > 10);
    for path in [
        "/library",
        "/clients",
        "/accounts",
        "/devices",
        "/hubs",
        "/updater/status",
        "/myplex/account",
        "/status/sessions",
        "/transcode/sessions",
        "/statistics/bandwidth?timespan=4",
        "/playlists",
        "/servers",
        "/media/providers",
        "/library/onDeck",
        "/library/recentlyAdded",
        "/status/sessions/history/all",
        "/butler",
    ] {
        home.ok("GET", path);
    }
    let accounts = home.json("/accounts");
    assert_eq!(accounts["Account"][1]["id"], 1);
}
