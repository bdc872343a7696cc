//! Plex itself: talking to a server, running one on the worker, keeping it quiet, and making it index.
//!
//! [`client`] speaks HTTP, [`runtime`] starts and stops a server of the worker's own, [`preferences`] keep it from
//! deleting and from working unasked.

#[cfg(test)]
pub(crate) mod canned;
pub mod client;
mod failure;
pub mod preferences;
pub mod ready;
pub mod runtime;
