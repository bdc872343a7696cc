//! Guids: what an item is called across servers.
//!
//! The stand-in of the online agents gives the same thing the same guid on every server, because it is made from the
//! normalised names: `plex://track/<24 hexadecimal digits>`. What nobody can match has `local://<its own row id>`, which
//! means nothing elsewhere (facts/plex.md §2.1).

use super::files::sha1_hex;

/// Digits behind the last slash of a `plex://` guid.
const DIGITS: usize = 24;

/// The guid that the online agents give to the thing with these names, from the widest ("artist") to its own.
pub(crate) fn matched(kind: &str, names: &[&str]) -> String {
    let mut key = kind.to_owned();
    for name in names {
        key.push('\u{1f}');
        key.push_str(&normalised(name));
    }
    let mut digits = sha1_hex(&key);
    digits.truncate(DIGITS);
    format!("plex://{kind}/{digits}")
}

/// The guid of what has not been matched.
pub(crate) fn local(id: i64) -> String {
    format!("local://{id}")
}

/// Letters and digits in lower case, everything between them one space.
pub(crate) fn normalised(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for word in name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        if !text.is_empty() {
            text.push(' ');
        }
        text.extend(word.chars().flat_map(char::to_lowercase));
    }
    // Names of signs alone ("!!!") are still names.
    if text.is_empty() { name.trim().to_owned() } else { text }
}

/// The title as it is sorted: without a leading article.
pub(crate) fn sort_title(title: &str) -> &str {
    for article in ["The ", "A ", "An "] {
        let rest = title
            .split_at_checked(article.len())
            .filter(|(start, _)| start.eq_ignore_ascii_case(article));
        if let Some((_, rest)) = rest
            && !rest.trim().is_empty()
        {
            return rest.trim_start();
        }
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_has_one_guid() {
        let one = matched("album", &["The Band", "First  Album"]);
        assert_eq!(one, matched("album", &["the band", "first album!"]));
        assert_ne!(one, matched("album", &["The Band First", "Album"]));
        assert_ne!(one, matched("artist", &["The Band", "First Album"]));
        assert_eq!(one.len(), "plex://album/".len() + 24);
        assert_ne!(matched("artist", &["!!!"]), matched("artist", &["???"]));
    }

    #[test]
    fn articles_are_not_sorted() {
        assert_eq!(sort_title("The End of the World"), "End of the World");
        assert_eq!(sort_title("A"), "A");
        assert_eq!(sort_title("The "), "The ");
        assert_eq!(sort_title("Äther"), "Äther");
        assert_eq!(sort_title("Anthem"), "Anthem");
    }
}
