//! What a merge promises, tried on life-like libraries that a simulated server writes: home's changes and the worker's come
//! together, and nothing that the household did is lost.

#![allow(missing_docs)]
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test says by panicking what is wrong, and what it skipped"
)]

mod asked;
mod back;
mod back_again;
mod catching_up;
mod content;
mod faults;
mod history;
mod household;
mod layered;
mod odd;
mod old;
mod properties;
mod real;
mod refusals;
mod state;
mod support;
mod two_way;
