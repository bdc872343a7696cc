//! A burst that goes on by itself: in a process and a session of its own, which no terminal's end reaches.
//!
//! Everything is asked before; what the process would have said at a terminal goes into `terminal.log` in the burst's folder.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Context, print_json, quoted};
use crate::burst::side;
use crate::clock::{Clock as _, SystemClock};
use crate::error::{Context as _, Error, Result};
use crate::exit;

/// What it says, in the burst's folder.
pub(super) const LOG: &str = "terminal.log";
/// Between two looks at whether it has begun.
const LOOK: Duration = Duration::from_millis(50);

/// Lets the burst in `dir`, which nobody runs, go on by itself; comes back when it has been taken over.
///
/// # Errors
/// The process cannot be started, or ends before it has taken the burst over.
pub(super) async fn let_go(id: &str, dir: &Path, context: &Context, json: bool) -> Result<u8> {
    let program = std::env::current_exe().context(|| "cannot tell which program this is".to_owned())?;
    let log = dir.join(LOG);
    let open = || -> Result<File> {
        File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&log)
            .context(|| format!("cannot write {}", log.display()))
    };
    let mut command = Command::new(program);
    if let Some(config) = &context.config {
        let config = std::path::absolute(config).context(|| format!("cannot resolve {}", config.display()))?;
        command.arg("--config").arg(config);
    }
    if context.here {
        command.arg("--here");
    }
    let mut child = command
        .args(["resume", id, "--by-itself"])
        .stdin(Stdio::null())
        .stdout(open()?)
        .stderr(open()?)
        .spawn()
        .context(|| "cannot start a process for the burst".to_owned())?;
    // It has the burst, or it has ended.
    while side::holder(&dir.join("lock"))? != Some(child.id()) {
        let ended = child
            .try_wait()
            .context(|| "cannot look after the burst's process".to_owned())?;
        if let Some(status) = ended {
            return match status.code() {
                Some(0) => Ok(exit::DONE),
                _ => Err(Error::new(
                    status
                        .code()
                        .and_then(|code| u8::try_from(code).ok())
                        .unwrap_or(exit::UNEXPECTED),
                    format!("burst {id} ended as it began: {}", last_words(&log)),
                )
                .hint(format!(
                    "all that it said is in {}; `plexburst resume {id}` tries again",
                    quoted(&log)
                ))),
            };
        }
        SystemClock.sleep(LOOK).await;
    }
    if json {
        print_json(&serde_json::json!({ "burst": id, "log": log }))?;
    } else {
        context.printer.say(&format!(
            "burst {id} goes on by itself: `plexburst attach` shows it, `plexburst cancel` ends it, what it says is in {}",
            quoted(&log)
        ));
    }
    Ok(exit::DONE)
}

fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" | ")
}

/// Leaves the session of whoever began this process.
pub(super) fn leave_session() {
    // Where it is a session's leader already there is nothing to leave.
    rustix::process::setsid().ok();
}
