//! What can go wrong: damage, wrong keys, a full disk, a server that is gone.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use plexburst::config;
use plexburst::depot::Depot;
use plexburst::exit;
use plexburst::term::Printer;

use crate::support::{KEY_ID, Place, Proxy, file, noise, open, skip, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_before_it_is_used() {
    for place in Place::all("damage_is_found_before_it_is_used") {
        let kind = place.kind;
        let depot = open(&place.config);
        let from = file(place.dir.path(), &noise(200_000));
        let to = place.dir.path().join("back");
        for damage in [
            "a flipped byte",
            "a truncated part",
            "an emptied part",
            "a part of another object",
        ] {
            let object = depot.put_file("result/library.delta", &from).await.unwrap();
            let path = place.part(&object, 2);
            let mut bytes = std::fs::read(&path).unwrap();
            match damage {
                "a flipped byte" => bytes[1000] ^= 1,
                "a truncated part" => bytes.truncate(1000),
                "an emptied part" => bytes.clear(),
                _ => bytes = std::fs::read(place.part(&object, 1)).unwrap(),
            }
            std::fs::write(&path, bytes).unwrap();
            assert!(!depot.is_there(&object).await.unwrap(), "{kind}: {damage}");
            let e = depot.get(&object, &to).await.unwrap_err();
            assert!(
                e.chain().contains("is not what was put"),
                "{kind}: {damage}: {}",
                e.chain()
            );
            assert!(
                e.chain().contains("result/library.delta.0002"),
                "{kind}: {damage}: {}",
                e.chain()
            );
            assert!(!to.exists(), "{kind}: {damage}");
            // A part that cannot be believed is sent again.
            depot.remove_all().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_are_told_at_once() {
    let test = "wrong_keys_are_told_at_once";
    if let Some(mut place) = Place::s3(test, true) {
        let keys = place.dir.path().join("wrong");
        std::fs::write(
            &keys,
            format!("access_key_id = {KEY_ID}\nsecret_access_key = {}\n", "w".repeat(40)),
        )
        .unwrap();
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).unwrap();
        place.config.credentials_file = Some(keys);
        assert_denied(&place.config, "w").await;
    }
    if let Some(mut place) = Place::sftp(test) {
        let right = place.config.clone();
        // A host that nobody vouches for.
        std::fs::write(place.dir.path().join("nobody"), "").unwrap();
        place.config.known_hosts = Some(place.dir.path().join("nobody"));
        assert_denied(&place.config, "secret").await;
        // A user key that the host does not know.
        place.config = right;
        std::fs::write(place.dir.path().join("authorized"), "").unwrap();
        assert_denied(&place.config, "secret").await;
    }
}

async fn assert_denied(config: &config::Depot, secret: &str) {
    let since = Instant::now();
    let e = open(config).put_bytes("x", b"x").await.unwrap_err();
    assert!(
        since.elapsed() < Duration::from_secs(20),
        "told after {:?}: {}",
        since.elapsed(),
        e.chain()
    );
    assert!(
        e.hint_text().unwrap_or_default().contains("give it keys"),
        "{} / {:?}",
        e.chain(),
        e.hint_text()
    );
    assert!(!e.chain().contains(&secret.repeat(5)), "{}", e.chain());
    assert_eq!(e.exit(), exit::HOME_UNCHANGED);
}

/// Temporary keys that ran out, as S3 says it (facts: 400 with the code ExpiredToken).
#[tokio::test(flavor = "multi_thread")]
async fn expired_keys_are_told_at_once() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 8192]);
            let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>ExpiredToken</Code><Message>The provided \
                        token has expired.</Message></Error>";
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 400 Bad Request\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: \
                 close\r\n\r\n{body}"
            );
        }
    });
    let config = config::Depot {
        remote: Some("s3://bucket".into()),
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        encryption: Some(config::Encryption::None),
        ..config::Depot::default()
    };
    assert_denied(&config, "secret").await;
    let e = open(&config).put_bytes("x", b"x").await.unwrap_err();
    assert!(e.chain().contains("ExpiredToken"), "{}", e.chain());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_for_a_while_is_waited_for() {
    let test = "a_server_that_is_gone_for_a_while_is_waited_for";
    for place in [Place::s3(test, true), Place::sftp(test)].into_iter().flatten() {
        let kind = place.kind;
        let proxy = Proxy::to(place.port);
        let mut config = place.through(&proxy);
        let depot = open(&config);
        let from = file(place.dir.path(), &noise(100_000));
        let object = depot.put_file("first", &from).await.unwrap();
        proxy.cut();
        let waiting = tokio::spawn({
            let (depot, from) = (depot.clone(), from.clone());
            async move { depot.put_file("second", &from).await }
        });
        wait_until("attempts", Duration::from_secs(30), || proxy.refused() >= 2);
        assert!(!waiting.is_finished(), "{kind}: it has to wait");
        proxy.heal();
        let second = waiting.await.unwrap().unwrap();
        assert!(depot.is_there(&object).await.unwrap(), "{kind}");
        assert!(depot.is_there(&second).await.unwrap(), "{kind}");

        proxy.cut();
        config.patience = 1;
        let e = open(&config).read("first").await.unwrap_err();
        assert!(
            e.chain().contains("cannot fetch B/first from the depot at"),
            "{kind}: {}",
            e.chain()
        );
        assert!(
            e.hint_text().unwrap_or_default().contains("can be reached"),
            "{kind}: {:?}",
            e.chain()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_what_was_there() {
    let test = "a_full_disk_leaves_what_was_there";
    for place in [Some(Place::directory()), Place::sftp(test)].into_iter().flatten() {
        let kind = place.kind;
        let kept = place.dir.path().join("kept");
        std::fs::create_dir_all(&kept).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k,mode=700", "none"])
            .arg(&kept)
            .output();
        if !mounted.is_ok_and(|out| out.status.success()) {
            skip(test, "a tmpfs cannot be mounted here");
            return;
        }
        let outcome = fill(&place).await;
        let unmounted = Command::new("umount").arg("-l").arg(&kept).status().unwrap();
        assert!(unmounted.success());
        if let Err(text) = outcome {
            panic!("{kind}: {text}");
        }
    }
}

async fn fill(place: &Place) -> Result<(), String> {
    let depot = open(&place.config);
    let said = |e: plexburst::error::Error| e.chain();
    depot.put_bytes("status", b"old").await.map_err(said)?;
    let from = file(place.dir.path(), &noise(1_000_000));
    let Err(e) = depot.put_file("big", &from).await else {
        return Err("a megabyte went into 256 KiB".to_owned());
    };
    if !e.hint_text().unwrap_or_default().contains("make room") {
        return Err(format!("{} / {:?}", e.chain(), e.hint_text()));
    }
    if depot.put_bytes("status", &noise(100_000)).await.is_ok() {
        return Err("more went in than there is room for".to_owned());
    }
    let status = depot.read("status").await.map_err(said)?;
    if status.as_deref() != Some(b"old") {
        return Err("what was there is lost".to_owned());
    }
    let left: Vec<String> = std::fs::read_dir(place.kept())
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with('.'))
        .collect();
    if !left.is_empty() {
        return Err(format!("left over: {left:?}"));
    }
    depot.remove_all().await.map_err(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_nothing_can_be_read_and_it_is_said() {
    let mut place = Place::directory();
    let printer = Printer::new(true);
    let at = |name: &str| place.dir.path().join(name);
    let identity = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    let wrong = "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6";
    for (name, text) in [("key", identity), ("wrong", wrong)] {
        std::fs::write(at(name), format!("{text}\n")).unwrap();
        std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    place.config.identity_file = Some(at("key"));
    let depot = open(&place.config);
    let object = depot
        .put_file("base", &file(place.dir.path(), &noise(1000)))
        .await
        .unwrap();
    let back = at("back");
    depot.get(&object, &back).await.unwrap();

    place.config.identity_file = Some(at("wrong"));
    let e = open(&place.config).get(&object, &at("other")).await.unwrap_err();
    assert!(
        e.hint_text().unwrap().contains("without that key nobody can read it"),
        "{}",
        e.chain()
    );
    assert!(!at("other").exists());

    place.config.identity_file = Some(at("lost"));
    let e = Depot::of(&place.config, "B", &printer).unwrap_err();
    assert_eq!(e.exit(), exit::USAGE);
    assert!(e.chain().contains("lost"), "{}", e.chain());

    // What somebody put there in the clear is not believed.
    place.config.identity_file = Some(at("key"));
    std::fs::write(place.kept().join("cancel"), "go away").unwrap();
    let e = open(&place.config).read("cancel").await.unwrap_err();
    assert!(e.chain().contains("not encrypted"), "{}", e.chain());
}
