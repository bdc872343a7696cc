//! The processes of one running Plex, read from `/proc`: who there is, and how much they compute.
//!
//! Only descendants of the process that the program itself has started are looked at: home's own Plex on the same
//! machine has the same names and is none of its business. Command lines are read of nobody else, and of no process that
//! waits in the kernel: one that hangs in a dead mount may hang whoever reads its memory.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

/// A process, as seen from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id on the host, also for one in a cell.
    pub pid: i32,
    /// Who started it.
    pub parent: i32,
    /// Base name of its first argument, as in `Plex Media Scanner`; its short name (15 bytes at most) when its arguments
    /// cannot be seen.
    pub name: String,
    /// Its second argument.
    pub verb: String,
    /// Time computed so far, in clock ticks.
    pub ticks: u64,
}

/// What Plex starts to scan or analyse.
const SCANNERS: [&str; 4] = [
    "Plex Media Scanner",
    "Plex Music Analyzer",
    "Plex Media Fingerprinter",
    "Plex Transcoder",
];
/// Bytes that a short name has at most.
const SHORT: usize = 15;

impl Process {
    /// Whether it is one that Plex starts to scan or analyse.
    #[must_use]
    pub fn is_scanner(&self) -> bool {
        SCANNERS.iter().any(|known| self.is(known))
    }

    /// Whether it has this name, also when only its short name is known.
    pub(super) fn is(&self, name: &str) -> bool {
        name == self.name || (self.name.len() == SHORT && name.starts_with(&self.name))
    }
}

/// `root` and everything below it; empty when it is gone.
///
/// # Errors
/// `/proc` cannot be listed.
pub fn below(root: i32) -> io::Result<Vec<Process>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        // A process that ends while it is looked at is simply not there.
        let pid = name.to_str().and_then(|name| name.parse().ok());
        all.extend(pid.and_then(read));
    }
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    let mut found = Vec::new();
    for process in all {
        if process.pid == root {
            found.push(process);
        } else {
            children.entry(process.parent).or_default().push(process);
        }
    }
    let mut at = 0;
    while let Some(process) = found.get(at) {
        let below = children.remove(&process.pid);
        found.extend(below.into_iter().flatten());
        at += 1;
    }
    for process in found.iter_mut().filter(|process| !hangs(process.pid)) {
        if let Ok(command) = fs::read(format!("/proc/{}/cmdline", process.pid)) {
            process.call_itself(&command);
        }
    }
    Ok(found)
}

/// Whether a thread of it waits in the kernel where no signal reaches it, be it only for a moment.
fn hangs(pid: i32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    tasks.into_iter().flatten().flatten().any(|task| {
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, tail)| tail.starts_with(" D"))
    })
}

fn read(pid: i32) -> Option<Process> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `stat` is `pid (name) state ppid …`; the name may hold spaces and parentheses itself.
fn parse(pid: i32, stat: &str) -> Option<Process> {
    let (head, tail) = stat.rsplit_once(')')?;
    let short = head.split_once('(')?.1;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    // A zombie computes nothing and holds nothing.
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        name: short.to_owned(),
        verb: String::new(),
        ticks: fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?,
    })
}

impl Process {
    /// Takes the names of its command line, when it shows one.
    fn call_itself(&mut self, command: &[u8]) {
        let mut arguments = command.split(|byte| *byte == 0);
        let mut argument = || String::from_utf8_lossy(arguments.next().unwrap_or_default()).into_owned();
        let (first, verb) = (argument(), argument());
        if let Some(name) = Path::new(&first).file_name() {
            self.name = name.to_string_lossy().into_owned();
            self.verb = verb;
        }
    }
}

/// How much a set of processes computes, between one look and the next.
#[derive(Debug, Default)]
pub struct CpuMeter {
    last: Option<(Instant, HashMap<i32, u64>)>,
}

impl CpuMeter {
    /// Percent of one core since the last look; none at the first, or when no time has passed.
    ///
    /// A process that came and went in between is not seen, which errs towards idle: never decide by this alone.
    pub fn percent(&mut self, now: Instant, processes: &[Process]) -> Option<f64> {
        let ticks: HashMap<i32, u64> = processes.iter().map(|process| (process.pid, process.ticks)).collect();
        let last = self.last.replace((now, ticks));
        let (then, before) = last?;
        let seconds = now.saturating_duration_since(then).as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        let spent: u64 = processes
            .iter()
            .map(|process| {
                process
                    .ticks
                    .saturating_sub(before.get(&process.pid).copied().unwrap_or(0))
            })
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "a share of a core needs no 53 bits")]
        let busy = spent as f64 / rustix::param::clock_ticks_per_second() as f64;
        Some(100.0 * busy / seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_with_spaces_and_parentheses() {
        let stat = "42 (Plex Media (S)) S 7 42 42 0 -1 4194560 1 0 0 0 300 40 0 0 20 0 1 0 9 1 1";
        let mut process = parse(42, stat).unwrap();
        assert_eq!((process.parent, process.ticks), (7, 340));
        process.call_itself(b"");
        assert_eq!(process.name, "Plex Media (S)");
        process.call_itself(b"/usr/lib/plexmediaserver/Plex Media Scanner\0--scan\0");
        assert_eq!(
            (process.name.as_str(), process.verb.as_str()),
            ("Plex Media Scanner", "--scan")
        );
        assert!(process.is_scanner());
        process.name = "Plex Media Scan".to_owned();
        assert!(process.is_scanner());
        process.name = "Plex Media Serv".to_owned();
        assert!(!process.is_scanner());
        assert_eq!(parse(42, "42 (x) Z 7 0 0 0 0 0 0 0 0 0 1 1 0"), None);
    }

    #[test]
    fn only_what_was_started_below() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let me = i32::try_from(std::process::id()).unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let found = below(me).unwrap();
        assert_eq!(found[0].pid, me);
        assert!(found.iter().any(|process| process.pid == pid && process.parent == me));
        assert_eq!(below(pid).unwrap().len(), 1);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(below(pid).unwrap().is_empty());
    }

    #[test]
    fn percent_of_one_core() {
        let mut meter = CpuMeter::default();
        let process = |ticks| Process {
            pid: 1,
            parent: 0,
            name: "x".into(),
            verb: String::new(),
            ticks,
        };
        let (now, hz) = (Instant::now(), rustix::param::clock_ticks_per_second());
        assert_eq!(meter.percent(now, &[process(0)]), None);
        assert_eq!(meter.percent(now + Duration::from_secs(2), &[process(hz)]), Some(50.0));
    }
}
