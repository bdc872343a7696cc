//! Connections that are cut, watchers that are killed, and interruptions.

use std::process::Stdio;

use crate::common::{self, World, wait_until};
use crate::support::{Distant, PATIENT, said};

/// The connection is cut in the middle of a burst: it goes on, this side comes back to it by itself, and its end is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_ends_nothing() {
    let Some(distant) = Distant::new("a cut connection to home").await else {
        return;
    };
    let mut burst = distant
        .command(&["sync", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the burst begins", PATIENT, || {
        journal(&distant.world).contains(r#""phase":"work","event":"started""#) || burst.try_wait().unwrap().is_some()
    });
    // Everything that is SSH between here and there: the connection itself and what reads over it.
    let cut = ssh_of(burst.id());
    assert!(!cut.is_empty());
    cut.iter().copied().for_each(common::kill);
    let output = burst.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{}", said(&output), distant.world.logs());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "committed");
    assert!(said(&output).contains("is reached again"), "{}", said(&output));
    let line = "swapping the result in";
    assert_eq!(said(&output).matches(line).count(), 1, "shown once: {}", said(&output));
}

/// This side is killed; the burst there needs nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_there_outlives_who_began_it() {
    let Some(distant) = Distant::new("a burst at home that nobody watches").await else {
        return;
    };
    let mut burst = distant
        .command(&["sync", "--json"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the burst begins", PATIENT, || {
        journal(&distant.world).contains(r#""phase":"snapshot","event":"done""#) || burst.try_wait().unwrap().is_some()
    });
    let ssh = ssh_of(burst.id());
    burst.kill().unwrap();
    burst.wait().unwrap();
    ssh.into_iter().for_each(common::kill);
    wait_until("the burst ends by itself", PATIENT, || {
        journal(&distant.world).contains(r#""phase":"commit","event":"done""#)
    });
    assert_eq!(distant.json(&["status", "--json"])["stands"], "committed");
}

/// Ctrl-C here is an interruption there: the burst says that it is kept, and `resume` from here ends it.
#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_is_passed_on() {
    let Some(distant) = Distant::new("an interruption of a distant burst").await else {
        return;
    };
    let mut burst = distant
        .command(&["sync", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the burst begins", PATIENT, || {
        journal(&distant.world).contains(r#""phase":"work","event":"started""#) || burst.try_wait().unwrap().is_some()
    });
    let pid = rustix::process::Pid::from_child(&burst);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = burst.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    assert!(
        said(&output).contains("is kept, and its worker goes on"),
        "{}",
        said(&output)
    );
    assert_eq!(distant.json(&["status", "--json"])["stands"], "resumable");
    // Its claim and keys are still needed there.
    let report = distant.json(&["resume", "--json"]);
    assert_eq!(report["outcome"], "committed");
    distant.assert_tidy();
}

fn journal(world: &World) -> String {
    let dir = std::fs::read_dir(world.path("state/bursts"))
        .ok()
        .and_then(|mut entries| entries.next())
        .map(|entry| entry.unwrap().path());
    dir.and_then(|dir| std::fs::read_to_string(dir.join("journal.jsonl")).ok())
        .unwrap_or_default()
}

/// The processes of ssh that the program `pid` has: those that read are its children, the connection is known by its socket.
pub(crate) fn ssh_of(pid: u32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut sockets = Vec::new();
    let all: Vec<(i32, String, String)> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let number: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
            let parent = status.lines().find_map(|l| l.strip_prefix("PPid:"))?.trim().to_owned();
            Some((number, String::from_utf8_lossy(&line).replace('\0', " "), parent))
        })
        .collect();
    for (number, line, parent) in &all {
        if *parent == pid.to_string()
            && line.starts_with("ssh ")
            && let Some(socket) = line.split(' ').skip_while(|word| *word != "-S").nth(1)
        {
            found.push(*number);
            sockets.push(socket.to_owned());
        }
    }
    for (number, line, _) in &all {
        if line.starts_with("ssh")
            && sockets.iter().any(|socket| line.contains(socket.as_str()))
            && !found.contains(number)
        {
            found.push(*number);
        }
    }
    found
}
