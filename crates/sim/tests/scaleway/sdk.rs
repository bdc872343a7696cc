//! A client that was not written here: Scaleway's own SDK for Python, pointed at the simulator by its api_url.
//!
//! Skipped, with a line that says so, only when there is no python3 or no SDK.

use std::process::{Command, Stdio};

use sim::scaleway::{Options, Pace, Scaleway};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scaleway/sdk_client.py");

fn reason_to_skip() -> Option<String> {
    let probe = Command::new("python3")
        .args(["-c", "import scaleway"])
        .stdin(Stdio::null())
        .output();
    match probe {
        Err(error) => Some(format!("python3 cannot be started ({error})")),
        Ok(probe) if probe.status.success() => None,
        Ok(_) => Some("the Python package scaleway is not installed".to_owned()),
    }
}

#[test]
fn the_official_python_sdk_sees_what_it_would_see_at_scaleway() {
    if let Some(reason) = reason_to_skip() {
        println!("SKIPPED scaleway's SDK for Python: {reason}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let scaleway = Scaleway::start(&Options {
        pace: Pace::Auto { speed: 100.0 },
        ..Options::default()
    })
    .unwrap();
    let access = scaleway.access();
    let output = Command::new("python3")
        .arg(SCRIPT)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        // Settings of a person's own scw must not reach in here.
        .env("HOME", home.path())
        .env("SCW_API_URL", &access.url)
        .env("SCW_ACCESS_KEY", &access.access_key)
        .env("SCW_SECRET_KEY", &access.secret_key)
        .env("SCW_DEFAULT_ORGANIZATION_ID", &access.organization_id)
        .env("SCW_DEFAULT_PROJECT_ID", &access.project_id)
        .env("SCW_DEFAULT_ZONE", "fr-par-1")
        .env("SCW_DEFAULT_REGION", "fr-par")
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
        "{out}\n{err}"
    );
    assert_eq!(scaleway.bill()["open"].as_array().map(Vec::len), Some(0));
}
