//! plexburst as modules; the binary is its only user.
//!
//! Arrows run downwards: [`cli`] → [`burst`] → [`plex`], [`media`], [`depot`], [`home`] → `plex_library`.
//! A phase of a burst knows its neighbours only through the journal.

pub mod cli;
pub mod exit;
