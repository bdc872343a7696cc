//! The Scaleway simulator over HTTP.

mod access;
mod faults;
mod life;
mod lists;
mod sdk;
mod support;
