//! The machines behind the servers: namespaces of this machine with a root, processes, a hostname and an sshd of their own.
//!
//! They share the network, so everything they do is on loopback, and the host's programs, so nothing has to be installed
//! in them. They are no jail: what runs in them is trusted. The [`keeper`] starts and ends them as the world wants it, a
//! [`gate`] stands on each public address, and each has its [`service`] of metadata. None outlives the simulator: its init
//! ends when the pipe from the simulator does, and everything in its namespaces with it.

mod gate;
mod keeper;
mod machine;
pub(crate) mod metadata;
mod service;

pub(crate) use keeper::{Keeper, check};
