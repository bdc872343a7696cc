//! What a server is told about itself: the file `Preferences.xml` and the preferences of a running server.
//!
//! [`Preferences`] reads home's and prepares the worker's, [`quiet()`] keeps the worker from doing what nobody asked for,
//! [`forbid_deleting`] keeps either server from throwing anything away while a burst is under way (guard 3).

mod deleting;
mod file;
mod quiet;

pub use deleting::{Error as GuardError, OFF, Saved, forbid_deleting, prove_off, put_back, read_deleting};
pub use file::{Error as FileError, Preferences, local_token};
pub use quiet::{Outcome as Quieted, quiet};
