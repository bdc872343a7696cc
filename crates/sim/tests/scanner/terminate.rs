use std::io::{BufRead, BufReader};

use rustix::process::{Pid, Signal, kill_process};

use super::*;

const SCAN: [&str; 4] = ["--scan", "--refresh", "--section", "1"];
const ALL: i64 = (FOLDERS * FILES) as i64;

/// Reads that many lines, so that the scan is in the midst of its work.
fn after_lines(child: &mut Child, count: usize) -> BufReader<std::process::ChildStdout> {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..count {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.starts_with("progress "), "{line:?}");
    }
    lines
}

#[test]
fn sigterm_ends_a_scan_between_two_files() {
    let world = World::with_photos();
    let mut child = world.start(&SCAN);
    let mut rest = after_lines(&mut child, 5);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    std::io::copy(&mut rest, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    let found = world.number("SELECT count(*) FROM media_parts");
    assert!((1..ALL).contains(&found), "{found}");
    world.assert_consistent();
    assert!(world.run(&SCAN).status.success());
    assert_eq!(world.number("SELECT count(*) FROM media_parts"), ALL);
    world.assert_consistent();
}

#[test]
fn sigterm_never_fills_the_trash() {
    let world = World::with_photos();
    assert!(world.run(&SCAN).status.success());
    fs::remove_dir_all(world.media().join(album(0))).unwrap();
    let mut child = world.start(&["--scan", "--refresh", "--force", "--section", "1"]);
    let mut rest = after_lines(&mut child, 5);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    std::io::copy(&mut rest, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(
        world.number("SELECT count(*) FROM media_parts WHERE deleted_at IS NULL"),
        ALL
    );
}

#[test]
fn a_killed_scan_leaves_whole_folders() {
    let world = World::with_photos();
    let mut child = world.start(&SCAN);
    let rest = after_lines(&mut child, 5);
    child.kill().unwrap();
    child.wait().unwrap();
    drop(rest);
    world.assert_consistent();
    assert!(world.run(&SCAN).status.success());
    assert_eq!(world.number("SELECT count(*) FROM media_parts"), ALL);
    assert_eq!(
        world.number("SELECT count(*) FROM metadata_items WHERE metadata_type = 14"),
        FOLDERS as i64
    );
}

/// A server that died must not leave a child behind that goes on writing.
#[test]
fn a_scan_that_nobody_listens_to_ends() {
    let world = World::with_photos();
    let mut child = world.start(&SCAN);
    drop(after_lines(&mut child, 2));
    assert!(child.wait().unwrap().success());
    assert!(world.number("SELECT count(*) FROM media_parts") < ALL);
    world.assert_consistent();
}

/// Others get to write while a scan runs: its transactions are short.
#[test]
fn a_household_writes_beside_a_scan() {
    let world = World::with_photos();
    let library = world.library();
    let mut child = world.start(&SCAN);
    let mut rest = after_lines(&mut child, 1);
    let writing = std::thread::spawn(move || {
        for n in 0..50_i64 {
            library
                .execute(
                    "INSERT INTO metadata_item_settings (account_id, guid, view_count) VALUES (1, ?1, 1)",
                    [n],
                )
                .unwrap();
        }
    });
    std::io::copy(&mut rest, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    writing.join().unwrap();
    assert_eq!(world.number("SELECT count(*) FROM metadata_item_settings"), 50);
    assert_eq!(world.number("SELECT count(*) FROM media_parts"), ALL);
}
