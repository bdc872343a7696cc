//! Transfers that are cut or killed go on with the part they were at.

use std::process::Stdio;
use std::time::Duration;

use plexburst::config;
use plexburst::depot::{Depot, Object};
use plexburst::term::Printer;

use crate::support::{Killed, Place, Proxy, file, noise, open, wait_until};

const PART: u64 = 64 << 10;
const PARTS: u64 = 20;
/// What requests and the encryption of a connection add.
const SPARE: u64 = PART / 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_link_costs_one_part() {
    let test = "a_cut_link_costs_one_part";
    for place in [Place::s3(test, true), Place::sftp(test)].into_iter().flatten() {
        let kind = place.kind;
        let proxy = Proxy::to(place.port);
        let depot = open(&place.through(&proxy)).noting(place.dir.path().join("notes"));
        let size = PART * PARTS;
        let content = noise(usize::try_from(size).unwrap());
        let from = file(place.dir.path(), &content);
        proxy.cut_after(PART * 7 + PART / 2);
        let transfer = tokio::spawn({
            let (depot, from) = (depot.clone(), from.clone());
            async move { depot.put_file("big", &from).await }
        });
        wait_until("the cut", Duration::from_secs(30), || proxy.is_cut());
        proxy.heal();
        let object = transfer.await.unwrap().unwrap();
        assert_eq!(object.parts.len() as u64, PARTS, "{kind}");
        let up = proxy.up();
        assert!(
            up < size + 2 * PART + SPARE * 2,
            "{kind}: {up} bytes went up for {size}"
        );
        let to = place.dir.path().join("back");
        depot.get(&object, &to).await.unwrap();
        assert!(std::fs::read(&to).unwrap() == content, "{kind}");

        // Nothing of it travels a second time.
        let before = proxy.up();
        assert_eq!(depot.put_file("big", &from).await.unwrap(), object, "{kind}");
        let again = proxy.up() - before;
        assert!(again < PART, "{kind}: {again} bytes went up for nothing");
    }
}

/// The process that is killed; run by the test below.
#[test]
fn puts_until_it_is_killed() {
    let Ok(text) = std::env::var("PLEXBURST_TEST_PUT") else {
        return;
    };
    let (config, dir): (config::Depot, std::path::PathBuf) = serde_json::from_str(&text).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let depot = Depot::of(&config, "B", &Printer::new(true))
        .unwrap()
        .noting(dir.join("notes"));
    runtime.block_on(depot.put_file("big", &dir.join("content"))).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_put_goes_on_with_the_part_it_was_at() {
    let test = "a_killed_put_goes_on_with_the_part_it_was_at";
    let places = [Some(Place::directory()), Place::s3(test, true), Place::sftp(test)];
    for place in places.into_iter().flatten() {
        let kind = place.kind;
        let size = PART * PARTS;
        let content = noise(usize::try_from(size).unwrap());
        let from = file(place.dir.path(), &content);
        let proxy = (place.port != 0).then(|| Proxy::to(place.port));
        let config = proxy
            .as_ref()
            .map_or_else(|| place.config.clone(), |proxy| place.through(proxy));
        let role = serde_json::to_string(&(&config, place.dir.path())).unwrap();
        let mut child = Killed(
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "cut::puts_until_it_is_killed"])
                .env("PLEXBURST_TEST_PUT", role)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let parts = || std::fs::read_dir(place.kept()).map_or(0, Iterator::count);
        wait_until("some parts", Duration::from_secs(60), || parts() >= 5);
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        let done = noted_parts(&place);
        let before = proxy.as_ref().map_or(0, Proxy::up);
        let depot = open(&config).noting(place.dir.path().join("notes"));
        let object = depot.put_file("big", &from).await.unwrap();
        if let Some(proxy) = &proxy {
            let rest = PART * (PARTS - done);
            let up = proxy.up() - before;
            assert!(
                up < rest + PART + SPARE * 2,
                "{kind}: {done} parts were done, {up} bytes went up for {rest}"
            );
        }
        let to = place.dir.path().join("back");
        depot.get(&object, &to).await.unwrap();
        assert!(std::fs::read(&to).unwrap() == content, "{kind}");
    }
}

fn noted_parts(place: &Place) -> u64 {
    let note = std::fs::read(place.dir.path().join("notes/big.json")).unwrap();
    let note: serde_json::Value = serde_json::from_slice(&note).unwrap();
    note["parts"].as_array().unwrap().len() as u64
}

/// The way back: parts that came are not fetched again.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_failed_goes_on_with_the_part_it_was_at() {
    let place = Place::directory();
    let depot = open(&place.config).noting(place.dir.path().join("notes"));
    let content = noise(usize::try_from(PART * 6).unwrap());
    let object: Object = depot.put_file("big", &file(place.dir.path(), &content)).await.unwrap();
    let to = place.dir.path().join("back");
    let (part, aside) = (place.part(&object, 4), place.dir.path().join("aside"));
    std::fs::rename(&part, &aside).unwrap();
    assert!(depot.get(&object, &to).await.is_err());
    assert!(!to.exists());
    std::fs::rename(&aside, &part).unwrap();
    for number in 0..4 {
        std::fs::remove_file(place.part(&object, number)).unwrap();
    }
    depot.get(&object, &to).await.unwrap();
    assert!(std::fs::read(&to).unwrap() == content);
    let left: Vec<_> = std::fs::read_dir(place.dir.path().join("notes"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, ["big.json"], "fetched parts are gone once the object is whole");
}
