//! A server that is a shell script, for what a real one never does, and the pid file without any server.

use super::*;
use std::os::unix::fs::PermissionsExt as _;

fn script(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("program");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_server_that_gives_up_is_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let server = script(
        dir.path(),
        "echo on $PLEX_SIM_PORT; echo the disk is on fire >&2; exit 3",
    );
    let error = start(&server, dir.path(), 9, &[]).unwrap_err();
    assert!(
        matches!(&error, ServiceError::Ended { port: 9, status, .. } if status.code() == Some(3)),
        "{error}"
    );
    let text = error.to_string();
    assert!(text.contains("on 9") && text.contains("the disk is on fire"), "{text}");
    assert!(error.hint().is_some());
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = start(&dir.path().join("nothing"), dir.path(), 9, &[]).unwrap_err();
    assert!(
        matches!(&error, ServiceError::Spawn { path, .. } if path.ends_with("nothing")),
        "{error}"
    );
}

#[test]
fn a_pid_without_its_lock_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    stop(dir.path()).unwrap();
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let data = DataDir::below(dir.path());
    fs::create_dir_all(data.root()).unwrap();
    fs::write(data.pid_file(), other.id().to_string()).unwrap();
    stop(dir.path()).unwrap();
    assert_eq!(other.try_wait().unwrap(), None, "another process was signalled");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn a_held_pid_is_ended_and_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::below(dir.path());
    fs::create_dir_all(data.root()).unwrap();
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    fs::write(data.pid_file(), "").unwrap();
    let held = File::open(data.pid_file()).unwrap();
    held.lock().unwrap();
    // As a server that has taken the file and is about to write into it.
    let (path, pid) = (data.pid_file(), other.id().to_string());
    let writing = std::thread::spawn(move || {
        std::thread::sleep(LOOK * 3);
        fs::write(path, pid).unwrap();
    });
    // Not waited for yet, so its entry in the process table is still there: that counts as gone.
    stop(dir.path()).unwrap();
    writing.join().unwrap();
    assert!(!other.wait().unwrap().success());
}

#[test]
fn where_it_is_asked() {
    let env = |value: &str| vec![("PLEX_SIM_BIND".into(), value.into())];
    assert_eq!(bound_to(&env("127.0.0.9")), IpAddr::from([127, 0, 0, 9]));
    assert_eq!(bound_to(&env("0.0.0.0")), IpAddr::V4(Ipv4Addr::LOCALHOST));
}
