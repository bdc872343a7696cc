//! Starting a process that must die with this one, and knowing when it ends.
//!
//! The kernel ties "die with the parent" to the *thread* that started the child, and the threads of an async runtime
//! come and go. So each child has a thread of its own that starts it, waits for it and tells how it ended.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::sync::{oneshot, watch};

use super::Exit;

/// A child and the thread that watches over it. Dropping it ends the child with the signal given at its start.
#[derive(Debug)]
pub(crate) struct Launched {
    pid: i32,
    last: Signal,
    exit: watch::Receiver<Option<Exit>>,
}

/// Starts `command`; `last` is what it gets when it is no longer wanted: SIGKILL, or SIGHUP for a guardian, which
/// has a child of its own to end.
///
/// # Errors
/// It cannot be started.
pub(crate) async fn launch(mut command: Command, last: Signal) -> io::Result<Launched> {
    let (started, pid) = oneshot::channel();
    let (ended, exit) = watch::channel(None);
    let watch = move || match command.spawn() {
        Ok(mut child) => {
            let _ = started.send(i32::try_from(child.id()).map_err(io::Error::other));
            let exit = child.wait().map_or(Exit::of(-1), exit_of);
            let _ = ended.send(Some(exit));
        }
        Err(error) => {
            let _ = started.send(Err(error));
        }
    };
    std::thread::Builder::new().name("plex-watch".to_owned()).spawn(watch)?;
    let pid = pid.await.map_err(io::Error::other)??;
    Ok(Launched { pid, last, exit })
}

fn exit_of(status: ExitStatus) -> Exit {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Exit::of(code.unwrap_or(-1))
}

impl Launched {
    /// The child's id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// How it ended; none while it runs.
    pub(crate) fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Its end, for who looks after it elsewhere.
    pub(crate) fn ended(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.clone()
    }

    /// Waits for its end; none when `limit` passes first.
    pub(crate) async fn wait(&mut self, limit: Duration) -> Option<Exit> {
        let ended = self.exit.wait_for(Option::is_some);
        let exit = tokio::time::timeout(limit, ended).await.ok()?;
        // A watching thread that is gone without a word cannot be waited for: the child is not known to run.
        exit.map_or(Some(Exit::of(-1)), |exit| *exit)
    }

    /// Sends a signal unless it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.exit().is_none()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        self.signal(self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_how_a_child_ended() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        let mut child = launch(command, Signal::KILL).await.unwrap();
        assert_eq!(child.wait(Duration::from_secs(10)).await, Some(Exit::of(3)));
        let mut command = Command::new("sleep");
        command.arg("60");
        let mut child = launch(command, Signal::KILL).await.unwrap();
        assert_eq!(child.exit(), None);
        assert_eq!(child.wait(Duration::from_millis(20)).await, None);
        child.signal(Signal::KILL);
        assert_eq!(child.wait(Duration::from_secs(10)).await, Some(Exit::of(137)));
        assert!(launch(Command::new("/no/such"), Signal::KILL).await.is_err());
    }
}
