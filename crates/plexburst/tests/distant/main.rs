//! A home on another machine: a real sshd on loopback, with the home of the simulator behind it, and every command given
//! from "here"; and homes that refuse to stop, come up sick, or belong to somebody else, here and there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "a skip has to be seen")]

mod commands;
#[path = "../common/mod.rs"]
mod common;
mod cut;
mod served;
mod sick;
#[path = "../sshd/mod.rs"]
mod sshd;
mod support;
mod users;
