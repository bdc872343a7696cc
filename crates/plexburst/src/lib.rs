//! plexburst as modules; the binary is its only user.
//!
//! Arrows run downwards: [`cli`] → [`burst`] → [`plex`], [`media`], [`depot`], [`home`] → `plex_library`.
//! A phase of a burst knows its neighbours only through the journal.

pub mod burst;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod depot;
pub mod distant;
pub mod error;
pub mod exit;
pub mod home;
pub mod host;
pub mod media;
pub mod notify;
pub mod plex;
pub mod report;
pub mod secret;
pub mod serve;
pub mod signal;
pub mod term;
