//! Measures one process with all that it starts: how long, how much processor, how much memory of its own.

use std::fmt::Write as _;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(100);
/// Clock ticks of /proc in a second, on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// What one run took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) cpu: f64,
    /// Most anonymous memory at once, of all processes of the row.
    pub(crate) anon: u64,
    /// What it printed.
    pub(crate) said: String,
}

/// A line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) work: &'static str,
    pub(crate) how: String,
    pub(crate) cost: Option<Cost>,
    pub(crate) bytes: Option<u64>,
    /// Against what, and the ratio.
    pub(crate) ratio: Option<(f64, &'static str)>,
    pub(crate) note: String,
}

impl Row {
    pub(crate) fn new(work: &'static str, how: &str) -> Self {
        Self {
            work,
            how: how.into(),
            cost: None,
            bytes: None,
            ratio: None,
            note: String::new(),
        }
    }

    pub(crate) fn cost(mut self, cost: &Cost) -> Self {
        self.cost = Some(cost.clone());
        self
    }

    pub(crate) fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    pub(crate) fn ratio(mut self, ratio: f64, of: &'static str) -> Self {
        self.ratio = Some((ratio, of));
        self
    }

    /// What is to be reached, and whether it was.
    pub(crate) fn target(mut self, text: &str, is_met: bool) -> Self {
        self.note = format!("{text}: {}", if is_met { "reached" } else { "MISSED" });
        self
    }

    pub(crate) fn note(mut self, text: impl Into<String>) -> Self {
        self.note = text.into();
        self
    }
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command) -> Cost {
    let name = format!("{command:?}");
    eprintln!("  {}", name.chars().take(150).collect::<String>());
    // What the rows before have left to be written is not this one's.
    assert!(Command::new("sync").status().unwrap().success());
    let before = children_cpu();
    let begun = Instant::now();
    let mut child = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let group = child.id();
    let mut output = child.stdout.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut said = String::new();
        std::io::Read::read_to_string(&mut output, &mut said).unwrap();
        said
    });
    let (ended, end) = std::sync::mpsc::channel::<()>();
    let looking = std::thread::spawn(move || {
        let mut anon = 0;
        while end.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            anon = anon.max(anon_of(group));
        }
        anon
    });
    let status = child.wait().unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    drop(ended);
    let (said, anon) = (reading.join().unwrap(), looking.join().unwrap());
    assert!(status.success(), "{name}: {status}: {said}");
    Cost {
        seconds,
        cpu: children_cpu() - before,
        anon,
        said,
    }
}

/// Brings files into memory, where the time of the disk is not what is measured.
pub(crate) fn warm(files: &[impl AsRef<Path>]) {
    for file in files {
        std::io::copy(&mut std::fs::File::open(file).unwrap(), &mut std::io::sink()).unwrap();
    }
}

/// A line of the shell.
pub(crate) fn shell(line: &str) -> Cost {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    run(command)
}

/// The run with the median time.
pub(crate) fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    costs[costs.len() / 2].clone()
}

fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    // cutime and cstime of proc(5).
    (fields[13].parse::<f64>().unwrap() + fields[14].parse::<f64>().unwrap()) / TICKS
}

/// Anonymous memory of all processes of a group.
fn anon_of(group: u32) -> u64 {
    let is_in_group = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let after = stat.get(stat.rfind(')')? + 2..)?;
        (after.split(' ').nth(2)? == group.to_string()).then_some(())
    };
    let anon = |pid: &str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let mut sum = 0;
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|byte| byte.is_ascii_digit()) && is_in_group(&name).is_some() {
            sum += anon(&name).unwrap_or(0);
        }
    }
    sum * 1024
}

/// The one table.
pub(crate) fn table(title: &str, rows: &[Row]) -> String {
    let head = ["work", "how", "s", "CPU s", "MB", "anon MiB", "ratio", ""].map(str::to_owned);
    let mut lines = vec![head.to_vec()];
    for row in rows {
        let cost = |f: &dyn Fn(&Cost) -> String| row.cost.as_ref().map_or(String::new(), f);
        lines.push(vec![
            row.work.to_owned(),
            row.how.clone(),
            cost(&|cost| format!("{:.2}", cost.seconds)),
            cost(&|cost| format!("{:.2}", cost.cpu)),
            row.bytes
                .map_or(String::new(), |bytes| format!("{:.1}", bytes as f64 / 1e6)),
            cost(&|cost| format!("{:.0}", cost.anon as f64 / f64::from(1 << 20))),
            row.ratio
                .map_or(String::new(), |(ratio, of)| format!("{ratio:.2} × {of}")),
            row.note.clone(),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = format!("\n{title}\n\n");
    for (number, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let pad = " ".repeat(widths[column] - cell.chars().count());
            let (left, right) = if (2..=5).contains(&column) {
                (pad.as_str(), "")
            } else {
                ("", pad.as_str())
            };
            write!(text, "| {left}{cell}{right} ").unwrap();
        }
        text.push_str("|\n");
        if number == 0 {
            for width in &widths {
                write!(text, "|{}", "-".repeat(width + 2)).unwrap();
            }
            text.push_str("|\n");
        }
    }
    text
}
