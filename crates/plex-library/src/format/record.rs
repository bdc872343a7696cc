//! The rows of a small table, read without SQLite: of a moment that no connection stands at.

use super::btree::{self, PageKind};
use super::row::{self, Stored};

/// One column of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Integer(i64),
    Text(String),
    /// NULL, a float or bytes: nothing that is asked for here.
    Other,
}

impl Value {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Integer(_) | Self::Other => None,
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Text(_) | Self::Other => None,
        }
    }
}

/// A row's payload within a leaf of a table: what lies in the page, how long all of it is, and where it goes on.
pub(crate) struct Payload<'a> {
    pub(crate) local: &'a [u8],
    pub(crate) length: usize,
    pub(crate) overflow: Option<u32>,
}

/// The payloads of all rows of a leaf. `usable` are the page's bytes without the reserved ones.
///
/// # Errors
/// What is wrong with the page.
pub(crate) fn payloads(number: u32, page: &[u8], usable: usize) -> Result<Vec<Payload<'_>>, String> {
    let shape = btree::shape(number, page, usable)?;
    if shape.kind != PageKind::LeafTable {
        return Err("it is no leaf of a table".into());
    }
    (0..shape.cells)
        .map(|at| {
            let cell = btree::cell(&shape, page, usable, at)?;
            Ok(Payload {
                local: &page[cell.payload_start..cell.payload_start + cell.local],
                length: cell.payload,
                overflow: cell.overflow.map(|overflow| overflow.first),
            })
        })
        .collect()
}

/// The columns of a whole payload; `None` if it is none. The row's own number is not among them.
pub(crate) fn columns(payload: &[u8]) -> Option<Vec<Value>> {
    let values = row::parse(payload).ok()?;
    let value = |value| match value {
        Stored::Integer(number) => Value::Integer(number),
        Stored::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        Stored::Null | Stored::Real(_) | Stored::Blob(_) => Value::Other,
    };
    Some(values.into_iter().map(value).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn garbage_is_nothing_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            _ = columns(&bytes);
        }
    }
}
