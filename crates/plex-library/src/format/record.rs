//! The rows of a small table, read without SQLite: of a moment that no connection stands at.

use super::btree::{self, PageKind};
use super::{be16, be32};

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
    let (kind, _) = btree::parse(number, page, usable)?;
    if kind != PageKind::LeafTable {
        return Err("it is no leaf of a table".into());
    }
    let head = if number == 1 { super::header::LENGTH } else { 0 };
    let page = &page[..usable];
    (0..usize::from(be16(page, head + 3)))
        .map(|cell| {
            let start = usize::from(be16(page, head + 8 + 2 * cell));
            payload(page, start).ok_or_else(|| format!("cell {cell} does not fit into it"))
        })
        .collect()
}

fn payload(page: &[u8], start: usize) -> Option<Payload<'_>> {
    let (length, at) = btree::varint(page, start)?;
    let (_, at) = btree::varint(page, at)?;
    let length = usize::try_from(length).ok()?;
    let local = btree::local_bytes(PageKind::LeafTable, length, page.len());
    let overflow = match local < length {
        true => Some(be32(page.get(at + local..at + local + 4)?, 0)),
        false => None,
    };
    Some(Payload {
        local: page.get(at..at + local)?,
        length,
        overflow,
    })
}

/// The columns of a whole payload; `None` if it is none. The row's own number is not among them.
pub(crate) fn columns(payload: &[u8]) -> Option<Vec<Value>> {
    let (head, mut at) = btree::varint(payload, 0)?;
    let head = usize::try_from(head).ok()?;
    let mut body = head;
    let mut values = Vec::new();
    while at < head {
        let (kind, next) = btree::varint(payload.get(..head)?, at)?;
        at = next;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            blob_or_text => usize::try_from((blob_or_text - 12) / 2).ok()?,
        };
        let bytes = payload.get(body..body.checked_add(length)?)?;
        body += length;
        values.push(match kind {
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            1..=6 => Value::Integer(integer(bytes)),
            kind if kind >= 13 && kind % 2 == 1 => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
            _ => Value::Other,
        });
    }
    Some(values)
}

/// A big-endian number in two's complement, of 1 to 8 bytes.
fn integer(bytes: &[u8]) -> i64 {
    let first = bytes.first().map_or(0, |&byte| i64::from(byte.cast_signed()));
    bytes
        .iter()
        .skip(1)
        .fold(first, |value, &byte| value << 8 | i64::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_have_their_sign() {
        assert_eq!(integer(&[0xff]), -1);
        assert_eq!(integer(&[0x80, 0]), -32768);
        assert_eq!(integer(&[0x01, 0x00]), 256);
        assert_eq!(integer(&i64::MIN.to_be_bytes()), i64::MIN);
    }

    proptest! {
        #[test]
        fn garbage_is_nothing_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            _ = columns(&bytes);
        }
    }
}
