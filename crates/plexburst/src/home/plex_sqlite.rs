//! Home's own `Plex SQLite`, asked how two titles stand to each other in Plex's order.
//!
//! It is SQLite's shell with the collations of home's server (facts/plex.md §1.4). It gets statements on its stdin and answers
//! each before it reads the next; it is given no database but one in memory, so nothing of the library depends on what it
//! does, and in a container it needs to see nothing of the library.
//!
//! Guarantees: it is started when the first question is asked and not before; no answer is waited for longer than
//! [`Patience`] says; a word on its stderr, an end, an answer to another question are failures, and after one it is asked
//! nothing any more. It does not outlive this.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use plex_library::merge::PlexCollation;
use rustix::process::{Pid, Signal, kill_process_group};

use super::Home;

/// Where Plex's package has its programs, and its data (facts/plex.md §4.1).
const PACKAGE: (&str, &str) = ("/usr/lib/plexmediaserver/Plex SQLite", "/var/lib/plexmediaserver");
/// Pairs in one statement.
const AT_ONCE: usize = 256;
/// Bytes of one statement, far below what SQLite takes.
const LONGEST: usize = 128 * 1024;
/// How long a program that failed has to say why, and one that is not needed any more to end.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Between two looks at a program that is about to end.
const LOOK: Duration = Duration::from_millis(10);

/// How long it is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one answer.
    pub answer: Duration,
    /// For all of them together.
    pub all: Duration,
}

impl Patience {
    /// While home runs nobody waits; the order of a whole library is gone through once.
    pub const BESIDE: Self = Self {
        answer: Duration::from_secs(120),
        all: Duration::from_secs(1800),
    };
    /// While home stands still its household waits.
    pub const STOPPED: Self = Self {
        answer: Duration::from_secs(20),
        all: Duration::from_secs(30),
    };
}

/// The program, once it is needed.
#[derive(Debug)]
pub struct PlexSqlite {
    command: Vec<String>,
    patience: Patience,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Running>,
    waited: Duration,
    failed: Option<String>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// `None` once it is to end.
    questions: Option<Sender<String>>,
    said: Receiver<Said>,
    /// The number of the next question.
    next: u64,
    has_failed: bool,
}

#[derive(Debug)]
enum Said {
    Line(String),
    Complaint(String),
}

impl Home {
    /// Home's `Plex SQLite`, if there is a command for it; nothing is started yet.
    pub fn plex_sqlite(&self, patience: Patience) -> Option<PlexSqlite> {
        let command = match &self.plex_sqlite {
            Some(command) => command.clone(),
            None => of_package(&self.data_dir, PACKAGE).into_iter().collect(),
        };
        (!command.is_empty()).then(|| PlexSqlite::new(command, patience))
    }
}

/// The package's program, if home is the package's: another server's would know another order.
fn of_package(data_dir: &Path, (program, data): (&str, &str)) -> Option<String> {
    (data_dir.starts_with(data) && Path::new(program).is_file()).then(|| program.to_owned())
}

impl PlexSqlite {
    /// The program that `command` runs.
    pub fn new(command: Vec<String>, patience: Patience) -> Self {
        Self {
            command,
            patience,
            state: Mutex::default(),
        }
    }

    fn ask(&self, state: &mut State, collation: &str, pairs: &[(&str, &str)]) -> Result<Vec<Ordering>, String> {
        if state.running.is_none() {
            state.running = Some(Running::start(&self.command)?);
        }
        let Some(running) = &mut state.running else {
            return Err("it is not running".into());
        };
        let limit = self.patience.answer.min(self.patience.all.saturating_sub(state.waited));
        let since = Instant::now();
        let answers = running.ask(collation, pairs, since + limit);
        state.waited += since.elapsed();
        running.has_failed = answers.is_err();
        answers
    }
}

impl PlexCollation for PlexSqlite {
    fn compare(&self, collation: &str, pairs: &[(&str, &str)]) -> Result<Vec<Ordering>, String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &state.failed {
            return Err(why.clone());
        }
        // The same text has the same place in every order.
        let mut answers = vec![Ordering::Equal; pairs.len()];
        let asked: Vec<usize> = (0..pairs.len()).filter(|n| pairs[*n].0 != pairs[*n].1).collect();
        for some in chunks(&asked, |n| pairs[n].0.len() + pairs[n].1.len()) {
            let questions: Vec<(&str, &str)> = some.iter().map(|n| pairs[*n]).collect();
            match self.ask(&mut state, collation, &questions) {
                Ok(found) => some.iter().zip(found).for_each(|(n, answer)| answers[*n] = answer),
                Err(why) => {
                    let why = format!("{} {why}", self.command.join(" "));
                    state.failed = Some(why.clone());
                    state.running = None;
                    return Err(why);
                }
            }
        }
        Ok(answers)
    }
}

