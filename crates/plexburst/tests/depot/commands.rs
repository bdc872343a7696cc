//! `plexburst depot` as a user types it.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::Place;

pub(crate) fn run(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_plexburst"))
        .arg("--config")
        .arg(dir.join("plexburst.toml"))
        .args(args)
        .env_remove("PLEXBURST_LOG")
        .current_dir(dir)
        .output()
        .unwrap()
}

pub(crate) fn configure(place: &Place, more: &str) {
    let depot = toml::to_string(&place.config).unwrap();
    let state = place.dir.path().join("state");
    let text = format!("state_dir = {state:?}\n{more}\n[depot]\n{depot}");
    std::fs::write(place.dir.path().join("plexburst.toml"), text).unwrap();
}

#[test]
fn init_makes_one_key_and_proves_the_place() {
    for mut place in Place::all("init_makes_one_key_and_proves_the_place") {
        let kind = place.kind;
        place.config.encryption = None;
        configure(&place, "");
        let dir = place.dir.path().to_path_buf();
        let made = run(&dir, &["depot", "init", "--json"]);
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(made.status.success(), "{kind}: {said}");
        assert!(said.contains("without it nobody can"), "{kind}: {said}");
        assert!(said.contains("identity_file = "), "{kind}: {said}");
        let value: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
        assert_eq!(
            (value["made"].as_bool(), value["configured"].as_bool()),
            (Some(true), Some(false)),
            "{kind}"
        );
        assert!(!format!("{value}{said}").contains("AGE-SECRET-KEY"), "{kind}");

        place.config.identity_file = Some(value["identity_file"].as_str().unwrap().into());
        configure(&place, "");
        let again = run(&dir, &["depot", "init", "--show-key"]);
        let shown = String::from_utf8_lossy(&again.stdout).into_owned();
        assert!(
            again.status.success(),
            "{kind}: {}",
            String::from_utf8_lossy(&again.stderr)
        );
        assert!(
            shown.contains(value["recipients"][0].as_str().unwrap()),
            "{kind}: {shown}"
        );
        assert!(shown.contains("\nAGE-SECRET-KEY-1"), "{kind}: {shown}");
    }
}
