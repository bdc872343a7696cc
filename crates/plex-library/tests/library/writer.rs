//! A server of another process that writes without a pause.
//!
//! The test binary starts itself again with one of the tests below, which does nothing unless it is told to.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plex_library::{Databases, Which};
use rusqlite::Connection;

use crate::support;

const DIR: &str = "PLEXBURST_TEST_WRITER";

/// The writer, stopped when it is dropped.
pub(crate) struct Writer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// What the writer saw.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) commits: u64,
    pub(crate) longest: Duration,
    /// How often it found a database locked.
    pub(crate) locked_out: u64,
}

impl Writer {
    /// Starts it on a pair and waits until it has written.
    pub(crate) fn start(databases: &Databases) -> Self {
        Self::start_as("writer::writes_when_told_to", databases)
    }

    /// The same with another test as its body.
    pub(crate) fn start_as(test: &str, databases: &Databases) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(DIR, databases.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        line(&mut output, "writing");
        Self { child, input, output }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Lets it close its databases and end.
    pub(crate) fn stop(mut self) -> Seen {
        drop(self.input.take());
        let said = line(&mut self.output, "seen");
        let mut numbers = said.split_whitespace().skip(1).map(|word| word.parse::<u64>().unwrap());
        let seen = Seen {
            commits: numbers.next().unwrap(),
            longest: Duration::from_micros(numbers.next().unwrap()),
            locked_out: numbers.next().unwrap(),
        };
        assert!(self.child.wait().unwrap().success());
        seen
    }

    /// Kills it as a power cut would, with its logs left behind.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn line(output: &mut impl BufRead, begins: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(
            output.read_line(&mut line).unwrap() > 0,
            "the writer ended without a word"
        );
        // The harness prints the name of the test in front of what the test prints.
        if let Some(at) = line.find(begins) {
            return line[at..].trim_end().to_owned();
        }
    }
}

#[test]
fn writes_when_told_to() {
    write_without_a_pause(|library, blobs, commits| {
        // The owner first, then its blob, as Plex's analysis does.
        library
            .execute(
                "INSERT INTO metadata_items(library_section_id, title) VALUES(2, ?1)",
                [format!("written {commits}")],
            )
            .unwrap();
        let id = library.last_insert_rowid();
        // Old rows change too, and some go, so that pages all over the file are touched.
        library
            .execute(
                "UPDATE metadata_items SET title = title || 'x' WHERE id = 1 + ?1 * 7919 % ?2",
                [commits.cast_signed(), id],
            )
            .unwrap();
        blobs
            .execute(
                "INSERT INTO blobs(blob, linked_type, linked_id) VALUES(CAST('x' || hex(randomblob(100)) AS BLOB), 'metadata_item', ?1)",
                [id],
            )
            .unwrap();
    });
}

/// The body of a writer; does nothing where none was asked for. `write` is told how often it was called.
pub(crate) fn write_without_a_pause(write: impl Fn(&Connection, &Connection, u64)) {
    static LOCKED_OUT: AtomicU64 = AtomicU64::new(0);
    fn locked(_: i32) -> bool {
        LOCKED_OUT.fetch_add(1, Ordering::Relaxed);
        std::thread::yield_now();
        true
    }
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let databases = Databases::at(Path::new(&dir));
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    std::thread::spawn(move || {
        _ = std::io::stdin().lines().count();
        told.store(true, Ordering::Relaxed);
    });
    let [library, blobs] = [Which::Library, Which::Blobs].map(|which| {
        let mut db = support::open(&databases.path(which), 1024);
        db.busy_handler(Some(locked)).unwrap();
        db
    });
    let (mut commits, mut longest) = (0_u64, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let before = Instant::now();
        write(&library, &blobs, commits);
        longest = longest.max(before.elapsed());
        commits += 1;
        if commits == 1 {
            println!("writing");
            std::io::stdout().flush().unwrap();
        }
    }
    drop((library, blobs));
    println!(
        "seen {commits} {} {}",
        longest.as_micros(),
        LOCKED_OUT.load(Ordering::Relaxed)
    );
}
