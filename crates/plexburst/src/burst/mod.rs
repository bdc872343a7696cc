//! One run: home → worker → home. The controller and the worker are two sides, each with a journal of its own; they
//! meet only in the depot.

pub mod afar;
pub mod claim;
pub mod controller;
pub mod elsewhere;
pub mod estimate;
pub mod guard;
pub mod journal;
pub mod kept;
pub mod ledger;
pub mod live;
pub mod logs;
pub mod measured;
pub mod parked;
pub mod phase;
pub mod quote;
mod remapped;
pub mod request;
pub mod retention;
pub mod runtime;
pub mod seat;
pub mod side;
pub mod spec;
pub mod store;
pub mod tail;
pub mod takeover;
pub mod todo;
pub mod version;
pub mod watcher;
pub mod worker;
