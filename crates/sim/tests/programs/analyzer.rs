//! `Plex Music Analyzer`: what it prints, how it ends, what it leaves when it is ended early.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command};

use super::*;

/// The child's output up to and with that many lines.
fn after_lines(child: &mut Child, count: usize) -> BufReader<std::process::ChildStdout> {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..count {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.starts_with("progress "), "{line}");
    }
    lines
}

fn scanned(tracks: usize) -> World {
    let world = World::with_library();
    sim::music::synthesise(&world.media(), &music(tracks)).unwrap();
    world.scan();
    world
}

/// Every vector has its mark and every mark its vector.
fn assert_consistent(world: &World) {
    let marks =
        world.number("SELECT count(*) FROM metadata_items WHERE metadata_type = 10 AND extra_data LIKE '%ms:music%'");
    assert_eq!(world.vectors().len(), usize::try_from(marks).unwrap());
}

#[test]
fn a_backlog_from_start_to_end() {
    let world = scanned(4);
    let (lines, log) = world.analyse();
    assert_eq!(lines.lines().count(), 4);
    let last: Vec<&str> = lines.lines().last().unwrap().splitn(4, ' ').collect();
    assert_eq!(last[..2], ["progress", "100"]);
    assert!(last[2].parse::<i64>().unwrap() > 0 && !last[3].is_empty());
    assert!(log.contains("4 tracks, 0 skipped"), "{log}");
    assert_eq!(world.vectors().len(), 4);
    assert_consistent(&world);
    assert_eq!(world.analyse().0, "", "nothing is left");
}

#[test]
fn sigterm_ends_it_after_a_track_and_the_next_run_goes_on() {
    let world = scanned(4);
    world.tempo(r#"{"analysis_delay_ms":60000}"#);
    let mut child = world.program("Plex Music Analyzer").spawn().unwrap();
    let lines = after_lines(&mut child, 1);
    let status = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
    assert!(child.wait().unwrap().success());
    assert_eq!(lines.lines().count(), 0);
    assert_eq!(world.vectors().len(), 1);
    assert_consistent(&world);
    world.tempo("{}");
    assert_eq!(world.analyse().0.lines().count(), 3);
    assert_consistent(&world);
}

#[test]
fn a_killed_one_leaves_nothing_half() {
    let world = scanned(4);
    world.tempo(r#"{"analysis_delay_ms":60000}"#);
    let mut child = world.program("Plex Music Analyzer").spawn().unwrap();
    let _lines = after_lines(&mut child, 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_consistent(&world);
    world.tempo("{}");
    world.analyse();
    assert_eq!(world.vectors().len(), 4);
    assert_consistent(&world);
}

#[test]
fn one_that_nobody_listens_to_ends() {
    let world = scanned(4);
    world.tempo(r#"{"analysis_delay_ms":200}"#);
    let mut child = world.program("Plex Music Analyzer").spawn().unwrap();
    drop(after_lines(&mut child, 1));
    assert!(child.wait().unwrap().success());
    assert!(world.vectors().len() < 4);
    assert_consistent(&world);
}

#[test]
fn without_a_library_it_says_so() {
    let world = World::new();
    let output = world.program("Plex Music Analyzer").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no database"));
}
