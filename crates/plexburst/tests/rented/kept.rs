//! A machine that its user wants to keep: it outlives a good end until it is told to go. On the way its controller's own
//! address changes.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use sim::scaleway::Scaleway;

use crate::common::{self, World};
use crate::errors::{let_in_now, nothing_is_left, told};
use crate::own_end::kinds;
use crate::support::{cloud, command, prepared, slow_down, world};

const LIMIT: Duration = Duration::from_secs(420);

/// Who is let in once the door is closed to all others.
async fn wait_until_only(cloud: &Scaleway, range: &str, burst: &mut std::process::Child) {
    let since = std::time::Instant::now();
    loop {
        let ranges = let_in_now(cloud).await;
        // A burst that has ended says below why.
        if ranges == [range] || burst.try_wait().unwrap().is_some() {
            return;
        }
        assert!(since.elapsed() < LIMIT, "{range} alone is not let in: {ranges:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn swept(world: &World, cloud: &Scaleway, more: &[&str]) -> String {
    let mut args = vec!["sweep"];
    args.extend(more);
    let output = command(world, cloud, &args);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {told}{said}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_followed_from_another_address_and_stays_until_it_is_told_to_go() {
    let Some((cloud, image)) = cloud("a rented machine that is kept") else {
        return;
    };
    let (world, _) = world(image.path()).await;
    slow_down(image.path(), 3);
    let args = [
        "sync",
        "--on",
        "scaleway",
        "--instance",
        "lite",
        "--quick",
        "--keep",
        "-y",
        "--json",
    ];
    let mut burst = prepared(&world, &cloud, &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let errors = burst.stderr.take().unwrap();
    // The pipe must not fill up while the burst runs.
    let said = std::thread::spawn(move || {
        let lines = BufReader::new(errors).lines().map_while(Result::ok);
        lines.fold(String::new(), |all, line| all + &line + "\n")
    });
    common::wait_until("its worker is followed", LIMIT, || {
        let log = std::fs::read_dir(world.path("state/bursts")).ok().and_then(|dirs| {
            let dir = dirs.flatten().next()?.path();
            std::fs::read_to_string(dir.join("log.txt")).ok()
        });
        log.is_some_and(|text| text.contains("  worker    ")) || burst.try_wait().unwrap().is_some()
    });
    wait_until_only(&cloud, "127.0.0.1/32", &mut burst).await;
    // The line gets another address: what was open breaks, and the machine lets in nobody who comes from there.
    told(&cloud, "POST", "callers", &json!({"address": "127.0.0.2"})).await;
    wait_until_only(&cloud, "127.0.0.2/32", &mut burst).await;
    let was_followed = burst.try_wait().unwrap().is_none();

    let output = burst.wait_with_output().unwrap();
    let said = said.join().unwrap();
    assert!(was_followed, "it ended before: {said}\n{}", world.logs());
    assert!(output.status.success(), "{said}\n{}", world.logs());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "committed", "{report:#}");
    assert_eq!(report["after"]["sections"][0]["counts"]["tracks"], 8, "{report:#}");
    assert!(
        said.contains("the worker's machine does not answer"),
        "it was never away: {said}"
    );
    for words in ["is kept: EUR 0.0", "an hour", "`plexburst sweep --kept` ends it now"] {
        assert!(said.contains(words), "{words:?} is not said: {said}");
    }

    // Who sweeps shows it and lets it be, with everything that it needs: where the burst was, and elsewhere.
    let there = kinds(&cloud);
    assert!(there.iter().any(|kind| kind == "server"), "{there:?}");
    let shown = swept(&world, &cloud, &[]);
    assert!(shown.contains("kept      server"), "{shown}");
    assert!(!shown.contains("destroy"), "{shown}");
    let elsewhere = crate::by_timer(&world, &cloud);
    let shown = String::from_utf8_lossy(&elsewhere.stdout).into_owned();
    assert!(
        elsewhere.status.success() && shown.contains("kept      server"),
        "{shown}"
    );
    let uninstall = command(&world, &cloud, &["uninstall", "-y"]);
    assert_eq!(uninstall.status.code(), Some(5), "it is still billed");
    assert_eq!(kinds(&cloud), there);

    let shown = swept(&world, &cloud, &["--kept"]);
    assert!(shown.contains("answers 404 for each of them"), "{shown}");
    nothing_is_left("a machine that was kept", &world, &cloud).await;
    let shown = swept(&world, &cloud, &["--kept"]);
    assert!(shown.contains("nothing of plexburst's"), "{shown}");
}
