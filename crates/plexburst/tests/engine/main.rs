//! Plex in containers: a Docker engine of the tests' own, the simulator's image, whole bursts and what goes wrong with them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;
mod daemon;
#[cfg(test)]
#[path = "../common/eta.rs"]
mod eta;
mod faults;
mod recipe;
mod round;
mod time;
