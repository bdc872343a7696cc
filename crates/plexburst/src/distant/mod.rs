//! A home on another machine: what needs home is done there, by the same program.
//!
//! A command that needs home is *called* there: this machine brings the program, the settled configuration and the secrets
//! that it takes (in memory there), and the command runs on home's machine as it would run for somebody who sits there, in
//! a process of its own that no connection can end. This machine only shows what it says ([`follow`]), passes an
//! interruption on, and comes back to it when the connection was lost. So a library is never touched but by a process
//! beside it, and a burst's state, journal and report lie at home, whoever asks for them.
//!
//! [`settle`] makes the configuration for there, [`machine`] reaches it, [`order`] is what the two sides tell each other,
//! [`there`] is the side at home. Must not: reach into home's files from here.

pub mod follow;
pub mod machine;
pub mod order;
pub mod settle;
pub mod there;

pub use machine::Machine;
pub use order::{Frame, Order};
