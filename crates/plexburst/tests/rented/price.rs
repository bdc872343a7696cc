//! What a rented machine will cost: shown by `plan`, and asked before it is spent.

use serde_json::Value;
use sim::scaleway::{Options, Scaleway};

use crate::common::World;
use crate::support::prepared;

#[tokio::test(flavor = "multi_thread")]
async fn it_is_shown_beforehand_and_not_spent_unasked() {
    let cloud = Scaleway::start(&Options::default()).unwrap();
    let world = World::new();
    world.music(1, 1, 1, 4, 2.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    world.create_music(&root, 4).await;
    world.music(2, 1, 1, 4, 2.0);
    world.configure(&[(&root, "Music")]);
    let plan = |args: &[&str]| {
        let mut all = vec!["plan", "--on", "scaleway"];
        all.extend(args);
        prepared(&world, &cloud, &all).output().unwrap()
    };
    let output = plan(&["--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let plan_json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
    let cost = &plan_json["cost"];
    assert_eq!(cost["first"]["commercial_type"], "DEV1-M", "{plan_json:#}");
    assert_eq!(cost["work"]["files"], 4, "{cost:#}");
    // Four known tracks that Sonic has not seen, and four new ones.
    assert_eq!(cost["work"]["sonic"], 8, "{cost:#}");
    let hour = cost["first"]["eur_per_hour"].as_f64().unwrap();
    // The work of minutes costs the hour that is billed at least.
    assert!(
        (cost["first"]["eur"]["expected"].as_f64().unwrap() - hour).abs() < 1e-9,
        "{cost:#}"
    );
    assert!(
        (cost["eur_at_most"].as_f64().unwrap() - 96.0 * hour).abs() < 1e-6,
        "{cost:#}"
    );
    let cheaper = cost["cheaper"].as_array().unwrap();
    assert!(cheaper.iter().any(|c| c["commercial_type"] == "DEV1-S"), "{cost:#}");
    assert!(!cost["faster"].as_array().unwrap().is_empty(), "{cost:#}");
    assert_eq!(cost["ends_itself"], false);

    let text = plan(&["--max-hours", "2"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    for words in [
        "DEV1-M in fr-par-1",
        "without VAT",
        "4 new files, 8 tracks for Sonic",
        "2 h 00 min at the latest",
        "--instance DEV1-S",
        "cannot end itself",
        "may be 3 times wrong",
    ] {
        assert!(text.contains(words), "{words:?} is missing: {text}");
    }

    // Nobody to ask, and nothing agreed beforehand: nothing is begun.
    let sync = prepared(&world, &cloud, &["sync", "--on", "scaleway"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&sync.stderr).into_owned();
    assert_eq!(sync.status.code(), Some(2), "{said}");
    assert!(
        said.contains("Rent it, for EUR") && said.contains("hint: give -y"),
        "{said}"
    );
    assert!(said.contains("--max-cost"), "{said}");
    assert!(!world.path("state/bursts").exists(), "a burst was begun");
    assert!(cloud.resources().is_empty());

    // A limit that does not pay an hour is none that could be agreed to.
    let sync = prepared(&world, &cloud, &["sync", "--on", "scaleway", "--max-cost", "0.001"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&sync.stderr).into_owned();
    assert_eq!(sync.status.code(), Some(2), "{said}");
    assert!(said.contains("does not pay one hour"), "{said}");
}
