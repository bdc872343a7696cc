//! Machines that cost money while they exist: asking for one, never losing sight of it, and ending it for good.
//!
//! [`provider`] is what a cloud has to be able to do, [`scaleway`] does it. [`lifecycle`] makes a machine for a burst and
//! takes it away again so that a crash at any instant leaves nothing that cannot be found; [`sweep`] finds and destroys
//! what no live burst owns. Must not: know what a worker does, or believe that something is gone before the provider
//! answered 404 for it.

pub mod deadline;
pub mod lease;
pub mod lifecycle;
pub mod offer;
pub mod price;
pub mod provider;
pub mod resource;
pub mod scaleway;
pub mod sweep;

pub use provider::Provider;
pub use resource::{Kind, Ownership, Resource};
