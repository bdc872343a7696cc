//! How a rented machine's life ends before its work does: its money, its deadline, and nobody at work. The clock is the
//! cloud's own, which tests move on; what the machine knows of it comes from its metadata service.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use sim::scaleway::Scaleway;

use crate::common::{self, World};
use crate::errors::{on_the_machine, told};
use crate::own_end::{kinds, with_a_key};
use crate::support::{begun_and_left_with, cloud, command, nothing_is_billed, prepared, slow_down, world};

const LIMIT: Duration = Duration::from_secs(420);
/// Two minutes of analysis after the scan: the machine looks at the clock every minute.
const SLOW: u32 = 15;
const AT_WORK: &str = r#""phase":"work","event":"started""#;

/// From now on the cloud's clock goes no faster than ours, but for what is added.
async fn calm(cloud: &Scaleway) {
    told(cloud, "POST", "clock", &json!({"mode": "auto", "speed": 1.0})).await;
}

/// What the depot has of the worker's journal.
fn worker_says(world: &World, words: &str) -> bool {
    // Asking is a process of its own.
    std::thread::sleep(Duration::from_millis(500));
    let output = world.run(&["logs"]);
    String::from_utf8_lossy(&output.stdout).contains(words)
}

fn report_of(world: &World, output: &std::process::Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", world.logs());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// When the machine has to be gone, by the cloud's clock.
fn deadline(world: &World) -> i64 {
    let journal = std::fs::read_to_string(world.burst_dir().join("journal.jsonl")).unwrap();
    let mut entries = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let rented = entries
        .find(|entry| entry["phase"] == "provision" && entry["event"] == "done")
        .unwrap();
    rented["facts"]["deadline"].as_i64().unwrap()
}

fn assert_time_was_up(report: &Value) {
    assert_eq!(report["outcome"], "committed", "{report:#}");
    // Found by the scan, before the time for their analysis was up.
    assert_eq!(report["after"]["sections"][0]["counts"]["tracks"], 8, "{report:#}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("the machine's time is up"), "{warnings}");
}

/// The money is nearly spent while the machine is at work. Its first controller is gone by then; another, which has no key to
/// it, has taken the burst over and follows it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_comes_home_before_the_money_is_spent() {
    const MOST: f64 = 0.03;
    let Some((cloud, image)) = cloud("a rented machine whose money is spent") else {
        return;
    };
    let (world, _) = world(image.path()).await;
    slow_down(image.path(), SLOW);
    let most = MOST.to_string();
    begun_and_left_with(&world, &cloud, &["--max-cost", &most], AT_WORK);
    calm(&cloud).await;
    let id = world.burst_dir().file_name().unwrap().to_str().unwrap().to_owned();
    let other_state = world.path("other-state");
    let mut burst = prepared(&world, &cloud, &["resume", &id, "--json"]);
    let mut burst = burst
        .env("PLEXBURST_STATE_DIR", &other_state)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    common::wait_until("the scan is over", LIMIT, || {
        worker_says(&world, "checkpoint 1 in the depot") || burst.try_wait().unwrap().is_some()
    });
    // Two hours are what that pays; a tenth of them is kept back.
    let clock = told(&cloud, "GET", "clock", &Value::Null).await;
    let now: jiff::Timestamp = clock["now"].as_str().unwrap().parse().unwrap();
    let left = i32::try_from(deadline(&world) - 600 - now.as_second()).unwrap();
    cloud.advance(f64::from(left.max(0)));
    let report = report_of(&world, &burst.wait_with_output().unwrap());
    assert_time_was_up(&report);
    let cost: f64 = report["cost"]
        .as_str()
        .unwrap()
        .trim_start_matches("EUR ")
        .parse()
        .unwrap();
    assert!(cost > 0.02 && cost <= MOST, "{cost}");
    let bill = cloud.bill();
    assert!(bill["total_eur"].as_f64().unwrap() <= MOST, "{bill}");
    nothing_is_billed(&cloud);
    let journal = std::fs::read_to_string(other_state.join("bursts").join(id).join("journal.jsonl")).unwrap();
    let intended = journal.matches(r#""resource":"intended","kind":"server""#).count();
    assert_eq!(intended, 1, "no second machine was rented");
}

/// Without a key it parks what it has and is billed on, until somebody's timer sweeps it: on another machine, one that knows
/// nothing of the burst. What it parked comes home afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_it_parks_and_is_swept_past_its_deadline() {
    let Some((cloud, image)) = cloud("a rented machine past its deadline") else {
        return;
    };
    let (world, section) = world(image.path()).await;
    slow_down(image.path(), SLOW);
    begun_and_left_with(&world, &cloud, &[], AT_WORK);
    calm(&cloud).await;
    common::wait_until("the scan is over", LIMIT, || {
        worker_says(&world, "checkpoint 1 in the depot")
    });
    // Half an hour before the 96 hours that it may live.
    cloud.advance(95.7 * 3600.0);
    common::wait_until("the result is parked", LIMIT, || {
        worker_says(&world, "park-result: done")
    });
    cloud.advance(0.4 * 3600.0);
    assert!(kinds(&cloud).iter().any(|kind| kind == "server"), "nobody ends it");
    let sweep = crate::by_timer(&world, &cloud);
    let swept = String::from_utf8_lossy(&sweep.stdout).into_owned();
    let said = String::from_utf8_lossy(&sweep.stderr).into_owned();
    assert!(sweep.status.success(), "{swept}{said}");
    nothing_is_billed(&cloud);
    assert_eq!(common::part_count(&world.tracks(section).await), 4);
    let report = report_of(&world, &command(&world, &cloud, &["resume", "--json"]));
    assert_time_was_up(&report);
    nothing_is_billed(&cloud);
}

/// Nobody follows it any more, and it works past its deadline: its warden ends it.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_it_is_gone_at_its_deadline() {
    let Some((cloud, image)) = cloud("a rented machine at its deadline") else {
        return;
    };
    let (world, section) = world(image.path()).await;
    with_a_key(&world);
    slow_down(image.path(), SLOW);
    begun_and_left_with(&world, &cloud, &["--max-hours", "2"], AT_WORK);
    calm(&cloud).await;
    cloud.advance(3600.0);
    assert!(kinds(&cloud).iter().any(|kind| kind == "server"), "it has time");
    cloud.advance(1.1 * 3600.0);
    common::wait_until("the machine has ended itself", LIMIT, || {
        !kinds(&cloud).iter().any(|kind| kind == "server")
    });
    assert!(cloud.bill()["open"].as_array().unwrap().is_empty(), "{}", cloud.bill());
    let cancel = command(&world, &cloud, &["cancel", "--discard"]);
    assert!(cancel.status.success(), "{}", String::from_utf8_lossy(&cancel.stderr));
    nothing_is_billed(&cloud);
    assert_eq!(common::part_count(&world.tracks(section).await), 4);
}

