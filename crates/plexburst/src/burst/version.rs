//! A newer plexburst meeting what an older one left or runs, and the other way round.
//!
//! Formats decide what is allowed, and each says its version first: whoever does not know it looks on and touches nothing. Within
//! one format any program goes on with what another began; which one it was is noted, for a person who wonders.

use serde::Deserialize;

/// This program.
pub const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// The format that `bytes` (one JSON object) are of, when it is newer than `known`; whatever else they hold.
#[must_use]
pub fn newer(bytes: &[u8], known: u32) -> Option<u32> {
    #[derive(Deserialize)]
    struct Format {
        v: u32,
    }
    let format: Format = serde_json::from_slice(bytes).ok()?;
    (format.v > known).then_some(format.v)
}

/// ` (plexburst 1.2.0; this is 1.3.0)`, when `other` is another program than this one.
#[must_use]
pub fn unlike(other: Option<&str>) -> String {
    match other {
        Some(other) if other != PROGRAM => format!(" (plexburst {other}; this is {PROGRAM})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_newer_is_seen_although_nothing_else_is_understood() {
        assert_eq!(newer(br#"{"v": 3, "phase": {"of": "tomorrow"}}"#, 2), Some(3));
        assert_eq!(newer(br#"{"v": 2, "phase": "prepare"}"#, 2), None);
        assert_eq!(newer(br#"{"v": 3, "pha"#, 2), None);
        assert_eq!(newer(b"{}", 2), None);
        assert_eq!((unlike(None), unlike(Some(PROGRAM))), (String::new(), String::new()));
        assert!(unlike(Some("0.0.1")).starts_with(" (plexburst 0.0.1; this is "));
    }
}
