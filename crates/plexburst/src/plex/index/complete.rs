//! What *complete* means, kind by kind, and who says so: never one witness alone.
//!
//! Guarantees: a kind is complete only when each of its witnesses says so; where they differ the difference is told, with the
//! numbers of each. A witness that has nothing to say (a version that marks no item, a call that failed) is left out and not
//! taken for a yes or a no. Must not: decide anything from a count that failed; that is an error, as everywhere here.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::counters::{Counts, Marks};

/// What a section can be complete in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What Plex answers with is what its library has.
    Scanned,
    /// An agent knows what the films, shows and artists are.
    Matched,
    /// They have a picture.
    Artwork,
    /// Plex has looked into the files.
    Analysed,
    /// Tracks have their loudness.
    Loudness,
    /// Tracks have their Sonic data.
    Sonic,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scanned => "scanned",
            Self::Matched => "matched",
            Self::Artwork => "artwork",
            Self::Analysed => "analysed",
            Self::Loudness => "loudness",
            Self::Sonic => "Sonic",
        })
    }
}

/// One place that a kind is read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Where that is.
    pub place: String,
    /// How many have it, by that place.
    pub have: u64,
    /// How many there are.
    pub all: u64,
}

/// One kind, by all of its witnesses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completeness {
    /// Which.
    pub kind: Kind,
    /// Who was asked and had something to say.
    pub witnesses: Vec<Witness>,
}

impl Completeness {
    /// Of a kind, by what the library counts and marks; `items` is what Plex answers with, none when it was not asked.
    #[must_use]
    pub fn of(kind: Kind, counts: &Counts, marks: &Marks, items: Option<u64>) -> Self {
        let witness = |place: &str, have: u64, all: u64| Witness {
            place: place.to_owned(),
            have,
            all,
        };
        // A library in which nothing has such a mark comes from a Plex that sets none.
        let marked = |place: &str, have: u64, all: u64| (have > 0).then(|| witness(place, have, all));
        let (first, second) = match kind {
            Kind::Scanned => {
                // Plex shows what is in the trash as well, as missing.
                let with_trash = counts.items..=counts.items + counts.trashed;
                let other = items.filter(|items| !with_trash.contains(items));
                let all = counts.items.max(other.unwrap_or(0));
                let answered = items.map(|items| witness("Plex's answer", items, other.map_or(items, |_| all)));
                (witness("the library's items", counts.items, all), answered)
            }
            Kind::Matched => (
                witness("guids", marks.matched, marks.tops),
                Some(witness("times of the last refresh", marks.refreshed, marks.tops)),
            ),
            Kind::Artwork => (witness("pictures of the items", marks.pictures, marks.tops), None),
            Kind::Analysed => (
                witness("versions of the analysis", counts.analysed, counts.files),
                Some(witness("files with streams", marks.streams, counts.files)),
            ),
            Kind::Loudness => (
                witness("audio streams", counts.loudness, counts.items),
                marked("marks of the tracks", marks.loudness, counts.items),
            ),
            Kind::Sonic => (
                witness("blobs", counts.sonic, counts.items),
                marked("marks of the tracks", marks.sonic, counts.items),
            ),
        };
        Self {
            kind,
            witnesses: std::iter::once(first).chain(second).collect(),
        }
    }

    /// Whether every witness says so.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.witnesses.iter().all(Witness::says_yes)
    }

    /// Whether one of them says yes and another no.
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        !self.is_complete() && self.witnesses.iter().any(Witness::says_yes)
    }
}

impl Witness {
    fn says_yes(&self) -> bool {
        self.have >= self.all
    }
}

impl fmt::Display for Completeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match (self.is_complete(), self.is_disputed()) {
            (true, _) => "complete",
            (false, true) => "not complete, its witnesses differ",
            (false, false) => "not complete",
        };
        write!(f, "{}: {word}: ", self.kind)?;
        for (number, witness) in self.witnesses.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{} {} of {}", witness.place, witness.have, witness.all)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: Counts = Counts {
        items: 10,
        files: 12,
        trashed: 0,
        analysed: 12,
        loudness: 10,
        sonic: 10,
        fingerprint: 0,
    };
    const MARKS: Marks = Marks {
        tops: 3,
        matched: 3,
        refreshed: 3,
        pictures: 3,
        streams: 12,
        loudness: 10,
        sonic: 10,
    };
    const ALL: [Kind; 6] = [
        Kind::Scanned,
        Kind::Matched,
        Kind::Artwork,
        Kind::Analysed,
        Kind::Loudness,
        Kind::Sonic,
    ];

    #[test]
    fn complete_is_what_every_witness_says() {
        for kind in ALL {
            let all = Completeness::of(kind, &COUNTS, &MARKS, Some(10));
            assert!(all.is_complete() && !all.is_disputed(), "{all}");
        }
    }

    #[test]
    fn one_witness_that_says_no_is_enough_and_is_named() {
        let marks = Marks {
            matched: 2,
            streams: 11,
            loudness: 9,
            sonic: 8,
            ..MARKS
        };
        let lines = [
            (
                Kind::Scanned,
                "scanned: not complete, its witnesses differ: the library's items 10 of 11, Plex's answer 11 of 11",
            ),
            (
                Kind::Matched,
                "matched: not complete, its witnesses differ: guids 2 of 3, times of the last refresh 3 of 3",
            ),
            (
                Kind::Analysed,
                "analysed: not complete, its witnesses differ: versions of the analysis 12 of 12, files with streams 11 of 12",
            ),
            (
                Kind::Loudness,
                "loudness: not complete, its witnesses differ: audio streams 10 of 10, marks of the tracks 9 of 10",
            ),
            (
                Kind::Sonic,
                "Sonic: not complete, its witnesses differ: blobs 10 of 10, marks of the tracks 8 of 10",
            ),
        ];
        for (kind, line) in lines {
            let one = Completeness::of(kind, &COUNTS, &marks, Some(11));
            assert!(!one.is_complete() && one.is_disputed());
            assert_eq!(one.to_string(), line);
        }
        let trashed = Counts { trashed: 1, ..COUNTS };
        assert!(Completeness::of(Kind::Scanned, &trashed, &marks, Some(11)).is_complete());
        assert!(Completeness::of(Kind::Scanned, &trashed, &marks, Some(9)).is_disputed());
        // The other way round it is disputed as well.
        let counts = Counts { sonic: 9, ..COUNTS };
        assert!(Completeness::of(Kind::Sonic, &counts, &MARKS, None).is_disputed());
    }

    #[test]
    fn who_has_nothing_to_say_is_left_out() {
        let marks = Marks {
            loudness: 0,
            sonic: 0,
            ..MARKS
        };
        for kind in [Kind::Loudness, Kind::Sonic] {
            let one = Completeness::of(kind, &COUNTS, &marks, None);
            assert!(one.is_complete() && one.witnesses.len() == 1, "{one}");
        }
        assert_eq!(
            Completeness::of(Kind::Scanned, &COUNTS, &marks, None).witnesses.len(),
            1
        );
        let counts = Counts { sonic: 9, ..COUNTS };
        let one = Completeness::of(Kind::Sonic, &counts, &marks, None);
        assert!(!one.is_complete() && !one.is_disputed(), "{one}");
    }
}
