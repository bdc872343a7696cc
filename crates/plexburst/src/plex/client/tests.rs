use std::time::Duration;

use super::{Address, ButlerStarted, Client, Error, ItemKind, Kind, NewSection, Pass, Token};
use crate::plex::canned::{Answer, Canned};

fn client(server: &Canned) -> Client {
    let token = Token::new("secret-token\n");
    Client::new("home", &Address::Http(server.base()), Some(&token)).unwrap()
}

#[tokio::test]
async fn identity_and_the_headers_that_go_along() {
    let body = r#"{"MediaContainer":{"size":0,"apiVersion":"1.2.3","claimed":true,"machineIdentifier":"ab","version":"1.43.4"}}"#;
    let server = Canned::start(move |_| Answer::json(body)).await;
    let identity = client(&server).identity().await.unwrap();
    assert!(identity.claimed);
    assert_eq!(identity.version, "1.43.4");
    let asked = server.asked();
    assert_eq!(asked[0].target, "/identity");
    assert_eq!(asked[0].header("x-plex-token"), Some("secret-token"));
    assert_eq!(asked[0].header("accept"), Some("application/json"));
}

#[tokio::test]
async fn every_way_to_fail_is_told_apart_and_none_shows_a_secret() {
    let html = "<html><head><title>Unauthorized</title></head><body><h1>401 Unauthorized</h1></body></html>";
    type Expected = fn(&Kind) -> bool;
    let cases: [(u16, &str, Expected); 7] = [
        (401, html, |kind| matches!(kind, Kind::Unauthorised)),
        (403, "", |kind| matches!(kind, Kind::Forbidden(_))),
        (404, html, |kind| matches!(kind, Kind::NotFound)),
        (400, html, |kind| matches!(kind, Kind::BadRequest(_))),
        (
            503,
            "<h1>maintenance</h1>",
            |kind| matches!(kind, Kind::Starting(said) if said == "maintenance"),
        ),
        (500, "", |kind| matches!(kind, Kind::Status { status: 500, .. })),
        (200, "<MediaContainer/>", |kind| matches!(kind, Kind::Malformed(_))),
    ];
    for (status, body, expected) in cases {
        let server = Canned::start(move |_| Answer::new(status, body)).await;
        let error = client(&server).sections().await.unwrap_err();
        assert!(expected(&error.kind), "{status}: {error:?}");
        assert!(
            error
                .to_string()
                .starts_with("GET /library/sections on the home Plex server: "),
            "{error}"
        );
    }
    let error = Client::new("home", &Address::loopback(9), None)
        .unwrap()
        .identity()
        .await
        .unwrap_err();
    assert!(matches!(error.kind, Kind::Refused), "{error}");
    assert!(error.is_temporary() && error.hint().is_some());

    let server = Canned::start(|_| Answer::new(400, "claim-abc is no good: claim-…")).await;
    let error = client(&server).claim(&Token::new("claim-xyz")).await.unwrap_err();
    let shown = format!("{error} {error:?} {:?}", client(&server));
    assert!(
        !shown.contains("claim-xyz") && !shown.contains("secret-token"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_server_that_never_answers_and_one_that_breaks_off() {
    let server = Canned::start(|_| Answer::Never).await;
    let client = client(&server);
    let error = client
        .call(reqwest::Method::GET, "/identity")
        .limit(Duration::from_millis(200))
        .send()
        .await
        .err()
        .unwrap();
    assert!(matches!(error.kind, Kind::Timeout(_)), "{error}");
    let server = Canned::start(|_| Answer::BreakOff).await;
    let error = self::client(&server).identity().await.unwrap_err();
    assert!(matches!(error.kind, Kind::Broken(_)), "{error}");
}

#[tokio::test]
async fn sections_with_roots_and_activities_with_a_late_context() {
    let server = Canned::start(|request| match request.target.as_str() {
        "/library/sections" => Answer::json(
            r#"{"MediaContainer":{"size":1,"Directory":[{"key":"3","type":"artist","title":"Music","agent":"tv.plex.agents.music",
               "scanner":"Plex Music","language":"en-US","refreshing":true,"scannedAt":17,
               "Location":[{"id":5,"path":"/movies/a b"},{"id":6,"path":"/x"}]}]}}"#,
        ),
        "/activities" => Answer::json(
            r#"{"MediaContainer":{"size":3,"Activity":[
               {"uuid":"a","type":"library.update.section","title":"Scanning","progress":-1},
               {"uuid":"b","type":"library.update.section","progress":12.5,"Context":{"librarySectionID":"3"}},
               {"uuid":"c","type":"media.generate.bif","progress":"7","Context":[{"librarySectionID":4}]}]}}"#,
        ),
        _ => Answer::new(404, ""),
    })
    .await;
    let client = client(&server);
    let sections = client.sections().await.unwrap();
    assert!(sections[0].is_music() && sections[0].refreshing && sections[0].id == 3);
    assert_eq!(sections[0].locations[0].path, "/movies/a b");
    let activities = client.activities().await.unwrap();
    assert_eq!(
        activities.iter().map(|a| a.section).collect::<Vec<_>>(),
        [None, Some(3), Some(4)]
    );
    assert!(activities[0].progress < 0.0);
}

