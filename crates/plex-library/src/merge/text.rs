//! Row ids that hide in text: keys of items in `extra_data`, addresses in play queues and playlists, `local://` guids.
//!
//! They are written plainly (`/library/metadata/12`), percent-encoded (`%2Flibrary%2Fmetadata%2F12`, in addresses of play
//! queues) and encoded twice (in the `url` member of `extra_data`, facts §3); several ids may follow each other with
//! commas. Only numbers behind a known marker are touched, and everything else stays byte for byte.

use std::collections::HashMap;

use super::values::Value;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{FromSql as _, ValueRef};

use super::fail::Step;

/// What was renumbered: table and old id → new id.
pub(super) type Moves = HashMap<(&'static str, i64), i64>;

/// Markers, and the table whose ids follow them. The longer one first where one begins like another.
const MARKERS: [(&str, &str); 7] = [
    ("/library/metadata/", "metadata_items"),
    ("/library/collections/", "metadata_items"),
    ("/playlists/", "metadata_items"),
    ("/library/sections/", "library_sections"),
    ("/library/parts/", "media_parts"),
    ("/library/streams/", "media_streams"),
    ("local://", "metadata_items"),
];

/// Makes `follow_text` known to the connection: text with every id replaced that the temporary table `follow` moves.
pub(super) fn register(conn: &Connection) -> Step<()> {
    let found: Vec<(String, i64, i64)> = conn
        .prepare("SELECT target, old, new FROM temp.follow")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let moves: Moves = found
        .into_iter()
        .filter_map(|(target, old, new)| {
            let (_, known) = MARKERS.iter().find(|(_, known)| *known == target)?;
            Some(((*known, old), new))
        })
        .collect();
    conn.create_scalar_function(
        "follow_text",
        1,
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
        move |context| {
            Ok(match context.get_raw(0) {
                ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) => Value::Text(rewrite(text, &moves).unwrap_or_else(|| text.to_owned())),
                    // Not text as we know it: left as it is.
                    Err(_) => Value::Odd(bytes.to_owned()),
                },
                other => Value::column_result(other)?,
            })
        },
    )?;
    Ok(())
}

/// Makes `holds_id` known to the connection: whether there is an id in a text.
pub(super) fn register_holds_id(conn: &Connection) -> Step<()> {
    conn.create_scalar_function(
        "holds_id",
        1,
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
        |context| {
            Ok(match context.get_raw(0) {
                ValueRef::Text(bytes) => (0..bytes.len()).any(|at| marker(bytes, at).is_some()),
                _ => false,
            })
        },
    )?;
    Ok(())
}

/// Whether a column may hold such text.
pub(super) fn holds_references(table: &str, column: &str) -> bool {
    matches!(
        (table, column),
        ("play_queue_generators", "uri" | "extra_data")
            | ("play_queues", "extra_data")
            | ("download_queue_items", "key" | "extra_data")
            | ("download_queues", "extra_data")
            | ("custom_channels", "description")
    )
}

/// The text with every renumbered id replaced; `None` if there is none in it.
pub(super) fn rewrite(text: &str, moves: &Moves) -> Option<String> {
    if moves.is_empty() {
        return None;
    }
    let bytes = text.as_bytes();
    let mut out: Option<String> = None;
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        let Some((target, end)) = marker(bytes, at) else {
            at += 1;
            continue;
        };
        at = end;
        loop {
            let digits = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
            if let Some(new) = text[at..at + digits]
                .parse()
                .ok()
                .and_then(|id: i64| moves.get(&(target, id)))
            {
                let out = out.get_or_insert_with(|| String::with_capacity(text.len() + 8));
                out.push_str(&text[copied..at]);
                out.push_str(&new.to_string());
                copied = at + digits;
            }
            at += digits;
            match (digits, symbol(bytes, at, b',')) {
                (1.., Some(next)) if bytes.get(next).is_some_and(u8::is_ascii_digit) => at = next,
                _ => break,
            }
        }
    }
    let mut out = out?;
    out.push_str(&text[copied..]);
    Some(out)
}

/// The marker that begins at `at`, and where it ends.
fn marker(bytes: &[u8], at: usize) -> Option<(&'static str, usize)> {
    MARKERS.iter().find_map(|(marker, target)| {
        let mut here = at;
        for &wanted in marker.as_bytes() {
            here = symbol(bytes, here, wanted)?;
        }
        bytes
            .get(here)
            .is_some_and(u8::is_ascii_digit)
            .then_some((*target, here))
    })
}

/// Where the symbol ends that begins at `at`, if it is `wanted`, plain or percent-encoded up to two times.
fn symbol(bytes: &[u8], at: usize, wanted: u8) -> Option<usize> {
    let rest = bytes.get(at..)?;
    if rest.first() == Some(&wanted) {
        return Some(at + 1);
    }
    if wanted.is_ascii_alphabetic() || rest.first() != Some(&b'%') {
        return None;
    }
    let hex = [
        b"0123456789ABCDEF"[usize::from(wanted >> 4)],
        b"0123456789ABCDEF"[usize::from(wanted & 15)],
    ];
    let is = |found: &[u8]| found.eq_ignore_ascii_case(&hex);
    match rest {
        [_, once @ ..] if once.get(..2).is_some_and(is) => Some(at + 3),
        [_, b'2', b'5', twice @ ..] if twice.get(..2).is_some_and(is) => Some(at + 5),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves() -> Moves {
        HashMap::from([
            (("metadata_items", 12), 5),
            (("metadata_items", 1_000_001), 7),
            (("library_sections", 3), 30),
        ])
    }

    fn rewritten(text: &str) -> String {
        rewrite(text, &moves()).unwrap_or_else(|| "(as it was)".into())
    }

    #[test]
    fn plain_encoded_and_twice_encoded_ids_are_found() {
        assert_eq!(
            rewritten(
                r#"{"ex:primaryExtraKey":"/library/metadata/12","url":"ex%3AprimaryExtraKey=%2Flibrary%2Fmetadata%2F12"}"#
            ),
            r#"{"ex:primaryExtraKey":"/library/metadata/5","url":"ex%3AprimaryExtraKey=%2Flibrary%2Fmetadata%2F5"}"#
        );
        assert_eq!(
            rewritten("library://uuid/item/%252flibrary%252fmetadata%252f1000001"),
            "library://uuid/item/%252flibrary%252fmetadata%252f7"
        );
        assert_eq!(rewritten("local://12"), "local://5");
        assert_eq!(
            rewritten("server://abc/com.plexapp.plugins.library/library/sections/3/all?type=10"),
            "server://abc/com.plexapp.plugins.library/library/sections/30/all?type=10"
        );
    }

    #[test]
    fn lists_of_ids_are_followed_to_their_end() {
        assert_eq!(
            rewritten("/library/metadata/1,12%2C1000001,99/children"),
            "/library/metadata/1,5%2C7,99/children"
        );
    }

    #[test]
    fn nothing_else_is_touched() {
        for text in [
            "/library/metadata/123",
            "/library/metadata/12x is 5 but /library/metadata/x12 is not"
                .replace("/library/metadata/12x is 5 but ", "")
                .as_str(),
            "metadata/12",
            "/library/metadata/",
            "/library/metadata/99999999999999999999999",
            "grüße %2",
            "",
        ] {
            assert_eq!(rewritten(text), "(as it was)", "{text}");
        }
    }
}
