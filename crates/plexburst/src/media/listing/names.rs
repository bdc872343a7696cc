//! Names as rclone's mount shows them: what a key may hold and a file's name may not has a stand-in.
//!
//! rclone's "standard" encoding: control characters become their pictures, a component that is only dots gets wide ones,
//! and whoever already looks like a stand-in is marked with a quote. Checked against rclone itself in
//! `tests/listing.rs`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// rclone's sign that the next character stands for itself.
const QUOTE: char = '\u{201b}';
/// What stands for a dot in "." and "..".
const WIDE_DOT: char = '\u{ff0e}';
/// What stands for a slash inside of a name.
const WIDE_SLASH: char = '\u{ff0f}';
/// NUL's stand-in, which no key needs a mark on; the other control characters follow it.
const NUL: char = '\u{2400}';
/// DEL's stand-in.
const DEL: char = '\u{2421}';

/// How the mount shows a key; none when it does not show it: a folder's own marker, or an empty component.
pub(super) fn shown(key: &[u8]) -> Option<Cow<'_, str>> {
    if key.is_empty() || key.ends_with(b"/") || key.starts_with(b"/") || key.windows(2).any(|pair| pair == b"//") {
        return None;
    }
    if let Ok(text) = std::str::from_utf8(key)
        && text.split('/').all(is_plain)
    {
        return Some(Cow::Borrowed(text));
    }
    let mut shown = String::with_capacity(key.len() + 8);
    for (number, component) in key.split(|byte| *byte == b'/').enumerate() {
        if number > 0 {
            shown.push('/');
        }
        if component == b"." || component == b".." {
            component.iter().for_each(|_| shown.push(WIDE_DOT));
            continue;
        }
        for chunk in component.utf8_chunks() {
            let mut letters = chunk.valid().chars().peekable();
            while let Some(letter) = letters.next() {
                let next = letters.next_if(|next| letter == QUOTE && matches!(*next, QUOTE | NUL | WIDE_SLASH));
                push(&mut shown, letter, next);
            }
            for byte in chunk.invalid() {
                // A String takes every write.
                let _ = write!(shown, "{QUOTE}{byte:02X}");
            }
        }
    }
    Some(Cow::Owned(shown))
}

fn is_plain(component: &str) -> bool {
    let is_odd = |letter: char| letter.is_ascii_control() || letter == QUOTE || is_picture(letter);
    component != "." && component != ".." && !component.chars().any(is_odd)
}

/// A stand-in of a control character other than NUL.
fn is_picture(letter: char) -> bool {
    let nul = u32::from(NUL);
    (nul + 1..nul + 0x20).contains(&u32::from(letter)) || letter == DEL
}

/// `next` is there when `letter` is a quote that already marks it.
fn push(shown: &mut String, letter: char, next: Option<char>) {
    match letter {
        QUOTE => shown.extend([QUOTE, next.unwrap_or(QUOTE)]),
        '\u{7f}' => shown.push(DEL),
        _ if letter.is_ascii_control() => {
            shown.push(char::from_u32(u32::from(NUL) + u32::from(letter)).unwrap_or(letter));
        }
        _ => {
            if is_picture(letter) {
                shown.push(QUOTE);
            }
            shown.push(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_name_cannot_hold_has_a_stand_in() {
        for (key, name) in [
            ("a/b c/é.flac", "a/b c/é.flac"),
            ("a\n/b", "a\u{240a}/b"),
            ("x/./..", "x/\u{ff0e}/\u{ff0e}\u{ff0e}"),
            ("x\u{7f}\u{240a}", "x\u{2421}\u{201b}\u{240a}"),
            ("...", "..."),
        ] {
            assert_eq!(shown(key.as_bytes()).as_deref(), Some(name), "{key:?}");
        }
        assert_eq!(shown(b"a\xff").as_deref(), Some("a\u{201b}FF"));
        for key in ["", "a/", "/a", "a//b"] {
            assert_eq!(shown(key.as_bytes()), None, "{key:?}");
        }
    }
}
