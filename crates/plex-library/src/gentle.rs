//! Work that gives way: on a thread of its own, at a low priority for the processor and so for the disk.
//!
//! A home is often a small box that transcodes while its library is copied. Linux derives the priority of a thread's disk
//! requests from its niceness (10: the last but one of eight), and threads that the work starts (those of the compressor)
//! inherit it. It is low, not idle: on a box that is busy for hours an idle copy would hold its moment for hours, and the
//! server's log would grow all the while. Who wants the idle class of the disk as well begins the program with `ionice -c3`,
//! which is inherited too; [`crate::snapshot::Options::bytes_per_second`] holds a copy back where the disk knows no
//! priorities.
//!
//! Must not: change the priority of the thread that called, which could not be raised again.

use std::panic::resume_unwind;

/// Beside others that want the processor it gets a tenth of what they get.
const NICE: i32 = 10;

/// Runs `work` so that it is in nobody's way. A system that does not permit it runs it as anything else.
pub fn gently<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let outcome = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            give_way();
            work()
        });
        thread.join()
    });
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

/// On Linux a niceness belongs to a thread.
fn give_way() {
    let own = rustix::process::getpriority_process(None).unwrap_or(0);
    if own < NICE {
        let set = rustix::process::setpriority_process(None, NICE);
        tracing::debug!(?set, "giving way to everything else");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Niceness of the calling thread, as the kernel says.
    fn mine() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // Field 19 of proc(5); the first one behind the name is the third.
        let mut fields = stat[stat.rfind(')').unwrap() + 2..].split(' ');
        fields.nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn the_work_gives_way_and_what_it_starts_too_and_the_caller_does_not() {
        let before = mine();
        let (own, child) = gently(|| (mine(), std::thread::spawn(mine).join().unwrap()));
        assert_eq!(mine(), before);
        assert_eq!((own, child), (NICE.max(before), NICE.max(before)));
    }

    #[test]
    fn what_the_work_returns_comes_back() {
        assert_eq!(gently(|| 7), 7);
    }
}
