//! Work that gives way: on a thread of its own that the system lets run when nobody else wants the processor or the disk.
//!
//! A home is often a small box that transcodes while its library is copied. Linux derives the class of a thread's disk
//! requests from its scheduling policy: `SCHED_IDLE` means idle disk requests as well, where the disk's scheduler knows
//! classes at all (BFQ does; where none is at work, [`crate::snapshot::Options::bytes_per_second`] holds the copy back).
//! Threads that the work starts (those of the compressor) inherit both.
//!
//! Must not: change the priority of the thread that called, which could not be raised again.

use std::panic::resume_unwind;

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

/// The lowest there is.
const NICE: i32 = 19;

/// Runs `work` so that it is in nobody's way. A system that does not permit it (some containers) runs it as anything else.
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

fn give_way() {
    // The crate sets the policy before the niceness, of which an idle thread has none there: that part may fail.
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let policy = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    let nice = rustix::process::setpriority_process(None, NICE);
    tracing::debug!(?policy, ?nice, "giving way to everything else");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policy and niceness of the calling thread, as the kernel says.
    fn mine() -> (u32, i32) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        // Fields 41 and 19 of proc(5); the first one behind the name is the third.
        (fields[38].parse().unwrap(), fields[16].parse().unwrap())
    }

    #[test]
    fn the_work_is_idle_and_what_it_starts_too_and_the_caller_is_not() {
        const SCHED_IDLE: u32 = 5;
        let before = mine();
        let (own, child) = gently(|| (mine(), std::thread::spawn(mine).join().unwrap()));
        assert_eq!(mine(), before);
        if own.0 != SCHED_IDLE {
            println!("SKIPPED the_work_is_idle: this system does not permit SCHED_IDLE");
            return;
        }
        assert_eq!((own, child), ((SCHED_IDLE, NICE), (SCHED_IDLE, NICE)));
    }

    #[test]
    fn what_the_work_returns_comes_back() {
        assert_eq!(gently(|| 7), 7);
    }
}
