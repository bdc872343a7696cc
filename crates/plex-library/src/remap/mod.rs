//! Media that lie under another root: the paths in the library follow.
//!
//! A prefix is replaced only where it ends at a separator, the longest first, each value once: mappings may exchange two
//! roots. `file://` URLs are matched by what they decode to and written percent-encoded. Two roots of a section that fall
//! on one become one row, and what referred to the other follows; Plex would otherwise scan the folder twice.
//!
//! Every change has an exact inverse ([`Inverse`]), which is durable before the library is changed: each row gets back
//! the very prefix it had, rows that were under the new root before stay there, and rows that came since (a worker's) are
//! mapped back by the mappings.
//!
//! Only columns whose tables have no triggers are written (facts §8.6): stock SQLite can do that without Plex's
//! tokenizers and collations. What else in the library speaks of the old root is counted by [`elsewhere`], never changed.
//!
//! Must not: run beside a server, touch `metadata_items` or `tags`, or change a value that no mapping covers.

mod apply;
mod elsewhere;
mod inverse;
mod mapping;
mod places;
mod plan;
mod undo;

pub use apply::{apply, apply_noted};
pub use elsewhere::{Elsewhere, elsewhere};
pub use inverse::{FORMAT, Inverse};
pub use mapping::{Mapping, read_mappings};
pub use plan::{Column, MergedRoot, Plan, Root, plan};
pub use undo::{Undone, is_undone, undo};

use serde::{Deserialize, Serialize};

/// What a remap changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Rows by column.
    pub columns: Vec<Column>,
    /// Roots that became one with another.
    pub merged: Vec<MergedRoot>,
    /// How all of it is taken back.
    pub inverse: Inverse,
}
