//! What the crate promises, tried on real files: consistent snapshots beside a writer in another process, deltas byte
//! for byte, looking without a trace.

#![allow(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

mod archives;
mod bundle;
mod clones;
mod damage;
mod delta;
mod diff;
mod export;
mod faults;
mod full_speed;
mod ids;
mod inspect;
mod layered;
mod losses;
mod one_pass;
mod remap;
mod repair;
mod schemas;
mod snapshot;
mod support;
mod swap;
mod swap_files;
mod trace;
mod verify;
mod writer;
