//! A client that was not written here: python-plexapi against a server with really scanned music.
//!
//! Skipped, with a line that says so, only when there is no python3 or no plexapi.

use std::process::{Command, Stdio};

use sim::plextv::PlexTv;
use sim::prefs::Preferences;

use crate::support::{Home, write_tones};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/plexapi_client.py");

fn reason_to_skip() -> Option<String> {
    let probe = Command::new("python3")
        .args(["-c", "import plexapi"])
        .stdin(Stdio::null())
        .output();
    match probe {
        Err(error) => Some(format!("python3 cannot be started ({error})")),
        Ok(probe) if probe.status.success() => None,
        Ok(_) => Some("the Python package plexapi is not installed".to_owned()),
    }
}

#[test]
fn python_plexapi_finds_its_way_around() {
    if let Some(reason) = reason_to_skip() {
        println!("SKIPPED plexapi: {reason}");
        return;
    }
    let mut home = Home::new();
    home.set("PLEX_CLAIM", &PlexTv::at(&home.plextv()).issue_claim(true).unwrap());
    home.start();
    let token = Preferences::read(&home.data().preferences())
        .unwrap()
        .online_token()
        .unwrap()
        .to_owned();
    let music = home.path().join("music");
    write_tones(&music, 2, 2, 2);
    let output = Command::new("python3")
        .arg(SCRIPT)
        .arg(format!("http://127.0.0.1:{}", home.port))
        .arg(&token)
        .arg(&music)
        // Settings of a person's own plexapi must not reach in here.
        .env("PLEXAPI_CONFIG_PATH", home.path().join("plexapi.ini"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    println!("{out}");
    assert!(
        output.status.success() && out.trim_end().ends_with("ALL DONE"),
        "{out}\n{err}\n{}",
        home.log()
    );
}
