//! A machine over real SSH: an sshd of our own on loopback, whose key is vouched for, is another's, or has changed.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod common;
mod sshd;

use plexburst::host::{Host, Target, equip, fit, keys};
use sshd::Sshd;

async fn proven(sshd: &Sshd) -> Target {
    let target = sshd.target();
    keys::prove("127.0.0.1", sshd.port, &[sshd.fingerprint()], &sshd.path("known_hosts"))
        .await
        .unwrap();
    target
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_files_go_over_a_verified_connection() {
    let Some(sshd) = Sshd::start("SSH to a machine").await else {
        return;
    };
    let host = Host::connect(&proven(&sshd).await).await.unwrap();
    assert_eq!(host.run("echo", &["a b", "$HOME", "'"]).await.unwrap(), "a b $HOME '\n");
    let path = sshd.path("secret").display().to_string();
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    host.write(&path, "600", &content).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let failed = host
        .script("a script", "echo no such luck >&2; exit 3\n")
        .await
        .unwrap_err();
    assert!(failed.chain().contains("no such luck"), "{}", failed.chain());
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_nobody_vouches_for_is_told_nothing() {
    let Some(sshd) = Sshd::start("SSH to a foreign machine").await else {
        return;
    };
    let foreign = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned();
    let known_hosts = sshd.path("known_hosts");
    let refused = keys::prove("127.0.0.1", sshd.port, &[foreign], &known_hosts)
        .await
        .unwrap_err();
    assert_eq!(refused.exit(), plexburst::exit::REFUSED);
    assert!(
        refused.chain().contains("not the one that was rented"),
        "{}",
        refused.chain()
    );
    assert!(!known_hosts.exists());
    // Without a known host there is no connection, whatever was there before.
    std::fs::write(&known_hosts, "").unwrap();
    let refused = Host::connect(&sshd.target()).await.unwrap_err();
    assert_eq!(refused.exit(), plexburst::exit::REFUSED, "{}", refused.chain());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_key_that_changed_ends_it() {
    let Some(mut sshd) = Sshd::start("SSH to a machine whose key changed").await else {
        return;
    };
    let target = proven(&sshd).await;
    Host::connect(&target).await.unwrap().close().await;
    sshd.change_key().await;
    let refused = Host::connect(&target).await.unwrap_err();
    assert_eq!(refused.exit(), plexburst::exit::REFUSED, "{}", refused.chain());
    assert!(refused.hint_text().unwrap().contains("not the one that was rented"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_let_in_is_told_apart_from_a_machine_that_is_not_there() {
    let Some(sshd) = Sshd::start("SSH with a wrong key").await else {
        return;
    };
    let mut target = proven(&sshd).await;
    std::fs::create_dir(sshd.path("other")).unwrap();
    target.key = Some(keys::pair(&sshd.path("other"), "X").await.unwrap().private);
    let denied = Host::connect(&target).await.unwrap_err();
    assert_eq!(denied.exit(), plexburst::exit::USAGE, "{}", denied.chain());
    let mut nowhere = sshd.target();
    nowhere.port = Some(common::free_port());
    let unreached = Host::connect(&nowhere).await.unwrap_err();
    assert_eq!(
        unreached.exit(),
        plexburst::exit::HOME_UNCHANGED,
        "{}",
        unreached.chain()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn equipping_brings_the_program_whole_and_once() {
    let Some(sshd) = Sshd::start("equipping a machine").await else {
        return;
    };
    let host = Host::connect(&proven(&sshd).await).await.unwrap();
    let dir = sshd.path("opt/plexburst").display().to_string();
    let own = std::path::Path::new(common::PROGRAM);
    let wants = fit::Wants {
        cell: true,
        ..fit::Wants::default()
    };
    let first = equip::equip(&host, &dir, own, &wants).await;
    let first = match first {
        Err(e) if e.chain().contains("lacks") => return common::skip("equipping a machine", &e.chain()),
        other => other.unwrap(),
    };
    // What is missing is named, with what it is for and where it comes from.
    let strange = plexburst::media::program::Wanted {
        program: Some("/nonexistent/rclone".into()),
        ..Default::default()
    };
    let wants_more = fit::Wants {
        mount: Some(strange),
        ..wants.clone()
    };
    let e = equip::equip(&host, &dir, own, &wants_more).await.unwrap_err();
    assert_eq!(e.exit(), plexburst::exit::REFUSED);
    assert!(
        e.chain().contains("lacks") && e.chain().contains("rclone"),
        "{}",
        e.chain()
    );
    assert!(e.hint_text().is_some());
    let before = std::fs::metadata(&first.program).unwrap();
    assert_eq!(first, equip::equip(&host, &dir, own, &wants).await.unwrap());
    let after = std::fs::metadata(&first.program).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    assert!(first.memory > 0 && first.cpus > 0);
    // One that was cut short on the way is noticed and brought again.
    let half = std::fs::File::options().write(true).open(&first.program).unwrap();
    half.set_len(before.len() / 2).unwrap();
    drop(half);
    equip::equip(&host, &dir, own, &wants).await.unwrap();
    assert_eq!(std::fs::metadata(&first.program).unwrap().len(), before.len());
    host.close().await;
}
