//! Names of artists, albums and tracks.

use crate::fixture::random::Random;

/// What an album may be.
pub(super) const GENRES: [&str; 8] = [
    "Ambient",
    "Electronic",
    "Folk",
    "Jazz",
    "Noise",
    "Pop",
    "Rock",
    "Soundtrack",
];

const FIRST: [&str; 32] = [
    "Amber",
    "Bright",
    "Broken",
    "Burning",
    "Copper",
    "Distant",
    "Early",
    "Endless",
    "Falling",
    "Foreign",
    "Frozen",
    "Gentle",
    "Golden",
    "Hidden",
    "Hollow",
    "Iron",
    "Late",
    "Little",
    "Lonely",
    "Morning",
    "Narrow",
    "Northern",
    "Pale",
    "Paper",
    "Quiet",
    "Restless",
    "Salt",
    "Second",
    "Silver",
    "Velvet",
    "Wandering",
    "Winter",
];
const SECOND: [&str; 32] = [
    "Answers", "Bells", "Birds", "Bridges", "Clouds", "Colours", "Corners", "Days", "Doors", "Engines", "Fields",
    "Fires", "Gardens", "Harbours", "Hills", "Islands", "Lanterns", "Letters", "Machines", "Mirrors", "Numbers",
    "Oceans", "Orchards", "Rivers", "Roads", "Shadows", "Signals", "Stones", "Trains", "Voices", "Windows", "Wolves",
];
const SYLLABLES: [&str; 16] = [
    "ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "wu", "za",
];

/// One artist of a seed; no two seeds or numbers share one.
pub(super) fn artist(seed: u64, number: usize) -> String {
    let first = *Random::of(&format!("{seed}/{number}")).pick(&FIRST);
    // The second word spells seed and number, a bar between them.
    let mut second = spelled(seed);
    if let Some(initial) = second.get_mut(..1) {
        initial.make_ascii_uppercase();
    }
    format!("{first} {second}-{}", spelled(number as u64))
}

fn spelled(number: u64) -> String {
    let (rest, last) = (number / 16, (number % 16) as usize);
    let mut text = if rest == 0 { String::new() } else { spelled(rest) };
    text.push_str(SYLLABLES[last]);
    text
}

/// A title; among the first 1024 of the same `parent` no two are the same.
pub(super) fn title(parent: &str, number: usize) -> String {
    let pairs = FIRST.len() * SECOND.len();
    let start = usize::try_from(Random::of(parent).below(1 << 20)).unwrap_or_default();
    // An odd step meets each of the 2¹⁰ pairs once before it comes back to the first.
    let pair = (start + number * 367) % pairs;
    format!("{} {}", FIRST[pair / SECOND.len()], SECOND[pair % SECOND.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_name_twice() {
        let artists: HashSet<_> = (0..40)
            .flat_map(|seed| (0..40).map(move |number| artist(seed, number)))
            .collect();
        assert_eq!(artists.len(), 1600);
        let titles: HashSet<_> = (0..1024).map(|number| title("x", number)).collect();
        assert_eq!(titles.len(), 1024);
        assert_eq!(artist(1, 0), artist(1, 0));
    }
}
