//! What the worker needs of this machine, for real: cells made by bubblewrap, mounts made by rclone.
//!
//! Where the machine lacks something, a test prints `SKIPPED name: reason` and passes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

#[cfg(test)]
mod cell;
#[cfg(all(test, feature = "demo"))]
#[path = "../common/eta.rs"]
mod eta;
#[cfg(all(test, feature = "demo"))]
mod indexing;
#[cfg(all(test, feature = "demo"))]
mod listening;
#[cfg(all(test, feature = "demo"))]
mod locked;
#[cfg(test)]
mod mount;
#[cfg(test)]
mod support;
