//! One row as SQLite stores it: a header with the type of each value, then the values.
//!
//! SQLite always writes the shortest form of everything, and nothing behind the last value: what is longer or shorter than
//! that was not written by it.

use super::btree::varint;

/// A value as it is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stored<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

/// Reads all values of a record.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(payload: &[u8]) -> Result<Vec<Stored<'_>>, String> {
    let (length, mut at) = varint(payload, 0).ok_or("it has no header")?;
    let header = usize::try_from(length).map_err(|_| "its header is longer than any can be")?;
    if header < at || header > payload.len() {
        return Err(format!(
            "its header of {header} bytes does not fit into {}",
            payload.len()
        ));
    }
    let mut values = Vec::new();
    let mut body = header;
    while at < header {
        let (kind, next) = varint(&payload[..header], at).ok_or("its header ends within a number")?;
        if next - at > shortest(kind) {
            return Err("a number in its header is longer than SQLite writes it".into());
        }
        at = next;
        let bytes = length_of(kind).ok_or_else(|| format!("{kind} is no type of a value"))?;
        let end = body
            .checked_add(bytes)
            .filter(|&end| end <= payload.len())
            .ok_or("its values are longer than it is")?;
        values.push(value(kind, &payload[body..end])?);
        body = end;
    }
    if body != payload.len() {
        return Err(format!("{} bytes are left behind its values", payload.len() - body));
    }
    Ok(values)
}

fn shortest(mut value: u64) -> usize {
    let mut length = 1;
    while value > 0x7f && length < 9 {
        value >>= 7;
        length += 1;
    }
    length
}

/// Bytes of a value, by its type.
fn length_of(kind: u64) -> Option<usize> {
    Some(match kind {
        0 | 8 | 9 => 0,
        1..=4 => usize::try_from(kind).ok()?,
        5 => 6,
        6 | 7 => 8,
        10 | 11 => return None,
        _ => usize::try_from((kind - 12) / 2).ok()?,
    })
}

fn value(kind: u64, bytes: &[u8]) -> Result<Stored<'_>, String> {
    Ok(match kind {
        0 => Stored::Null,
        8 => Stored::Integer(0),
        9 => Stored::Integer(1),
        7 => {
            let mut number = [0; 8];
            number.copy_from_slice(bytes);
            let number = f64::from_be_bytes(number);
            if number.is_nan() {
                return Err("a value of it is not a number".into());
            }
            Stored::Real(number)
        }
        1..=6 => {
            let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
            let number = bytes
                .iter()
                .fold(sign, |number: i64, &byte| number << 8 | i64::from(byte));
            Stored::Integer(number)
        }
        _ if kind.is_multiple_of(2) => Stored::Blob(bytes),
        _ => Stored::Text(bytes),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_read_and_its_length_has_to_fit() {
        // Null, 1, -2, 'ab', x'00'
        let record = [6, 0, 9, 1, 17, 14, 0xfe, b'a', b'b', 0];
        assert_eq!(
            parse(&record).unwrap(),
            [
                Stored::Null,
                Stored::Integer(1),
                Stored::Integer(-2),
                Stored::Text(b"ab"),
                Stored::Blob(&[0])
            ]
        );
        assert!(parse(&record[..9]).is_err());
        assert!(parse(&[record.as_slice(), &[0]].concat()).is_err());
        assert!(parse(&[2, 10]).is_err());
        assert!(parse(&[]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            _ = parse(&bytes);
        }
    }
}
