//! The simulated server as a process, seen from outside: HTTP, files, signals.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod api;
mod auth;
mod butler;
mod household;
mod jobs;
mod life;
mod plexapi;
mod scans;
mod support;
