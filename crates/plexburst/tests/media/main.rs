//! The media on bad days: a real rclone mount of a real S3 server, with a fault proxy between them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics, and a skip has to be seen"
)]

#[path = "../common/mod.rs"]
mod common;

mod calm;
mod disaster;
mod faults;
mod stopped;
mod support;
mod watched;