#[tokio::test]
async fn paging_counts_and_encoding() {
    let server = Canned::start(|request| {
        if request.target.contains("Container-Size=0") {
            Answer::json(r#"{"MediaContainer":{"size":0,"totalSize":456534}}"#)
        } else {
            Answer::json(
                r#"{"MediaContainer":{"size":1,"totalSize":1,"Metadata":[{"ratingKey":"7","guid":"local://7","title":"T",
                "viewCount":2,"userRating":8,"Media":[{"Part":[{"id":9,"file":"/m/a.flac","size":12}]}]}]}}"#,
            )
        }
    })
    .await;
    let client = client(&server);
    assert_eq!(client.count(3, ItemKind::Track).await.unwrap(), 456_534);
    let page = client.items(3, ItemKind::Track, 100, 50).await.unwrap();
    assert_eq!(page.items[0].parts().next().unwrap().file, "/m/a.flac");
    assert_eq!(page.items[0].user_rating, Some(8.0));
    client.refresh(3, true, Some("/a b/é+&")).await.unwrap();
    let asked = server.asked();
    assert_eq!(
        asked[1].target,
        "/library/sections/3/all?type=10&X-Plex-Container-Start=100&X-Plex-Container-Size=50"
    );
    assert_eq!(
        asked[2].target,
        "/library/sections/3/refresh?force=1&path=%2Fa%20b%2F%C3%A9%2B%26"
    );
}

#[tokio::test]
async fn butler_pass_sections_and_missing_things() {
    let server = Canned::start(|request| match (request.method.as_str(), request.target.as_str()) {
        ("POST", "/butler/MusicAnalysis") => Answer::new(202, ""),
        ("GET", "/butler") => {
            Answer::json(r#"{"ButlerTasks":{"ButlerTask":[{"name":"MusicAnalysis","enabled":true}]}}"#)
        }
        ("GET", "/myplex/account") => {
            Answer::json(r#"{"MyPlex":{"signInState":"ok","subscriptionActive":"1","authToken":"x"}}"#)
        }
        ("POST", _) => Answer::new(201, "").header("Location", "/library/sections/12"),
        ("GET", "/status/sessions") => Answer::json(r#"{"MediaContainer":{"size":0}}"#),
        _ => Answer::new(404, ""),
    })
    .await;
    let client = client(&server);
    assert_eq!(
        client.start_butler("MusicAnalysis").await.unwrap(),
        ButlerStarted::Already
    );
    assert_eq!(client.butler_tasks().await.unwrap()[0].name, "MusicAnalysis");
    assert_eq!(client.pass().await.unwrap(), Pass::Active);
    assert!(client.sessions().await.unwrap().is_empty());
    assert_eq!(client.item(5).await.unwrap(), None);
    assert_eq!(client.preference("NoSuch").await.unwrap(), None);
    client.cancel_activity("gone").await.unwrap();
    let new = NewSection {
        title: "Music".into(),
        kind: "artist".into(),
        locations: vec!["/a".into(), "/b".into()],
        ..NewSection::default()
    };
    assert_eq!(client.create_section(&new).await.unwrap(), 12);
    let created = server
        .asked()
        .into_iter()
        .find(|request| request.target.starts_with("/library/sections?"))
        .unwrap();
    assert!(
        created.target.ends_with("&location=%2Fa&location=%2Fb"),
        "{}",
        created.target
    );
}

#[tokio::test]
async fn over_a_unix_socket_a_missing_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("plex.sock");
    let client = Client::new("worker", &Address::Socket(socket.clone()), None).unwrap();
    let error: Error = client.identity().await.unwrap_err();
    assert!(matches!(error.kind, Kind::Refused), "{error:?}");
    let body = r#"{"MediaContainer":{"machineIdentifier":"cd","version":"1"}}"#;
    let server = Canned::start_on(&socket, move |_| Answer::json(body)).await;
    assert_eq!(client.identity().await.unwrap().machine_identifier, "cd");
    drop(server);
    // The relay of a cell says so itself when the server behind it does not listen.
    std::fs::remove_file(&socket).unwrap();
    let _relay = Canned::start_on(&socket, |_| Answer::new(502, "").header("X-Plexburst-Cell", "refused")).await;
    let again = Client::new("worker", &Address::Socket(socket), None).unwrap();
    let error = again.identity().await.unwrap_err();
    assert!(matches!(error.kind, Kind::Refused), "{error:?}");
}
