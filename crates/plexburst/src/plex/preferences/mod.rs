//! What a server is told about itself: the file `Preferences.xml` and the preferences of a running server.
//!
//! [`Preferences`] reads home's and prepares the worker's, [`quiet()`] keeps the worker from doing what nobody asked for,
//! [`allow`] lets a part of that on while a section is analysed and [`forbid`] takes it back, [`forbid_deleting`] keeps either server from throwing anything away while a burst is under way (guard 3).

mod allowed;
mod deleting;
mod file;
mod quiet;

pub use allowed::{EXTRAS, allow, allowed, forbid};
pub use deleting::{Error as GuardError, OFF, Saved, forbid_deleting, prove_off, put_back, read_deleting};
pub use file::{Error as FileError, Preferences, local_token};
pub use quiet::{Outcome as Quieted, quiet};