/// Cuts a list so that no piece is too long for one statement.
fn chunks(all: &[usize], bytes: impl Fn(usize) -> usize) -> Vec<&[usize]> {
    let (mut pieces, mut from, mut size) = (Vec::new(), 0, 0);
    for (at, n) in all.iter().enumerate() {
        let bytes = bytes(*n);
        if at > from && (at - from == AT_ONCE || size + bytes > LONGEST) {
            pieces.push(&all[from..at]);
            (from, size) = (at, 0);
        }
        size += bytes;
    }
    if from < all.len() {
        pieces.push(&all[from..]);
    }
    pieces
}

impl Running {
    fn start(command: &[String]) -> Result<Self, String> {
        let (program, arguments) = command.split_first().ok_or("names no program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .arg(":memory:")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C at the terminal is for this program; and with it ends whatever it starts.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot be run: {error}"))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("has no pipes".into());
        };
        // A program that does not read must not hold up whoever asks, so each pipe has a thread of its own.
        let (questions, texts) = channel();
        thread::spawn(move || write_all(stdin, &texts));
        let (says, said) = channel();
        let complains = says.clone();
        thread::spawn(move || read_all(stdout, &says, Said::Line));
        thread::spawn(move || read_all(stderr, &complains, Said::Complaint));
        let running = Self {
            child,
            questions: Some(questions),
            said,
            next: 1,
            has_failed: false,
        };
        // Whatever its user's settings for it are.
        running.say(".mode list\n.headers off\n".to_owned());
        Ok(running)
    }

    fn say(&self, text: String) {
        // One that has ended is noticed where its answer is missing.
        if let Some(questions) = &self.questions {
            questions.send(text).ok();
        }
    }

    fn ask(&mut self, collation: &str, pairs: &[(&str, &str)], until: Instant) -> Result<Vec<Ordering>, String> {
        let first = self.next;
        self.next += pairs.len() as u64;
        self.say(question(collation, pairs, first));
        let mut answers = BTreeMap::new();
        while answers.len() < pairs.len() {
            let line = match self.said.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Said::Line(line)) => line,
                Ok(Said::Complaint(words)) => return Err(format!("says: {words}")),
                Err(RecvTimeoutError::Timeout) => return Err("does not answer in time".into()),
                Err(RecvTimeoutError::Disconnected) => return Err(self.last_words()),
            };
            match answer(&line).filter(|(number, _)| (first..self.next).contains(number)) {
                Some((number, order)) if answers.insert(number, order).is_none() => {}
                _ => return Err(format!("answers what was not asked: {}", line.escape_debug())),
            }
        }
        match self.said.try_recv() {
            Ok(Said::Line(words) | Said::Complaint(words)) => Err(format!("says: {}", words.escape_debug())),
            Err(_) => Ok(answers.into_values().collect()),
        }
    }

    /// How it ended; both of its pipes are closed.
    fn last_words(&mut self) -> String {
        match self.ended() {
            Some(status) => format!("ended without an answer ({status})"),
            None => "closed its output without an answer".into(),
        }
    }

    /// Waits a moment for its end.
    fn ended(&mut self) -> Option<std::process::ExitStatus> {
        let since = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if since.elapsed() < LAST_WORDS => thread::sleep(LOOK),
                _ => return None,
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.questions = None;
        // One that answers ends with its input.
        if self.has_failed || self.ended().is_none() {
            kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
            self.child.wait().ok();
        }
    }
}

fn write_all(mut stdin: impl Write, texts: &Receiver<String>) {
    while let Ok(text) = texts.recv() {
        if stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).is_err() {
            break;
        }
    }
}

fn read_all(pipe: impl Read, says: &Sender<Said>, said: fn(String) -> Said) {
    for line in BufReader::new(pipe).split(b'\n') {
        let Ok(line) = line else { break };
        if says.send(said(String::from_utf8_lossy(&line).into_owned())).is_err() {
            break;
        }
    }
}

/// One statement, on one line; each row of its answer is the question's number and how the two stand.
fn question(collation: &str, pairs: &[(&str, &str)], first: u64) -> String {
    let collation = collation.replace('"', "\"\"");
    let mut sql = format!(
        "SELECT n || ':' || ((a > b COLLATE \"{collation}\") - (a < b COLLATE \"{collation}\")) \
         FROM (SELECT column1 AS n, column2 AS a, column3 AS b FROM (VALUES "
    );
    for (number, (a, b)) in (first..).zip(pairs) {
        let comma = if number == first { "" } else { "," };
        let _ = write!(sql, "{comma}({number},{},{})", literal(a), literal(b));
    }
    sql.push_str("));\n");
    sql
}

/// A text as SQL has it, without a line's end or another control character in it.
fn literal(text: &str) -> String {
    if !text.contains(char::is_control) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut sql = String::from("CAST(x'");
    for byte in text.bytes() {
        let _ = write!(sql, "{byte:02x}");
    }
    sql.push_str("' AS TEXT)");
    sql
}

fn answer(line: &str) -> Option<(u64, Ordering)> {
    let (number, order) = line.trim_end().split_once(':')?;
    let order = match order {
        "-1" => Ordering::Less,
        "0" => Ordering::Equal,
        "1" => Ordering::Greater,
        _ => return None,
    };
    Some((number.parse().ok()?, order))
}

#[cfg(test)]
mod tests;
