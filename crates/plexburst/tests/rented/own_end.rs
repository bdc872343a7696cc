//! A machine with a restricted key of its own: it ends itself when nobody else does, and the key goes with the burst.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};
use sim::scaleway::Scaleway;

use crate::common::{self, World};
use crate::errors::told;
use crate::support::{begun_and_left, cloud, command, nothing_is_billed, world};

pub(crate) fn kinds(cloud: &Scaleway) -> Vec<String> {
    let mut kinds: Vec<String> = cloud
        .resources()
        .iter()
        .map(|r| r["kind"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    kinds
}

pub(crate) fn with_a_key(world: &World) {
    let mut config = std::fs::File::options()
        .append(true)
        .open(world.path("plexburst.toml"))
        .unwrap();
    config.write_all(b"\n[scaleway]\nself_destruct = true\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_itself_once_its_result_is_parked_and_the_result_comes_home_later() {
    let Some((cloud, image)) = cloud("a rented machine that ends itself") else {
        return;
    };
    let (world, _) = world(image.path()).await;
    with_a_key(&world);
    begun_and_left(&world, &cloud);
    let there = kinds(&cloud);
    for kind in ["api_key", "application", "policy", "server"] {
        assert!(there.iter().any(|one| one == kind), "{kind} is missing in {there:?}");
    }
    // Nobody follows it, nobody sweeps; time goes by.
    common::wait_until("the machine has ended itself", Duration::from_secs(420), || {
        cloud.advance(5.0);
        std::thread::sleep(Duration::from_millis(200));
        !kinds(&cloud).iter().any(|kind| kind == "server")
    });
    let bill = cloud.bill();
    assert!(bill["open"].as_array().unwrap().is_empty(), "{bill}");
    let output = command(&world, &cloud, &["resume", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{}", world.logs());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "committed");
    assert_eq!(report["after"]["sections"][0]["counts"]["tracks"], 8);
    nothing_is_billed(&cloud);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_left_over_is_swept_with_its_machine_and_a_living_ones_is_not() {
    let Some((cloud, image)) = cloud("the key of a rented machine") else {
        return;
    };
    let (world, _) = world(image.path()).await;
    with_a_key(&world);
    begun_and_left(&world, &cloud);
    // As long as this looks, no time of the machine's passes that it could end itself in.
    told(&cloud, "POST", "clock", &json!({"mode": "auto", "speed": 1.0})).await;
    let before = kinds(&cloud);
    let sweep = command(&world, &cloud, &["sweep"]);
    let told = String::from_utf8_lossy(&sweep.stdout).into_owned();
    assert!(sweep.status.success(), "{told}");
    assert_eq!(kinds(&cloud), before, "{told}");
    assert!(told.contains("alive     API key"), "{told}");
    cloud.advance(97.0 * 3600.0);
    let sweep = command(&world, &cloud, &["sweep"]);
    let told = String::from_utf8_lossy(&sweep.stdout).into_owned();
    let said = String::from_utf8_lossy(&sweep.stderr);
    assert!(sweep.status.success(), "{told}{said}");
    nothing_is_billed(&cloud);
}
