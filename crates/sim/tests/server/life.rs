//! Starts, stops, kills (facts/plex.md §8.2, §8.3).

use std::fs;
use std::net::TcpListener;

use crate::support::{Home, add_music, wait_until};

#[test]
fn refused_then_starting_then_migrating_then_ready() {
    let mut home = Home::new();
    home.tempo(r#"{"refusing_seconds":0.4,"starting_seconds":0.6,"migrating_seconds":0.6}"#);
    home.spawn();
    assert!(
        home.try_call("GET", "/identity", &[]).is_none(),
        "the port is not bound yet"
    );
    let mut seen: Vec<String> = Vec::new();
    wait_until("the server is ready", || {
        let Some(answer) = home.try_call("GET", "/identity", &[]) else {
            return false;
        };
        let what = if answer.status == 503 {
            answer.body
        } else {
            answer.status.to_string()
        };
        if seen.last() != Some(&what) {
            seen.push(what);
        }
        seen.last().is_some_and(|last| last == "200")
    });
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen[0].contains("starting up"));
    assert!(seen[1].contains("code=\"503\" title=\"Maintenance\"") && seen[1].contains("startup maintenance tasks"));
    assert!(home.log().contains("Captured session 0.") && home.log().contains("Captured session 19."));
}

fn companions(home: &Home) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(home.data().databases())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("-wal") || name.ends_with("-shm"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_clean_stop_leaves_no_log_and_no_pid() {
    let mut home = Home::started();
    add_music(&home);
    home.ok("GET", "/:/scrobble?key=3&identifier=x");
    assert!(!companions(&home).is_empty());
    assert_eq!(
        fs::read_to_string(home.data().pid_file()).unwrap(),
        home.pid().to_string()
    );
    assert!(home.stop().success());
    assert_eq!(companions(&home), Vec::<String>::new());
    assert!(!home.data().pid_file().exists());
    home.start();
    assert_eq!(home.json("/library/metadata/3")["Metadata"][0]["viewCount"], 1);
}

#[test]
fn a_killed_server_leaves_its_log_and_the_next_start_recovers() {
    let mut home = Home::started();
    add_music(&home);
    home.ok("GET", "/:/scrobble?key=3&identifier=x");
    home.kill();
    assert!(companions(&home).contains(&"com.plexapp.plugins.library.db-wal".to_owned()));
    assert!(home.data().pid_file().exists());
    home.start();
    assert_eq!(home.json("/library/metadata/3")["Metadata"][0]["viewCount"], 1);
    home.stop();
    assert!(companions(&home).is_empty());
}

#[test]
fn a_taken_port_and_a_second_server_are_refused() {
    let home = Home::new();
    let taken = TcpListener::bind(("127.0.0.1", home.port)).unwrap();
    let refused = home.command().output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("cannot listen on 127.0.0.1"),
        "{refused:?}"
    );
    drop(taken);

    let mut home = home;
    home.start();
    let second = home
        .command()
        .env("PLEX_SIM_PORT", crate::support::free_port().to_string())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(
        said.contains(&format!("another Plex Media Server (pid {})", home.pid())),
        "{said}"
    );
    assert_eq!(home.get("/identity").status, 200);
}

#[test]
fn a_damaged_database_and_bad_settings_end_the_start() {
    let mut home = Home::started();
    home.stop();
    fs::write(home.data().library_db(), vec![7; 4096]).unwrap();
    let refused = home.command().output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("cannot open the library"),
        "{refused:?}"
    );
    assert!(!home.data().pid_file().exists());

    fs::write(home.data().preferences(), "no preferences").unwrap();
    let refused = home.command().output().unwrap();
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("is not a Preferences.xml"),
        "{refused:?}"
    );
    let refused = home.command().env("PLEX_SIM_PORT", "many").output().unwrap();
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("PLEX_SIM_PORT=many is not usable"),
        "{refused:?}"
    );
}

#[test]
fn logs_rotate() {
    let mut home = Home::new();
    home.tempo(r#"{"log_max_bytes":2000}"#);
    home.start();
    for _ in 0..100 {
        home.get("/identity");
    }
    let count = fs::read_dir(home.data().logs())
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
            name.starts_with("Plex Media Server") && name.ends_with(".log")
        })
        .count();
    assert_eq!(count, 6);
}
