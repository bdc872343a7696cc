//! Tokens and uuids from the kernel's random source.

use std::fs::File;
use std::io::{self, Read};

/// The alphabet of Plex's tokens.
const TOKEN: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut buffer = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut buffer)?;
    Ok(buffer)
}

/// Twenty characters, as long as the tokens of plex.tv are.
pub(crate) fn token() -> io::Result<String> {
    Ok(bytes::<20>()?
        .iter()
        .map(|byte| char::from(TOKEN[usize::from(byte & 63)]))
        .collect())
}

/// A random uuid (version 4) in its usual text form.
pub(crate) fn uuid() -> io::Result<String> {
    let mut raw = bytes::<16>()?;
    raw[6] = (raw[6] & 0x0f) | 0x40;
    raw[8] = (raw[8] & 0x3f) | 0x80;
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    ))
}

#[cfg(test)]
mod tests {
    #[test]
    fn shapes() {
        assert_eq!(super::token().unwrap().len(), 20);
        let uuid = super::uuid().unwrap();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert_ne!(uuid, super::uuid().unwrap());
    }
}