/// Its worker died and nobody starts it again: after an hour it ends itself, and home is what it was.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_it_ends_when_nobody_works_on_it() {
    let Some((cloud, image)) = cloud("a rented machine that nobody works on") else {
        return;
    };
    let (world, section) = world(image.path()).await;
    with_a_key(&world);
    slow_down(image.path(), SLOW);
    begun_and_left_with(&world, &cloud, &[], AT_WORK);
    calm(&cloud).await;
    on_the_machine(
        &world,
        "for lock in /var/lib/plexburst/*/lock; do kill -KILL $(head -n 1 $lock); done",
    );
    // The warden looks every ten seconds; it has to have seen it once before the hour that it is idle for begins.
    common::wait_until("the machine has ended itself", LIMIT, || {
        std::thread::sleep(Duration::from_millis(500));
        cloud.advance(300.0);
        !kinds(&cloud).iter().any(|kind| kind == "server")
    });
    let hours = cloud.bill()["closed"][0]["eur"].as_f64().unwrap();
    assert!(hours > 0.0, "{}", cloud.bill());
    let cancel = command(&world, &cloud, &["cancel", "--discard"]);
    assert!(cancel.status.success(), "{}", String::from_utf8_lossy(&cancel.stderr));
    nothing_is_billed(&cloud);
    assert_eq!(common::part_count(&world.tracks(section).await), 4);
}

/// The first type was not to be had, and the controller was killed over the second. It goes on with that one, although the
/// first can be had by then and this machine has another address than the one that the machine lets in.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_choice_is_gone_on_with_from_another_address() {
    use sim::scaleway::{Fault, Rule};
    let Some((cloud, image)) = cloud("a second choice") else {
        return;
    };
    let (world, _) = world(image.path()).await;
    cloud.fault(Rule::new(Fault::OutOfStock).on("POST", "/servers$").times(1));
    begun_and_left_with(&world, &cloud, &[], r#""resource":"known","kind":"server""#);
    cloud.clear_faults();
    let servers = |cloud: &Scaleway| {
        let all = cloud.resources();
        all.into_iter().filter(|r| r["kind"] == "server").collect::<Vec<_>>()
    };
    let made = servers(&cloud);
    assert_eq!(made.len(), 1);
    crate::errors::let_in_only(&cloud, "192.0.2.9/32").await;
    let report = report_of(&world, &command(&world, &cloud, &["resume", "--json"]));
    assert_eq!(report["outcome"], "committed");
    let journal = std::fs::read_to_string(world.burst_dir().join("journal.jsonl")).unwrap();
    let provisioned: Value = journal
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|entry| entry["phase"] == "provision" && entry["event"] == "done")
        .unwrap();
    let offer = &provisioned["facts"]["offer"]["commercial_type"];
    assert!(offer.is_string() && *offer != "DEV1-S", "{provisioned:#}");
    assert_eq!(
        provisioned["facts"]["server"]["id"], made[0]["id"],
        "no second one was made"
    );
    nothing_is_billed(&cloud);
}
