//! Who is let in (facts/plex.md §4.3, §7.3).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sim::plextv::{Account, PlexTv};
use sim::prefs::Preferences;

use crate::support::{Home, add_music};

fn claimed(pass: bool) -> (Home, String) {
    let mut home = Home::new();
    let claim = PlexTv::at(&home.plextv()).issue_claim(pass).unwrap();
    home.set("PLEX_CLAIM", &claim);
    home.start();
    let token = Preferences::read(&home.data().preferences())
        .unwrap()
        .online_token()
        .unwrap()
        .to_owned();
    (home, token)
}

#[test]
fn a_claimed_server_wants_a_token() {
    let (home, token) = claimed(true);
    assert!(home.get("/identity").body.contains("claimed=\"1\""));
    for headers in [&[][..], &[("X-Plex-Token", "bogus")], &[("Accept", "application/json")]] {
        let refused = home.call("GET", "/library/sections", headers);
        assert_eq!(refused.status, 401);
        assert_eq!(refused.headers["content-type"], "text/html");
        assert_eq!(refused.body.len(), 91);
    }
    assert_eq!(
        home.call("GET", "/library/sections", &[("X-Plex-Token", &token)])
            .status,
        200
    );
    assert_eq!(home.get(&format!("/library/sections?X-Plex-Token={token}")).status, 200);
    let own = fs::read_to_string(home.data().local_admin_token()).unwrap();
    assert_eq!(
        home.call("GET", "/library/sections", &[("X-Plex-Token", &own)]).status,
        200
    );
    let mode = fs::metadata(home.data().local_admin_token())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_local_token_is_good_for_one_run() {
    let (mut home, _) = claimed(true);
    let first = fs::read_to_string(home.data().local_admin_token()).unwrap();
    home.stop();
    home.start();
    assert_ne!(fs::read_to_string(home.data().local_admin_token()).unwrap(), first);
    assert_eq!(
        home.call("GET", "/library/sections", &[("X-Plex-Token", &first)])
            .status,
        401
    );
}

#[test]
fn a_pass_brings_settings_and_tasks() {
    for pass in [true, false] {
        let (home, token) = claimed(pass);
        let with_token = |path: &str| home.call("GET", path, &[("X-Plex-Token", &token)]);
        let account = with_token("/myplex/account").body;
        assert!(
            account.contains(&format!("subscriptionActive=\"{}\"", i32::from(pass))),
            "{account}"
        );
        assert!(account.contains("signInState=\"ok\""));
        assert_eq!(
            with_token("/:/prefs").body.contains("id=\"MusicAnalysisBehavior\""),
            pass
        );
        assert_eq!(with_token("/butler").body.contains("name=\"MusicAnalysis\""), pass);
        let put = home.call(
            "PUT",
            "/:/prefs?MusicAnalysisBehavior=asap",
            &[("X-Plex-Token", &token)],
        );
        assert_eq!(put.status, if pass { 200 } else { 400 });
        let task = home.call("POST", "/butler/MusicAnalysis", &[("X-Plex-Token", &token)]);
        assert_eq!(task.status, if pass { 200 } else { 404 });
    }
}

#[test]
fn a_running_server_is_claimed_once_and_released() {
    let home = Home::started();
    let claim = PlexTv::at(&home.plextv()).issue_claim(true).unwrap();
    assert_eq!(home.call("POST", "/myplex/claim?token=claim-nonsense", &[]).status, 400);
    assert_eq!(
        home.call("POST", &format!("/myplex/claim?token={claim}"), &[]).status,
        200
    );
    assert_eq!(home.get("/library/sections").status, 401);
    let token = Preferences::read(&home.data().preferences())
        .unwrap()
        .online_token()
        .unwrap()
        .to_owned();
    let with_token = [("X-Plex-Token", token.as_str())];
    assert_eq!(
        home.call("POST", &format!("/myplex/claim?token={claim}"), &with_token)
            .status,
        400
    );
    assert_eq!(home.call("DELETE", "/myplex/account", &with_token).status, 200);
    assert_eq!(home.get("/library/sections").status, 200);
}

#[test]
fn a_claim_that_is_no_good_leaves_the_server_unclaimed_but_running() {
    let mut home = Home::new();
    home.set("PLEX_CLAIM", "claim-used-or-old");
    home.start();
    assert!(home.get("/identity").body.contains("claimed=\"0\""));
    assert!(home.log().contains("plex.tv does not know this claim token"));
}

#[test]
fn other_people_have_views_of_their_own() {
    let (home, token) = claimed(true);
    add_music(&home);
    let guest = Account {
        id: 4711,
        username: "guest".into(),
        email: "guest@example.com".into(),
        token: "guests-token-0000000".into(),
        pass: false,
    };
    PlexTv::at(&home.plextv()).put_account("guest", &guest).unwrap();
    let headers = [
        ("X-Plex-Token", guest.token.as_str()),
        ("X-Plex-Client-Identifier", "guests-phone"),
    ];
    assert_eq!(
        home.call(
            "GET",
            "/:/scrobble?key=3&identifier=com.plexapp.plugins.library",
            &headers
        )
        .status,
        200
    );
    assert_eq!(home.value::<i64>("SELECT account_id FROM metadata_item_views"), 4711);
    assert_eq!(
        home.value::<String>("SELECT name FROM accounts WHERE id = 4711"),
        "guest"
    );
    let mine = home
        .call("GET", "/library/metadata/3", &[("X-Plex-Token", &token)])
        .body;
    assert!(!mine.contains("viewCount"), "{mine}");
    assert!(
        home.call("GET", "/library/metadata/3", &headers)
            .body
            .contains("viewCount=\"1\"")
    );
}
