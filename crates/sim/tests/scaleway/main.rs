//! The Scaleway simulator over HTTP, and its machines over SSH.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod access;
mod faults;
mod life;
mod lists;
mod machines;
mod sdk;
mod support;
