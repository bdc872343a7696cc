//! The worker as a process of this machine, in a process group of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::super::Controller;
use super::super::work::{LOOK, START, has_ended, may_begin};
use crate::burst::side;
use crate::burst::spec::key;
use crate::clock::{Clock, SystemClock};
use crate::error::{Context, Error, Result};

/// Starts the worker's process unless one has the lock, and waits until it has it.
pub(super) async fn start(c: &Controller, work_dir: &Path) -> Result<()> {
    if is_alive(work_dir)? {
        return Ok(());
    }
    may_begin(c).await?;
    let exe = std::env::current_exe().context(|| "cannot find this program's own file".to_owned())?;
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(work_dir.join("worker.log"))
        .context(|| format!("cannot write in {}", work_dir.display()))?;
    let mut child = std::process::Command::new(exe);
    child
        .arg("worker")
        .arg(work_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    // A process group of its own: what ends the controller at the terminal does not reach the worker.
    std::os::unix::process::CommandExt::process_group(&mut child, 0);
    let mut child = child.spawn().context(|| "cannot start the worker".to_owned())?;
    let clock = SystemClock;
    let since = clock.now();
    loop {
        if is_alive(work_dir)? {
            // The worker is not ours to wait for, but while we live its end must not leave a zombie that looks alive.
            tokio::task::spawn_blocking(move || child.wait());
            return Ok(());
        }
        let ended = child.try_wait().context(|| "cannot look after the worker".to_owned())?;
        if let Some(status) = ended
            && !is_alive(work_dir)?
            && !has_ended(c).await?
        {
            return Err(
                Error::failed(format!("the worker ended at once ({status}): {}", last_line(work_dir)))
                    .hint(format!("{} has all it said", work_dir.join("worker.log").display())),
            );
        }
        if ended.is_some() {
            return Ok(());
        }
        if clock.now() - since > START {
            return Err(Error::failed("the worker does not begin").hint("see worker.log in its folder"));
        }
        clock.sleep(LOOK / 10).await;
    }
}

/// Whether a worker runs in this folder: it holds its lock as long as it lives.
pub(super) fn is_alive(work_dir: &Path) -> Result<bool> {
    Ok(side::holder(&work_dir.join("lock"))?.is_some())
}

pub(super) fn last_line(work_dir: &Path) -> String {
    std::fs::read_to_string(work_dir.join("worker.log"))
        .ok()
        .and_then(|text| text.lines().rev().find(|l| !l.trim().is_empty()).map(str::to_owned))
        .unwrap_or_else(|| "it said nothing".to_owned())
}

/// Ends the worker if it still runs and removes its folder.
pub(super) async fn remove(c: &Controller, work_dir: &Path) -> Result<()> {
    if !work_dir.exists() {
        return Ok(());
    }
    if is_alive(work_dir)? {
        c.depot
            .put_bytes(key::CANCEL, b"the controller removes the worker")
            .await?;
        let clock = SystemClock;
        let since = clock.now();
        let limit = Duration::from_secs(c.request.config.limits.stop);
        while let Some(pid) = side::holder(&work_dir.join("lock"))? {
            let waited = clock.now() - since;
            if waited > limit * 2 {
                return Err(Error::failed(format!(
                    "the worker in {} (process {pid}) does not end",
                    work_dir.display()
                ))
                .hint("end that process, then `plexburst resume`"));
            }
            if waited > limit
                && let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw)
            {
                // Its Plex and its mount die with it; what it had done so far is in its journal.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            clock.sleep(LOOK).await;
        }
    }
    crate::media::mount::clear(&work_dir.join("media")).await?;
    crate::home::discard(work_dir)
}
