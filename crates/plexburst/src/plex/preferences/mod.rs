//! What a server is told about itself: the file `Preferences.xml` and the preferences of a running server.
//!
//! [`file`] reads home's and prepares the worker's, [`quiet`] keeps the worker from doing what nobody asked for,
//! [`deleting`] keeps either server from throwing anything away while a burst is under way (guard 3).

pub mod deleting;
pub mod file;
pub mod quiet;
