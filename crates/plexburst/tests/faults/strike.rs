//! The program, struck at the n-th call of a kind.
//!
//! strace counts the calls of each thread by itself. So a call that is to fail is the n-th of one thread, in effect of the
//! one that makes most of them; helper threads make too few to come first. A kill is counted over all threads instead: each
//! call is held up as it is entered, for long enough that the program is killed before it is made.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::World;
use crate::traced;

/// How long a call is held up as it is entered, in microseconds.
const HELD: u32 = 3000;

/// What is done to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The program is killed before the call is made.
    Kill,
    /// The call fails.
    Error(&'static str),
}

/// How the program ended, and whether it was struck, if that can be told: an error may be borne.
pub(crate) struct Struck {
    pub(crate) output: Output,
    pub(crate) was_killed: Option<bool>,
}

impl Fault {
    /// Runs the program with the fault at the `number`-th of `calls`.
    pub(crate) fn strike(self, world: &World, calls: &str, number: usize, args: &[&str]) -> Struck {
        match self {
            Self::Kill => kill(world, calls, number, args),
            Self::Error(error) => {
                let inject = format!("inject={calls}:error={error}:when={number}");
                let trace = format!("trace={calls}");
                Struck {
                    output: traced(world, &["-o", "/dev/null", "-e", &trace, "-e", &inject], args),
                    was_killed: None,
                }
            }
        }
    }
}

fn kill(world: &World, calls: &str, number: usize, args: &[&str]) -> Struck {
    let fifo = world.path("calls");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let (trace, held) = (format!("trace={calls}"), format!("inject={calls}:delay_enter={HELD}"));
    let struck = std::thread::scope(|scope| {
        let reader = scope.spawn(|| watch(&fifo, calls, number));
        let strace = ["-o", fifo.to_str().unwrap(), "-e", &trace, "-e", &held];
        let output = traced(world, &strace, args);
        Struck {
            output,
            was_killed: Some(reader.join().unwrap()),
        }
    });
    std::fs::remove_file(&fifo).unwrap();
    struck
}

/// Reads what strace writes as each call is entered, and kills the program at the `number`-th; says whether there was one.
fn watch(fifo: &Path, calls: &str, number: usize) -> bool {
    let names: Vec<String> = calls.split(',').map(|call| format!(" {call}(")).collect();
    let mut trace = File::open(fifo).unwrap();
    let (mut text, mut chunk) = (String::new(), [0; 4096]);
    let (mut entered, mut program) = (0, None);
    loop {
        let read = trace.read(&mut chunk).unwrap();
        if read == 0 {
            return false;
        }
        // Arguments are cut and quoted by strace: what is not ASCII is none of ours.
        text.push_str(&String::from_utf8_lossy(&chunk[..read]));
        while let Some((at, end)) = first(&text, &names) {
            entered += 1;
            let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
            program = program.or_else(|| process_of(text[line..at].trim()));
            if entered == number {
                // It may have ended before it was seen: on a busy machine a call is not held up for long enough.
                let was_killed = program.is_some_and(|program| kill_process(program, Signal::KILL).is_ok());
                // The rest is read, so that strace is not held up.
                std::io::copy(&mut trace, &mut std::io::sink()).unwrap();
                return was_killed;
            }
            text.drain(..end);
        }
        // The thread's number stands at the beginning of the line.
        let rest = text.rfind('\n').map_or(0, |newline| newline + 1);
        text.drain(..rest);
    }
}

/// The first of the calls in `text`: where its name begins, and where its arguments do.
fn first(text: &str, names: &[String]) -> Option<(usize, usize)> {
    let found = names
        .iter()
        .filter_map(|name| text.find(name).map(|at| (at, at + name.len())));
    found.min()
}

/// The process that a thread belongs to, as long as the thread lives.
fn process_of(thread: &str) -> Option<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    Pid::from_raw(process.trim().parse().ok()?)
}
