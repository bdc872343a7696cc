//! Plex itself: talking to a server, running one on the worker, keeping it quiet, and making it index.
//!
//! [`client`] speaks HTTP, [`runtime`] starts and stops a server of the worker's own, [`preferences`] keep it from
//! deleting and from working unasked; [`listen`] hears what a server tells by itself, [`index`] makes it work.

pub mod account;
#[cfg(test)]
pub(crate) mod canned;
pub mod client;
mod failure;
pub mod index;
pub mod listen;
pub mod preferences;
pub mod ready;
pub mod runtime;

/// Runs what may take seconds without holding up other tasks, where the runtime has other threads for them.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
