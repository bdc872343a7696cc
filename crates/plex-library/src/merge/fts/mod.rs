//! Plex's search index (FTS4), read and written without its tokenizer.
//!
//! The terms of a title are what Plex's own tokenizer made of it; no stand-in makes the same ones. So they are never
//! made here: a row that goes from home into the result takes the terms that home's index has for it, decoded from the
//! index's own tables and written into the result's as one new segment, exactly as FTS4 itself adds a batch of rows.
//!
//! Guarantees: an index whose definition is not fully understood is not written ([`Index::all`] says why). A document whose
//! terms do not add up to what the index says about its length is not taken ([`Found::Broken`]).

mod index;
mod read;
mod segment;
#[cfg(test)]
mod tests;
mod varint;
mod write;

pub(super) use index::Index;
pub(super) use read::{Document, Found, find};
pub(super) use write::{Edit, apply};
