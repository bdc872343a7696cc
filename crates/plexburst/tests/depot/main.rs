//! The depot on real places: a folder, `rclone serve s3`, an sshd of the test's own; and what can go wrong there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "a skip has to be seen")]

mod bursts;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod cut;
mod faults;
mod places;
mod support;
