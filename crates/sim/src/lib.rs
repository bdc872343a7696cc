//! Stand-ins of Plex Media Server and of Scaleway that can be run on one machine: for the tests, for `plexburst demo`, for
//! nothing else.
//!
//! They have the real ones' databases, files, programs and HTTP APIs, so that whatever works on them has met the real shapes.
//! They depend on none of plexburst's own code.

pub mod bucket;
mod cli;
pub mod fixture;
pub mod image;
mod install;
pub mod music;
pub mod proxy;
pub mod scaleway;
pub mod schema;
pub mod service;
pub mod store;

pub(crate) mod activities;
pub(crate) mod analysis;
pub(crate) mod butler;
pub(crate) mod household;
pub(crate) mod http;
pub(crate) mod items;
pub(crate) mod jobs;
pub mod plextv;
pub mod prefs;
pub(crate) mod process;
pub(crate) mod scanner;
pub mod server;
pub(crate) mod shell;

pub use cli::cli;
pub use install::{dispatch, install};
