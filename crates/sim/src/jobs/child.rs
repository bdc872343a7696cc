//! One child process from its start to its end.
//!
//! A child prints `progress <0..100 or -1> <ratingKey or 0> <text>` on its standard output; anything else it prints goes
//! to the log. It ends by itself, or on SIGTERM at its next file, leaving the database consistent.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::activities::Handle;
use crate::http::timeline;
use crate::server::Server;

/// A program that stands beside the server's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Scans, refreshes, analyses.
    Scanner,
    /// Sonic analysis.
    MusicAnalyzer,
}

impl Program {
    /// Its file name, which is also what a process list shows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Program::Scanner => "Plex Media Scanner",
            Program::MusicAnalyzer => "Plex Music Analyzer",
        }
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With exit code 0, by itself.
    Done,
    /// After it had been asked to stop, whatever its exit code.
    Cancelled,
    /// With another exit code, by a signal, or it could not be started at all.
    Failed,
}

/// Runs the program to its end, feeding `activity`.
pub(crate) fn run(server: &Arc<Server>, program: Program, arguments: &[String], activity: &Handle) -> Outcome {
    if activity.cancel().is_cancelled() {
        return Outcome::Cancelled;
    }
    let path = server.programs.join(program.name());
    server.log.debug(format_args!(
        "[JobManager] Launching: \"{}\" {}",
        path.display(),
        arguments.join(" ")
    ));
    let spawned = Command::new(&path)
        .args(arguments)
        .env("PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR", &server.support)
        .env("X_PLEX_TOKEN", &server.local_token)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            server
                .log
                .error(format_args!("[JobManager] cannot start {}: {error}", path.display()));
            return Outcome::Failed;
        }
    };
    activity.cancel().attach(child.id());
    // Drained in a thread of its own, or a chatty child would stall on a full pipe.
    let complaints = child.stderr.take().map(|stderr| {
        let server = Arc::clone(server);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                server.log.debug(format_args!("[{}] {line}", program.name()));
            }
        })
    });
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            match Progress::parse(&line) {
                Some(progress) => {
                    activity.progress(progress.percent, &progress.text);
                    if progress.item > 0 {
                        timeline::processed(server, progress.item);
                    }
                }
                None => server.log.debug(format_args!("[{}] {line}", program.name())),
            }
        }
    }
    if let Some(complaints) = complaints {
        // It only copies lines; if it panicked there is nothing to be done for it.
        let _ = complaints.join();
    }
    activity.cancel().detach();
    let status = child.wait();
    let outcome = match status {
        // A child that was asked to stop ends with 0 as well: it did what it was told.
        _ if activity.cancel().is_cancelled() => Outcome::Cancelled,
        Ok(status) if status.success() => Outcome::Done,
        _ => Outcome::Failed,
    };
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    server.log.debug(format_args!(
        "Jobs: {} {} exited ({status})",
        program.name(),
        arguments.join(" ")
    ));
    outcome
}

#[derive(Debug, PartialEq)]
struct Progress {
    percent: f64,
    item: i64,
    text: String,
}

impl Progress {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("progress ")?.splitn(3, ' ');
        let percent = words.next()?.parse().ok()?;
        let item = words.next()?.parse().ok()?;
        Some(Self {
            percent,
            item,
            text: words.next().unwrap_or("").to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_lines() {
        let parsed = Progress::parse("progress 12.5 77 Some Album").unwrap();
        assert_eq!(
            parsed,
            Progress {
                percent: 12.5,
                item: 77,
                text: "Some Album".into()
            }
        );
        assert_eq!(Progress::parse("progress -1 0").unwrap().text, "");
        assert_eq!(Progress::parse("progress soon"), None);
        assert_eq!(Progress::parse("hello"), None);
    }
}
