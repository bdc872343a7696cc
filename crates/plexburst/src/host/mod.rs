//! A machine that is reached over SSH: with a verified host key, never without; equipped so that nothing is silently
//! missing; and given only the secrets that it needs, in files that lie in memory.
//!
//! [`keys`] makes a burst's own key and proves a machine's, [`ssh`] runs commands and copies files there, [`equip`] brings
//! the program and what it needs, [`secrets`] finds out which secrets those are. Must not: accept a host key that nobody vouched for, or put a secret on a command line.

pub mod equip;
pub mod fit;
pub mod keys;
pub mod secrets;
pub mod ssh;
pub mod user_data;

pub use ssh::{Host, Talk, Target};
