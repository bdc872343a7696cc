//! The one printer: everything said to a person goes to stderr through [`Printer`], results go to stdout through
//! [`result`]. On a terminal the current activity is one line that is redrawn; elsewhere it is a timestamped line, at
//! most one every ten seconds while something is going on.

mod fold;
mod table;
mod view;
pub mod wire;

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

pub use fold::folded;
pub use table::Table;
pub use view::{View, labelled};
use wire::{Said, What};

/// Nothing is silent for longer than this (design: §4 of the command line).
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// What goes on is told to another machine's printer no more often than this.
const WIRE_EVERY: Duration = Duration::from_secs(1);

/// What a time takes before a line.
const STAMP: usize = "00:00:00 ".len();

/// Where and how to say things.
#[derive(Clone)]
pub struct Printer {
    inner: Arc<Inner>,
}

struct Inner {
    how: How,
    state: Mutex<State>,
}

enum How {
    Quiet,
    Plain,
    Live(ProgressBar),
    /// For the printer of another machine.
    Wire,
}

#[derive(Default)]
struct State {
    last_line: Option<Instant>,
    last_text: String,
    /// Everything said, for the burst's own log.
    log: Option<std::fs::File>,
}

impl Printer {
    /// A printer for this process; `quiet` says nothing but warnings and errors.
    pub fn new(quiet: bool) -> Self {
        let how = if quiet {
            How::Quiet
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            How::Live(bar)
        } else {
            How::Plain
        };
        Self::with(how)
    }

    /// A printer whose words are for the one of another machine, see [`wire`].
    pub fn wire() -> Self {
        Self::with(How::Wire)
    }

    fn with(how: How) -> Self {
        Self {
            inner: Arc::new(Inner {
                how,
                state: Mutex::default(),
            }),
        }
    }

    /// Says what the printer of another machine said.
    pub fn relay(&self, said: Said) {
        match said.what {
            What::Phase { ref line, ref text } => {
                self.line_at(said.at, line, false);
                self.busy_with(text);
            }
            What::Line(text) => self.line_at(said.at, &text, false),
            What::Warning(text) => self.line_at(said.at, &text, true),
            What::Verbatim(text) => self.verbatim(&text),
            What::Progress(text) => self.progress(&text),
        }
    }

    /// One line as it is, without a time before it, said even when quiet.
    pub fn verbatim(&self, text: &str) {
        match &self.inner.how {
            How::Live(bar) => bar.println(text),
            How::Wire => send(What::Verbatim(text.to_owned())),
            How::Quiet | How::Plain => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    /// From now on all that is said is also appended to `file`.
    pub fn log_to(&self, file: std::fs::File) {
        self.state().log = Some(file);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while printing leaves nothing behind that the next line could not be printed after.
        self.inner
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The header of a phase.
    pub fn phase(&self, name: &str, text: &str) {
        let line = format!("{name:<11} {text}");
        if let How::Wire = &self.inner.how {
            self.note(Timestamp::now(), &line);
            let text = text.to_owned();
            return send(What::Phase { line, text });
        }
        self.line(&line, false);
        self.busy_with(text);
    }

    fn busy_with(&self, text: &str) {
        if let How::Live(bar) = &self.inner.how {
            bar.set_message(text.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
        }
    }

    /// One line.
    pub fn say(&self, text: &str) {
        self.line(text, false);
    }

    /// One line that stands out and is said even when quiet.
    pub fn warn(&self, text: &str) {
        self.line(&format!("warning: {text}"), true);
    }

    /// What is going on right now; replaced by the next one.
    pub fn progress(&self, text: &str) {
        match &self.inner.how {
            How::Quiet => {}
            How::Live(_) => self.busy_with(text),
            How::Plain => {
                if self.is_due(text, PLAIN_EVERY) {
                    self.line(text, false);
                }
            }
            How::Wire => {
                if self.is_due(text, WIRE_EVERY) {
                    self.state().last_line = Some(Instant::now());
                    send(What::Progress(text.to_owned()));
                }
            }
        }
    }

    /// Takes the line of the current activity away, before a table or a question.
    pub fn clear(&self) {
        if let How::Live(bar) = &self.inner.how {
            bar.finish_and_clear();
        }
    }

    /// Whether something is to be told of what goes on, which was not told before.
    fn is_due(&self, text: &str, every: Duration) -> bool {
        let mut state = self.state();
        let is_due = state.last_line.is_none_or(|at| at.elapsed() >= every) && state.last_text != text;
        if is_due {
            text.clone_into(&mut state.last_text);
        }
        is_due
    }

    fn line(&self, text: &str, is_warning: bool) {
        self.line_at(Timestamp::now(), text, is_warning);
    }

    fn line_at(&self, at: Timestamp, text: &str, is_warning: bool) {
        let line = self.note(at, text);
        match &self.inner.how {
            How::Quiet if !is_warning => {}
            How::Live(bar) => {
                for piece in folded(&line, View::width(), STAMP) {
                    bar.println(piece);
                }
            }
            How::Wire if is_warning => send(What::Warning(text.to_owned())),
            How::Wire => send(What::Line(text.to_owned())),
            // A closed stderr ends nothing.
            How::Quiet | How::Plain => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }

    /// The line with its time, as the burst's own log has it from now on.
    fn note(&self, at: Timestamp, text: &str) -> String {
        let stamp = at.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%H:%M:%S");
        let line = format!("{stamp} {text}");
        let mut state = self.state();
        state.last_line = Some(Instant::now());
        if let Some(log) = &mut state.log {
            // The screen has it; a full disk must not end a burst for the sake of its log.
            writeln!(log, "{line}").ok();
        }
        line
    }
}

/// To the printer of another machine, which reads this process's stderr.
fn send(what: What) {
    // One write, so that no line is torn.
    let line = Said::now(what).to_line() + "\n";
    drop(std::io::stderr().write_all(line.as_bytes()));
}

/// Writes a command's result to stdout.
///
/// # Errors
/// A closed pipe and the like.
pub fn result(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// `1536` → `1.5 KiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{count} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// `3725` seconds → `1 h 02 min`.
pub fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", span.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// As [`duration`], in whole seconds: for what is told while it goes on.
#[must_use]
pub fn whole(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        _ => duration(span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_clear() {
        assert_eq!(whole(Duration::from_millis(1500)), "1 s");
        assert_eq!(whole(Duration::from_millis(61_500)), "1 min 01 s");
        assert_eq!(bytes(12), "12 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(duration(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(duration(Duration::from_secs(61)), "1 min 01 s");
        assert_eq!(duration(Duration::from_secs(3725)), "1 h 02 min");
    }
}
